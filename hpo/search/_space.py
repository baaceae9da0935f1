"""The search space as typed frozen objects; ``load_space`` reads it from YAML."""

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PositiveInt,
    SerializeAsAny,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hpo.data import AutoSplit, SplitSpec
from hpo.models import HEADS, FixedValues, class_weight_fault
from hpo.search._budget import Budget
from hpo.search._constraints import Constraints, Dimensions, merge_shorthand
from hpo.search._front import check_against
from hpo.search._greedy import GreedySearch, GreedyStrategy
from hpo.search._promote import PromoteSearch, PromoteStrategy
from hpo.search._pruning import DivergenceRule
from hpo.search._refit import Ensemble, Refit
from hpo.search._sampled import OptunaSearch, SampledStrategy
from hpo.search._search import Search
from hpo.search._strategy import Strategy
from hpo.search._values import Frozen, Scale
from hpo.training import METRICS

__all__ = ["SEARCHES", "Space", "make_strategy", "register_search"]

#: Rows below which no batch is halved.
_LEAST_BATCH = 16

#: The kinds of search: what stands in a file, and the strategy that carries it out.
SEARCHES: dict[str, tuple[type[Search], type[Strategy]]] = {
    "greedy": (GreedySearch, GreedyStrategy),
    "optuna": (OptunaSearch, SampledStrategy),
    "promote": (PromoteSearch, PromoteStrategy),
}


def register_search(kind: str, search: type[Search], strategy: type[Strategy]) -> None:
    """Make a kind of search known, so that ``search: {kind: KIND}`` is carried out by a strategy.

    Args:
        kind: Its name.
        search: What stands in the file.
        strategy: Takes spaces whose search is of that class.
    """
    SEARCHES[kind] = (search, strategy)


def _search_of(raw: Any) -> Any:
    """Return the search that a file describes, by its kind."""
    if not isinstance(raw, Mapping):
        return raw
    kind = raw.get("kind")
    if not isinstance(kind, str) or kind not in SEARCHES:
        raise ValueError(f"kind is {kind!r}, but must be one of: {', '.join(SEARCHES)}")
    return SEARCHES[kind][0].model_validate(raw)


class Thresholds(Frozen):
    """Thresholds by class, kept with the model.

    Attributes:
        metrics: ``micro_f1``, ``macro_f1``, ``samples_f1``, or several: then their sum is raised.
        folds: Choose them on out-of-fold predictions of the training and validation rows, by so
            many models; None for the validation rows, by the winner's.
    """

    metrics: Annotated[
        tuple[Literal["micro_f1", "macro_f1", "samples_f1"], ...], Field(min_length=1)
    ]
    folds: Annotated[int, Field(ge=2, le=50)] | None = None


class Reference(Frozen):
    """Whose scores the stages cite, and the data set they hold for.

    Attributes:
        name: Who published them.
        train_csv_sha256: Of the ``train.csv`` that they hold for.
    """

    name: str
    train_csv_sha256: str


