"""The plan: what a study asks for, and what of it is there already."""

import dataclasses
from collections.abc import Sequence

from hpo.models import Config
from hpo.search import Candidate, GreedySearch, OptunaSearch, greedy_stages
from hpo.service import Study, Task, head_runs

__all__ = ["Plan", "PlannedStage", "make_plan"]


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
    """

    name: str
    candidates: int
    new: int
    done: int
    asked: int
    trained: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """All stages of a study.

    Attributes:
        stages: In order.
        seeds: Runs of each configuration.
        assumed: Whether winners had to be assumed for stages that are not decided.
    """

    stages: tuple[PlannedStage, ...]
    seeds: int
    assumed: bool

    @property
    def asked(self) -> int:
        """Epochs of all stages, one seed."""
        return sum(stage.asked for stage in self.stages)

    @property
    def trained(self) -> int:
        """Epochs that sharing leaves, one seed; meta-classifiers are not counted."""
        return sum(stage.trained for stage in self.stages)


def make_plan(study: Study, tasks: Sequence[Task]) -> Plan:
    """Return the plan of a study.

    Where a stage is not decided, the candidate with the best reference score is assumed to win,
    or else the first one. An epoch of a configuration trains all its heads once; it is shared if
    all of them are trained by an earlier configuration as far as that.
    """
    search = study.space.search
    if isinstance(search, OptunaSearch):
        done = sum(task.outcome is not None for task in tasks)
        trials = study.trials_wanted()
        longest = max(study.space.lengths())
        most = trials * longest
        planned = PlannedStage("trials", trials, trials, done, most, most)
        return Plan((planned,), study.space.seeds, assumed=False)
    assert isinstance(search, GreedySearch)
    finished = {task.config_key: task for task in tasks if task.outcome is not None}
    assumed = False

    def score(candidate: Candidate) -> float:
        nonlocal assumed
        task = finished.get(candidate.key)
        if task is not None and task.outcome is not None:
            return float(task.outcome["value"])
        assumed = True
        return candidate.reference or 0.0

    known: dict[str, int] = {}
    seen: set[str] = set()
    stages = []
    for stage in greedy_stages(study.space, score, study.normalise, study.definition.modalities):
        trained = sum(_share(known, candidate.config) for candidate in stage.candidates)
        keys = {candidate.key for candidate in stage.candidates}
        stages.append(
            PlannedStage(
                name=stage.name,
                candidates=len(keys),
                new=len(keys - seen),
                done=len(keys & finished.keys()),
                asked=sum(candidate.config.epochs for candidate in stage.candidates),
                trained=trained,
            )
        )
        seen |= keys
    return Plan(tuple(stages), study.space.seeds, assumed)


def _share(known: dict[str, int], config: Config) -> int:
    """Return the epochs that a configuration adds to what is known, and add them."""
    runs = head_runs(config)
    added = max(config.epochs - min(known.get(run, 0) for run in runs), 0)
    for run in runs:
        known[run] = max(known.get(run, 0), config.epochs)
    return added
