"""What training needs, in one folder that any worker can open: features, labels, ids, split."""

import hashlib
import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import InputError
from hpo.features._features import Features, features_folder, load_features
from hpo.features._folder import build_folder, discard_folder
from hpo.files import content_key, write_json

if TYPE_CHECKING:
    from hpo.data import Dataset, Split

__all__ = ["Bundle", "load_bundle", "save_bundle"]

_FORMAT = 1
# What every bundle has besides bundle.json; other parts of the split have a file each, too.
_FILES = ("labels.npy", "rows.json", "split_train.npy")
_SPLIT_FILE = re.compile(r"split_([a-z][a-z0-9_]*)\.npy")
_PART_NAMES = {"train": "training", "val": "validation"}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A data set, its features and a split of its labelled rows.

    Attributes:
        key: The content key; equal keys mean equal features, labels, ids and split.
        features: The embeddings of all rows.
        labels: uint8 [N, K], 1 where the row has the class; memory-mapped, read-only.
        classes: The K label names.
        ids: The ImageIDs of the N labelled rows.
        test_ids: The ImageIDs of the rows to predict; empty if the features have none.
        split: The labelled rows of each part, such as ``train`` and ``val``.
        dataset_fingerprint: ``Dataset.fingerprint``.
    """

    key: str
    features: Features
    labels: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    split: "Split"
    dataset_fingerprint: str

    def labels_of(self, part: str) -> np.ndarray:
        """Return the labels of the rows of a part of the split, uint8 [N_part, K]."""
        labels: np.ndarray = self.labels[self.split[part]]
        return labels


def bundle_folder(store: Path, key: str) -> Path:
    """Return where the bundle of this key is kept."""
    return store / "bundles" / key


def save_bundle(store: Path, dataset: "Dataset", features: Features, split: "Split") -> Bundle:
    """Write ``<store>/bundles/<key>/``, or open it if it is there.

    The folder refers to ``<store>/features/`` by a relative path, so a store can be moved or
    mounted elsewhere as a whole.

    Args:
        store: The folder of the cache, in which ``features`` are.
        dataset: The rows that the features belong to.
        features: What ``extract_features`` or ``import_features`` returned.
        split: Row indices of ``dataset.train`` for each part; every part is in the key.

    Raises:
        InputError: The features don't belong to these rows or are not in this store.
        OSError: The store can't be written.
    """
    test_ids = dataset.test.ids if dataset.test is not None else ()
    if not any(len(array) for array in features.test.values()):
        test_ids = ()  # imported embeddings without a test part
    labels = np.ascontiguousarray(dataset.labels, dtype=np.uint8)
    problems = _check(features, labels, split, dataset.classes, dataset.train.ids, test_ids)
    if not features_folder(store, features.key).is_dir():
        problems.append(f"the features '{features.key}' are not in the store '{store}'")
    if problems:
        raise InputError(problems, "These features and rows don't fit together:")
    content = {"labels": labels}
    content |= {f"split_{name}": np.ascontiguousarray(part) for name, part in split.items()}
    rows = {"ids": list(dataset.train.ids), "test_ids": list(test_ids)}
    key = content_key(
        {
            "format": _FORMAT,
            "features": features.key,
            "arrays": {
                name: [list(array.shape), hashlib.sha256(array.data).hexdigest()]
                for name, array in content.items()
            },
            "rows": rows,
            "classes": list(dataset.classes),
            "dataset": dataset.fingerprint,
        }
    )
    folder = bundle_folder(store, key)
    if folder.exists():
        try:
            return load_bundle(folder)
        except InputError:
            discard_folder(folder)  # everything in it is at hand
    with build_folder(folder) as building:
        for name, array in content.items():
            np.save(building / f"{name}.npy", array, allow_pickle=False)
        write_json(building / "rows.json", rows)
        write_json(
            building / "bundle.json",
            {
                "format": _FORMAT,
                "key": key,
                "features": f"../../features/{features.key}",
                "classes": list(dataset.classes),
                "dataset_fingerprint": dataset.fingerprint,
                "sha256": {
                    name: _hash(building / name)
                    for name in (*(f"{name}.npy" for name in content), "rows.json")
                },
            },
        )
    return load_bundle(folder)


def load_bundle(folder: Path) -> Bundle:
    """Open a bundle; its arrays are memory-mapped.

    Raises:
        InputError: The folder, a file of it or its features are missing or damaged; all problems
            are listed.
    """
    from hpo.data import Split

    title = f"The bundle '{folder}' can't be used:"
    about = _read_about(folder, title)
    problems: list[str] = []
    for name, expected in about["sha256"].items():
        if not (folder / name).is_file():
            problems.append(f"there is no file {name}")
        elif _hash(folder / name) != expected:
            problems.append(f"{name} is damaged: its SHA-256 is not the one in bundle.json")
    features: Features | None = None
    try:
        features = load_features(folder / about["features"])
    except InputError as error:
        problems.append(str(error).replace("\n", "\n  "))
    if problems:
        raise InputError(problems, title)
    assert features is not None  # otherwise there was a problem
    labels = np.load(folder / "labels.npy", allow_pickle=False, mmap_mode="r")
    parts = {
        match[1]: np.load(folder / name, allow_pickle=False)
        for name in about["sha256"]
        if (match := _SPLIT_FILE.fullmatch(name))
    }
    rows = json.loads((folder / "rows.json").read_text(encoding="utf-8"))
    ids, test_ids, classes = tuple(rows["ids"]), tuple(rows["test_ids"]), tuple(about["classes"])
    split = Split(**parts)
    problems = _check(features, labels, split, classes, ids, test_ids)
    if problems:
        raise InputError(problems, title)
    return Bundle(
        key=about["key"],
        features=features,
        labels=labels,
        classes=classes,
        ids=ids,
        test_ids=test_ids,
        split=split,
        dataset_fingerprint=about["dataset_fingerprint"],
    )


def _read_about(folder: Path, title: str) -> dict[str, Any]:
    """Return bundle.json, with everything in it that ``save_bundle`` writes."""
    try:
        about: Any = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if about["format"] != _FORMAT:
            raise InputError(
                f"bundle.json has format {about['format']}, but this version reads {_FORMAT}",
                title,
            )
        lacking = {"key", "features", "classes", "dataset_fingerprint"} - about.keys()
        lacking |= set(_FILES) - about["sha256"].keys()
    except FileNotFoundError:
        raise InputError("there is no file bundle.json", title) from None
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"bundle.json is damaged: {error!r}", title) from error
    if lacking:
        raise InputError(f"bundle.json lacks {', '.join(sorted(lacking))}", title)
    return dict(about)


def _check(
    features: Features,
    labels: np.ndarray,
    split: "Split",
    classes: Sequence[str],
    ids: Sequence[str],
    test_ids: Sequence[str],
) -> list[str]:
    """Say where features, labels, names and split don't fit together."""
    problems = []
    expected = (len(ids), len(classes))
    if labels.shape != expected:
        problems.append(
            f"the labels are {list(labels.shape)}, but must be {list(expected)}: "
            f"{len(ids)} rows, {len(classes)} classes"
        )
    for part, rows, arrays in (
        ("labelled", len(ids), features.train),
        ("test", len(test_ids), features.test),
    ):
        for modality, array in arrays.items():
            if len(array) != rows:
                problems.append(
                    f"the {modality} features have {len(array)} {part} rows, but there are {rows}"
                )
    called = {name: _PART_NAMES.get(name, name) for name in split}
    if "train" not in split:
        problems.append(f"the split has the parts {', '.join(split)}, but must have 'train'")
    for name, indices in split.items():
        outside = indices[(indices < 0) | (indices >= len(ids))]
        if len(outside):
            problems.append(
                f"the {called[name]} part has row {outside[0]}, but rows go from 0 to "
                f"{len(ids) - 1}"
            )
    for one, other in itertools.combinations(split, 2):
        both = np.intersect1d(split[one], split[other])
        if len(both):
            problems.append(
                f"row {both[0]} is in the {called[one]} and in the {called[other]} part"
            )
    return problems


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
