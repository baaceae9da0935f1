"""Shrinking a search space to smaller data or a smaller machine."""

from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveFloat

__all__ = [
    "Frozen",
    "Scale",
    "cap_batches",
    "scale_fields",
    "scale_lists",
    "scale_steps",
    "typed",
]

_SCALED = {"hidden", "epochs", "batch_size"}


class Frozen(BaseModel):
    """Base of everything that stands in a search-space file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Scale(Frozen):
    """Factors that shrink a space to smaller data or a smaller machine.

    Attributes:
        width: Factor of all hidden widths (rounded to even numbers, at least 2).
        epochs: Factor of all lengths, those of pruners included (at least 1).
        batch: Factor of all batch sizes (at least 1).
    """

    width: PositiveFloat = 1.0
    epochs: PositiveFloat = 1.0
    batch: PositiveFloat = 1.0

    def apply(self, field: str, value: Any) -> Any:
        """Return the value of a configuration field at this scale."""
        if field == "hidden":
            return tuple(max(2, 2 * round(width * self.width / 2)) for width in value)
        if field == "epochs":
            return max(1, round(value * self.epochs))
        if field == "batch_size":
            return max(1, round(value * self.batch))
        return value


def typed(raw: dict[str, Any]) -> dict[str, Any]:
    """Turn hidden widths into tuples wherever they stand, so that values can be compared."""

    def convert(field: str, value: Any) -> Any:
        return tuple(value) if field == "hidden" and isinstance(value, list) else value

    search = dict(raw["search"])
    if search["kind"] == "greedy":
        search["stages"] = [
            {
                **stage,
                "fixed": {f: convert(f, v) for f, v in (stage.get("fixed") or {}).items()},
                "params": {f: [convert(f, v) for v in vs] for f, vs in stage["params"].items()},
            }
            for stage in search["stages"]
        ]
    else:
        search["params"] = {
            field: {"choices": [convert(field, v) for v in domain["choices"]]}
            if "choices" in domain
            else domain
            for field, domain in search["params"].items()
        }
    return {**raw, "search": search}


def scale_fields(values: dict[str, Any], scale: Scale) -> None:
    """Scale the values of configuration fields in place."""
    for field in values.keys() & _SCALED:
        values[field] = scale.apply(field, values[field])


def scale_lists(values: dict[str, Any], scale: Scale, field: str | None = None) -> None:
    """Scale lists of values by field in place, or the domain of one ``field``."""
    for key, items in values.items():
        name = field or key
        if name in _SCALED and isinstance(items, list):
            values[key] = [scale.apply(name, item) for item in items]
        elif name in _SCALED and key in ("low", "high"):
            values[key] = scale.apply(name, items)


def cap_batches(values: dict[str, Any], rows: int) -> None:
    """Bring batch sizes down to ``rows`` in place: a value, a list of values, or a domain."""

    def cap(given: Any) -> Any:
        if isinstance(given, list):
            return [cap(item) for item in given]
        if isinstance(given, dict):
            ends = ("choices", "low", "high")
            return {key: cap(item) if key in ends else item for key, item in given.items()}
        return min(given, rows)

    if "batch_size" in values:
        values["batch_size"] = cap(values["batch_size"])


def scale_steps(pruner: dict[str, Any], scale: Scale) -> None:
    """Scale the arguments of a pruner that are numbers of epochs."""
    for key in ("min_resource", "max_resource", "n_warmup_steps", "interval_steps", "patience"):
        if isinstance(pruner.get(key), int) and pruner[key] > 0:
            pruner[key] = scale.apply("epochs", pruner[key])
    if isinstance(pruner.get("wrapped"), dict):
        scale_steps(pruner["wrapped"], scale)
