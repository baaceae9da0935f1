"""Trials as they change hands: to be created, being trained, to be ended."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

from hpo.models import Config
from hpo.trials._seal import LiveSeal

__all__ = ["LiveTrial", "NewTrial", "TrialEnd"]


@dataclasses.dataclass(frozen=True)
class NewTrial:
    """An Optuna trial that is to be created, running.

    Attributes:
        study_id: Optuna's id of the study.
        params: By name, the value as Optuna stores it and the distribution as JSON.
        attributes: User attributes, JSON-ready.
        system: System attributes, JSON-ready: constraints, and what the sampler noted.
    """

    study_id: int
    params: Mapping[str, tuple[float, str]]
    attributes: Mapping[str, Any]
    system: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class TrialEnd:
    """How a running Optuna trial ends, beside the outcome of its task.

    Attributes:
        trial_id: Optuna's id, not the number.
        values: Steps that are still to be written, and their values.
        attributes: User attributes, JSON-ready.
        objectives: The value of each objective; none if nothing was trained.
        noted: System attributes, JSON-ready.
    """

    trial_id: int
    values: tuple[tuple[int, float], ...]
    attributes: Mapping[str, Any]
    objectives: tuple[float, ...]
    noted: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class LiveTrial:
    """A running trial, as the worker that trains it knows it.

    Attributes:
        id: Optuna's id, which is not the number.
        config: What it trains.
        frozen: The trial in Optuna's form, kept up to date here. It is what pruners see. As it is
            given, it is what is stored.
        seal: The checksum of what is stored.
    """

    id: int
    config: Config
    frozen: FrozenTrial
    seal: LiveSeal = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "seal", LiveSeal(self.frozen))

    @property
    def number(self) -> int:
        """Optuna's number of the trial."""
        return self.frozen.number

    def note(self, step: int, value: float) -> None:
        """Take in the value of a step.

        The first value of a step stays, as it does in the storage; one that isn't finite is a gap
        in the curve (NaN).
        """
        value = value if math.isfinite(value) else math.nan
        self.frozen.intermediate_values.setdefault(step, value)

    def remember(self, noted: Mapping[str, Any]) -> None:
        """Take in what a pruner noted, once it is written."""
        self.frozen.system_attrs.update(noted)
