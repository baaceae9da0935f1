"""The search space as typed frozen objects; ``load_space`` reads it from YAML."""

import math
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PositiveFloat,
    PositiveInt,
    Tag,
    model_validator,
)

from hpo.data import SplitSpec, TailSplit
from hpo.files import content_key
from hpo.models import Config
from hpo.search._scale import (
    Frozen,
    Scale,
    cap_batches,
    scale_fields,
    scale_lists,
    scale_steps,
    typed,
)

__all__ = [
    "Choices",
    "Component",
    "DivergenceRule",
    "GreedySearch",
    "OptunaSearch",
    "Range",
    "Space",
    "Stage",
    "config_key",
]

Metric = Literal["micro_f1", "samples_f1", "macro_f1", "map"]


class Stage(Frozen):
    """One step of a greedy study: a grid over ``params`` with all else as it is best so far.

    Attributes:
        name: Shown on trials and tables.
        params: Values to try for each field; the first parameter varies slowest.
        fixed: Values that hold in this stage only.
        reference: Published scores in the order of the grid; None where there is none.
    """

    name: str
    params: Annotated[dict[str, tuple[Any, ...]], Field(min_length=1)]
    fixed: dict[str, Any] = Field(default_factory=dict)
    reference: tuple[float | None, ...] = ()

    @model_validator(mode="after")
    def _check_reference(self) -> "Stage":
        grid = math.prod(len(values) for values in self.params.values())
        if self.reference and len(self.reference) != grid:
            raise ValueError(f"reference has {len(self.reference)} values, but the grid has {grid}")
        return self


class Component(BaseModel):
    """A sampler or pruner by name, with its arguments."""

    model_config = ConfigDict(frozen=True, extra="allow")
    name: str

    @property
    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of the class."""
        return dict(self.__pydantic_extra__ or {})


class GreedySearch(Frozen):
    """Stages, one after the other; ties go to the earlier candidate."""

    kind: Literal["greedy"]
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    pruner: Component = Component(name="NopPruner")


class Choices(Frozen):
    """One of several values."""

    choices: Annotated[tuple[Any, ...], Field(min_length=1)]


class Range(Frozen):
    """A number between ``low`` and ``high``, both included."""

    low: float
    high: float
    log: bool = False
    step: PositiveFloat | None = None

    @model_validator(mode="after")
    def _check(self) -> "Range":
        if self.low > self.high:
            raise ValueError(f"low is {self.low}, but must be at most high, {self.high}")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log needs low > 0 and no step")
        return self


def _domain_kind(domain: Any) -> str:
    given = domain if isinstance(domain, dict) else vars(domain)
    return "choices" if "choices" in given else "range"


Domain = Annotated[
    Annotated[Choices, Tag("choices")] | Annotated[Range, Tag("range")],
    Discriminator(_domain_kind),
]


class OptunaSearch(Frozen):
    """All parameters at once, suggested by an Optuna sampler, stopped by an Optuna pruner."""

    kind: Literal["optuna"]
    trials: PositiveInt = 100
    sampler: Component = Component(name="TPESampler")
    pruner: Component = Component(name="NopPruner")
    seed: Annotated[int, Field(ge=0)] = 0
    params: Annotated[dict[str, Domain], Field(min_length=1)]


class Refit(Frozen):
    """The last step: the best configuration trained on all labelled rows in use."""

    rows: Literal["all"] = "all"
    seed: Annotated[int, Field(ge=0)] = 0


class Reference(Frozen):
    """Whose scores the stages cite, and the data set they hold for."""

    name: str
    train_csv_sha256: str


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


class Space(Frozen):
    """A whole search space.

    Attributes:
        name: Of the file, for people.
        metric: What is maximised, in percent, at the last epoch.
        seeds: Runs of each configuration; a trial's value is their mean.
        split: How labelled rows are divided.
        train_rows: Keep only this many training rows.
        scale: Factors on widths, lengths and batch sizes.
        fixed: Starting values (greedy) or constants.
        search: ``greedy`` or ``optuna``.
        divergence: When a trial is given up as diverged.
        refit: None for no refit.
        max_model_mb: The model of the refit may not be larger, in 10⁶ bytes.
        reference: Where the stages' reference scores come from.
    """

    name: str
    metric: Metric = "micro_f1"
    seeds: PositiveInt = 3
    split: SplitSpec = TailSplit(kind="tail", val_rows=5000)
    train_rows: PositiveInt | None = None
    scale: Scale = Scale()
    fixed: Config = Config()
    search: Annotated[GreedySearch | OptunaSearch, Field(discriminator="kind")]
    divergence: DivergenceRule = DivergenceRule()
    refit: Refit | None = Refit()
    max_model_mb: PositiveFloat = 100.0
    reference: Reference | None = None

    @model_validator(mode="after")
    def _check_widths(self) -> "Space":
        found: dict[str, list[Any]] = {"head": [self.fixed.head], "hidden": [self.fixed.hidden]}
        for field, values in found.items():
            if isinstance(self.search, GreedySearch):
                for stage in self.search.stages:
                    values += [*stage.params.get(field, ())]
                    values += [stage.fixed[key] for key in stage.fixed if key == field]
            else:
                domain = self.search.params.get(field)
                values += domain.choices if isinstance(domain, Choices) else ()
        odd = [width for widths in found["hidden"] for width in widths if width % 2]
        if "gmlp" in found["head"] and odd:
            raise ValueError(f"head may be gmlp, whose widths must be even, but one is {odd[0]}")
        return self

    def scaled(self) -> "Space":
        """Return the space with its scale applied everywhere and set to 1."""
        raw = self.model_dump(mode="json")
        scale = self.scale
        scale_fields(raw["fixed"], scale)
        if raw["search"]["kind"] == "greedy":
            for stage in raw["search"]["stages"]:
                scale_fields(stage["fixed"], scale)
                scale_lists(stage["params"], scale)
        else:
            for field, domain in raw["search"]["params"].items():
                scale_lists(domain, scale, field)
        scale_steps(raw["search"]["pruner"], scale)
        raw["divergence"]["patience"] = scale.apply("epochs", self.divergence.patience)
        raw["scale"] = Scale().model_dump()
        return Space.from_json(raw)

    def capped(self, rows: int) -> "Space":
        """Return the space with batch sizes of at most the training ``rows``: the full batch."""
        raw = self.model_dump(mode="json")
        cap_batches(raw["fixed"], rows)
        if raw["search"]["kind"] == "greedy":
            for stage in raw["search"]["stages"]:
                cap_batches(stage["fixed"], rows)
                cap_batches(stage["params"], rows)
        else:
            cap_batches(raw["search"]["params"], rows)
        return Space.from_json(raw)

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Space":
        """Return the space that ``model_dump(mode="json")`` gave."""
        return Space.model_validate(typed(raw))

    def lengths(self) -> frozenset[int]:
        """Return every number of epochs that the space may ask for by name."""
        found = {self.fixed.epochs}
        if isinstance(self.search, GreedySearch):
            for stage in self.search.stages:
                found |= set(stage.params.get("epochs", ()))
                found |= {stage.fixed[key] for key in stage.fixed if key == "epochs"}
        else:
            domain = self.search.params.get("epochs")
            found |= set(domain.choices) if isinstance(domain, Choices) else set()
        return frozenset(found)


def config_key(config: Config) -> str:
    """Return a short key that equal configurations share."""
    return content_key(config.model_dump(mode="json"))
