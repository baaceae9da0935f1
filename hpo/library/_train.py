"""One configuration from Python: trained and scored, or trained on everything."""

import dataclasses
import numbers
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from hpo._kinds import check_kinds
from hpo.data import AutoSplit, SplitSpec
from hpo.errors import InputError, did_you_mean
from hpo.features import Data
from hpo.launch import resolve_devices, resolve_precision
from hpo.library._checks import check_positive, warn_of
from hpo.library._model import Model
from hpo.models import Config, rule_in_words
from hpo.search import format_score
from hpo.training import METRICS, Arithmetic

if TYPE_CHECKING:
    import pandas as pd

    from hpo.training import Trainer

__all__ = ["Run", "fit", "train"]

_MODEL_MB = 1e6  # no limit


@dataclasses.dataclass(frozen=True)
class Run:
    """A configuration that was trained with one seed or several.

    Attributes:
        config: The configuration.
        metric: By which it is scored.
        scores: The metric of each seed at the last epoch; F1 scores and mAP in percent.
        curves: For each seed, a row for each epoch: losses and metrics.
        ended: Why a seed ended before its last epoch; None if none did.
    """

    config: Config
    metric: str
    scores: tuple[float, ...]
    curves: "tuple[pd.DataFrame, ...]"
    ended: str | None

    @property
    def score(self) -> float:
        """Mean of the scores over seeds."""
        return statistics.fmean(self.scores)

    @property
    def std(self) -> float:
        """Standard deviation of the scores over seeds (n − 1); 0 for one seed."""
        return statistics.stdev(self.scores) if len(self.scores) > 1 else 0.0

    @property
    def curve(self) -> "pd.DataFrame":
        """The mean over seeds, one row an epoch: ``train_loss``, ``val_loss``, each metric.

        A two-step fusion trains its heads and then its meta-classifier, so that it has twice as
        many rows as epochs; the first half is that of its better head.
        """
        import pandas as pd

        together = pd.concat(self.curves, keys=range(len(self.curves)))
        return together.groupby(level="epoch").mean()

    def __repr__(self) -> str:
        score, count = format_score(self.score, self.std), len(self.scores)
        return f"Run({self.metric} {score}, {count} seed{'' if count == 1 else 's'})"


def train(
    data: Data,
    config: Config | None = None,
    *,
    seeds: int = 3,
    metric: str = "micro_f1",
    split: SplitSpec | Mapping[str, Any] | None = None,
    device: str = "auto",
    threads: int = 1,
    precision: str = "float32",
    memory_gb: float | None = None,
) -> Run:
    """Train one configuration on the training rows and score it on the validation rows.

        >>> run = hpo.train(data, hpo.Config(fusion="concat", epochs=100), seeds=3)
        >>> run.score, run.std

    Epochs that the cache has already are not trained again.

    Args:
        data: What ``load_data`` returned.
        config: By default the paper's starting values, of the first modality alone.
        seeds: How often, with different weights, masks and orders.
        metric: What ``score`` is.
        split: How to divide the rows, such as ``{"kind": "tail", "val_rows": 600}``. By default a
            ``Split`` column if the data has one, else a fifth of the rows, stratified by label.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: On a CPU.
        precision: Of training steps: ``float32``, ``tf32``, ``bf16``, or ``auto`` for bf16 where
            the device computes with it natively.
        memory_gb: What a copy of the rows as float32 may take, in 10⁹ bytes; larger ones are read
            from the mapped files, batch by batch, with the same results. By default half of what
            is free.

    Raises:
        InputError: The split isn't possible, the features lack a modality that the fusion reads,
            there is no such metric, or the device doesn't exist.
    """
    import pandas as pd

    from hpo.training import Lockstep

    check_positive(seeds=seeds)
    _check(data, config, device, threads, memory_gb)
    METRICS[metric]  # says what there is if it isn't one
    config = Config(fusion=data.modalities[0]) if config is None else config
    precision = resolve_precision(precision, resolve_devices(device))
    trainer = _trainer(data, config, split, device, Arithmetic(threads, precision), memory_gb)
    together = Lockstep(trainer, config, range(seeds))
    rows: dict[int, list[Mapping[str, float]]] = {seed: [] for seed in together.models}
    try:
        while not together.done and not _ended(together.models.values()):
            for seed, record in together.advance().items():
                rows[seed].append(record)
    except BaseException:
        together.checkpoint()
        raise
    together.finish()
    curves = tuple(
        pd.DataFrame(records, index=pd.RangeIndex(1, len(records) + 1, name="epoch"))
        for records in rows.values()
    )
    scores = tuple(float(curve[metric].iloc[-1]) for curve in curves)
    return Run(config, metric, scores, curves, _ended(together.models.values()))


