"""The plan: what a study asks for, and what of it is there already."""

import dataclasses
from collections.abc import Sequence

from hpo.models import Config
from hpo.training import head_runs

__all__ = ["Plan", "PlannedStage", "RunSharing"]


@dataclasses.dataclass(frozen=True)
class PlannedStage:
    """A stage before it is run.

    Attributes:
        name: As in the space.
        candidates: Configurations to compare; equal ones count once.
        new: Those that no earlier stage runs.
        done: Those that have a result.
        asked: Epochs of one seed if each configuration were trained by itself.
        trained: Epochs of one seed that are left when runs are shared and continued.
        skipped: Configurations beside these that are too large, so that they aren't trained.
    """

    name: str
    candidates: int
    new: int
    done: int
    asked: int
    trained: int
    skipped: int = 0


@dataclasses.dataclass(frozen=True)
class Plan:
    """All stages of a study.

    Attributes:
        stages: In order.
        seeds: Runs of each configuration.
        assumed: Whether winners had to be assumed for stages that are not decided.
        in_stages: Whether a stage is decided before the next one begins.
    """

    stages: tuple[PlannedStage, ...]
    seeds: int
    assumed: bool
    in_stages: bool

    @property
    def asked(self) -> int:
        """Epochs of all stages, one seed."""
        return sum(stage.asked for stage in self.stages)

    @property
    def trained(self) -> int:
        """Epochs that sharing leaves, one seed; meta-classifiers are not counted."""
        return sum(stage.trained for stage in self.stages)

    @property
    def skipped(self) -> int:
        """Candidates of all stages that are too large to be trained."""
        return sum(stage.skipped for stage in self.stages)

    @property
    def configurations(self) -> int:
        """Configurations of all stages; one that several stages have counts once."""
        return sum(stage.new for stage in self.stages)


class RunSharing:
    """Counts the epochs that configurations add when runs are shared and continued.

    An epoch of a configuration trains all its heads once; it is shared if all of them are trained
    by an earlier configuration as far as that.

    Args:
        modalities: Those that the features have.
    """

    def __init__(self, modalities: Sequence[str]) -> None:
        self._modalities = tuple(modalities)
        self._known: dict[str, int] = {}

    def add(self, config: Config) -> int:
        """Return the epochs that a configuration adds to what is known, and add them."""
        runs = head_runs(config, self._modalities)
        added = max(config.epochs - min(self._known.get(run, 0) for run in runs), 0)
        for run in runs:
            self._known[run] = max(self._known.get(run, 0), config.epochs)
        return added
