"""Take over embeddings that exist already: check everything, then copy them as float16."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import Source, as_float16, check_values
from hpo.features._clip_retrieval import find_clip_retrieval
from hpo.features._features import (
    FeatureInfo,
    Features,
    array_path,
    features_folder,
    load_features,
    open_features,
    write_array,
    write_info,
)
from hpo.features._folder import build_folder
from hpo.features._found import Found, array_files, find_arrays, found_in_memory
from hpo.features._import_names import (
    as_argument,
    as_flag,
    folder_title,
    named,
    names_in,
    nothing_there,
)
from hpo.features._match import ABSENT, Wanted
from hpo.features._modalities import in_order
from hpo.features._names_beside import tables_among
from hpo.features._order import Ordered, length_notes, notes_on, order_rows, type_notes, zero_notes
from hpo.features._unread import pieces_advice, unread_notes
from hpo.files import content_key

__all__ = ["import_arrays", "import_features", "take_features"]

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
    captions: Sequence[str] = (),
    test_captions: Sequence[str] = (),
    averaged: bool = False,
    modalities: Sequence[str] | None = None,
    tables: tuple[str, str] = ("train.csv", "test.csv"),
    skip_absent: bool = False,
    data: Path | None = None,
) -> Features:
    """Check embeddings made elsewhere and copy them into the store as float16.

    The folder holds a file ``NAME.npy`` for each modality, such as ``image.npy``, ``text.npy`` or
    ``audio.npy``, with the rows of train.csv, and perhaps ``NAME_test.npy`` for each with those of
    test.csv; or files of the other formats of ``hpo/features/_formats.py``. Images and captions can
    also be in what ``clip-retrieval inference`` writes: ``img_emb/img_emb_0.npy``,
    ``text_emb/text_emb_0.npy``, and so on, with the rows of train.csv, perhaps followed by those of
    test.csv. An absent test part has no rows.

    Rows are put in our order by what lies beside an array: ImageIDs, file names, keys or captions
    in a file of their own (``image_ids.txt``, ``ids.npy``, ``names.json``, ``image.csv``), in the
    same file, or in clip-retrieval's metadata. Where there is nothing, they must be in our order
    already, and a note says that this was taken on trust.

    Args:
        folder: Where the embeddings are; only read.
        dataset_rows: Rows of train.csv.
        test_rows: Rows of test.csv, 0 if there is none.
        store: The folder of the cache; made if needed.
        ids: The ImageIDs of train.csv; without them nothing can be compared.
        test_ids: The ImageIDs of test.csv.
        captions: The captions of train.csv.
        test_captions: The captions of test.csv.
        averaged: Whether rows have further captions, so that one of them names no row.
        modalities: Which to take; None for all that are there.
        tables: What the rows are called in messages.
        skip_absent: Leave out rows that have no embedding, or one of NaN, and name them in
            ``Features.left_out``, instead of raising an error.
        data: The data folder. Where the embeddings lie in it, its own tables say nothing of their
            order.

    Raises:
        InputError: The embeddings don't fit the rows, or hold values that float16 can't, or a
            file's name can't be that of a modality; all problems are listed.
        OSError: The store can't be written.
    """
    problems: list[str] = []
    names = names_in(folder, modalities, problems)
    files = array_files(folder, []) if folder.is_dir() else {}
    shards = [name for name in names if name not in files]
    # Without a test.csv nobody asks for its rows, nor for a modality that only they have.
    names = tuple(n for n in names if n in shards or test_rows or "train" in files[n])
    if not names and not problems:
        problems.append(nothing_there(folder))
    parts = {"train": Wanted(ids or [""] * dataset_rows, captions, tables[0], averaged)}
    if test_rows:
        parts["test"] = Wanted(test_ids or [""] * test_rows, test_captions, tables[1], averaged)
    faults: dict[str, list[str]] = {name: [] for name in names}
    wanted = {
        name: [part for part in files[name] if part in parts] for name in names if name in files
    }
    own = tables_among(folder, data)
    found = find_arrays(folder, files, wanted, faults, own)
    if shards:
        found |= find_clip_retrieval(folder, shards, problems, own)
    ordered: dict[tuple[str, str], Ordered] = {}
    for (_, name), one in found.items():
        given = order_rows(
            one,
            name,
            parts,
            faults[name] if name in files else problems,
            matched=ids is not None,
            own_test=("test", name) in found,
            skip=skip_absent,
        )
        ordered |= {(part, name): of_part for part, of_part in given.items()}
    if not problems and not any(faults.values()):
        problems += _without_test(ordered, tables[1], test_rows, "{}_test.npy")
    if any(faults.values()):
        lengths = {name: len(one) for (part, name), one in found.items() if part == "train"}
        problems += pieces_advice(lengths, dataset_rows)
    advice = as_flag if modalities is None else None
    title = folder_title(folder)
    features = _take(ordered, faults, problems, store, title, tables, advice, skip_absent)
    notes = [
        *notes_on(ordered),
        *features.notes,
        *type_notes(found.values()),
        *unread_notes(folder, files, ordered.values(), names=names, has_test=bool(test_rows)),
    ]
    return replace(features, notes=tuple(notes))


def _without_test(
    ordered: Mapping[tuple[str, str], Ordered], table: str, rows: int, place: str
) -> list[str]:
    """Say that rows to predict have no embeddings, if that is so.

    Args:
        ordered: What there is, by part and modality.
        table: What the rows to predict are called.
        rows: How many there are.
        place: Where the embeddings of a modality may be put.
    """
    if not rows or any(part == "test" for part, _ in ordered):
        return []
    places = ", ".join(place.format(name) for _, name in ordered)
    return [
        f"{table} has {rows:,} rows to predict, but there are no embeddings of them; put them into "
        f"{places}, or leave these rows out: --skip-test (from Python skip_test=True, or no test)"
    ]


def _absent_rows(ordered: Mapping[tuple[str, str], Ordered]) -> dict[str, dict[int, str]]:
    """Say which rows of each part lack an embedding, by their index."""
    absent: dict[str, dict[int, str]] = {}
    for (part, _), one in ordered.items():
        source, faults = one.source, absent.setdefault(part, {})
        missing = source.rows == ABSENT
        for index in np.flatnonzero(missing).tolist():
            faults[index] = f"row {index} of {one.table} is not in {source.name}"
        there = np.flatnonzero(~missing)
        start = 0
        for rows, values in replace(source, rows=source.rows[there]).blocks():
            for offset in np.flatnonzero(np.isnan(values).all(axis=1)).tolist():
                index = int(there[start + offset])
                faults[index] = f"row {index} of {one.table} is NaN in {source.name}"
            start += len(rows)
    return {part: faults for part, faults in absent.items() if faults}


def import_arrays(
    arrays: Mapping[str, Any],
    rows: int,
    store: Path,
    *,
    test_arrays: Mapping[str, Any] | None = None,
    test_rows: int = 0,
    ids: Sequence[str] | None = None,
    test_ids: Sequence[str] = (),
    modalities: Sequence[str] | None = None,
    tables: tuple[str, str] = ("the labelled rows", "the test rows"),
    skip_absent: bool = False,
) -> Features:
    """Check embeddings that are in memory and copy them into the store as float16.

    Equal values have the same key as those imported from files.

    Args:
        arrays: For each modality, float16, float32, float64 or int8 [rows, D]; D may differ. A
            DataFrame of such values whose index has ImageIDs is put in our order by them.
        rows: How many labelled rows there are.
        store: The folder of the cache; made if needed.
        test_arrays: Likewise for the rows to predict; None if there are no embeddings of them.
        test_rows: How many rows to predict there are.
        ids: The ImageIDs of the labelled rows; None if the rows have no names, so that an order
            can't be wrong.
        test_ids: Those of the rows to predict.
        modalities: Which to take; None for all.
        tables: What the rows are called in messages.
        skip_absent: See ``import_features``.

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
    names = named(there, modalities, "features['{}']".format, as_argument, problems)
    parts = {
        "train": Wanted(ids or [""] * rows, (), tables[0]),
        "test": Wanted(test_ids or [""] * test_rows, (), tables[1]),
    }
    faults: dict[str, list[str]] = {name: [] for name in names}
    found: list[Found] = []
    ordered: dict[tuple[str, str], Ordered] = {}
    for part in _PARTS:
        for name in names:
            if name not in given[part]:
                continue
            called = f"{'features' if part == 'train' else 'test'}['{name}']"
            one = found_in_memory(given[part][name], called, part, faults[name])
            if one is None:
                continue
            found.append(one)
            in_order = order_rows(
                one,
                name,
                parts,
                faults[name],
                matched=ids is not None,
                own_test=True,
                skip=skip_absent,
            )
            ordered |= {(part, name): of_part for part, of_part in in_order.items()}
    if not any(faults.values()):
        problems += _without_test(ordered, tables[1], test_rows, "test['{}']")
    title = "The embeddings given can't be used:"
    advice = as_argument if modalities is None else None
    features = _take(ordered, faults, problems, store, title, tables, advice, skip_absent)
    notes = [] if ids is None else notes_on(ordered)
    return replace(features, notes=(*notes, *features.notes, *type_notes(found)))