class Space(Frozen):
    """A whole search space.

    Attributes:
        name: Of the file, for people.
        metric: What is maximised, at the last epoch.
        seeds: Runs of each configuration; a trial's value is their mean.
        split: How labelled rows are divided.
        train_rows: Keep only this many training rows.
        scale: Factors on widths, lengths and batch sizes.
        min_steps: Of an epoch: batch sizes are halved, to 16 at least, until one has so many. None
            to take them as they are.
        fixed: Starting values (greedy) or constants.
        search: What is varied, and how; see ``SEARCHES``.
        divergence: When a trial is given up as diverged.
        budget: What the study may take, the refit included.
        refit: None for no refit.
        evaluate_every: Score runs on the validation rows after every so many epochs, for a curve.
            By default a study that promotes scores at rungs and at the end, any other after every
            epoch, which its decisions need.
        thresholds: How the thresholds of the refitted model are chosen; None for 0.5.
        calibrate: Whether the probabilities of the refitted model are corrected where that surely
            brings them nearer to frequencies.
        floor: Whether scores that take no search are computed while the workers start.
        ensemble: What may be averaged in place of the best trial alone; None for nothing.
        precision: Of training steps: one of ``PRECISIONS``, or ``auto`` for bf16 where devices
            compute with it natively and float32 elsewhere.
        constraints: What a configuration has to keep within to be trained. ``max_model_mb`` beside
            it is short for the one in it.
        against: A second objective, to be minimised: ``model_mb`` or ``latency_ms``; None for none.
        reference: Where the stages' reference scores come from.
    """

    #: Keys that are short for one inside of another.
    shorthands: ClassVar[tuple[str, ...]] = ("max_model_mb",)

    name: str
    metric: str = "micro_f1"
    seeds: Annotated[int, Field(gt=0, le=1000)] = 3
    split: SplitSpec = AutoSplit(kind="auto")
    train_rows: PositiveInt | None = None
    scale: Scale = Scale()
    min_steps: Annotated[int, Field(gt=0, le=10_000)] | None = None
    fixed: FixedValues = FixedValues()
    search: Annotated[SerializeAsAny[Search], BeforeValidator(_search_of)]
    divergence: DivergenceRule = DivergenceRule()
    budget: Budget = Budget()
    refit: Refit | None = Refit()
    evaluate_every: PositiveInt | None = None
    thresholds: Thresholds | None = None
    calibrate: bool = False
    floor: bool = True
    ensemble: Ensemble | None = None
    precision: Literal["float32", "tf32", "bf16", "auto"] = "float32"
    constraints: Constraints = Constraints()
    against: Literal["model_mb", "latency_ms"] | None = None
    reference: Reference | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_shorthand(cls, raw: Any) -> Any:
        return merge_shorthand(raw)

    @model_validator(mode="after")
    def _check_against(self) -> "Space":
        if self.against is not None:
            check_against(self.against, self.search)
        return self

    @field_validator("metric")
    @classmethod
    def _check_metric(cls, metric: str) -> str:
        if metric not in METRICS:
            expected = ", ".join(f"'{name}'" for name in METRICS)
            message = "Input should be {expected}"
            raise PydanticCustomError("literal_error", message, {"expected": expected})
        return metric

    @model_validator(mode="after")
    def _check_evaluate_every(self) -> "Space":
        if self.evaluate_every not in (None, 1) and self.search.scored_epochs() is None:
            raise ValueError(
                f"evaluate_every is {self.evaluate_every}, but must be 1 with search kind "
                f"{self.search.kind}, which decides by every epoch"
            )
        return self

    @model_validator(mode="after")
    def _check_ensemble(self) -> "Space":
        if self.ensemble is not None and self.refit is None:
            raise ValueError(
                "ensemble is given, but refit is null; an ensemble is made of refitted models, so "
                "leave one of the two out"
            )
        if self.ensemble is not None and self.refit is not None and self.refit.pick != "best":
            raise ValueError(
                f"ensemble is given, but refit.pick is {self.refit.pick}, which is one model; "
                "leave one of the two out"
            )
        return self

    @model_validator(mode="after")
    def _check_budget(self) -> "Space":
        if self.budget.epochs is not None and not self.search.counts_epochs:
            raise ValueError(
                f"budget.epochs is {self.budget.epochs}, but search kind {self.search.kind} "
                "decides nothing before its last trial; leave it out, or give a time_limit"
            )
        return self

    @model_validator(mode="after")
    def _check_widths(self) -> "Space":
        for name in (self.fixed.head, *self.search.values_of("head")):
            check = HEADS[name].traits.get("widths")
            for hidden in (self.fixed.hidden, *self.search.values_of("hidden")):
                fault = check(hidden) if check is not None else None
                if fault is not None:
                    raise ValueError(f"head may be {name}, whose {fault}")
        return self

    @model_validator(mode="after")
    def _check_class_weight(self) -> "Space":
        for loss in (self.fixed.loss, *self.search.values_of("loss")):
            for weight in (self.fixed.class_weight, *self.search.values_of("class_weight")):
                fault = class_weight_fault(weight, loss)
                if fault is not None:
                    raise ValueError(fault)
        return self

    def scaled(self) -> "Space":
        """Return the space with its scale applied everywhere and set to 1."""
        patience = self.scale.apply("epochs", self.divergence.patience)
        return self.model_copy(
            update={
                "fixed": self.fixed.changed(self.scale.apply),
                "search": self.search.scaled(self.scale),
                "divergence": self.divergence.model_copy(update={"patience": patience}),
                "scale": Scale(),
            }
        )

    def capped(self, rows: int) -> "Space":
        """Return the space with the batch sizes that so many training ``rows`` allow.

        Equal candidates that this makes are tried once.
        """

        def cap(field: str, value: Any) -> Any:
            return self.batch_size(value, rows) if field == "batch_size" else value

        return self.model_copy(
            update={"fixed": self.fixed.changed(cap), "search": self.search.changed(cap)}
        )

    def batch_size(self, asked: int, rows: int) -> int:
        """Return the rows of a step: at most the training ``rows``, and fewer for ``min_steps``."""
        size = asked
        while size > _LEAST_BATCH and math.ceil(rows / size) < (self.min_steps or 1):
            size = max(size // 2, _LEAST_BATCH)
        return min(size, rows)

    def notes(self, rows: int) -> list[str]:
        """Say what of the space isn't done as it stands there, for so many training ``rows``."""
        return [*self._halved(rows), *self.search.notes()]

    def _halved(self, rows: int) -> list[str]:
        """Say which batch sizes are halved for ``min_steps``; nothing if none is."""
        asked = sorted({self.fixed.batch_size, *self.search.values_of("batch_size")})
        taken = {size: self.batch_size(size, rows) for size in asked}
        halved = [f"{size:,} to {less:,}" for size, less in taken.items() if less < min(size, rows)]
        if not halved:
            return []
        return [
            f"batches are halved, {' and '.join(halved)} rows, since an epoch of {rows:,} "
            f"training rows is to have {self.min_steps} steps; min_steps=null takes them as they "
            "are"
        ]

    @staticmethod
    def from_stored(raw: Mapping[str, Any]) -> "Space":
        """Return the space that ``model_dump(mode="json")`` gave, perhaps an older version's."""
        return Space.model_validate({**raw, "fixed": FixedValues.from_stored(raw["fixed"])})

    def scored_epochs(self) -> frozenset[int] | None:
        """Return the epochs after which runs are scored on the validation rows; None for all."""
        rungs = self.search.scored_epochs()
        every = self.evaluate_every
        if rungs is None or every == 1:
            return None
        ends = self.ends()
        longest = max(ends)
        asked = range(every, longest + 1, every) if every is not None else ()
        return frozenset(epoch for epoch in rungs if epoch < longest) | ends | set(asked)

    def ends(self) -> frozenset[int]:
        """Return every number of epochs that a trial may have."""
        return self.search.ends() | {self.fixed.epochs}

    def lengths(self) -> frozenset[int]:
        """Return every number of epochs that the space may ask for by name."""
        return frozenset({self.fixed.epochs, *self.search.values_of("epochs")})

    @property
    def seeds_apart(self) -> bool:
        """Whether the seeds of a trial run one after the other, and a step is a seed.

        The Wilcoxon pruner compares trials seed by seed; all others see epochs.
        """
        return self.search.pruner.name == "WilcoxonPruner"

    def seed_groups(self) -> list[list[int]]:
        """Return which seeds are trained together, one group after the other."""
        seeds = list(range(self.seeds))
        if self.seeds_apart:
            return [[seed] for seed in seeds]
        if self.search.seeds_race and len(seeds) > 1:
            return [seeds[:1], seeds[1:]]
        return [seeds]


def make_strategy(
    space: Space, modalities: Sequence[str], dimensions: Dimensions | None = None
) -> Strategy:
    """Return the strategy of a space, scaled and with batch sizes capped, for some modalities."""
    _, strategy = SEARCHES[space.search.kind]
    return strategy(space, modalities, dimensions)
