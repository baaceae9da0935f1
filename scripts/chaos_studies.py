"""Small studies that use what there is: shared runs, two-step fusions, averages, diverging runs."""

from pathlib import Path
from typing import Any

import numpy as np

from hpo.data import Dataset, Rows, Split
from hpo.features import Bundle, import_features, save_bundle
from hpo.search import Space
from hpo.study import Definition, StoredStudy

__all__ = ["create_study", "greedy_space", "make_bundle", "promote_space"]

_WIDTHS = {"image": 16, "text": 12}


def make_bundle(cache: Path, rows: int = 300, classes: int = 5) -> Bundle:
    """Store a bundle of random embeddings that tell the labels with some noise."""
    rng = np.random.default_rng(0)
    labels = (rng.random((rows, classes)) < np.linspace(0.7, 0.1, classes)).astype(np.uint8)
    embeddings = cache / "embeddings"
    embeddings.mkdir(parents=True, exist_ok=True)
    for name, width in _WIDTHS.items():
        directions = rng.normal(size=(classes, width))
        array = labels @ directions + 2 * rng.normal(size=(rows, width))
        np.save(embeddings / f"{name}.npy", array.astype(np.float16))
    ids = tuple(f"{row}.jpg" for row in range(rows))
    dataset = Dataset(
        root=embeddings,
        train=Rows(ids, ("",) * rows, None),
        test=None,
        classes=tuple("abcdefghij"[:classes]),
        labels=labels,
        split_column=None,
        fingerprint="0" * 64,
    )
    train = rows * 4 // 5
    split = Split(train=np.arange(train), val=np.arange(train, rows))
    return save_bundle(cache, dataset, import_features(embeddings, rows, 0, cache), split)


def greedy_space(length: int = 60, seeds: int = 2) -> Space:
    """Return a greedy space with shared runs, two-step fusions, averages and diverging runs.

    Args:
        length: Epochs of an ordinary configuration.
        seeds: Runs of each.
    """
    stages = [
        {"name": "fusion", "params": {"fusion": ["image", "text", "sum", "concat"]}},
        {
            "name": "loss",
            "fixed": {"epochs": length * 3 // 2},
            "params": {"loss": ["bce", "focal", "asl"]},
        },
        {
            "name": "batch size × learning rate",
            "params": {"batch_size": [60, 1000], "lr": [0.01, 0.03, 30.0]},
        },
        {"name": "epochs", "params": {"epochs": [length // 2, length, 2 * length]}},
        {"name": "averaging", "params": {"ema_decay": [None, 0.9]}},
    ]
    return Space.model_validate(
        {
            "name": "chaos",
            "seeds": seeds,
            "fixed": {"hidden": [16], "batch_size": 60, "lr": 0.01, "epochs": length},
            "search": {"kind": "greedy", "stages": stages},
            "divergence": {"patience": max(5, length // 4)},
        }
    )


def promote_space(length: int = 18, seeds: int = 2, trials: int = 13, **search: Any) -> Space:
    """Return a space that promotes, with shared runs, dropout of inputs and diverging runs.

    Args:
        length: Epochs of a configuration that goes all the way.
        seeds: Runs of each finalist.
        trials: How many are begun.
        search: Further keys of the search.
    """
    return Space.model_validate(
        {
            "name": "chaos",
            "seeds": seeds,
            "fixed": {
                **{"fusion": "mixed_joint", "hidden": [16], "batch_size": 60, "lr": 0.01},
                **{"epochs": length, "input_dropout": 0.1, "modality_dropout": 0.1},
            },
            "search": {
                **{"kind": "promote", "trials": trials, "finalists": 3},
                "first_rung": max(1, length // 9),
                "sampler": {"name": "TPESampler", "multivariate": True, "n_startup_trials": 4},
                "params": {
                    "fusion": {"choices": ["image", "sum", "gated", "mixed_joint"]},
                    "lr": {"low": 0.001, "high": 1e9, "log": True},
                    "ema_decay": {"choices": [None, 0.9]},
                },
                **search,
            },
            "divergence": {"patience": max(5, length // 4)},
        }
    )


def create_study(
    url: str,
    name: str,
    space: Space,
    cache: Path,
    *,
    checkpoint_every: int = 10,
    bundle: Bundle | None = None,
) -> StoredStudy:
    """Create a study of ``space`` with its bundle and run store below ``cache``."""
    bundle = bundle or make_bundle(cache)
    definition = Definition(
        space=space,
        cache=str(cache),
        bundle_key=bundle.key,
        modalities=tuple(bundle.features.train),
        train_rows=len(bundle.split["train"]),
        threads=1,
        checkpoint_every=checkpoint_every,
        dataset={"data": "random"},
    )
    return StoredStudy.create(url, name, definition)
