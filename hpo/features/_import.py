"""Take over embeddings that exist already: check everything, then copy them as float16."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from hpo.errors import InputError
from hpo.features._arrays import Source, as_float16, check_values, open_array
from hpo.features._clip_retrieval import find_clip_retrieval
from hpo.features._features import (
    MODALITIES,
    FeatureInfo,
    Features,
    array_path,
    features_folder,
    load_features,
    write_info,
)
from hpo.features._folder import build_folder, discard_folder
from hpo.files import content_key

__all__ = ["import_features"]

_PARTS = ("train", "test")


def import_features(
    folder: Path,
    dataset_rows: int,
    test_rows: int,
    store: Path,
    *,
    ids: Sequence[str] | None = None,
    test_ids: Sequence[str] = (),
) -> Features:
    """Check embeddings made elsewhere and copy them into the store as float16.

    The folder holds ``image.npy`` and/or ``text.npy`` with the rows of train.csv, perhaps
    ``image_test.npy`` and ``text_test.npy`` with those of test.csv; or what ``clip-retrieval
    inference`` writes: ``img_emb/img_emb_0.npy``, ``text_emb/text_emb_0.npy``, and so on, with
    the rows of train.csv, perhaps followed by those of test.csv. An absent modality is absent
    from the result; an absent test part has no rows.

    Args:
        folder: Where the embeddings are; only read.
        dataset_rows: Rows of train.csv.
        test_rows: Rows of test.csv, 0 if there is none.
        store: The folder of the cache; made if needed.
        ids: The ImageIDs of train.csv. With them, and if pyarrow is installed and clip-retrieval
            left its metadata, its rows are put in our order by file name; otherwise they must be
            in our order already.
        test_ids: The ImageIDs of test.csv.

    Raises:
        InputError: The embeddings don't fit the rows, or hold values that float16 can't; all
            problems are listed.
        OSError: The store can't be written.
    """
    problems: list[str] = []
    plain = [f"{name}{ending}.npy" for name in MODALITIES for ending in ("", "_test")]
    if any((folder / name).exists() for name in plain):
        sources = _find_plain(folder, dataset_rows, test_rows, problems)
    else:
        all_ids = None if ids is None else [*ids, *test_ids]
        sources = find_clip_retrieval(folder, dataset_rows, test_rows, all_ids, problems)
    if not folder.is_dir():
        problems.append("there is no such folder")
    elif not sources and not problems:
        problems.append("there is neither image.npy nor text.npy, nor img_emb/ or text_emb/")
    _check_parts(sources, problems)
    hashes = {place: check_values(source, problems) for place, source in sources.items()}
    if problems:
        raise InputError(problems, f"The embeddings folder '{folder}' can't be used:")
    modalities = [name for name in MODALITIES if ("train", name) in sources]
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
    _copy(sources, modalities, target, key)
    return load_features(target)


def _find_plain(
    folder: Path, dataset_rows: int, test_rows: int, problems: list[str]
) -> dict[tuple[str, str], Source]:
    """Open image.npy, text.npy and their test parts; the keys are (part, modality)."""
    sources = {}
    parts = [("train", "", "train.csv", dataset_rows), ("test", "_test", "test.csv", test_rows)]
    for part, ending, table, rows in parts:
        for modality in MODALITIES:
            path = folder / f"{modality}{ending}.npy"
            # Without a test.csv nobody asks for these rows.
            if not path.exists() or (part == "test" and not test_rows):
                continue
            array = open_array(path, path.name, problems)
            if array is None:
                continue
            if len(array) != rows:
                problems.append(f"{path.name} has {len(array)} rows, but {table} has {rows}")
            sources[part, modality] = Source(path.name, [array], np.arange(len(array)))
    return sources


def _check_parts(sources: Mapping[tuple[str, str], Source], problems: list[str]) -> None:
    """Check that the test part has the modalities and widths of the training part."""
    if problems:
        return  # what is missing may be what couldn't be opened
    has_test = any(part == "test" for part, _ in sources)
    for modality in MODALITIES:
        train, test = (sources.get((part, modality)) for part in _PARTS)
        if test is not None and train is None:
            problems.append(f"there are {modality} embeddings for test.csv, but none for train.csv")
        elif has_test and train is not None and test is None:
            problems.append(
                f"there are {modality} embeddings for train.csv, but none for test.csv, which has "
                "others"
            )
        elif train is not None and test is not None and train.width != test.width:
            problems.append(
                f"{test.name} is {test.width} wide, but {train.name} is {train.width} wide"
            )


def _copy(
    sources: Mapping[tuple[str, str], Source], modalities: Sequence[str], target: Path, key: str
) -> None:
    widths = {modality: sources["train", modality].width for modality in modalities}
    info = FeatureInfo("import", "", "", "", widths)
    lengths = dict.fromkeys(_PARTS, 0)
    with build_folder(target) as building:
        for part in _PARTS:
            for modality in modalities:
                source = sources.get((part, modality))
                path = array_path(building, part, modality)
                if source is None:
                    np.save(path, np.empty((0, widths[modality]), np.float16), allow_pickle=False)
                    continue
                lengths[part] = len(source.rows)
                shape = (len(source.rows), source.width)
                out = np.lib.format.open_memmap(path, "w+", np.float16, shape)
                start = 0
                for rows, values in source.blocks():
                    out[start : start + len(rows)] = as_float16(values)
                    start += len(rows)
                out.flush()
        write_info(building, key, info, lengths["train"], lengths["test"])
