"""Take over embeddings that exist already: check everything, then copy them as float16."""

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import (
    FILE_TYPES,
    Source,
    as_float16,
    check_array,
    check_values,
    open_array,
)
from hpo.features._clip_retrieval import find_clip_retrieval
from hpo.features._features import (
    FeatureInfo,
    Features,
    array_path,
    features_folder,
    load_features,
    write_array,
    write_info,
)
from hpo.features._folder import build_folder, discard_folder
from hpo.features._import_names import (
    as_argument,
    as_flag,
    folder_title,
    named,
    names_in,
    nothing_there,
)
from hpo.features._modalities import array_files, in_order
from hpo.files import content_key

__all__ = ["import_arrays", "import_features"]

_PARTS = ("train", "test")
_Sources = dict[tuple[str, str], Source]


def import_features(
    folder: Path,
    dataset_rows: int,
    test_rows: int,
    store: Path,
    *,
    ids: Sequence[str] | None = None,
    test_ids: Sequence[str] = (),
    modalities: Sequence[str] | None = None,
    tables: tuple[str, str] = ("train.csv", "test.csv"),
) -> Features:
    """Check embeddings made elsewhere and copy them into the store as float16.

    The folder holds a file ``NAME.npy`` for each modality, such as ``image.npy``, ``text.npy`` or
    ``audio.npy``, with the rows of train.csv, and perhaps ``NAME_test.npy`` for each with those of
    test.csv. Images and captions can also be in what ``clip-retrieval inference`` writes:
    ``img_emb/img_emb_0.npy``, ``text_emb/text_emb_0.npy``, and so on, with the rows of train.csv,
    perhaps followed by those of test.csv. An absent test part has no rows.

    Args:
        folder: Where the embeddings are; only read.
        dataset_rows: Rows of train.csv.
        test_rows: Rows of test.csv, 0 if there is none.
        store: The folder of the cache; made if needed.
        ids: The ImageIDs of train.csv. With them, and if pyarrow is installed and clip-retrieval
            left its metadata, its rows are put in our order by file name; otherwise they must be
            in our order already.
        test_ids: The ImageIDs of test.csv.
        modalities: Which to take; None for all that are there.
        tables: What the rows are called in messages.

    Raises:
        InputError: The embeddings don't fit the rows, or hold values that float16 can't, or a
            file's name can't be that of a modality; all problems are listed.
        OSError: The store can't be written.
    """
    problems: list[str] = []
    names = names_in(folder, modalities, problems)
    files = array_files(folder)
    shards = [name for name in names if name not in files]
    # Without a test.csv nobody asks for its rows, nor for a modality that only they have.
    names = tuple(n for n in names if n in shards or test_rows or "train" in files[n])
    if not names and not problems:
        problems.append(nothing_there())
    counts = (dataset_rows, test_rows)
    faults: dict[str, list[str]] = {name: [] for name in names}
    sources: _Sources = {}
    for number, part in enumerate(_PARTS):
        for name in names:
            path = files.get(name, {}).get(part)
            if path is None or (part == "test" and not test_rows):
                continue
            array = open_array(path, path.name, faults[name])
            if array is None:
                continue
            if len(array) != counts[number]:
                faults[name].append(
                    f"{path.name} has {len(array)} rows, but {tables[number]} has {counts[number]}"
                )
            sources[part, name] = Source(path.name, [array], np.arange(len(array)))
    if shards:
        all_ids = None if ids is None else [*ids, *test_ids]
        sources |= find_clip_retrieval(folder, shards, dataset_rows, test_rows, all_ids, problems)
    advice = as_flag if modalities is None else None
    return _import(sources, faults, problems, store, folder_title(folder), tables, advice)


