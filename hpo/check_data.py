"""``python -m hpo.check_data check DIR``: print what would be read of a data folder.

Nothing is encoded. ``hpo run`` reads the folder in the same way with the same options.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo._options import add_label_options, add_reading_options, asked_labels, guarded
from hpo.errors import InputError
from hpo.images import open_image, read_image

if TYPE_CHECKING:
    from hpo.data import Dataset, Rows

__all__ = ["main"]

_SAMPLE = 10
_WIDTH = 70


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.check_data",
        description="Print what would be read of a data folder: tables, columns, parts, classes, "
        "some rows with their images, and what is doubtful.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("action", choices=("check",), help="the only one there is")
    add("data", metavar="DIR|demo", help="the data folder")
    add_reading_options(parser)
    add_label_options(parser)
    add(
        "--features",
        type=Path,
        metavar="DIR",
        help="embeddings that exist already, which are imported into the cache",
    )
    add(
        "--modalities",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        metavar="A,B,…",
        help="which to take, such as image,text (default: all that are there)",
    )
    add("--skip-bad-images", action="store_true", help="leave out rows whose image is missing")
    add("--strict", action="store_true", help="refuse data that isn't read without doubt")
    add(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help="where embeddings are kept (default: %(default)s)",
    )
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.data import load_dataset, parse_columns
    from hpo.features import ENCODED, DataOptions, folder_defaults, prepare_data, reads_images
    from hpo.notes import refuse_doubts

    options = DataOptions(
        data=arguments.data,
        features=arguments.features,
        encoder=None,
        cache=arguments.cache,
        device="cpu",
        skip_bad_images=arguments.skip_bad_images,
        modalities=arguments.modalities,
        columns={} if arguments.columns is None else parse_columns(arguments.columns),
        captions=arguments.captions,
        labels_as=asked_labels(arguments),
    )
    defaults = folder_defaults(options)
    lines: list[str] = []
    if options.features is None:
        wanted = options.modalities or tuple(ENCODED)
        dataset = load_dataset(
            options.folder,
            images="exist" if reads_images(wanted) else "ignore",
            skip_bad_images=options.skip_bad_images,
            options=options.reading,
            labels_as=options.labels_as,
        )
        notes = dataset.notes
    else:
        data = prepare_data(options, defaults)
        dataset, notes = data.dataset, data.notes
        widths = ", ".join(f"{name} {width}" for name, width in data.widths.items())
        lines.append(f"embeddings {options.features}: {widths}")
    print(f"data {options.folder}")
    for line in [*_table_lines(dataset), *lines, *_part_lines(dataset), *_class_lines(dataset)]:
        print(line)
    print("\n".join(_sample_lines(dataset)))
    for note in notes:
        print(f"{'doubtful' if note.doubtful else 'note'}: {note}")
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


def _sample_lines(dataset: "Dataset") -> list[str]:
    """Show some rows, from the first to the last."""
    parts: list[tuple[Rows, np.ndarray | None]] = [(dataset.train, dataset.labels)]
    if dataset.test is not None:
        parts.append((dataset.test, dataset.test_labels))
    lines = []
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
                lines.append(f"  image: {rows.images[row]}, {_size(rows.images[row])}")
    return lines


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 1]}…"


def _size(path: Path) -> str:
    """Return an image's size and kind, or what is wrong with it."""
    try:
        with read_image(path) as content, open_image(content) as image:
            image.load()
            return f"{image.width} × {image.height} {image.mode}"
    except OSError as error:
        return f"which can't be read: {error.strerror}"
    except InputError as error:
        return f"which {error}"


if __name__ == "__main__":
    sys.exit(main())
