"""The rows that ``python -m hpo.predict`` is asked about: a folder's, or images and captions."""

import argparse
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hpo._output import plain
from hpo.errors import InputError

if TYPE_CHECKING:
    from hpo.data import Rows
    from hpo.notes import Note

__all__ = ["AskedRows", "asked_rows", "label_lines"]

_SHOWN = 50
_NAMED = 5


@dataclass(frozen=True)
class AskedRows:
    """Rows to predict.

    Attributes:
        rows: The rows.
        called: Where they are from, for people.
        missing: The modalities that they may lack.
        from_table: Whether a table of a data folder has them.
        to_file: Whether predictions go into a file if nothing was said of one.
        notes: How a table was read.
    """

    rows: "Rows"
    called: str
    missing: tuple[str, ...]
    from_table: bool
    to_file: bool
    notes: tuple["Note", ...] = ()


def asked_rows(
    arguments: argparse.Namespace, encoded: Collection[str], reads: Collection[str]
) -> AskedRows:
    """Return the rows that the command line asks about.

    Args:
        arguments: What it says.
        encoded: The modalities that are to be encoded.
        reads: The modalities that the model reads.

    Raises:
        InputError: Options don't go together or with the model, or rows can't be read; all of a
            kind is listed.
    """
    _check(arguments, encoded, reads)
    if arguments.data is not None:
        return _of_folder(arguments, encoded)
    given = {"image": bool(arguments.images), "text": bool(arguments.caption)}
    missing = tuple(name for name in reads if name in given and not given[name])
    notes: list[Note] = []
    return AskedRows(
        _given_rows(arguments.images, arguments.caption, notes),
        "what was given",
        tuple(dict.fromkeys((*arguments.missing, *missing))),
        from_table=False,
        to_file=any(Path(path).is_dir() for path in arguments.images),
        notes=tuple(notes),
    )


def label_lines(
    ids: Sequence[str],
    probabilities: NDArray[np.floating],
    classes: Sequence[str],
    thresholds: Sequence[float],
) -> list[str]:
    """Return a line for each row, of the first fifty: its labels with their probabilities.

    Args:
        ids: What the rows are called.
        probabilities: [rows, K].
        classes: The K class names.
        thresholds: Above which probability a row has a class, for each.
    """
    lines = []
    classes = [plain(name) for name in classes]
    for written, row in zip(ids[:_SHOWN], probabilities, strict=False):
        name = plain(written).replace("\n", "\\n")
        if np.isnan(row).any():
            lines.append(f"{name}: no labels, as its image can't be read")
            continue
        order = np.argsort(-row, kind="stable").tolist()
        given = [f"{classes[k]} {row[k]:.3f}" for k in order if row[k] > thresholds[k]]
        nearest = f"none (most likely {classes[order[0]]} {row[order[0]]:.3f})"
        lines.append(f"{name}: {', '.join(given) or nearest}")
    if len(ids) > _SHOWN:
        lines.append(f"… and {len(ids) - _SHOWN:,} more rows")
    return lines


def _check(arguments: argparse.Namespace, encoded: Collection[str], reads: Collection[str]) -> None:
    """Refuse options that don't go together or with the model."""
    problems = []
    given = {"--images": arguments.images, "--caption": arguments.caption}
    asked = [flag for flag, value in given.items() if value]
    if arguments.data is not None and asked:
        problems.append(f"--data and {asked[0]} can't go together; give one of them")
    if arguments.data is None and not asked:
        problems.append("there is nothing to predict: give --data, --images or --caption")
    if asked and arguments.features:
        problems.append(f"--features has the rows of a data folder, so it can't go with {asked[0]}")
    problems += [
        f"{flag} {text!r} is empty, but must be {what}"
        for flag, what in (("--images", "a file or a folder"), ("--caption", "a text"))
        for text in given[flag]
        if not text.strip()
    ]
    listed = ", ".join(reads)
    problems += [
        f"{flag} is given, but the model reads {listed} alone"
        for flag, name in (("--images", "image"), ("--caption", "text"))
        if given[flag] and name not in encoded and not arguments.features
    ]
    images, captions = len(arguments.images), len(arguments.caption)
    folders = any(Path(path).is_dir() for path in arguments.images)
    if images and captions and (folders or images != captions):
        what = "a folder" if folders else f"{images} images"
        problems.append(
            f"--images has {what} and --caption {captions} captions, but each image must have its "
            "caption; a data folder with test.csv can say which"
        )
    if problems:
        raise InputError(problems)


def _of_folder(arguments: argparse.Namespace, encoded: Collection[str]) -> AskedRows:
    from hpo.data import ReadOptions, load_rows, parse_columns
    from hpo.demo import make_demo
    from hpo.features import read_folder_defaults, reads_images

    folder = Path(arguments.data)
    if arguments.data == "demo":
        folder = arguments.cache / "demo"
        make_demo(folder)
    defaults = read_folder_defaults(folder)
    columns = {} if arguments.columns is None else parse_columns(arguments.columns)
    notes: list[Note] = []
    rows = load_rows(
        folder,
        images="exist" if reads_images(encoded) else "ignore",
        skip_bad_images=arguments.skip_bad_images or reads_images(arguments.missing),
        captions="text" in set(encoded) - set(arguments.missing),
        options=ReadOptions(
            {**defaults.columns, **columns},
            arguments.captions or defaults.captions,
            unpack=arguments.cache / "pictures",
            encodes=bool(encoded),
        ),
        notes=notes,
    )
    called = str(folder / rows.source)
    return AskedRows(
        rows, called, arguments.missing, from_table=True, to_file=True, notes=tuple(notes)
    )


def _is_shown(file: Path, folder: Path) -> bool:
    """Say whether it is a file or a link, not hidden, nor in a hidden folder or one of macOS's."""
    inner = file.relative_to(folder).parts
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in inner)
    return not hidden and (file.is_file() or file.is_symlink())


def _given_rows(images: Sequence[str], captions: Sequence[str], notes: "list[Note]") -> "Rows":
    """Return a row for each image, those in folders included, or for each caption.

    ``notes`` takes what was passed over in folders. Hidden files are, as everywhere.
    """
    from hpo.data import IMAGE_SUFFIXES, Rows, url_fault
    from hpo.notes import Note

    problems = []
    paths: list[Path] = []
    names: list[str] = []
    for text in images:
        path = Path(text)
        if path.is_dir():
            files = sorted(one for one in path.rglob("*") if _is_shown(one, path))
            found = [one for one in files if one.suffix.lower() in IMAGE_SUFFIXES and one.is_file()]
            others = [str(one.relative_to(path)) for one in files if one not in set(found)]
            if others:
                listed = ", ".join(others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
                what = "1 file is" if len(others) == 1 else f"{len(others):,} files are"
                why = "as the name is no image's, or as a link to a folder or to nothing"
                if not any(one.is_symlink() for one in files):
                    why = "as the name is no image's"
                notes.append(Note(f"--images {text}: {what} passed over, {why}: {listed}"))
            if not found:
                problems.append(f"--images {text}: the folder has no images in it")
            paths += found
            names += [str(one.relative_to(path)) for one in found]
        elif path.is_file():
            paths.append(path)
            names.append(text)
        else:
            fault = url_fault(text)
            problems.append(f"--images {fault or f'{text}: there is no such file or folder'}")
    if problems:
        raise InputError(problems)
    count = len(paths) if images else len(captions)
    ids = names if images else list(captions)
    return Rows(
        ids=tuple(ids),
        captions=tuple(captions) or ("",) * count,
        images=tuple(paths) if images else None,
        table="what was given",
        places=tuple(ids),
    )
