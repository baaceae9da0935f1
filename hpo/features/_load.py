"""Data from Python: a folder, a DataFrame or arrays, checked like files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo._writable import check_folder
from hpo.errors import InputError
from hpo.features._data import Data
from hpo.features._data_options import DataOptions, folder_defaults
from hpo.features._encoder import DEFAULT_ENCODER
from hpo.features._gather import ArraySource, Encoding
from hpo.features._given_rows import (
    count_rows,
    ids_of,
    is_named,
    names_rows,
    values_of,
    with_test_rows,
)
from hpo.features._load_arguments import (
    check_arguments,
    check_listed,
    check_others,
    is_several,
)
from hpo.features._long_captions import LongCaptions, check_rule
from hpo.features._modalities import ENCODED, present_in, reads_images
from hpo.features._progress import Progress
from hpo.features._source import (
    describe,
    encodable,
    encoded_data,
    gathered_data,
    imported_data,
    prepare_data,
)
from hpo.notes import refuse_doubts

if TYPE_CHECKING:
    import pandas as pd

    from hpo.data import CaptionRule, Dataset

__all__ = ["load_data"]

_GIVEN = "embeddings that were given"
_log = logging.getLogger(__name__)


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
    captions: "CaptionRule | None" = None,
    labels_as: str | None = None,
    no_label: str | Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    cache: str | Path = ".hpo",
    device: str = "auto",
    skip_bad_images: bool = False,
    long_captions: LongCaptions | None = None,
    skip_test: bool = False,
    strict: bool = False,
    progress: Progress | bool = True,
) -> Data:
    """Load labelled rows and their embeddings; encode what isn't stored in the cache yet.

        >>> load_data("my-data", encoder="ViT-L-14/openai")            # images and captions
        >>> load_data("my-data", features="my-embeddings")             # embeddings in files
        >>> load_data(frame, encoder="ViT-L-14/openai")                # a DataFrame with paths
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
            ``NAME.npy`` for each modality, or for each name an array [rows, D] of floats, or a
            DataFrame whose index has the ImageIDs. Or several sources: for the name of each, such a
            folder or such arrays.
        encoder: open_clip's ``MODEL/PRETRAINED``, a folder or a file of weights; None for the data
            folder's default, else ViT-L-14/openai. Or several: a list, or a mapping of names to
            them. Beside ``features`` it can only stand where both have names.
        labels: Without a source: a matrix of zeros and ones [rows, classes], or a list of labels
            for each row.
        classes: All class names, in the order that they get: those of the columns of a matrix or
            of vectors of zeros and ones, or all that rows may name. None takes those that occur.
        ids: Without a source: a name for each row.
        test: Rows to predict: a DataFrame with the same columns; or, if ``features`` are arrays, an
            array [test rows, D] for each of them, with several sources under the name of each. A
            data folder has its own in test.csv, and needs only arrays here.
        columns: Which columns of a DataFrame, or of a folder's tables, are what, for example
            ``{"image": "path", "labels": ["cat", "dog"]}``; the kinds are image, caption, labels,
            split and id. What isn't given is guessed from unmistakable names, such as ImageID,
            Caption, Labels.
        captions: What several captions of a picture mean: ``mean`` of their embeddings, ``first``
            alone, or a row for ``each``. None takes the mean of those in one cell, and refuses
            pictures on several rows.
        labels_as: How labels are written, where that is in doubt: ``one`` name; names separated by
            ``blanks``, ``commas``, ``semicolons`` or ``bars``; a ``list`` in JSON's or Python's
            spelling; or ``multi-hot``, a vector of zeros and ones. Each piece of a name or list is
            then a class as it is written.
        no_label: What a row's labels say that has none, such as ``nan``; one word or several.
        modalities: Which embeddings to use; None for all that are there.
        cache: Where embeddings are kept, so that nothing is encoded twice.
        device: Where to encode: ``auto``, ``cpu``, ``cuda:0``, ….
        skip_bad_images: Leave out rows whose image is missing or damaged, or that ``features``
            haven't got or have as NaN, instead of an error.
        long_captions: What is done to captions that are longer than the encoder's context:
            ``truncate`` cuts off their end, ``mean`` averages the embeddings of their parts,
            ``refuse`` is an error. A model does the same to what it predicts. None for
            ``truncate``.
        skip_test: Leave the rows to predict of a data folder alone.
        strict: Refuse data that isn't read without doubt; otherwise what was done to it, or taken
            on trust, is logged, and stands in the ``notes`` of what is returned.
        progress: True shows the progress on standard error; False doesn't; or a function that is
            called with what is being done, items done, and items in all.

    Raises:
        InputError: Something is wrong with the data; all problems are listed.
    """
    from hpo.data import LabelsAs, dataset_of_arrays, dataset_of_frame

    check_arguments(
        source, features, encoder, labels, ids, test, columns, captions, skip_test=skip_test
    )
    check_listed(classes, "classes")
    check_listed(modalities, "modalities")
    check_others(
        cache,
        device,
        progress,
        skip_bad_images=skip_bad_images,
        skip_test=skip_test,
        strict=strict,
    )
    check_folder(Path(cache), "cache")
    options = DataOptions(
        data=_called(source),
        features=Path(features) if isinstance(features, str | Path) else None,
        encoder=encoder if isinstance(encoder, str) else None,
        cache=Path(cache).absolute(),
        device=device,
        skip_bad_images=skip_bad_images,
        modalities=None if modalities is None else tuple(modalities),
        strict=strict,
        columns=dict(columns or {}),
        captions=captions,
        labels_as=LabelsAs.of(labels_as, classes, no_label),
        long_captions=long_captions,
        skip_test=skip_test,
    )
    if long_captions is not None:
        check_rule(long_captions)
        if features is not None and encoder is None:
            raise InputError(
                "long_captions is about captions that are encoded, so it can't go with features "
                "alone"
            )
    several = is_several(features)
    encodes = features is None or encoder is not None
    test_arrays = test if isinstance(test, Mapping) else {}
    given = _Given(
        arrays=features if isinstance(features, Mapping) and not several else None,
        test_arrays=test_arrays,
        imported=_imported(features, test_arrays, source is not None) if several else {},
        encoders=_encoders(encoder, several),
        compared=source is not None
        or any(map(is_named, values_of(features)))
        or names_rows(labels),
    )
    if isinstance(source, str | Path):
        data = _of_folder(options, given, progress)
    else:
        if source is None:
            if given.compared:
                ids = ids_of(labels, ids)
            rows = count_rows(test_arrays)
            dataset = dataset_of_arrays(
                labels, labels_as=options.labels_as, ids=ids, test_rows=rows
            )
            if rows:
                dataset = with_test_rows(dataset, test_arrays)
        else:
            dataset = dataset_of_frame(
                source,
                test=None if isinstance(test, Mapping) else test,
                columns=columns,
                captions=captions,
                images="exist" if encodes and reads_images(modalities or ENCODED) else "ignore",
                skip_bad_images=skip_bad_images,
                labels_as=options.labels_as,
            )
            if test_arrays:
                dataset = with_test_rows(dataset, test_arrays)
        data = _of_rows(dataset, options, given, progress)
    if strict:
        refuse_doubts(data.notes)
    for note in data.notes:
        if note.doubtful:
            _log.warning("%s", note)
    return data


@dataclass(frozen=True)
class _Given:
    """What ``load_data`` was given beside the rows.

    Attributes:
        arrays: Embeddings by modality; None if they are in files or are to be encoded.
        test_arrays: Those of rows to predict, likewise.
        imported: Several sources of embeddings that exist already, by name.
        encoders: Several encoders, by name.
        compared: Whether there are names of rows that the arrays may be paired with wrongly.
    """

    arrays: Mapping[str, Any] | None
    test_arrays: Mapping[str, Any]
    imported: Mapping[str, Path | ArraySource]
    encoders: Mapping[str, str]
    compared: bool

    @property
    def are_named(self) -> bool:
        """Whether there are several sources."""
        return bool(self.imported or self.encoders)


def _of_folder(options: DataOptions, given: _Given, progress: Progress | bool) -> Data:
    """Load a data folder, whose ``hpo.yaml`` says what isn't said otherwise."""
    defaults = folder_defaults(options)
    options = options.with_defaults(defaults)
    if given.arrays is None and not given.are_named:
        return prepare_data(options, defaults, progress=progress)
    from hpo.data import load_dataset

    with_images = bool(given.encoders) and reads_images(options.modalities or ENCODED)
    dataset = load_dataset(
        options.folder,
        images="exist" if with_images else "ignore",
        skip_bad_images=options.skip_bad_images,
        options=options.reading,
        labels_as=options.labels_as,
    )
    if given.arrays is None:
        return gathered_data(
            dataset,
            given.imported,
            given.encoders,
            options,
            defaults.settings,
            progress,
            possible=encodable(dataset, options),
        )
    source = ArraySource(given.arrays, given.test_arrays)
    dataset, found = imported_data(dataset, source, _importing(options), options.modalities)
    description = describe(str(options.data), {_GIVEN: found}, dataset)
    return Data(dataset, found, options.cache, defaults.settings, description)


