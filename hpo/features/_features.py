"""Embeddings of a data set on disk: one folder of float16 arrays, opened without reading them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hpo.errors import InputError
from hpo.features._cost import EncoderCost
from hpo.features._folder import discard_folder
from hpo.features._long_captions import LongCaptions
from hpo.files import content_key, file_crc32, read_again, regular, write_json
from hpo.json_files import read_json
from hpo.notes import Note

__all__ = [
    "Counts",
    "FeatureInfo",
    "Features",
    "array_path",
    "features_folder",
    "load_features",
    "open_features",
    "write_array",
    "write_info",
]

_FORMAT = 1


@dataclass(frozen=True)
class FeatureInfo:
    """Where embeddings come from.

    Attributes:
        source: ``open_clip`` if they were extracted, ``import`` if they existed already,
            ``several`` if they are put together from several sources.
        encoder: The encoder's name, as ``extract_features`` takes it; empty for imports; for
            several sources the choice, such as ``A+B``.
        weights_hash: SHA-256 of the weights file, hexadecimal; empty for imports.
        preprocessing: What happens to an image before encoding, in words; empty for imports.
        widths: D of each modality.
        long_captions: What was done to captions longer than the encoder's context.
    """

    source: Literal["open_clip", "import", "several"]
    encoder: str
    weights_hash: str
    preprocessing: str
    widths: Mapping[str, int]
    long_captions: LongCaptions = "truncate"


@dataclass(frozen=True)
class Counts:
    """How many distinct items of a modality were encoded in this call, and how many were there."""

    encoded: int
    reused: int


@dataclass(frozen=True, eq=False)
class Features:
    """Embeddings of all rows of a data set, as the encoder gave them (not normalised).

    Attributes:
        key: The content key; equal keys mean equal encoder and rows.
        train: For each modality, such as ``image``: float16 [N_train, D], memory-mapped,
            read-only. D may differ between modalities.
        test: The same modalities: float16 [N_test, D]; no rows if there is no test part.
        info: Where they come from.
        counts: What ``extract_features`` had to do for each modality; empty if just loaded.
        left_out: For each part, what is wrong with the images of the rows that
            ``extract_features`` was allowed to leave out, by their index in the rows given.
        cost: Of the encoder, where ``extract_features`` knows it.
        notes: What was done to what was encoded or imported, or taken on trust.
    """

    key: str
    train: Mapping[str, np.ndarray]
    test: Mapping[str, np.ndarray]
    info: FeatureInfo
    counts: Mapping[str, Counts] = field(default_factory=dict)
    left_out: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    cost: EncoderCost | None = None
    notes: tuple[Note, ...] = ()


def features_folder(store: Path, key: str) -> Path:
    """Return where the features of this key are kept."""
    return store / "features" / key


def array_path(folder: Path, part: str, modality: str) -> Path:
    """Return the file of one array; ``part`` is ``train`` or ``test``."""
    return folder / f"{part}_{modality}.npy"


def write_array(path: Path, shape: tuple[int, int], fill: Callable[[np.ndarray], None]) -> None:
    """Write a float16 array of this shape [N, D]; ``fill`` puts the values into the mapped file."""
    if not shape[0]:
        np.save(path, np.empty(shape, np.float16), allow_pickle=False)
        return
    # Local, so that the file is closed on return: Windows doesn't rename a folder of open files.
    out = np.lib.format.open_memmap(path, "w+", np.float16, shape)
    fill(out)
    out.flush()


def write_info(folder: Path, key: str, info: FeatureInfo, train_rows: int, test_rows: int) -> None:
    """Write ``info.json``, which says what the arrays of a features folder must be.

    The arrays are there already: it holds a checksum of each, and one of what it says itself.
    """
    about = {
        "format": _FORMAT,
        "key": key,
        "rows": {"train": train_rows, "test": test_rows},
        "info": asdict(info),
        "crc32": {path.name: file_crc32(path) for path in sorted(folder.glob("*.npy"))},
    }
    write_json(folder / "info.json", {**about, "checksum": content_key(about)})


def load_features(folder: Path) -> Features:
    """Open a folder that ``extract_features`` or ``import_features`` made.

    Raises:
        InputError: The folder or a file is missing or damaged; all problems are listed.
        OSError: A file can't be read, so that nothing is known of it.
    """
    return read_again(lambda: _load(folder))


def _load(folder: Path) -> Features:
    title = f"The features folder '{folder}' can't be used:"
    try:
        content: Any = read_json(folder / "info.json")
        if content["format"] != _FORMAT:
            raise InputError(
                f"info.json has format {content['format']}, but this version reads {_FORMAT}", title
            )
        checksum = content.pop("checksum", None)  # earlier versions had none
        if checksum is not None and checksum != content_key(content):
            raise InputError("info.json is damaged: its checksum is wrong", title)
        if content["key"] != folder.name:
            raise InputError(f"it has the content of another one, {content['key']}", title)
        key, rows, info = content["key"], content["rows"], FeatureInfo(**content["info"])
        sums = content.get("crc32", {})
        widths = {name: int(width) for name, width in info.widths.items()}
        lengths = {part: int(rows[part]) for part in ("train", "test")}
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError("there is no file info.json", title) from None
    except (ValueError, ArithmeticError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"info.json is damaged: {error!r}", title) from error
    problems: list[str] = []
    arrays: dict[str, dict[str, np.ndarray]] = {"train": {}, "test": {}}
    for part, length in lengths.items():
        for modality, width in widths.items():
            path = array_path(folder, part, modality)
            array = _open(path, (length, width), sums.get(path.name), problems)
            if array is not None:
                arrays[part][modality] = array
    if problems:
        raise InputError(problems, title)
    return Features(key, arrays["train"], arrays["test"], info)


def open_features(store: Path, key: str) -> Features | None:
    """Return the features of this key if the store has them whole; what is damaged is removed.

    Args:
        store: The folder of the cache.
        key: Of the features.
    """
    folder = features_folder(store, key)
    if not folder.exists():
        return None
    try:
        return load_features(folder)
    except InputError:
        discard_folder(folder)  # whoever asks can make it again
        return None


def _open(
    path: Path, shape: tuple[int, int], crc32: str | None, problems: list[str]
) -> np.ndarray | None:
    """Map a float16 array of this shape, or add to ``problems`` why it can't be.

    Args:
        path: Its file.
        shape: [N, D].
        crc32: The checksum of the file; None if it isn't known.
        problems: Takes what is wrong.
    """
    try:
        if crc32 is not None and file_crc32(path) != crc32:
            problems.append(f"{path.name} is damaged: its checksum is wrong")
            return None
        # An empty array has no bytes, which can't be mapped.
        mode: Any = "r" if shape[0] else None
        array: np.ndarray = np.load(regular(path), mmap_mode=mode, allow_pickle=False)
    except FileNotFoundError:
        problems.append(f"there is no file {path.name}")
        return None
    except (ValueError, EOFError) as error:
        problems.append(f"{path.name} is damaged: {error}")
        return None
    if array.dtype != np.float16 or array.shape != shape:
        problems.append(
            f"{path.name} is {array.dtype} {list(array.shape)}, but must be float16 {list(shape)}"
        )
        return None
    return array
