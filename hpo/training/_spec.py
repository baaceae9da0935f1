"""What determines a run, to the last bit, and the address under which it is kept."""

import dataclasses
import functools
import runpy
import zlib
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from hpo.features import parse_choice
from hpo.files import content_key
from hpo.models import CHOICES, Config, Entry, head_names, is_two_step
from hpo.training._curve import METRICS, STANDING_METRICS

__all__ = ["Numerics", "RunSpec", "head_runs", "plan_model", "trained_by"]

#: By precision, to be raised with every change that alters any number a run produces.
_TRAINER_VERSIONS = {"float32": 2, "tf32": 2, "bf16": 3}

#: The fields of Config that a meta-classifier run sees; the others are neutral.
_META_FIELDS = (
    *("loss", "optimizer", "lr", "weight_decay", "batch_size", "ema_decay"),
    *("class_weight", "oversample"),
)


def trained_by(precision: str) -> str:
    """Return the versions that the numbers of training depend on, such as they are here.

    Runs of different ones have different addresses, and their scores differ in last bits at least.
    """
    return f"trainer {_TRAINER_VERSIONS[precision]}, PyTorch {_torch_version()}"


@functools.cache
def _torch_version() -> str:
    """Return ``torch.__version__`` without importing it, which takes a second.

    The version of its distribution lacks what it is built for: 2.11.0 for 2.11.0+cu128.
    """
    found = find_spec("torch")
    assert found is not None and found.origin is not None
    return str(runpy.run_path(str(Path(found.origin).with_name("version.py")))["__version__"])


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


#: For runs of which it doesn't matter where they are trained.
_ANYWHERE = Numerics("", 0, 0, "")


@dataclasses.dataclass(frozen=True)
class RunSpec:
    """One module trained on one set of rows with one seed; its length is not part of it.

    Attributes:
        bundle: Key of the features, labels and split.
        rows: ``train`` (scored on the validation rows) or ``all`` (the refit).
        inputs: Name of the module: a modality, ``concat``, a fusion that is trained as one, or
            ``meta`` for a meta-classifier on the summed outputs of ``sources``.
        config: The choices that this run sees, all others neutral. The encoder is not in its
            address, since ``bundle`` stands for the embeddings.
        seed: Of weights, masks and order.
        numerics: See there.
        sources: The runs a meta-classifier reads, and the epoch of each.
        plugins: SHA-256 of each user's module that has a part in it, by kind and name; empty for
            a metric of the package that not every run has.
        scored: The epochs after which it is scored on the validation rows; None for all.
    """

    bundle: str
    rows: str
    inputs: str
    config: Config
    seed: int
    numerics: Numerics
    sources: "tuple[tuple[RunSpec, int], ...]" = ()
    plugins: tuple[tuple[str, str], ...] = ()
    scored: tuple[int, ...] | None = None

    def is_scored(self, epoch: int) -> bool:
        """Tell whether the run is scored on the validation rows after an epoch."""
        return self.scored is None or epoch in self.scored

    def describe(self) -> dict[str, Any]:
        """Return everything that determines the run, as JSON-ready values."""
        keyed = self.config.keyed()
        description = {
            "trainer": _TRAINER_VERSIONS[self.numerics.precision],
            "bundle": self.bundle,
            "rows": self.rows,
            "inputs": self.inputs,
            # `inputs` stands for the fusion, and no length is part of a run
            "config": {
                key: keyed[key] for key in keyed if key not in ("fusion", "epochs", "encoder")
            },
            "seed": self.seed,
            "numerics": dataclasses.asdict(self.numerics),
            "sources": [[spec.address, epoch] for spec, epoch in self.sources],
        }
        description |= {"plugins": dict(self.plugins)} if self.plugins else {}
        fitted = self.config.feature_scaling in ("auto", "standard")
        if fitted and self.numerics.device not in ("cpu", _ANYWHERE.device):
            # It was on the device itself, whose sums have other last bits.
            description["scaling"] = "fitted on the CPU"
        return description | ({} if self.scored is None else {"scored": list(self.scored)})

    @functools.cached_property
    def stream(self) -> int:
        """The seed of everything random: heads on different inputs differ in weights and masks."""
        entropy = (self.seed, zlib.crc32(self.inputs.encode()))
        return int(np.random.SeedSequence(entropy).generate_state(1)[0])

    @functools.cached_property
    def address(self) -> str:
        """The key of the run in the run store."""
        return content_key(self.describe())


def plan_model(
    config: Config,
    modalities: Sequence[str],
    *,
    bundle: str,
    rows: str,
    seed: int,
    numerics: Numerics,
    metrics: Sequence[str] = (),
    scored: Iterable[int] | None = None,
    alone: Mapping[str, str] | None = None,
) -> tuple[tuple[RunSpec, ...], RunSpec | None]:
    """Return the runs that make up one model: its heads, and its meta-classifier if it has one.

    The heads of a two-step fusion are the very runs that a modality or ``concat`` is alone, so that
    the run store shares them.

    Args:
        config: What to train.
        modalities: Those that the features have.
        bundle: See ``RunSpec``; likewise ``rows``, ``seed`` and ``numerics``.
        metrics: The metrics of each epoch; those that not every run has are part of the address,
            since a stored curve has to have them.
        scored: The epochs after which the runs are scored; None for all.
        alone: The key of the bundle for runs that read one modality alone, where it is another
            one; see ``Bundle.keys_alone``.
    """
    keys_alone = alone or {}
    measured = tuple(
        (f"metric {name}", _sha256(METRICS[name]))
        for name in metrics
        if name not in STANDING_METRICS
    )

    at_epochs = None if scored is None else tuple(sorted(set(scored)))

    def spec(inputs: str, seen: Config, *sources: tuple[RunSpec, int]) -> RunSpec:
        plugins = (*measured, *_plugins_of(seen))
        key = keys_alone.get(inputs, bundle)
        return RunSpec(key, rows, inputs, seen, seed, numerics, tuple(sources), plugins, at_epochs)

    lasting = config.without("epochs")
    heads = tuple(
        spec(name, lasting.replace(fusion=name)) for name in head_names(config.fusion, modalities)
    )
    if not is_two_step(config.fusion):
        return heads, None
    return heads, spec(
        "meta", config.only(_META_FIELDS), *((head, config.epochs) for head in heads)
    )


def head_runs(config: Config, modalities: Sequence[str]) -> tuple[str, ...]:
    """Return keys of the head runs of a configuration, equal where the runs would be."""
    chosen, alone = _chosen(config.encoder, modalities)
    heads, _ = plan_model(
        config, modalities, bundle=chosen, rows="", seed=0, numerics=_ANYWHERE, alone=alone
    )
    return tuple(head.address for head in heads)


def _chosen(encoder: str | None, modalities: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return what stands for the embeddings of a choice, of all and of each modality alone."""
    if encoder is None:
        return "", {}
    choice = parse_choice(encoder)
    alone = {modality: "+".join(choice.of(modality)) for modality in modalities}
    return (encoder, alone) if len(choice.names) > 1 else (choice.names[0], {})


def _plugins_of(config: Config) -> tuple[tuple[str, str], ...]:
    """Return kind, name and SHA-256 of the users' own choices in a configuration."""
    named = ((field, getattr(config, field)) for field in CHOICES)
    return tuple(
        (f"{field} {name}", sha256)
        for field, name in named
        if name in CHOICES[field] and (sha256 := _sha256(CHOICES[field][name]))
    )


def _sha256(entry: Entry[Any]) -> str:
    """Return the SHA-256 of the module that brought an entry; empty for one of the package."""
    return entry.origin.sha256 if entry.origin is not None else ""