def import_arrays(
    arrays: Mapping[str, np.ndarray],
    rows: int,
    store: Path,
    *,
    test_arrays: Mapping[str, np.ndarray] | None = None,
    test_rows: int = 0,
    modalities: Sequence[str] | None = None,
    tables: tuple[str, str] = ("the labelled rows", "the test rows"),
) -> Features:
    """Check embeddings that are in memory and copy them into the store as float16.

    Equal values have the same key as those imported from files.

    Args:
        arrays: For each modality, float16, float32 or float64 [rows, D]; D may differ.
        rows: How many labelled rows there are.
        store: The folder of the cache; made if needed.
        test_arrays: Likewise for the rows to predict; None if there are no embeddings of them.
        test_rows: How many rows to predict there are.
        modalities: Which to take; None for all.
        tables: What the rows are called in messages.

    Raises:
        InputError: The embeddings don't fit the rows, or hold values that float16 can't, or a
            name can't be that of a modality; all problems are listed.
        OSError: The store can't be written.
    """
    problems: list[str] = []
    given = {"train": arrays, "test": test_arrays or {}}
    there = dict.fromkeys([*given["train"], *given["test"]])
    if not there:
        problems.append("features has no arrays, but must have one at least")
    names = named(there, modalities, "features['{}']", as_argument, problems)
    counts = (rows, test_rows)
    faults: dict[str, list[str]] = {name: [] for name in names}
    sources: _Sources = {}
    for number, part in enumerate(_PARTS):
        for name in names:
            if name not in given[part]:
                continue
            called = f"{'features' if part == 'train' else 'test'}['{name}']"
            array = np.asarray(given[part][name])
            if not check_array(array, called, (*FILE_TYPES, "float64"), faults[name]):
                continue
            if len(array) != counts[number]:
                faults[name].append(
                    f"{called} has {len(array)} rows, but {tables[number]} has {counts[number]}"
                )
            sources[part, name] = Source(called, [array], np.arange(len(array)))
    title = "The embeddings given can't be used:"
    advice = as_argument if modalities is None else None
    return _import(sources, faults, problems, store, title, tables, advice)


def _import(
    sources: _Sources,
    faults: Mapping[str, list[str]],
    problems: list[str],
    store: Path,
    title: str,
    tables: tuple[str, str],
    advice: Callable[[Sequence[str]], str] | None,
) -> Features:
    """Check the sources and put them into the store.

    Args:
        sources: What to take, by part and modality.
        faults: What is known to be wrong with each modality.
        problems: What else is known to be wrong.
        store: The folder of the cache.
        title: The line above the problems.
        tables: What the rows are called in messages.
        advice: Says how to take only some modalities; None to say nothing of it.
    """
    if not problems and not any(faults.values()):
        _check_parts(sources, tables, faults)
    hashes = {place: check_values(source, faults[place[1]]) for place, source in sources.items()}
    problems = [*problems, *(fault for name in faults for fault in faults[name])]
    good = [name for name in faults if not faults[name]]
    if good and len(good) < len(faults) and advice is not None:
        leave_out = ", ".join(name for name in faults if faults[name])
        problems.append(f"mend {leave_out} or leave it out: {advice(good)}")
    if problems:
        raise InputError(problems, title)
    key = content_key(
        {
            "format": 1,
            "import": {f"{part} {name}": value for (part, name), value in hashes.items()},
            "rows": {place[0]: len(source.rows) for place, source in sources.items()},
        }
    )
    target = features_folder(store, key)
    if target.exists():
        try:
            return load_features(target)
        except InputError:
            discard_folder(target)  # the sources are at hand
    _copy(sources, target, key)
    return load_features(target)


def _check_parts(
    sources: _Sources, tables: tuple[str, str], faults: Mapping[str, list[str]]
) -> None:
    """Check that the test part has the modalities and widths of the training part."""
    has_test = any(part == "test" for part, _ in sources)
    for modality in faults:
        train, test = (sources.get((part, modality)) for part in _PARTS)
        if test is not None and train is None:
            faults[modality].append(
                f"there are {modality} embeddings for {tables[1]}, but none for {tables[0]}"
            )
        elif has_test and train is not None and test is None:
            faults[modality].append(
                f"there are {modality} embeddings for {tables[0]}, but none for {tables[1]}, "
                "which has others"
            )
        elif train is not None and test is not None and train.width != test.width:
            faults[modality].append(
                f"{test.name} is {test.width} wide, but {train.name} is {train.width} wide"
            )


def _copy(sources: _Sources, target: Path, key: str) -> None:
    modalities = in_order(name for _, name in sources)
    widths = {modality: sources["train", modality].width for modality in modalities}
    info = FeatureInfo("import", "", "", "", widths)
    lengths = dict.fromkeys(_PARTS, 0)
    with build_folder(target) as building:
        for part in _PARTS:
            for modality in modalities:
                source = sources.get((part, modality))
                if source is not None:
                    lengths[part] = len(source.rows)
                shape = (lengths[part] if source is not None else 0, widths[modality])
                fill = functools.partial(_fill, source)
                write_array(array_path(building, part, modality), shape, fill)
        write_info(building, key, info, lengths["train"], lengths["test"])


def _fill(source: Source | None, out: np.ndarray) -> None:
    start = 0
    for rows, values in source.blocks() if source is not None else ():
        out[start : start + len(rows)] = as_float16(values)
        start += len(rows)
