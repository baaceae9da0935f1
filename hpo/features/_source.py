"""From a data folder and its ``hpo.yaml`` to data with embeddings: the one way for all commands."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError, did_you_mean
from hpo.features._choice import Sources
from hpo.features._classes import encode_classes
from hpo.features._data import Data
from hpo.features._encoder import DEFAULT_ENCODER
from hpo.features._features import Features
from hpo.features._gather import (
    ArraySource,
    Encoding,
    common_rows,
    encoded_rows,
    gather_sources,
    import_source,
)
from hpo.features._import_names import modality_names
from hpo.features._long_captions import LongCaptions
from hpo.features._modalities import ENCODED, chosen, in_order, reads_images
from hpo.features._progress import ConsoleProgress, Progress
from hpo.notes import refuse_doubts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hpo.data import CaptionRule, Dataset, LabelsAs, ReadOptions

__all__ = [
    "DEMO_DATA",
    "DataOptions",
    "FolderDefaults",
    "describe",
    "encodable",
    "encoded_data",
    "folder_defaults",
    "gathered_data",
    "imported_data",
    "prepare_data",
    "read_rows",
]

_PICTURES = "pictures"  # in the cache: images that stand in a table themselves
DEMO_DATA = "demo"
"""What stands for the demo instead of a data folder."""


@dataclass(frozen=True)
class DataOptions:
    """Where the data comes from, as the command line says it.

    Attributes:
        data: A data folder, or ``demo``.
        features: A folder of embeddings that exist already, or several by name; without an encoder
            no images are needed then.
        encoder: Name of the encoder, or several by name; None for the folder's or the program's
            default, or for none where there are features.
        cache: Folder of features, bundles and runs.
        device: Where to encode: ``cpu``, ``cuda:0``, or ``auto`` for CUDA if there is any.
        skip_bad_images: Leave out rows whose image is missing or damaged, or that embeddings which
            exist already haven't got.
        modalities: Which modalities to take; None for all that are there.
        strict: Refuse data that isn't read without doubt, see ``hpo/notes.py``.
        columns: Which columns of the tables are what, see ``hpo.data.ReadOptions``.
        captions: What several captions of a picture mean, see there.
        reads: The modalities that are read at most, if that is known; rows may lack others.
        labels_as: How to read the labels, where their owner says it.
        long_captions: What is done to captions that are longer than the encoder's context.
    """

    data: str | Path
    features: Path | Mapping[str, Path] | None
    encoder: str | Mapping[str, str] | None
    cache: Path
    device: str
    skip_bad_images: bool
    modalities: tuple[str, ...] | None = None
    strict: bool = False
    columns: Mapping[str, Any] = field(default_factory=dict)
    captions: "CaptionRule | None" = None
    reads: tuple[str, ...] | None = None
    labels_as: "LabelsAs | None" = None
    long_captions: LongCaptions = "truncate"

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.cache / DEMO_DATA if self.data == DEMO_DATA else Path(self.data)

    @property
    def reading(self) -> "ReadOptions":
        """How the tables are read."""
        from hpo.data import ReadOptions

        known = self.modalities or self.reads or tuple(ENCODED)
        needed = {ENCODED[name].reads for name in known if name in ENCODED}
        optional = tuple(one.reads for one in ENCODED.values() if one.reads not in needed)
        return ReadOptions(self.columns, self.captions, self.cache / _PICTURES, optional)

    @property
    def are_named(self) -> bool:
        """Whether the embeddings have names, to choose them by."""
        return isinstance(self.features, Mapping) or isinstance(self.encoder, Mapping)

    @property
    def encodes(self) -> bool:
        """Whether anything has to be encoded that isn't stored yet."""
        return self.features is None or self.encoder is not None

    def with_encoders(self, names: Sequence[str]) -> "DataOptions":
        """Return the options for a search space that names encoders.

        Those are what is encoded, unless it is said otherwise here.

        Args:
            names: The encoders; without any the options stay as they are.
        """
        if not names or self.features is not None or isinstance(self.encoder, Mapping):
            return self
        asked = names if self.encoder is None else [self.encoder]
        return replace(self, encoder={name: name for name in asked})

    def sources(self) -> Sources:
        """Return the modalities that each named source will have, before anything is read.

        Raises:
            InputError: A folder of embeddings isn't there, or a file's name can't be a modality's.
        """
        there: dict[str, Sequence[str]] = {}
        if isinstance(self.features, Mapping):
            there |= {name: modality_names(folder) for name, folder in self.features.items()}
        if isinstance(self.encoder, Mapping):
            there |= dict.fromkeys(self.encoder, tuple(ENCODED))
        if self.modalities is None:
            return there
        return {name: in_order(set(has) & set(self.modalities)) for name, has in there.items()}


@dataclass(frozen=True)
class FolderDefaults:
    """What ``hpo.yaml`` in a data folder says; the command line goes before it.

    Attributes:
        encoder: The encoder, or None.
        settings: Overrides of the search space.
    """

    encoder: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def folder_defaults(options: DataOptions) -> FolderDefaults:
    """Read the defaults of a data folder, rendering the demo first if that is what it is.

    Raises:
        InputError: The file is no YAML mapping of ``encoder`` and ``set``.
    """
    if options.data == DEMO_DATA:
        from hpo.demo import make_demo

        make_demo(options.folder)
    path = options.folder / "hpo.yaml"
    if not path.exists():
        return FolderDefaults()
    from hpo.yaml_files import read_yaml

    _, content = read_yaml(path)
    raw = content or {}
    known = ["encoder", "set"]
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of {' and '.join(known)}.")
    problems = [
        f"{path}: unknown key '{key}'{did_you_mean(key, known)}; allowed: {', '.join(known)}"
        for key in raw
        if key not in known
    ]
    encoder = raw.get("encoder")
    if encoder is not None and not isinstance(encoder, str):
        problems.append(f"{path}: encoder is {encoder!r}, but must be a name")
    settings = raw.get("set") or {}
    if not isinstance(settings, dict):
        problems.append(f"{path}: set must be a mapping, such as scale.width: 0.25")
    if problems:
        raise InputError(problems)
    return FolderDefaults(encoder, settings)


def prepare_data(
    options: DataOptions,
    defaults: FolderDefaults,
    check: "Callable[[Dataset], object] | None" = None,
    progress: Progress | bool = True,
) -> Data:
    """Read and check a data folder, and encode or import what is not stored yet.

    Args:
        options: Where the data comes from.
        defaults: What ``folder_defaults`` returned for it.
        check: Called with the rows before anything is encoded, to raise an error early, such as
            for a split that isn't possible. If damaged images are left out, fewer rows remain.
        progress: Called as the encoding goes on; True shows it on standard error, False doesn't.

    Raises:
        InputError: Everything that is wrong with the data, before any work starts; or images that
            can't be encoded, when all others are.
    """
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
            long_captions=options.long_captions,
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
                options.long_captions,
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