def _of_rows(
    dataset: "Dataset", options: DataOptions, given: _Given, progress: Progress | bool
) -> Data:
    """Load rows that were given in Python."""
    if options.strict:
        refuse_doubts(dataset.notes)
    if given.are_named:
        return gathered_data(
            dataset,
            given.imported,
            given.encoders,
            options,
            {},
            progress,
            possible=_to_encode(dataset) if given.encoders else tuple(ENCODED),
        )
    existing: Path | ArraySource | None = None
    if isinstance(options.features, Path):
        existing = options.features
    elif given.arrays is not None:
        existing = ArraySource(given.arrays, given.test_arrays, paired=given.compared)
    if existing is not None:
        dataset, found = imported_data(dataset, existing, _importing(options), options.modalities)
    else:
        dataset, found = encoded_data(
            dataset,
            options.encoder if isinstance(options.encoder, str) else DEFAULT_ENCODER,
            options.cache,
            modalities=options.modalities or _to_encode(dataset),
            device=options.device,
            skip_bad_images=options.skip_bad_images,
            long_captions=options.long_captions or "truncate",
            progress=progress,
        )
    description = describe(str(options.data), {found.info.encoder or _GIVEN: found}, dataset)
    return Data(dataset, found, options.cache, {}, description)


def _importing(options: DataOptions) -> Encoding:
    return Encoding(options.cache, "", options.skip_bad_images, None)


def _called(source: object) -> str:
    """Return what data is called: its folder, or how it was given."""
    if isinstance(source, str | Path):
        return str(source)
    return "arrays" if source is None else "a DataFrame"


def _imported(
    features: Any, test: Mapping[str, Mapping[str, np.ndarray]], paired: bool
) -> dict[str, Path | ArraySource]:
    """Return named sources of embeddings that exist already, with those of rows to predict."""
    return {
        name: ArraySource(value, test.get(name, {}), paired)
        if isinstance(value, Mapping)
        else Path(value)
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


def _to_encode(dataset: "Dataset") -> tuple[str, ...]:
    """Return the modalities that the rows of a DataFrame have something for."""
    names = present_in(dataset.train)
    if not names:
        raise InputError(
            "the frame has neither a column of images nor one of captions, so there is nothing to "
            "encode; name one with columns={'image': …} or {'caption': …}, or pass features"
        )
    return names
