"""Limits on what a model may cost when it is used: its size, and its time for a row."""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import PositiveFloat

from hpo.errors import InputError
from hpo.features import parse_choice
from hpo.models import (
    HEADS,
    Config,
    FixedValues,
    architecture,
    counts_weights,
    modalities_read,
    model_megabytes,
)
from hpo.search._tables import format_params
from hpo.search._values import Frozen

__all__ = ["COSTS", "Constraints", "Dimensions", "Sizes", "broken_by", "merge_shorthand"]

#: What a model costs, as trials and tables name it: the key of its limit, and its unit.
COSTS: dict[str, tuple[str, str]] = {
    "model_mb": ("max_model_mb", "MB"),
    "latency_ms": ("max_latency_ms", "ms a row"),
}


class Constraints(Frozen):
    """What a configuration has to keep within to be trained.

    Attributes:
        max_model_mb: Size of the assembled model in 10⁶ bytes; None for no limit.
        max_latency_ms: Median time in ms of predicting one row on the worker's device, without the
            extraction of its embeddings (see ``hpo.training.latency_ms``); None for no limit.
    """

    max_model_mb: PositiveFloat | None = 100.0
    max_latency_ms: PositiveFloat | None = None

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by what they limit."""
        found = {cost: getattr(self, key) for cost, (key, _) in COSTS.items()}
        return {cost: limit for cost, limit in found.items() if limit is not None}


def merge_shorthand(raw: Any) -> Any:
    """Return a space as it was given with ``max_model_mb`` where it belongs, in ``constraints``.

    Raises:
        ValueError: It is given in both places.
    """
    if not isinstance(raw, Mapping) or "max_model_mb" not in raw:
        return raw
    given = raw.get("constraints", {})
    constraints = given.model_dump(exclude_unset=True) if isinstance(given, Constraints) else given
    if not isinstance(constraints, Mapping):
        return raw
    short = raw["max_model_mb"]
    if "max_model_mb" in constraints:
        raise ValueError(
            f"max_model_mb is {short} and constraints.max_model_mb is "
            f"{constraints['max_model_mb']}, but they are one limit; give one of them"
        )
    rest = {key: value for key, value in raw.items() if key != "max_model_mb"}
    return {**rest, "constraints": {**constraints, "max_model_mb": short}}


def broken_by(costs: Mapping[str, float | None], limits: Mapping[str, float]) -> str | None:
    """Return which limits a model breaks, in words; None if it keeps within them.

    Args:
        costs: Of the model, as far as they are known.
        limits: By what they limit.
    """
    found = []
    for cost, limit in limits.items():
        value = costs.get(cost)
        if value is not None and value > limit:
            key, unit = COSTS[cost]
            found.append(f"{value:.3g} {unit}, but {key} is {limit:g}")
    return "; ".join(found) or None


@dataclasses.dataclass(frozen=True)
class Dimensions:
    """What the size of a model depends on beside its configuration.

    Attributes:
        widths: Embedding width of each modality that there is.
        classes: Number of labels K.
        sources: These widths for each named source of embeddings that configurations choose among.
    """

    widths: Mapping[str, int]
    classes: int
    sources: Mapping[str, Mapping[str, int]] = dataclasses.field(default_factory=dict)

    def widths_of(self, config: Config) -> Mapping[str, int]:
        """Return the widths of what a configuration chooses."""
        if not self.sources:
            return self.widths
        choice = parse_choice(config.encoder or next(iter(self.sources)))
        chosen = choice.among({name: tuple(widths) for name, widths in self.sources.items()})
        return {m: sum(self.sources[n][m] for n in names) for m, names in chosen.items()}


class Sizes:
    """The sizes of a study's models, and which of its limits they can break.

    Args:
        dimensions: Of the data; None where a study of an earlier version didn't note them. Its
            limit on the size then holds at the refit alone, as it did when it was made.
        constraints: Of the space.
        fixed: Of the space.
        values: Gives the values that the search may take for a field.
        modalities: Those that the features have.
    """

    _fields: ClassVar[tuple[str, ...]] = ("fusion", "head", "hidden", "feature_scaling", "encoder")

    def __init__(
        self,
        dimensions: Dimensions | None,
        constraints: Constraints,
        fixed: FixedValues,
        values: Callable[[str], Sequence[Any]],
        modalities: Sequence[str],
    ) -> None:
        self._dimensions = dimensions
        self._constraints = constraints
        self._fixed = fixed
        self._values = values
        self._modalities = modalities
        self._known: dict[str, float | None] = {}

    @functools.cached_property
    def limits(self) -> Mapping[str, float]:
        """The limits that some configuration of the space may break, by what they limit."""
        if self._dimensions is None:
            return {}
        limits = self._constraints.limits()
        most = limits.get("model_mb")
        if most is None or not self._all_counted():
            return limits
        if all((self.of(config) or 0.0) <= most for config in self._all()):
            del limits["model_mb"]
        return limits

    def of(self, config: Config) -> float | None:
        """Return the size of a configuration's model in 10⁶ bytes; None if it isn't known yet."""
        if self._dimensions is None:
            return None
        built = architecture(config)
        if built.key not in self._known:
            widths, classes = self._dimensions.widths_of(config), self._dimensions.classes
            self._known[built.key] = model_megabytes(built, widths, classes)
        return self._known[built.key]

    def too_large(self, config: Config) -> str | None:
        """Return why the model of a configuration is too large; None if it isn't, or isn't known.

        Cheap where no configuration of the space can be.
        """
        limit = self.limits.get("model_mb")
        return None if limit is None else broken_by({"model_mb": self.of(config)}, self.limits)

    def smallest(self) -> tuple[float, Config] | None:
        """Return the size of the smallest model of the space, in 10⁶ bytes, and what it is of.

        None where sizes aren't known without building models.
        """
        if not self._all_counted():
            return None
        sizes = [(size, c) for c in self._all() if (size := self.of(c)) is not None]
        return min(sizes, key=lambda pair: pair[0], default=None)

    def check(self) -> None:
        """Check that the space has a configuration that keeps within the limit on the size.

        Raises:
            InputError: It has none, as far as that can be told before anything is trained.
        """
        limit = self.limits.get("model_mb")
        found = None if limit is None else self.smallest()
        if limit is None or found is None or found[0] <= limit:
            return
        smallest, config = found
        shown = {field: getattr(config, field) for field in self._fields[:3]}
        raise InputError(
            f"No configuration of the space keeps within max_model_mb, which is {limit:g}: the "
            f"smallest has {smallest:.3g} MB ({format_params(shown)}). Raise the limit, or "
            "add smaller values to the search."
        )

    def _all_counted(self) -> bool:
        """Tell whether sizes of all configurations are known without building them."""
        return all(counts_weights(*named) for named in self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for fusion, head in itertools.product(self._values("fusion"), self._values("head")):
            if modalities_read(fusion, self._modalities) is not None and head in HEADS:
                yield fusion, head

    def _all(self) -> Iterator[Config]:
        """Yield a configuration for everything that the space can build."""
        for fusion, head in self._pairs():
            others = (self._values(field) for field in self._fields[2:])
            for rest in itertools.product(*others):
                values = dict(zip(self._fields, (fusion, head, *rest), strict=True))
                yield self._fixed.taken(values)
