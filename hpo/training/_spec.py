"""What determines a run, to the last bit, and the address under which it is kept."""

import dataclasses
import functools
from typing import Any

from hpo.files import content_key
from hpo.models import TWO_STEP, Config

__all__ = ["TRAINER_VERSION", "Numerics", "RunSpec", "plan_model"]

#: To be raised with every change that alters any number a run produces.
TRAINER_VERSION = 2

#: The fields of Config that a meta-classifier run sees; the others are set to their defaults.
_META_FIELDS = ("loss", "optimizer", "lr", "weight_decay", "batch_size", "ema_decay")


@dataclasses.dataclass(frozen=True)
class Numerics:
    """What changes the last bits of a result without being a choice of the search.

    Attributes:
        device: ``cpu``, or the name of the accelerator.
        threads: Threads of one worker on a CPU, which cut sums differently.
        micro_batch: Rows that are in flight at once, whose gradients are added up.
        torch: PyTorch's version.
        precision: Of training steps; see ``Arithmetic``.
        compiler: Of training steps; see ``Arithmetic``.
    """

    device: str
    threads: int
    micro_batch: int
    torch: str
    precision: str = "float32"
    compiler: str = "off"


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """One module trained on one set of rows with one seed; its length is not part of it.

    Attributes:
        bundle: Key of the features, labels and split.
        rows: ``train`` (scored on the validation rows) or ``all`` (the refit).
        inputs: ``image``, ``text``, ``concat``, ``sum_joint``, ``mixed_joint``, or ``meta`` for a
            meta-classifier on the summed outputs of ``sources``.
        config: The choices that this run sees, those that it doesn't at their defaults.
        seed: Of weights, masks and order.
        numerics: See there.
        sources: The runs a meta-classifier reads, and the epoch of each.
    """

    bundle: str
    rows: str
    inputs: str
    config: Config
    seed: int
    numerics: Numerics
    sources: "tuple[tuple[RunSpec, int], ...]" = ()

    def describe(self) -> dict[str, Any]:
        """Return everything that determines the run, as JSON-ready values."""
        config = self.config.model_dump(mode="json", exclude={"epochs", "fusion"})
        return {
            "trainer": TRAINER_VERSION,
            "bundle": self.bundle,
            "rows": self.rows,
            "inputs": self.inputs,
            "config": config,
            "seed": self.seed,
            "numerics": dataclasses.asdict(self.numerics),
            "sources": [[spec.address, epoch] for spec, epoch in self.sources],
        }

    @functools.cached_property
    def address(self) -> str:
        """The key of the run in the run store."""
        return content_key(self.describe())


def plan_model(
    config: Config, *, bundle: str, rows: str, seed: int, numerics: Numerics
) -> tuple[tuple[RunSpec, ...], RunSpec | None]:
    """Return the runs that make up one model: its heads, and its meta-classifier if it has one.

    The heads of a two-step fusion are the very runs that ``image``, ``text`` and ``concat`` are
    alone, so that the run store shares them.
    """
    inputs = TWO_STEP.get(config.fusion, (config.fusion,))
    heads = tuple(
        RunSpec(bundle, rows, name, _without(config, "fusion", "epochs"), seed, numerics)
        for name in inputs
    )
    if config.fusion not in TWO_STEP:
        return heads, None
    seen = Config(**{field: getattr(config, field) for field in _META_FIELDS})
    sources = tuple((head, config.epochs) for head in heads)
    return heads, RunSpec(bundle, rows, "meta", seen, seed, numerics, sources)


def _without(config: Config, *fields: str) -> Config:
    default = Config()
    return config.model_copy(update={field: getattr(default, field) for field in fields})
