"""What training needs, in one folder that any worker can open: features, labels, ids, split.

A bundle of several named sources of embeddings stands for all bundles that a choice among them can
make. Each of those has a key of its own, the same as if the other sources weren't there.
"""

import hashlib
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.features._choice import Sources, check_encoder, union
from hpo.features._features import Features, features_folder, load_features
from hpo.features._folder import build_folder, discard_folder
from hpo.features._parts import SourcePart, choose_features, parts_of
from hpo.files import content_key, file_sha256, read_again, regular, write_json
from hpo.json_files import read_json

if TYPE_CHECKING:
    from hpo.data import Dataset, Split

__all__ = ["Bundle", "load_bundle", "save_bundle"]

_FORMAT = 1
_FORMAT_NAMED = 2  # with named sources
# What every bundle has besides bundle.json; other parts of the split have a file each, too.
_FILES = ("labels.npy", "rows.json", "split_train.npy")
_GROUPS = "groups.npy"
_SPLIT_FILE = re.compile(r"split_([a-z][a-z0-9_]*)\.npy")
_PART_NAMES = {"train": "training", "val": "validation"}


@dataclass(frozen=True, eq=False)
class Bundle:
    """A data set, its features and a split of its labelled rows.

    Attributes:
        key: The content key; equal keys mean equal features, labels, ids and split.
        features: The embeddings of all rows; where there are named sources, those of the first.
        labels: uint8 [N, K], 1 where the row has the class; memory-mapped, read-only.
        classes: The K label names.
        ids: The ImageIDs of the N labelled rows.
        test_ids: The ImageIDs of the rows to predict; empty if there are none.
        split: The labelled rows of each part, such as ``train`` and ``val``.
        dataset_fingerprint: ``Dataset.fingerprint``.
        groups: For each labelled row the number of its picture, int64 [N], if a picture may be on
            several rows; else None.
        named: The named sources of embeddings to choose among, each with the key of the bundle
            that has it alone; empty where there is one without a name.
        chosen: What ``choosing`` has chosen: for each modality the parts that are side by side.
        keys_alone: For a modality, the key of what a run depends on that reads it alone, where
            that is another one than ``key``.
    """

    key: str
    features: Features
    labels: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    test_ids: tuple[str, ...]
    split: "Split"
    dataset_fingerprint: str
    groups: NDArray[np.int64] | None = None
    named: "Mapping[str, NamedSource]" = field(default_factory=dict)
    chosen: Mapping[str, Sequence[SourcePart]] = field(default_factory=dict)
    keys_alone: Mapping[str, str] = field(default_factory=dict)

    @property
    def parts(self) -> Mapping[str, Sequence[SourcePart]]:
        """For each modality, where the embeddings come from that are side by side in it."""
        return self.chosen or parts_of("", self.features)

    @property
    def sources(self) -> Sources:
        """The modalities of each named source."""
        return {name: tuple(source.features.train) for name, source in self.named.items()}

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities of which there are embeddings, from whichever source."""
        return union(self.sources) if self.named else tuple(self.features.train)

    def choosing(self, encoder: str | None) -> "Bundle":
        """Return the bundle as if it had the embeddings alone that a configuration chooses.

        Its key follows from these embeddings, whatever else there is to choose from and whatever
        they are called, so that the runs of a source are the same in every study.

        Args:
            encoder: As ``Config`` has it; None for the first source, or the only one.

        Raises:
            InputError: There is no such source, or it lacks a modality.
        """
        check_encoder(encoder, self.sources)
        if not self.named:
            return self
        sources = {name: source.features for name, source in self.named.items()}
        features, parts = choose_features(sources, encoder)
        keys = {m: [self.named[part.name].key for part in those] for m, those in parts.items()}
        names = {part.name for those in parts.values() for part in those}
        alone: dict[str, str] = {}
        if len(names) == 1:
            key = self.named[names.pop()].key
        else:
            key = content_key({"format": 1, "sources": keys})
            alone = {modality: self._key_alone(parts[modality], modality) for modality in parts}
        return replace(self, key=key, features=features, named={}, chosen=parts, keys_alone=alone)

    def _key_alone(self, parts: Sequence[SourcePart], modality: str) -> str:
        """Return the key of a run that reads a modality alone, from some of the sources."""
        modalities = self.modalities
        if len(parts) == 1 and set(self.sources[parts[0].name]) == set(modalities):
            return self.named[parts[0].name].key  # the others don't change what it computes
        keys = [self.named[part.name].key for part in parts]
        return content_key(
            {"format": 1, "alone": modality, "sources": keys, "modalities": list(modalities)}
        )

    def labels_of(self, part: str) -> np.ndarray:
        """Return the labels of the rows of a part of the split, uint8 [N_part, K]."""
        labels: np.ndarray = self.labels[self.split[part]]
        return labels

    def groups_of(self, part: str) -> NDArray[np.int64] | None:
        """Return the numbers of the pictures of a part's rows, int64 [N_part], if there are any."""
        return None if self.groups is None else self.groups[self.split[part]]


