"""From a data folder and its ``hpo.yaml`` to data with embeddings: the one way for all commands."""

from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.errors import InputError, did_you_mean
from hpo.features._classes import encode_classes
from hpo.features._data import Data
from hpo.features._encoder import DEFAULT_ENCODER
from hpo.features._extract import extract_features
from hpo.features._features import Features
from hpo.features._import import import_features
from hpo.features._modalities import ENCODED, chosen, reads_images
from hpo.features._progress import ConsoleProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from hpo.data import Dataset

__all__ = [
    "DEMO_DATA",
    "DataOptions",
    "FolderDefaults",
    "encoded_data",
    "folder_defaults",
    "prepare_data",
    "shown",
]

DEMO_DATA = "demo"
"""What stands for the demo instead of a data folder."""


@dataclass(frozen=True)
class DataOptions:
    """Where the data comes from, as the command line says it.

    Attributes:
        data: A data folder, or ``demo``.
        features: A folder of embeddings that exist already; then no images are needed.
        encoder: Name of the encoder; None for the folder's or the program's default.
        cache: Folder of features, bundles and runs.
        device: Where to encode: ``cpu``, ``cuda:0``, or ``auto`` for CUDA if there is any.
        skip_bad_images: Leave out rows whose image is missing or damaged.
        modalities: Which modalities to take; None for all that are there.
    """

    data: str | Path
    features: Path | None
    encoder: str | None
    cache: Path
    device: str
    skip_bad_images: bool
    modalities: tuple[str, ...] | None = None

    @property
    def folder(self) -> Path:
        """The data folder."""
        return self.cache / DEMO_DATA if self.data == DEMO_DATA else Path(self.data)


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
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}") from None
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
    from hpo.data import load_dataset

    problems = []
    if options.features is not None and options.encoder is not None:
        problems.append("--features imports embeddings, so it can't go with --encoder")
    if options.features is not None and options.skip_bad_images:
        problems.append(
            "--skip-bad-images is about images, so it can't go with --features, which reads none"
        )
    if options.features is None:
        chosen(options.modalities, ENCODED, problems)
    if problems:
        raise InputError(problems)
    if options.features is None:
        with_images = reads_images(options.modalities or ENCODED)
        dataset = load_dataset(
            options.folder,
            images="exist" if with_images else "ignore",
            skip_bad_images=options.skip_bad_images,
        )
    else:
        dataset = load_dataset(options.folder, images="ignore")
    if check is not None:
        check(dataset)
    if options.features is None:
        encoder = options.encoder or defaults.encoder or DEFAULT_ENCODER
        dataset, features = encoded_data(
            dataset,
            encoder,
            options.cache,
            modalities=options.modalities,
            device=options.device,
            skip_bad_images=options.skip_bad_images,
            progress=progress,
        )
    else:
        test = dataset.test
        features = import_features(
            options.features,
            len(dataset.train),
            0 if test is None else len(test),
            options.cache,
            ids=dataset.train.ids,
            test_ids=() if test is None else test.ids,
            modalities=options.modalities,
        )
    description = {
        "data": str(options.data),
        "encoder": features.info.encoder or str(options.features),
        "train_csv_sha256": dataset.fingerprint,
        "skipped": len(dataset.skipped),
    }
    return Data(dataset, features, options.cache, defaults.settings, description)


def encoded_data(
    dataset: "Dataset",
    encoder: str,
    cache: Path,
    *,
    modalities: "Sequence[str] | None",
    device: str,
    skip_bad_images: bool,
    progress: Progress | bool,
) -> "tuple[Dataset, Features]":
    """Encode all rows and the class names; return the rows that could be, and their embeddings.

    Raises:
        InputError: As ``extract_features``.
    """
    from hpo.data import keep_rows

    parts = {"train": dataset.train}
    if dataset.test is not None:
        parts["test"] = dataset.test
    with shown(progress) as show:
        features = extract_features(
            parts,
            encoder,
            cache,
            modalities=modalities,
            device=_device(device),
            skip_bad_images=skip_bad_images,
            progress=show,
        )
    if features.left_out:
        masks = {part: np.ones(len(rows), dtype=bool) for part, rows in parts.items()}
        for part, bad in features.left_out.items():
            masks[part][list(bad)] = False
        dataset = keep_rows(dataset, masks["train"], masks.get("test"))
    encode_classes(dataset.classes, features.info, cache, _device(device))
    return dataset, features


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