def take_features(features: Features, kept: Mapping[str, np.ndarray], store: Path) -> Features:
    """Return embeddings of some of the rows, in the store.

    Args:
        features: The embeddings of all rows.
        kept: int64, the rows of ``train`` and, if there are any, of ``test`` to keep, in order.
        store: The folder of the cache.

    Raises:
        OSError: The store can't be written.
    """
    sources = {
        (part, name): Source(name, [array], kept[part])
        for part, arrays in (("train", features.train), ("test", features.test))
        for name, array in arrays.items()
        if len(array)
    }
    faults: dict[str, list[str]] = {name: [] for name in features.train}
    taken = _import(sources, faults, [], store, "", ("", ""), None)
    return replace(taken, notes=features.notes)


def _take(
    ordered: Mapping[tuple[str, str], Ordered],
    faults: Mapping[str, list[str]],
    problems: list[str],
    store: Path,
    title: str,
    tables: tuple[str, str],
    advice: Callable[[Sequence[str]], str] | None,
    skip_absent: bool,
) -> Features:
    """Import embeddings in our order, without the rows that may be absent and are."""
    sources = {place: one.source for place, one in ordered.items()}
    left_out = _absent_rows(ordered) if skip_absent else {}
    for place, source in sources.items() if left_out else ():
        rows = np.delete(source.rows, list(left_out.get(place[0], ())))
        sources[place] = replace(source, rows=rows)
        if not len(rows):
            faults[place[1]].append(f"{source.name} has none of the rows of {ordered[place].table}")
    features = _import(sources, faults, problems, store, title, tables, advice)
    return replace(features, left_out=left_out)


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
    notes = []
    hashes = {}
    for place, source in sources.items():
        zeros: list[int] = []
        hashes[place] = check_values(source, faults[place[1]], zeros=zeros)
        notes += zero_notes(source.name, zeros)
    notes += length_notes(sources)
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
    found = open_features(store, key)
    if found is None:
        target = features_folder(store, key)
        _copy(sources, target, key)
        found = load_features(target)
    return replace(found, notes=tuple(notes))


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
