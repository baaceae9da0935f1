"""Studies to measure: folders of random numbers, search spaces, and runs of the command."""

import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from hpo.search import Space, load_space
from hpo.study import Definition, StoredStudy

__all__ = ["ROOT", "command", "greedy_space", "make_folder", "paper_study", "write_space"]

ROOT = Path(__file__).resolve().parents[1]
CLASSES = 18


def make_folder(folder: Path, rows: int, width: int) -> Path:
    """Write a data folder of captions and random embeddings, which tell the labels a little."""
    rng = np.random.default_rng(0)
    frequencies = [0.76, *([0.05] * (CLASSES - 1))]
    labels = rng.random((rows, CLASSES)) < frequencies
    labels[:CLASSES] |= np.eye(CLASSES, dtype=bool)  # every class occurs
    folder.mkdir(parents=True)
    with (folder / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", "Labels", "Caption"])
        for row in range(rows):
            names = " ".join(str(index + 1) for index in np.flatnonzero(labels[row])) or "1"
            writer.writerow([f"{row}.jpg", names, f"caption {row}"])
    features = folder / "features"
    features.mkdir()
    for modality in ("image", "text"):
        directions = rng.normal(size=(CLASSES, width))
        array = labels @ directions * 0.3 + rng.normal(size=(rows, width))
        np.save(features / f"{modality}.npy", array.astype(np.float16), allow_pickle=False)
    return folder


def write_space(path: Path, space: Mapping[str, Any]) -> Path:
    """Write a search space."""
    path.write_text(yaml.safe_dump(dict(space)), encoding="utf-8")
    return path


def greedy_space(settings: Mapping[str, Any]) -> Space:
    """Return the paper's greedy space with some settings overridden."""
    overrides = [(key, value, "benchmark") for key, value in settings.items()]
    return load_space(ROOT / "search_spaces" / "greedy.yaml", overrides).scaled()


def paper_study(url: str) -> StoredStudy:
    """Return the greedy study of the paper's shape, of which only the plan is wanted."""
    definition = Definition(
        space=greedy_space({}),
        cache="",
        bundle_key="",
        modalities=("image", "text"),
        train_rows=25_000,
        threads=1,
        checkpoint_every=50,
        dataset={},
    )
    return StoredStudy.create(url, "paper", definition)


def command(arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m`` with ``arguments`` in ``folder``.

    Raises:
        RuntimeError: It failed.
    """
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr.strip()[-2000:]}")
    return done