@dataclass(frozen=True, eq=False)
class NamedSource:
    """One of several sources of embeddings.

    Attributes:
        key: Of the bundle that has these embeddings alone.
        features: Its embeddings of all rows.
    """

    key: str
    features: Features


def bundle_folder(store: Path, key: str) -> Path:
    """Return where the bundle of this key is kept."""
    return store / "bundles" / key


def save_bundle(
    store: Path,
    dataset: "Dataset",
    features: Features | Mapping[str, Features],
    split: "Split",
) -> Bundle:
    """Write ``<store>/bundles/<key>/``, or open it if it is there.

    The folder refers to ``<store>/features/`` by a relative path, so a store can be moved or
    mounted elsewhere as a whole.

    Args:
        store: The folder of the cache, in which ``features`` are.
        dataset: The rows that the features belong to.
        features: What ``extract_features`` or ``import_features`` returned; or several such
            sources by name, of which configurations choose.
        split: Row indices of ``dataset.train`` for each part; every part is in the key.

    Raises:
        InputError: The features don't belong to these rows or are not in this store.
        OSError: The store can't be written.
    """
    several = isinstance(features, Mapping)
    sources = dict(features) if isinstance(features, Mapping) else {"": features}
    test_ids = dataset.test.ids if dataset.test is not None else ()
    labels = np.ascontiguousarray(dataset.labels, dtype=np.uint8)
    problems = []
    for name, one in sources.items():
        problems += [
            f"{name}: {problem}" if name else problem
            for problem in (
                *_check(one, labels, split, dataset.classes, dataset.train.ids, test_ids),
                *_absent(store, one),
            )
        ]
    if problems:
        raise InputError(
            list(dict.fromkeys(problems)), "These features and rows don't fit together:"
        )
    content = {"labels": labels}
    content |= {f"split_{name}": np.ascontiguousarray(part) for name, part in split.items()}
    if dataset.groups:
        content["groups"] = np.array(dataset.groups, dtype=np.int64)
    rows = {"ids": list(dataset.train.ids), "test_ids": list(test_ids)}
    keys, key = _keys(content, rows, dataset.classes, dataset.fingerprint, sources, several)
    folder = bundle_folder(store, key)
    if folder.exists():
        try:
            return load_bundle(folder)
        except InputError:
            discard_folder(folder)  # everything in it is at hand
    places = {name: f"../../features/{one.key}" for name, one in sources.items()}
    with build_folder(folder) as building:
        for name, array in content.items():
            np.save(building / f"{name}.npy", array, allow_pickle=False)
        write_json(building / "rows.json", rows)
        write_json(
            building / "bundle.json",
            {
                "format": _FORMAT_NAMED if several else _FORMAT,
                "key": key,
                "features": [
                    {"name": name, "key": keys[name], "folder": place}
                    for name, place in places.items()
                ]
                if several
                else places[""],
                "classes": list(dataset.classes),
                "dataset_fingerprint": dataset.fingerprint,
                "sha256": {
                    name: file_sha256(building / name)
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
        OSError: A file can't be read, so that nothing is known of it.
    """
    return read_again(lambda: _load(folder))


def _load(folder: Path) -> Bundle:
    from hpo.data import Split

    title = f"The bundle '{folder}' can't be used:"
    about = _read_about(folder, title)
    problems: list[str] = []
    for name, expected in about["sha256"].items():
        if not (folder / name).is_file():
            problems.append(f"there is no file {name}")
        elif file_sha256(folder / name) != expected:
            problems.append(f"{name} is damaged: its SHA-256 is not the one in bundle.json")
    named: dict[str, NamedSource] = {}
    places = about["features"]
    listed = places if about["format"] == _FORMAT_NAMED else [{"name": "", "folder": places}]
    for one in listed:
        try:
            features = load_features(folder / one["folder"])
            named[one["name"]] = NamedSource(one.get("key", about["key"]), features)
        except InputError as error:
            problems.append(str(error).replace("\n", "\n  "))
    if problems:
        raise InputError(problems, title)
    labels = np.load(regular(folder / "labels.npy"), allow_pickle=False, mmap_mode="r")
    parts = {
        match[1]: np.load(regular(folder / name), allow_pickle=False)
        for name in about["sha256"]
        if (match := _SPLIT_FILE.fullmatch(name))
    }
    rows = read_json(folder / "rows.json")
    ids, test_ids, classes = tuple(rows["ids"]), tuple(rows["test_ids"]), tuple(about["classes"])
    split = Split(**parts)
    content = {"labels": labels} | {f"split_{name}": part for name, part in parts.items()}
    groups = None
    if _GROUPS in about["sha256"]:
        groups = content["groups"] = np.load(regular(folder / _GROUPS), allow_pickle=False)
    sources = {name: source.features for name, source in named.items()}
    several, fingerprint = about["format"] == _FORMAT_NAMED, about["dataset_fingerprint"]
    keys, key = _keys(content, rows, classes, fingerprint, sources, several)
    if key != about["key"] or keys != {name: source.key for name, source in named.items()}:
        raise InputError("bundle.json is damaged: its key isn't that of its content", title)
    if key != folder.name:
        raise InputError(f"it has the content of another one, {key}", title)
    for source in named.values():
        problems += _check(source.features, labels, split, classes, ids, test_ids)
    if problems:
        raise InputError(list(dict.fromkeys(problems)), title)
    return Bundle(
        key=about["key"],
        features=next(iter(named.values())).features,
        labels=labels,
        classes=classes,
        ids=ids,
        test_ids=test_ids,
        split=split,
        dataset_fingerprint=about["dataset_fingerprint"],
        groups=groups,
        named=named if about["format"] == _FORMAT_NAMED else {},
    )


def _keys(
    content: Mapping[str, np.ndarray],
    rows: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    fingerprint: str,
    sources: Mapping[str, Features],
    several: bool,
) -> tuple[dict[str, str], str]:
    """Return the keys of a bundle for each source of features, and that of all of it."""
    common = {
        "format": _FORMAT,
        "arrays": {
            name: [list(array.shape), hashlib.sha256(array.data).hexdigest()]
            for name, array in content.items()
        },
        "rows": rows,
        "classes": list(classes),
        "dataset": fingerprint,
    }
    keys = {name: content_key({**common, "features": one.key}) for name, one in sources.items()}
    if not several:
        return keys, keys[""]
    return keys, content_key({"format": _FORMAT_NAMED, "named": list(keys.items())})


def _read_about(folder: Path, title: str) -> dict[str, Any]:
    """Return bundle.json, with everything in it that ``save_bundle`` writes."""
    try:
        about: Any = read_json(folder / "bundle.json")
        if about["format"] not in (_FORMAT, _FORMAT_NAMED):
            raise InputError(
                f"bundle.json has format {about['format']}, but this version reads {_FORMAT} and "
                f"{_FORMAT_NAMED}",
                title,
            )
        lacking = {"key", "features", "classes", "dataset_fingerprint"} - about.keys()
        lacking |= set(_FILES) - about["sha256"].keys()
    except FileNotFoundError:
        raise InputError("there is no file bundle.json", title) from None
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"bundle.json is damaged: {error!r}", title) from error
    if lacking:
        raise InputError(f"bundle.json lacks {', '.join(sorted(lacking))}", title)
    return dict(about)


def _absent(store: Path, features: Features) -> list[str]:
    if features_folder(store, features.key).is_dir():
        return []
    return [f"the features '{features.key}' are not in the store '{store}'"]


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
