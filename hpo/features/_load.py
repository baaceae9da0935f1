"""Data from Python: a folder, a DataFrame or arrays, checked like files."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import InputError
from hpo.features._data import Data
from hpo.features._encoder import DEFAULT_ENCODER
from hpo.features._features import Features
from hpo.features._import import import_arrays, import_features
from hpo.features._modalities import present_in
from hpo.features._progress import Progress
from hpo.features._source import DataOptions, encoded_data, folder_defaults, prepare_data

if TYPE_CHECKING:
    import pandas as pd

    from hpo.data import Dataset

__all__ = ["load_data"]


def load_data(
    source: "str | Path | pd.DataFrame | None" = None,
    *,
    features: "str | Path | Mapping[str, np.ndarray] | None" = None,
    encoder: str | None = None,
    labels: Any = None,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    test: "pd.DataFrame | Mapping[str, np.ndarray] | None" = None,
    columns: Mapping[str, Any] | None = None,
    modalities: Sequence[str] | None = None,
    cache: str | Path = ".hpo",
    device: str = "auto",
    skip_bad_images: bool = False,
    progress: Progress | bool = True,
) -> Data:
    """Load labelled rows and their embeddings; encode what isn't stored in the cache yet.

    >>> load_data("my-data", encoder="ViT-L-14/openai")            # images and captions
    >>> load_data("my-data", features="my-embeddings")             # embeddings in files
    >>> load_data(frame, encoder="ViT-L-14/openai")                # a DataFrame with image paths
    >>> load_data(frame, features={"image": image, "text": text})  # and embeddings in arrays
    >>> load_data(features={"audio": audio}, labels=multi_hot)     # arrays alone

    Args:
        source: A data folder with train.csv; ``"demo"``; a DataFrame with columns for labels and
            perhaps for image paths and captions; or None if ``labels`` are given.
        features: Embeddings that exist already, so that nothing is encoded: a folder with
            ``NAME.npy`` for each modality, or for each name an array [rows, D] of float16, float32
            or float64.
        encoder: open_clip's ``MODEL/PRETRAINED``, a folder or a file of weights; None for the data
            folder's default, else ViT-L-14/openai.
        labels: Without a source: a matrix of zeros and ones [rows, classes], or a list of labels
            for each row.
        classes: Without a source: the class names, in the order of the columns.
        ids: Without a source: a name for each row.
        test: Rows to predict: a DataFrame with the same columns; or, if ``features`` are arrays, an
            array [test rows, D] for each of them. A data folder has its own in test.csv, and needs
            only arrays here.
        columns: Which columns of a DataFrame are what, for example ``{"image": "path", "labels":
            ["cat", "dog"]}``; the kinds are image, caption, labels and split. What isn't given is
            guessed from unmistakable names, such as ImageID, Caption, Labels.
        modalities: Which embeddings to use; None for all that are there.
        cache: Where embeddings are kept, so that nothing is encoded twice.
        device: Where to encode: ``auto``, ``cpu``, ``cuda:0``, ….
        skip_bad_images: Leave out rows whose image is missing or damaged, instead of an error.
        progress: True shows the progress on standard error; False doesn't; or a function that is
            called with what is being done, items done, and items in all.

    Raises:
        InputError: Something is wrong with the data; all problems are listed.
    """
    arrays = features if isinstance(features, Mapping) else None
    folder = Path(features) if isinstance(features, str | Path) else None
    test_arrays = test if isinstance(test, Mapping) else None
    _check_arguments(
        source, features, encoder, labels, classes, ids, test, columns, skip_bad_images
    )
    store = Path(cache).absolute()
    if isinstance(source, str | Path):
        options = DataOptions(
            data=source,
            features=folder,
            encoder=encoder,
            cache=store,
            device=device,
            skip_bad_images=skip_bad_images,
            modalities=None if modalities is None else tuple(modalities),
        )
        defaults = folder_defaults(options)
        if arrays is None:
            return prepare_data(options, defaults, progress=progress)
        from hpo.data import load_dataset

        dataset = load_dataset(options.folder, images="ignore")
        found = _import_arrays(dataset, arrays, test_arrays, store, modalities)
        return Data(dataset, found, store, defaults.settings, _describe(source, found, dataset))

    from hpo.data import dataset_of_arrays, dataset_of_frame

    if source is None:
        dataset = dataset_of_arrays(
            labels, classes=classes, ids=ids, test_rows=_count(test_arrays or {})
        )
    else:
        dataset = dataset_of_frame(
            source,
            test=None if isinstance(test, Mapping) else test,
            columns=columns,
            images="exist" if features is None else "ignore",
            skip_bad_images=skip_bad_images,
        )
        if test_arrays:
            dataset = _with_test_rows(dataset, test_arrays)
    if arrays is not None:
        found = _import_arrays(dataset, arrays, test_arrays, store, modalities)
    elif folder is not None:
        found = _import_folder(dataset, folder, store, modalities)
    else:
        dataset, found = encoded_data(
            dataset,
            encoder or DEFAULT_ENCODER,
            store,
            modalities=_to_encode(dataset) if modalities is None else modalities,
            device=device,
            skip_bad_images=skip_bad_images,
            progress=progress,
        )
    return Data(dataset, found, store, {}, _describe(source, found, dataset))


def _check_arguments(
    source: object,
    features: object,
    encoder: object,
    labels: object,
    classes: object,
    ids: object,
    test: object,
    columns: object,
    skip_bad_images: bool,
) -> None:
    """Refuse arguments of the wrong kind or that don't go together, all at once."""
    problems = []
    is_folder, is_frame = isinstance(source, str | Path), _is_frame(source)
    if not (is_folder or is_frame or source is None):
        problems.append(
            f"source is of type {type(source).__name__}, but must be a folder, 'demo', a "
            "DataFrame or None"
        )
    if not (features is None or isinstance(features, str | Path | Mapping)):
        problems.append(
            f"features is of type {type(features).__name__}, but must be a folder or a mapping of "
            "names to arrays"
        )
    if not (test is None or isinstance(test, Mapping) or _is_frame(test)):
        problems.append(
            f"test is of type {type(test).__name__}, but must be a DataFrame or a mapping of "
            "names to arrays"
        )
    if source is None:
        if labels is None:
            problems.append("there is neither a source nor labels, but must be one of them")
        if not isinstance(features, Mapping):
            problems.append("labels without a source need features, a mapping of names to arrays")
    else:
        problems += [
            f"{name} can't go with a source, which has its own"
            for name, value in (("labels", labels), ("classes", classes), ("ids", ids))
            if value is not None
        ]
    if features is not None and encoder is not None:
        problems.append("features are embeddings that exist already, so they can't go with encoder")
    if features is not None and skip_bad_images:
        problems.append("skip_bad_images is about images, so it can't go with features")
    if isinstance(test, Mapping) and not isinstance(features, Mapping):
        problems.append("test has arrays, so features must have arrays too")
    if _is_frame(test) and (not is_frame or isinstance(features, Mapping)):
        problems.append(
            "test is a DataFrame, which can't go with "
            + ("arrays as features; give arrays" if is_frame or source is None else "a folder")
        )
    if columns is not None and not is_frame:
        problems.append("columns are those of a DataFrame, so they need one as source")
    if problems:
        raise InputError(problems, "These arguments don't make data:")