def fit(
    data: Data,
    config: Config | None = None,
    *,
    seed: int = 0,
    device: str = "auto",
    threads: int = 1,
    memory_gb: float | None = None,
) -> Model:
    """Train one configuration on all labelled rows, and return the model.

    Rows whose ``Split`` is ``test`` are left untouched.

    Args:
        data: What ``load_data`` returned.
        config: See ``train``.
        seed: Of weights, masks and order.
        device: ``auto``, ``cpu`` or ``cuda:N``.
        threads: On a CPU.
        memory_gb: See ``train``.

    Raises:
        InputError: The features lack a modality that the fusion reads, or the device doesn't
            exist.
        DivergedError: The training diverged.
    """
    from hpo.results import model_card
    from hpo.training import refit

    _check(data, config, device, threads, memory_gb)
    if not isinstance(seed, numbers.Integral) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"seed is {seed!r}, but must be a whole number, 0 or above.")
    config = Config(fusion=data.modalities[0]) if config is None else config
    trainer = _trainer(data, config, None, device, Arithmetic(threads), memory_gb)
    trained = refit(trainer, config, seed=seed, max_model_mb=_MODEL_MB, origin=data.description)
    card = model_card(trained, None, trainer.bundle)
    return Model(trained, cache=data.cache, device=device, card=card)


def _check(data: object, config: object, device: object, threads: Any, memory_gb: Any) -> None:
    """Refuse arguments of ``train`` and ``fit`` of other kinds than they must be."""
    check_kinds(
        data=(data, (Data,), "what hpo.load_data returns"),
        config=(config, (Config, type(None)), "an hpo.Config"),
        device=(device, (str,), "'auto', 'cpu' or 'cuda:N'"),
    )
    check_positive(threads=threads, memory_gb=memory_gb)


def _trainer(
    data: Data,
    config: Config,
    split: SplitSpec | Mapping[str, Any] | None,
    device: str,
    arithmetic: Arithmetic,
    memory_gb: float | None,
) -> "Trainer":
    from hpo.models import check_fusion
    from hpo.training import RunStore, Trainer, open_device

    check_fusion(config.fusion, data.modalities)
    division = data.divide(_split_of(split))
    warn_of(division.notes)
    opened = open_device(resolve_devices(device)[0], arithmetic)
    return Trainer(
        data.bundle_of(division),
        opened,
        RunStore(Path(data.cache) / "runs"),
        memory_gb=memory_gb,
        milestones=(config.epochs,),
    )


def _split_of(split: SplitSpec | Mapping[str, Any] | None) -> SplitSpec:
    if split is None:
        return AutoSplit(kind="auto")
    try:
        checked: SplitSpec = TypeAdapter(SplitSpec).validate_python(split)
    except ValidationError as error:
        rules = "; ".join(map(_said, error.errors()))
        raise InputError(
            f"split is {split!r}, but must be like {{'kind': 'tail', 'val_rows': 600}}, "
            f"{{'kind': 'stratified', 'val_fraction': 0.2}} or {{'kind': 'column'}}: {rules}."
        ) from None
    return checked


def _said(details: Any) -> str:
    """Return a broken rule of a split, behind the key that it is about."""
    if details["type"] == "union_tag_invalid":
        kinds = details["ctx"]["expected_tags"].replace("'", "")
        hint = did_you_mean(details["ctx"]["tag"], kinds.split(", "))
        return f"its kind must be one of {kinds}{hint}"
    if details["type"] == "union_tag_not_found":
        return "it must have a kind"
    if details["type"] == "extra_forbidden":
        return f"{details['loc'][-1]} is no key of this kind"
    key = f"{details['loc'][-1]} " if details["loc"] else "it "
    return f"{key}{rule_in_words(details)}"


def _ended(models: Any) -> str | None:
    return next((model.ended for model in models if model.ended is not None), None)
