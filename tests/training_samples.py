"""A small bundle in memory and a trainer on it, made from fixed seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpo.data import Split
from hpo.features import Bundle, FeatureInfo, Features
from hpo.models import Config
from hpo.training import Arithmetic, EpochRecord, ModelRun, RunStore, Session, Trainer, open_device

WIDTHS = {"image": 12, "text": 8, "audio": 6}
BOTH = ("image", "text")
FIRST_METRICS = ("micro_f1", "samples_f1", "macro_f1", "map")
CONFIG = Config(hidden=(16,), lr=0.01, batch_size=1000, epochs=6, feature_scaling="none")


def make_bundle(
    modalities: Sequence[str] = BOTH,
    *,
    train: Sequence[int] = tuple(range(220)),
    val: Sequence[int] = tuple(range(220, 300)),
    key: str = "bundle",
) -> Bundle:
    """300 rows of 5 classes, which the embeddings tell with some noise."""
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 5)) < [0.7, 0.3, 0.2, 0.1, 0.1]).astype(np.uint8)
    arrays = {}
    for name, width in WIDTHS.items():  # all are drawn, so that each is the same in any bundle
        directions = rng.normal(size=(5, width))
        arrays[name] = (labels @ directions + rng.normal(size=(300, width))).astype(np.float16)
    kept = {name: arrays[name] for name in modalities}
    empty = {name: array[:0] for name, array in kept.items()}
    info = FeatureInfo("import", "", "", "", {name: WIDTHS[name] for name in modalities})
    return Bundle(
        key=key,
        features=Features("features", kept, empty, info),
        labels=labels,
        classes=tuple("abcde"),
        ids=tuple(f"{row}.jpg" for row in range(300)),
        test_ids=(),
        split=Split(train=np.array(train, dtype=np.int64), val=np.array(val, dtype=np.int64)),
        dataset_fingerprint="f" * 64,
    )


def make_trainer(folder: Path, bundle: Bundle | None = None, **options: Any) -> Trainer:
    options = {"micro_batch": 50, "checkpoint_every": 50} | options
    store = options.pop("store", None) or RunStore(folder)
    arithmetic = options.pop("arithmetic", Arithmetic())
    device = open_device(options.pop("device", "cpu"), arithmetic)
    return Trainer(bundle or make_bundle(), device, store, **options)


def open_session(trainer: Trainer, config: Config = CONFIG, seed: int = 0) -> Session:
    """The run of a configuration that is a single one."""
    (spec,) = trainer.model(config, seed).specs
    return trainer.open(spec)


def scores_of(record: EpochRecord) -> tuple[float, ...]:
    """The metrics of a record that every run has."""
    return tuple(record[name] for name in FIRST_METRICS)


def train(run: Session | ModelRun, epochs: int) -> list[EpochRecord]:
    """Go on by so many epochs and return their records."""
    return [run.advance() for _ in range(epochs)]


def same_bits(first: Any, second: Any) -> bool:
    """Whether two mappings of tensors have equal names and bits."""
    return first.keys() == second.keys() and all(
        torch.equal(tensor, second[name]) for name, tensor in first.items()
    )
