"""The folder that ``clip-retrieval inference`` writes, as embeddings of our rows.

``img_emb/img_emb_0.npy``, ``img_emb/img_emb_1.npy``, … hold the embeddings, likewise
``text_emb/``, and ``metadata/metadata_0.parquet``, … say of each row which file it came from.
https://github.com/rom1504/clip-retrieval#clip-inference
"""

import importlib
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np

from hpo.features._arrays import Source, open_array
from hpo.features._modalities import ENCODED

__all__ = ["SHARD_FOLDERS", "find_clip_retrieval", "has_shards"]

SHARD_FOLDERS = {name: encoding.clip_retrieval for name, encoding in ENCODED.items()}
"""The folder of each modality's embeddings, and the stem of the files in it."""

_NAMED = 5


def has_shards(folder: Path, modality: str) -> bool:
    """Say whether clip-retrieval left embeddings of this modality in the folder."""
    stem = SHARD_FOLDERS[modality]
    return any(_shard_number(path, stem) is not None for path in (folder / stem).glob("*.npy"))


def find_clip_retrieval(
    folder: Path,
    modalities: Sequence[str],
    dataset_rows: int,
    test_rows: int,
    ids: Sequence[str] | None,
    problems: list[str],
) -> dict[tuple[str, str], Source]:
    """Open the shards and say which of their rows are ours.

    Args:
        folder: What clip-retrieval wrote.
        modalities: Which to take, of those in ``SHARD_FOLDERS``.
        dataset_rows: Rows of train.csv.
        test_rows: Rows of test.csv.
        ids: The ImageIDs of train.csv, followed by those of test.csv; None if unknown.
        problems: What is wrong is added here.

    Returns:
        A source for each (part, modality) that is there.
    """
    shards = {
        modality: arrays
        for modality in modalities
        if (arrays := _open_shards(folder / (name := SHARD_FOLDERS[modality]), name, problems))
    }
    names = _read_names(folder / "metadata", problems) if ids is not None else None
    sources = {}
    for modality, arrays in shards.items():
        name = f"{SHARD_FOLDERS[modality]}/"
        count = sum(len(array) for array in arrays)
        if ids is not None and names is not None:
            if len(names) != count:
                problems.append(f"{name} has {count} rows, but metadata/ has {len(names)}")
                continue
            order = _align(names, ids, dataset_rows, problems)
            if order is None:
                return {}
        elif count in (dataset_rows, dataset_rows + test_rows):
            order = np.arange(count)
        else:
            both = f" or, with test.csv, {dataset_rows + test_rows}" if test_rows else ""
            problems.append(f"{name} has {count} rows, but train.csv has {dataset_rows}{both}")
            continue
        sources["train", modality] = Source(name, arrays, order[:dataset_rows])
        if test_rows and len(order) > dataset_rows:
            sources["test", modality] = Source(name, arrays, order[dataset_rows:])
    return sources


def _open_shards(folder: Path, stem: str, problems: list[str]) -> list[np.ndarray]:
    """Open all shards in the order of their numbers, which may or may not have leading zeros."""
    numbered: dict[int, Path] = {}
    for path in sorted(folder.glob("*.npy")):
        number = _shard_number(path, stem)
        if number is not None:
            numbered[number] = path
    absent = sorted(set(range(max(numbered, default=-1) + 1)) - set(numbered))
    if absent:
        listed = ", ".join(f"{stem}_{number}.npy" for number in absent[:_NAMED])
        problems.append(f"{stem}/ has {stem}_{max(numbered)}.npy, but lacks {listed}")
    arrays: list[np.ndarray] = []
    for number in sorted(numbered):
        name = f"{stem}/{numbered[number].name}"
        array = open_array(numbered[number], name, problems)
        if array is None:
            continue
        if arrays and array.shape[1] != arrays[0].shape[1]:
            problems.append(
                f"{name} is {array.shape[1]} wide, but the files before are {arrays[0].shape[1]}"
            )
            continue
        arrays.append(array)
    return arrays


def _shard_number(path: Path, stem: str) -> int | None:
    match = re.fullmatch(rf"{stem}_(\d+)\.npy", path.name)
    return int(match[1]) if match else None


def _read_names(folder: Path, problems: list[str]) -> list[str] | None:
    """Return the image path of each row; None if there is no metadata or nothing to read it with.

    pyarrow isn't a dependency of ours; without it, the rows must be in our order.
    """
    paths = sorted(
        folder.glob("metadata_*.parquet"), key=lambda path: int("0" + re.sub(r"\D", "", path.stem))
    )
    if not paths:
        return None
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        return None
    names: list[str] = []
    for path in paths:
        try:
            if "image_path" not in parquet.read_schema(path).names:
                return None  # only texts were encoded
            table = parquet.read_table(path, columns=["image_path"])
        except (OSError, ValueError) as error:  # pyarrow's own are subclasses of these
            problems.append(f"metadata/{path.name} can't be read: {error}")
            return None
        names += [str(name) for name in table.column("image_path").to_pylist()]
    return names


def _align(
    names: Sequence[str], ids: Sequence[str], dataset_rows: int, problems: list[str]
) -> np.ndarray | None:
    """Return int64, the row of ``names`` for each id, by file name with or without the suffix.

    The ids after ``dataset_rows`` are those of test.csv: they may all be absent.
    """
    places: dict[str, int] = {}
    unclear: dict[str, int] = {}
    for row, name in enumerate(names):
        path = PurePath(name)
        for form in {path.name, path.stem}:
            if places.setdefault(form, row) != row:
                unclear.setdefault(form, row)
    forms = [PurePath(image_id).name for image_id in ids]
    forms = [form if form in places else PurePath(form).stem for form in forms]
    if not any(form in places for form in forms[dataset_rows:]):
        forms = forms[:dataset_rows]
    absent = [image_id for image_id, form in zip(ids, forms, strict=False) if form not in places]
    if absent:
        listed = ", ".join(f"'{image_id}'" for image_id in absent[:_NAMED])
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        problems.append(f"metadata/ has no row for the ImageIDs {listed}{more}")
    twice = [form for form in forms if form in unclear]
    if twice:
        problems.append(
            f"metadata/ has '{twice[0]}' on the rows {places[twice[0]]} and {unclear[twice[0]]}, "
            f"but needs one row for each ImageID ({len(twice)} such)"
        )
    if absent or twice:
        return None
    return np.array([places[form] for form in forms], dtype=np.int64)
