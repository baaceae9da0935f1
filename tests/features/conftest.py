"""A tiny encoder's folder and small data sets."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from features_samples import write_checkpoint, write_image

from hpo.data import Dataset, Rows


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny")


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    def make(train: int = 6, test: int = 3, folder: str = "images") -> Dataset:
        root = tmp_path / folder
        parts = []
        for part, count, first in (("train", train, 0), ("test", test, 1000)):
            names = [f"{part}{row}.png" for row in range(count)]
            images = tuple(write_image(root / n, first + i) for i, n in enumerate(names))
            captions = tuple(f"a {part} picture, number {row}" for row in range(count))
            parts.append(Rows(tuple(names), captions, images))
        labels = np.zeros((train, 2), np.uint8)
        labels[::2, 0] = labels[1::2, 1] = 1
        return Dataset(
            root=root,
            train=parts[0],
            test=parts[1] if test else None,
            classes=("1", "2"),
            labels=labels,
            split_column=None,
            fingerprint="f" * 64,
        )

    return make
