"""``python -m hpo.check_data check DIR``: print what would be read of a data folder.

Nothing is encoded. ``hpo run`` reads the folder in the same way with the same options.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo._data_arguments import add_row_options, data_options
from hpo._options import Parser, guarded
from hpo._output import plain
from hpo._run_plan import feature_lines
from hpo.errors import InputError
from hpo.images import open_image, read_image
from hpo.notes import Note, refuse_doubts

if TYPE_CHECKING:
    from hpo.data import Dataset, Rows

__all__ = ["main"]

_SAMPLE = 10
_WIDTH = 70


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m hpo.check_data",
        description="Print what would be read of a data folder: tables, columns, parts, classes, "
        "some rows with their images, and what is doubtful.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("action", choices=("check",), help="the only one there is")
    add("data", metavar="DIR|demo", help="the data folder")
    add_row_options(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.features import folder_defaults, prepare_data, read_rows

    options = replace(data_options(arguments, device="cpu"), strict=False)  # all is printed first
    defaults = folder_defaults(options)
    lines = [f"hpo.yaml: {key} is {value}" for key, value in defaults.said.items()]
    if options.features is None:
        dataset = read_rows(options.with_defaults(defaults))
        notes = dataset.notes
    else:
        data = prepare_data(options, defaults)
        dataset, notes = data.dataset, data.notes
        lines += feature_lines(data)
    shown = [f"data {options.folder}", *_table_lines(dataset), *lines, *_part_lines(dataset)]
    samples, unreadable = _sample_lines(dataset)
    notes = (*notes, *unreadable)
    shown += [*_class_lines(dataset), *samples]
    shown += [f"{'doubtful' if note.doubtful else 'note'}: {note}" for note in notes]
    for line in shown:
        print(plain(line))
    if arguments.strict:
        refuse_doubts(notes)
    doubts = sum(note.doubtful for note in notes)
    print(f"{doubts} doubtful, which --strict refuses" if doubts else "nothing is doubtful")
    return 0


def _table_lines(dataset: "Dataset") -> list[str]:
    """Say which tables there are, and which of their columns are what."""
    lines = []
    for table in dataset.tables:
        columns = ", ".join(
            f"{kind} {' + '.join(map(str, name)) if isinstance(name, tuple) else name}"
            for kind, name in table.columns.items()
        )
        lines.append(
            f"table {table.name}: {table.rows:,} rows ({table.part}); columns: {columns or 'none'}"
        )
    return lines


def _part_lines(dataset: "Dataset") -> list[str]:
    """Say how many rows there are of each part."""
    column = dataset.split_column
    divided = ""
    if column is not None:
        counts = Counter(column)
        divided = " (" + ", ".join(f"{part} {count:,}" for part, count in counts.items()) + ")"
    lines = [f"labelled: {len(dataset.train):,} rows{divided}"]
    if dataset.groups:
        lines.append(f"pictures: {len(set(dataset.groups)):,}, each in one part of a split")
    if dataset.test is not None:
        also = "" if dataset.test_labels is None else ", and to score at the end"
        lines.append(f"to predict: {len(dataset.test):,} rows{also}")
    if dataset.skipped:
        lines.append(f"left out: {len(dataset.skipped):,} rows without an image")
    return lines


def _class_lines(dataset: "Dataset") -> list[str]:
    """Say how many rows have each class."""
    counts = dataset.labels.sum(axis=0, dtype=np.int64)
    test = dataset.test_labels
    rows = [f"{name}  {int(n):,}" for name, n in zip(dataset.classes, counts, strict=True)]
    if test is not None:
        found = test.sum(axis=0, dtype=np.int64)
        rows = [f"{row} and {int(n):,}" for row, n in zip(rows, found, strict=True)]
    head = "rows" if test is None else "labelled rows and rows to predict"
    return [f"classes: {len(rows)}, with their {head}", *(f"  {row}" for row in rows)]


def _sample_lines(dataset: "Dataset") -> tuple[list[str], list[Note]]:
    """Show some rows, from the first to the last; say how many of their images can't be read."""
    parts: list[tuple[Rows, np.ndarray | None]] = [(dataset.train, dataset.labels)]
    if dataset.test is not None:
        parts.append((dataset.test, dataset.test_labels))
    lines = []
    looked_at, unreadable = 0, []
    for rows, labels in parts:
        count = _SAMPLE if len(parts) == 1 else _SAMPLE // 2
        for row in np.unique(np.linspace(0, len(rows) - 1, count).astype(int)).tolist():
            lines.append(f"{rows.place(row)}: {rows.ids[row]}")
            if labels is not None:
                given = [dataset.classes[k] for k in np.flatnonzero(labels[row])]
                lines.append(f"  labels: {', '.join(given) or 'none'}")
            for caption in (rows.captions[row], *(rows.further[row] if rows.further else ())):
                if caption:
                    lines.append(f"  caption: {_short(caption)}")
            if rows.images is not None:
                looked_at += 1
                size, whole = _size(rows.images[row])
                lines.append(f"  image: {rows.images[row]}, {size}")
                unreadable += [] if whole else [rows.images[row].name]
    if not unreadable:
        return lines, []
    shown = ", ".join(f"'{name}'" for name in unreadable[:3]) + (", …" if unreadable[3:] else "")
    said = f"{len(unreadable)} of the {looked_at} images above can't be read: {shown}"
    return lines, [Note(f"{said}; the others are opened when they are encoded")]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _size(path: Path) -> tuple[str, bool]:
    """Return an image's size and kind, or what is wrong with it, and whether it can be read."""
    try:
        with read_image(path) as content, open_image(content) as image:
            image.load()
            return f"{image.width} × {image.height} {image.mode}", True
    except OSError as error:
        return f"which can't be read: {error.strerror}", False
    except InputError as error:
        return f"which {error}", False


if __name__ == "__main__":
    sys.exit(main())
