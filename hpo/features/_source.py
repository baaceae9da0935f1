"""From a data folder and its ``hpo.yaml`` to data with embeddings: the one way for all commands."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError
from hpo.features._classes import encode_classes
from hpo.features._data import Data
from hpo.features._data_options import DataOptions
from hpo.features._encoder import DEFAULT_ENCODER
from hpo.features._features import Features
from hpo.features._folder_defaults import FolderDefaults
from hpo.features._gather import (
    ArraySource,
    Encoding,
    common_rows,
    encoded_rows,
    gather_sources,
    import_source,
)
from hpo.features._long_captions import LongCaptions
from hpo.features._modalities import ENCODED, chosen, reads_images
from hpo.features._progress import ConsoleProgress, Progress
from hpo.notes import refuse_doubts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpo.data import Dataset

__all__ = [
    "describe",
    "encodable",
    "encoded_data",
    "gathered_data",
    "imported_data",
    "prepare_data",
    "read_rows",
]


def prepare_data(
    options: DataOptions,
    defaults: FolderDefaults,
    check: "Callable[[Dataset], object] | None" = None,
    progress: Progress | bool = True,
) -> Data:
    """Read and check a data folder, and encode or import what is not stored yet.

    Args:
        options: Where the data comes from; what they don't say is as in ``defaults``.
        defaults: What ``folder_defaults`` returned for it.
        check: Called with the rows before anything is encoded, to raise an error early, such as
            for a split that isn't possible. If damaged images are left out, fewer rows remain.
        progress: Called as the encoding goes on; True shows it on standard error, False doesn't.

    Raises:
        InputError: Everything that is wrong with the data, before any work starts; or images that
            can't be encoded, when all others are.
    """
    options = options.with_defaults(defaults)
    dataset = read_rows(options)
    if check is not None:
        check(dataset)
    if options.strict:
        refuse_doubts(dataset.notes)
    if options.are_named:
        return gathered_data(
            dataset,
            options.features if isinstance(options.features, Mapping) else {},
            options.encoder if isinstance(options.encoder, Mapping) else {},
            options,
            defaults.settings,
            progress,
            possible=encodable(dataset, options),
        )
    if options.features is None:
        assert not isinstance(options.encoder, Mapping)  # it would have names
        encoder = options.encoder or defaults.encoder or DEFAULT_ENCODER
        dataset, features = encoded_data(
            dataset,
            encoder,
            options.cache,
            modalities=encodable(dataset, options),
            device=options.device,
            skip_bad_images=options.skip_bad_images,
            long_captions=options.long_captions or "truncate",
            progress=progress,
        )
        called = features.info.encoder
    else:
        assert isinstance(options.features, Path)  # likewise
        how = Encoding(options.cache, "", options.skip_bad_images, None)
        dataset, features = imported_data(dataset, options.features, how, options.modalities)
        called = str(options.features)
    description = describe(str(options.data), {called: features}, dataset)
    data = Data(dataset, features, options.cache, defaults.settings, description)
    if options.strict:
        refuse_doubts(data.notes)
    return data


def read_rows(options: DataOptions) -> "Dataset":
    """Read and check a data folder's rows and labels, and see that images are there to encode.

    Args:
        options: Where the data comes from.

    Raises:
        InputError: Everything that is wrong with the data.
    """
    from hpo.data import load_dataset

    problems: list[str] = []
    by_name = isinstance(options.features, Mapping) and isinstance(options.encoder, Mapping)
    if options.features is not None and options.encoder is not None and not by_name:
        problems.append(
            "--features imports embeddings, so it can't go with --encoder, unless they have names "
            "to choose them by: --features NAME=DIR --encoder NAME=ENCODER"
        )
    if options.long_captions is not None and not options.encodes:
        problems.append(
            f"--long-captions {options.long_captions} is about captions that are encoded, so it "
            "can't go with --features alone"
        )
    if options.features is None:
        chosen(options.modalities, ENCODED, problems)
    if problems:
        raise InputError(problems)
    with_images = options.encodes and reads_images(options.modalities or ENCODED)
    return load_dataset(
        options.folder,
        images="exist" if with_images else "ignore",
        skip_bad_images=options.skip_bad_images,
        options=options.reading,
        labels_as=options.labels_as,
    )


def imported_data(
    dataset: "Dataset",
    source: Path | ArraySource,
    how: Encoding,
    modalities: Sequence[str] | None,
) -> "tuple[Dataset, Features]":
    """Import embeddings; return the rows that have one, and these.

    Raises:
        InputError: As ``import_features``.
    """
    features = import_source(source, dataset, how, modalities, _tables(dataset))
    dataset, found = common_rows(dataset, {"": features}, how.cache)
    return dataset, found[""]


def encodable(dataset: "Dataset", options: DataOptions) -> tuple[str, ...]:
    """Return the modalities that are encoded: those asked for, else all that the rows have.

    Raises:
        InputError: The rows have nothing for one that is asked for.
    """
    there = tuple(name for name, one in ENCODED.items() if one.reads in dataset.has)
    asked = [name for name in options.modalities or () if name in ENCODED]
    lacking = [name for name in asked if name not in there]
    # Without encoders for them nothing was looked for.
    if lacking and (options.features is None or options.encoder is not None):
        raise InputError(
            [
                f"{dataset.train.source} has no column of {ENCODED[name].reads}, but the modality "
                f"'{name}' is asked for; say which it is with --columns"
                for name in lacking
            ]
        )
    return tuple(asked) if options.modalities is not None else there


def gathered_data(
    dataset: "Dataset",
    imported: Mapping[str, Path | ArraySource],
    encoders: Mapping[str, str],
    options: DataOptions,
    settings: Mapping[str, Any],
    progress: Progress | bool,
    *,
    possible: Sequence[str] = tuple(ENCODED),
) -> Data:
    """Import and encode the embeddings of several named sources, one at least.

    Args:
        dataset: The rows.
        imported: Embeddings that exist already, by the source's name.
        encoders: Encoders by the source's name.
        options: What else there is to know of where the data comes from.
        settings: What the data suggests for the search space.
        progress: See ``prepare_data``.
        possible: The modalities that can be encoded.

    Raises:
        InputError: As ``gather_sources``.
    """
    with shown(progress) as show:
        dataset, sources = gather_sources(
            dataset,
            imported=imported,
            encoders=encoders,
            possible=possible,
            modalities=options.modalities,
            tables=_tables(dataset),
            how=Encoding(
                options.cache,
                _device(options.device),
                options.skip_bad_images,
                show,
                options.long_captions or "truncate",
            ),
        )
    first = next(iter(sources.values()))
    encode_classes(dataset.classes, first.info, options.cache, _device(options.device))
    description = describe(str(options.data), sources, dataset)
    data = Data(dataset, first, options.cache, settings, description, sources)
    if options.strict:
        refuse_doubts(data.notes)
    return data


def describe(data: str, sources: Mapping[str, Features], dataset: "Dataset") -> dict[str, Any]:
    """Say where data comes from, for people and for the record of a study.

    Args:
        data: What the data is called.
        sources: The embeddings by what they are called.
        dataset: The rows.
    """
    encoders = {
        name: {
            "widths": {m: int(array.shape[1]) for m, array in features.train.items()},
            **({} if features.cost is None else features.cost.to_json()),
        }
        for name, features in sources.items()
    }
    told = len(sources) > 1 or any(features.cost is not None for features in sources.values())
    return {
        "data": data,
        "encoder": ", ".join(sources),
        "train_csv_sha256": dataset.fingerprint,
        "skipped": len(dataset.skipped),
        **({"encoders": encoders} if told else {}),
    }


def encoded_data(
    dataset: "Dataset",
    encoder: str,
    cache: Path,
    *,
    modalities: Sequence[str] | None,
    device: str,
    skip_bad_images: bool,
    long_captions: LongCaptions,
    progress: Progress | bool,
) -> "tuple[Dataset, Features]":
    """Encode all rows and the class names; return the rows that could be, and their embeddings.

    Raises:
        InputError: As ``extract_features``.
    """
    with shown(progress) as show:
        how = Encoding(cache, _device(device), skip_bad_images, show, long_captions)
        dataset, found, _ = encoded_rows(dataset, {encoder: encoder}, {encoder: modalities}, how)
    encode_classes(dataset.classes, found[encoder].info, cache, _device(device))
    return dataset, found[encoder]


def _tables(dataset: "Dataset") -> tuple[str, str]:
    test = dataset.test
    return dataset.train.source, "the rows to predict" if test is None else test.source


@contextmanager
def shown(progress: Progress | bool) -> "Iterator[Progress | None]":
    """Give what to call with progress: what was given, True for the screen, False for nothing."""
    if progress is True:
        with ConsoleProgress() as console:
            yield console
    else:
        yield None if progress is False else progress


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
