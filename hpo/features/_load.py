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
from hpo.features._gather import ArraySource
from hpo.features._import import import_arrays, import_features
from hpo.features._modalities import ENCODED, present_in, reads_images
from hpo.features._progress import Progress
from hpo.features._source import (
    DataOptions,
    describe,
    encoded_data,
    folder_defaults,
    gathered_data,
    prepare_data,
)

if TYPE_CHECKING:
    import pandas as pd

    from hpo.data import Dataset

__all__ = ["load_data"]

_GIVEN = "embeddings that were given"


def load_data(
    source: "str | Path | pd.DataFrame | None" = None,
    *,
    features: "str | Path | Mapping[str, Any] | None" = None,
    encoder: str | Sequence[str] | Mapping[str, str] | None = None,
    labels: Any = None,
    classes: Sequence[str] | None = None,
    ids: Sequence[str] | None = None,
    test: "pd.DataFrame | Mapping[str, Any] | None" = None,
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

    With several encoders, or several sets of embeddings by name, configurations choose among them
    by ``encoder``:

    >>> load_data("my-data", encoder=["ViT-B-32/openai", "ViT-L-14/openai"])
    >>> load_data("my-data", features={"clip": "clip-embeddings", "dino": "dino-embeddings"})

    Args:
        source: A data folder with train.csv; ``"demo"``; a DataFrame with columns for labels and
            perhaps for image paths and captions; or None if ``labels`` are given.
        features: Embeddings that exist already, so that nothing is encoded: a folder with
            ``NAME.npy`` for each modality, or for each name an array [rows, D] of float16, float32
            or float64. Or several sources: for the name of each, such a folder or such arrays.
        encoder: open_clip's ``MODEL/PRETRAINED``, a folder or a file of weights; None for the data
            folder's default, else ViT-L-14/openai. Or several: a list, or a mapping of names to
            them. Beside ``features`` it can only stand where both have names.
        labels: Without a source: a matrix of zeros and ones [rows, classes], or a list of labels
            for each row.
        classes: Without a source: the class names, in the order of the columns.
        ids: Without a source: a name for each row.
        test: Rows to predict: a DataFrame with the same columns; or, if ``features`` are arrays, an
            array [test rows, D] for each of them, with several sources under the name of each. A
            data folder has its own in test.csv, and needs only arrays here.
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
    _check_arguments(
        source, features, encoder, labels, classes, ids, test, columns, skip_bad_images
    )
    several = _is_several(features)
    arrays = features if isinstance(features, Mapping) and not several else None
    folder = Path(features) if isinstance(features, str | Path) else None
    test_arrays = test if isinstance(test, Mapping) else None
    imported = _imported(features, test_arrays or {}) if several else {}
    encoders = _encoders(encoder, several)
    named = bool(imported or encoders)
    store = Path(cache).absolute()
    options = DataOptions(
        data=_called(source),
        features=folder,
        encoder=encoder if isinstance(encoder, str) else None,
        cache=store,
        device=device,
        skip_bad_images=skip_bad_images,
        modalities=None if modalities is None else tuple(modalities),
    )
    if isinstance(source, str | Path):
        defaults = folder_defaults(options)
        if arrays is None and not named:
            return prepare_data(options, defaults, progress=progress)
        from hpo.data import load_dataset

        with_images = bool(encoders) and reads_images(options.modalities or ENCODED)
        dataset = load_dataset(
            options.folder,
            images="exist" if with_images else "ignore",
            skip_bad_images=skip_bad_images,
        )
        if arrays is None:
            return gathered_data(dataset, imported, encoders, options, defaults.settings, progress)
        found = _import_arrays(dataset, arrays, test_arrays, store, modalities)
        description = describe(str(source), {_GIVEN: found}, dataset)
        return Data(dataset, found, store, defaults.settings, description)

    from hpo.data import dataset_of_arrays, dataset_of_frame

    test_rows = _count(test_arrays or {})
    if source is None:
        dataset = dataset_of_arrays(labels, classes=classes, ids=ids, test_rows=test_rows)
    else:
        dataset = dataset_of_frame(
            source,
            test=None if isinstance(test, Mapping) else test,
            columns=columns,
            images="exist" if features is None or encoders else "ignore",
            skip_bad_images=skip_bad_images,
        )
        if test_arrays:
            dataset = _with_test_rows(dataset, test_rows)
    if named:
        possible = _to_encode(dataset) if encoders else tuple(ENCODED)
        return gathered_data(dataset, imported, encoders, options, {}, progress, possible=possible)
    if arrays is not None:
        found = _import_arrays(dataset, arrays, test_arrays, store, modalities)
    elif folder is not None:
        found = _import_folder(dataset, folder, store, modalities)
    else:
        dataset, found = encoded_data(
            dataset,
            options.encoder if isinstance(options.encoder, str) else DEFAULT_ENCODER,
            store,
            modalities=_to_encode(dataset) if modalities is None else modalities,
            device=device,
            skip_bad_images=skip_bad_images,
            progress=progress,
        )
    description = describe(_called(source), {found.info.encoder or _GIVEN: found}, dataset)
    return Data(dataset, found, store, {}, description)


def _called(source: object) -> str:
    """Return what data is called: its folder, or how it was given."""
    if isinstance(source, str | Path):
        return str(source)
    return "arrays" if source is None else "a DataFrame"


def _is_several(features: object) -> bool:
    """Say whether embeddings are several sources by name, rather than arrays by modality."""
    return isinstance(features, Mapping) and any(
        isinstance(value, str | Path | Mapping) for value in features.values()
    )


def _imported(
    features: Any, test: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, Path | ArraySource]:
    """Return named sources of embeddings that exist already, with those of rows to predict."""
    return {
        name: ArraySource(value, test.get(name, {})) if isinstance(value, Mapping) else Path(value)
        for name, value in features.items()
    }


def _encoders(
    encoder: str | Sequence[str] | Mapping[str, str] | None, named: bool
) -> dict[str, str]:
    """Return encoders by name; none where there is one that needs no name.

    Args:
        encoder: As ``load_data`` was given it.
        named: Whether there are other sources with names.
    """
    if isinstance(encoder, str):
        return {encoder: encoder} if named else {}
    if isinstance(encoder, Mapping):
        return dict(encoder)
    return {name: name for name in encoder or ()}


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
    several = _is_several(features)
    problems += _source_problems(features, test) if several else []
    if not isinstance(encoder, str) and encoder is not None:
        problems += _encoder_problems(encoder)
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
        if several and encoder is not None:
            problems.append(
                "there is nothing to encode without a source, so encoder can't be given"
            )
    else:
        problems += [
            f"{name} can't go with a source, which has its own"
            for name, value in (("labels", labels), ("classes", classes), ("ids", ids))
            if value is not None
        ]
    if features is not None and encoder is not None and not several:
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


def _source_problems(features: Any, test: object) -> list[str]:
    """Say what is wrong with embeddings that are several sources by name."""
    problems = [
        f"features['{name}'] is of type {type(value).__name__}, but must be a folder or a mapping "
        "of modalities to arrays, as the other sources are"
        for name, value in features.items()
        if not isinstance(value, str | Path | Mapping)
    ]
    if isinstance(test, Mapping):
        problems += [
            f"test['{name}'] must be a mapping of modalities to arrays, for a source of features "
            "that is one, too"
            for name, value in test.items()
            if not isinstance(value, Mapping) or not isinstance(features.get(name), Mapping)
        ]
    return problems


def _encoder_problems(encoder: Any) -> list[str]:
    """Say what is wrong with several encoders."""
    if not isinstance(encoder, Sequence | Mapping):
        kind = type(encoder).__name__
        return [f"encoder is of type {kind}, but must be a name, a list or a mapping of names"]
    if not encoder:
        return ["encoder is empty, but must name one at least"]
    values = encoder.values() if isinstance(encoder, Mapping) else encoder
    problems = [
        f"encoder has {value!r} in it, but must have names of encoders"
        for value in values
        if not isinstance(value, str)
    ]
    if not isinstance(encoder, Mapping):
        twice = sorted({name for name in encoder if list(encoder).count(name) > 1})
        problems += [f"encoder has '{name}' twice, but must have it once" for name in twice]
    return problems


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


def _with_test_rows(dataset: "Dataset", count: int) -> "Dataset":
    """Add as many unnamed rows to predict."""
    from hpo.data import Rows

    ids = tuple(f"test_{index}" for index in range(count))
    return replace(dataset, test=Rows(ids, ("",) * count, None, table="test"))


def _count(arrays: Mapping[str, Any]) -> int:
    """Return how many rows the arrays have; if they differ, ``import_arrays`` says which do."""
    inner = [a for v in arrays.values() for a in (v.values() if isinstance(v, Mapping) else [v])]
    return max((np.shape(array)[0] for array in inner if np.ndim(array)), default=0)


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
