"""Pruners: Optuna's by name, and divergence, which prunes in every study."""

import math
from collections.abc import Callable
from typing import Annotated, Any

import optuna
from optuna.pruners import BasePruner, HyperbandPruner, NopPruner, SuccessiveHalvingPruner
from pydantic import Field, PositiveInt

from hpo.search._registry import PRUNERS, experimental
from hpo.search._values import Component, Frozen

__all__ = ["Divergence", "DivergenceRule", "decision_steps", "make_pruner"]


class DivergenceRule(Frozen):
    """A trial is pruned as diverged when its loss is not finite, explodes, or nothing is learned.

    Attributes:
        explode: The training loss is this many times that of the first epoch.
        patience: For this many epochs in a row the micro-F1 is that of the best constant
            prediction, or of none at all.
        tolerance: How near, in points of micro-F1, counts as the same.
    """

    explode: Annotated[float, Field(gt=1)] = 100.0
    patience: PositiveInt = 100
    tolerance: Annotated[float, Field(ge=0)] = 0.05


class Divergence:
    """Tells when a run learns nothing any more (``DivergenceRule``), from its records alone.

    Args:
        rule: Thresholds.
        constant_score: Micro-F1 in percent of the best constant prediction.
    """

    def __init__(self, rule: DivergenceRule, constant_score: float) -> None:
        self._rule = rule
        self._constant = constant_score
        self._first: float | None = None
        self._exploded = 0
        self._stuck = 0

    def update(self, train_loss: float, micro_f1: float) -> str | None:
        """Take in one epoch; return the reason to stop, or None."""
        rule = self._rule
        if self._first is None:
            self._first = train_loss
        self._exploded = self._exploded + 1 if train_loss > rule.explode * self._first else 0
        if not math.isnan(micro_f1):  # else the epoch wasn't scored
            near = min(abs(micro_f1 - self._constant), abs(micro_f1)) <= rule.tolerance
            self._stuck = self._stuck + 1 if near else 0
        if self._exploded >= rule.patience:
            return (
                f"the training loss was over {rule.explode:g} times that of the first epoch "
                f"for {rule.patience} epochs"
            )
        if self._stuck >= rule.patience:
            return (
                f"the micro-F1 was that of a constant prediction, {micro_f1:.3f}, "
                f"for {rule.patience} epochs"
            )
        return None


def make_pruner(component: Component, max_steps: int) -> BasePruner:
    """Return the pruner of a space.

    Args:
        component: Name and arguments; ``wrapped`` holds the pruner inside a PatientPruner.
        max_steps: Steps of the longest trial, the ``max_resource`` of Hyperband unless given.
    """
    arguments: dict[str, Any] = component.arguments
    if component.name == "PatientPruner":
        wrapped = arguments.pop("wrapped", None)
        inner = make_pruner(Component.model_validate(wrapped), max_steps) if wrapped else None
        with experimental():
            return optuna.pruners.PatientPruner(inner, **arguments)
    if component.name == "HyperbandPruner":
        arguments.setdefault("max_resource", max_steps)
    with experimental():
        return PRUNERS[component.name](**arguments)


def decision_steps(component: Component) -> Callable[[int], bool]:
    """Tell at which steps the pruner can decide anything, so that the store is left alone else."""
    if component.name == NopPruner.__name__:
        return lambda step: False
    arguments = component.arguments
    if component.name in (SuccessiveHalvingPruner.__name__, HyperbandPruner.__name__):
        halving = component.name == SuccessiveHalvingPruner.__name__
        first = arguments.get("min_resource", "auto" if halving else 1)
        factor = arguments.get("reduction_factor", 4 if halving else 3)
        if isinstance(first, int) and first > 0:
            return lambda step: _is_rung(step, first, factor)
        return lambda step: True
    warmup, interval = arguments.get("n_warmup_steps", 0), arguments.get("interval_steps", 1)
    # Optuna decides at the first report of each interval; the first of all is that of step 1.
    return lambda step: step >= warmup and (step == 1 or (step - warmup) % interval == 0)


def _is_rung(step: int, first: int, factor: int) -> bool:
    """Tell whether step = first · factor^k for some k ≥ 0."""
    if step < first or step % first:
        return False
    ratio = step // first
    while ratio % factor == 0:
        ratio //= factor
    return ratio == 1