def _is_frame(value: object) -> bool:
    # A DataFrame can't come from a pandas that nobody imported, and importing it takes a second.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _to_encode(dataset: "Dataset") -> tuple[str, ...]:
    """Return the modalities that the rows of a DataFrame have something for."""
    names = present_in(dataset.train)
    if not names:
        raise InputError(
            "the frame has neither a column of images nor one of captions, so there is nothing to "
            "encode; name one with columns={'image': …} or {'caption': …}, or pass features"
        )
    return names


def _with_test_rows(dataset: "Dataset", arrays: Mapping[str, np.ndarray]) -> "Dataset":
    """Add as many unnamed rows to predict as the arrays have."""
    from hpo.data import Rows

    count = _count(arrays)
    ids = tuple(f"test_{index}" for index in range(count))
    return replace(dataset, test=Rows(ids, ("",) * count, None, table="test"))


def _count(arrays: Mapping[str, np.ndarray]) -> int:
    """Return how many rows the arrays have; if they differ, ``import_arrays`` says which do."""
    return max((np.shape(array)[0] for array in arrays.values() if np.ndim(array)), default=0)


def _import_arrays(
    dataset: "Dataset",
    arrays: Mapping[str, np.ndarray],
    test_arrays: Mapping[str, np.ndarray] | None,
    store: Path,
    modalities: Sequence[str] | None,
) -> Features:
    test = dataset.test
    return import_arrays(
        arrays,
        len(dataset.train),
        store,
        test_arrays=test_arrays,
        test_rows=0 if test is None else len(test),
        modalities=modalities,
        tables=_tables(dataset),
    )


def _import_folder(
    dataset: "Dataset", folder: Path, store: Path, modalities: Sequence[str] | None
) -> Features:
    test = dataset.test
    return import_features(
        folder,
        len(dataset.train),
        0 if test is None else len(test),
        store,
        ids=dataset.train.ids,
        test_ids=() if test is None else test.ids,
        modalities=modalities,
        tables=_tables(dataset),
    )


def _tables(dataset: "Dataset") -> tuple[str, str]:
    test = dataset.test
    return dataset.train.source, "test" if test is None else test.source


def _describe(source: object, features: Features, dataset: "Dataset") -> dict[str, Any]:
    """Say where data that isn't all in files comes from, as ``prepare_data`` does for folders."""
    named = str(source) if isinstance(source, str | Path) else None
    return {
        "data": named or ("arrays" if source is None else "a DataFrame"),
        "encoder": features.info.encoder or "embeddings that were given",
        "train_csv_sha256": dataset.fingerprint,
        "skipped": len(dataset.skipped),
    }
