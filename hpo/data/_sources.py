"""The tables of a data folder: which files they are, of which part, and in which format."""

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.data._arrow import arrow_files, arrow_names, read_arrow
from hpo.data._csv import read_csv, read_header
from hpo.data._img2dataset import is_img2dataset, is_shard, read_img2dataset
from hpo.data._json import read_json, read_json_lines
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.data._table_names import (
    BESIDE_IMAGES,
    FORMATS,
    NAMES,
    Format,
    Part,
    is_table,
    other_tables,
    what_lies_below,
)
from hpo.data._webdataset import read_samples, sample_names
from hpo.errors import did_you_mean
from hpo.files import regular
from hpo.notes import Note

__all__ = ["Part", "TableSource", "find_tables", "table_files"]

# Tables that people have in these formats, too.
_NOT_READ = (
    *(".xlsx", ".xls", ".ods", ".pkl", ".pickle", ".feather", ".arrow", ".h5", ".hdf5", ".mat"),
    *(".csv.gz", ".tsv.gz", ".json.gz", ".jsonl.gz", ".csv.zip", ".csv.bz2", ".csv.xz", ".sqlite"),
)
_NUMBERED = re.compile(r"\d{5,}")
_SHARD = re.compile(r"([a-z]+)-(\d+)-of-(\d+)(?:-[0-9a-f]+)?\.parquet")


@dataclass(frozen=True)
class TableSource:
    """A table of a data folder that hasn't been read yet.

    Attributes:
        part: Which rows it has.
        name: What it is called in messages.
        format: How to read it.
        paths: Its files, in order.
        base: The folder from which its images are looked for first.
        notes: How it was found.
    """

    part: Part
    name: str
    format: Format
    paths: tuple[Path, ...]
    base: Path
    notes: tuple[Note, ...] = ()

    def names(self) -> list[str]:
        """Return the columns, as far as that is quick; none if they can't be read."""
        if self.format in ("parquet", "arrow"):
            return arrow_names(self.paths)
        if self.format == "img2dataset":
            return [*arrow_names(self.paths), "image_path"]
        if self.format == "webdataset":
            return sample_names(self.paths)
        try:
            content = regular(self.paths[0]).read_bytes()
        except OSError:
            return []
        if self.format == "csv":
            return read_header(content, self.name)
        read = read_json if self.format == "json" else read_json_lines
        table = read(content, self.name, Problems())
        return [] if table is None else [str(name) for name in table.columns]

    def read(
        self,
        problems: Problems,
        caption_of: Callable[[Sequence[str]], str | None],
        unpack: Path | None,
    ) -> tuple[Table | None, str]:
        """Return the table, or None after saying why not, and the SHA-256 of its bytes.

        Args:
            problems: Takes what is wrong.
            caption_of: See ``read_csv``.
            unpack: See ``read_arrow``.
        """
        if self.format not in ("csv", "json", "jsonl"):
            readers = {"img2dataset": read_img2dataset, "webdataset": read_samples}
            read_files = readers.get(self.format, read_arrow)
            table = read_files(self.paths, self.name, problems, unpack)
            return table, "" if table is None else _digest(self.paths)
        try:
            content = regular(self.paths[0]).read_bytes()
        except OSError as error:
            problems.add(f"{self.name} can't be read: {error.strerror}")
            return None, ""
        digest = hashlib.sha256(content).hexdigest()
        if self.format == "csv":
            return read_csv(content, self.name, problems, caption_of), digest
        read = read_json if self.format == "json" else read_json_lines
        return read(content, self.name, problems), digest


def find_tables(folder: Path, problems: Problems, *, labelled: bool = True) -> list[TableSource]:
    """Return the tables of a data folder, those with labelled rows first.

    Args:
        folder: The data folder.
        problems: Takes what is wrong.
        labelled: Whether there must be labelled rows.
    """
    if not folder.is_dir():
        inside = f"; give '{folder.parent}'" if folder.is_file() else ""
        problems.add(f"'{folder}' is not a folder, but must be one that holds train.csv{inside}")
        return []
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    found = _named(folder, files, problems)
    _say_unread(files, found, problems)
    if not any(source.part == "train" for source in found):
        found += _elsewhere(folder, files, problems)
    else:
        found = [_beside_others(one, _elsewhere(folder, files, Problems())) for one in found]
        found[0] = replace(found[0], notes=(*found[0].notes, *other_tables(files)))
    if not any(source.part == "train" for source in found) and not problems:
        found += _only_one(files, folder, {path for one in found for path in one.paths})
    if labelled and not any(source.part == "train" for source in found) and not problems:
        tables = [path for path in files if path.suffix.lower() in (*FORMATS, ".txt")]
        others = [path.name for path in tables if path.is_file()]
        problems.add(
            f"{path.name} is there, but is no regular file" for path in tables if not path.is_file()
        )
        problems.add(
            f"there is no file train.csv{did_you_mean('train.csv', others)}"
            + (f"; there are {', '.join(others)}" if others else what_lies_below(folder))
            + ("; tables end in .csv or .tsv, not in .txt" if ".txt" in str(others) else "")
        )
    for part in NAMES:
        same = [source.name for source in found if source.part == part]
        if len(same) > 1:
            problems.add(f"{' and '.join(same)} are both there, but must be one; move one away")
    order = ("train", "val", "test")
    return sorted(found, key=lambda source: order.index(source.part))


def table_files(folder: Path) -> frozenset[Path]:
    """Return the files of the tables of a data folder; none if it is none."""
    found = find_tables(folder, Problems(), labelled=False)
    return frozenset(path for source in found for path in source.paths)


def _elsewhere(folder: Path, files: Sequence[Path], problems: Problems) -> list[TableSource]:
    """Return tables that aren't files of their own in the folder."""
    return (
        _saved(folder, problems)
        or _sharded(folder, problems)
        or _downloaded(folder, files)
        or _beside_images(folder)
    )


def _beside_others(source: TableSource, others: Sequence[TableSource]) -> TableSource:
    """Return a table, which tells of another of its part that is not read."""
    notes = [
        Note(f"{other.name} is there too and isn't read, but {source.name} is; move one")
        for other in others
        if other.part == source.part
    ]
    return replace(source, notes=(*source.notes, *notes))


def _named(folder: Path, files: Iterable[Path], problems: Problems) -> list[TableSource]:
    """Return the tables whose names say which part they are."""
    found = []
    for part, names in NAMES.items():
        called = [
            path
            for suffix in FORMATS
            for name in names
            for path in files
            if path.suffix.lower() == suffix and path.stem.lower() == name
        ]
        there = [path for path in called if path.is_file()]
        problems.add(
            f"{path.name} is there, but is no regular file" for path in called if path not in there
        )
        if there:
            notes = [
                Note(f"{other.name} is there too and isn't read, but {there[0].name} is; move one")
                for other in there[1:]
            ]
            found.append(_file(part, there[0], folder, notes))
    return found


def _say_unread(files: Sequence[Path], found: Sequence[TableSource], problems: Problems) -> None:
    """Say which parts are there alone in a format that isn't read."""
    there = {source.part for source in found}
    for part, names in NAMES.items():
        unread = [
            path.name
            for path in files
            if (found_at := path.name.lower().partition("."))[0] in names
            and f".{found_at[2]}" in _NOT_READ
        ]
        if unread and part not in there:
            problems.add(
                f"{unread[0]} is of a format that isn't read; save it as CSV (UTF-8), JSON or "
                "Parquet, or move it away"
            )


def _file(part: Part, path: Path, base: Path, notes: Sequence[Note] = ()) -> TableSource:
    name = path.name if path.parent == base else str(path.relative_to(base.parent))
    return TableSource(part, name, FORMATS[path.suffix.lower()], (path,), base, tuple(notes))


def _saved(folder: Path, problems: Problems) -> list[TableSource]:
    """Return the parts that ``save_to_disk`` of ``datasets`` wrote."""
    if (folder / "state.json").is_file():
        files = arrow_files(folder, folder.name, problems)
        return [TableSource("train", folder.name, "arrow", files, folder)] if files else []
    return [
        TableSource(part, name, "arrow", files, folder / name)
        for part, names in NAMES.items()
        for name in names
        if (folder / name / "state.json").is_file()
        and (files := arrow_files(folder / name, name, problems))
    ]


def _sharded(folder: Path, problems: Problems) -> list[TableSource]:
    """Return parts in Parquet files such as ``data/train-00000-of-00002.parquet``."""
    for place in (folder, folder / "data"):
        shards: dict[str, dict[int, tuple[int, Path]]] = {}
        for path in sorted(place.glob("*.parquet")):
            if match := _SHARD.fullmatch(path.name):
                shards.setdefault(match[1], {})[int(match[2])] = (int(match[3]), path)
        found = []
        for part, names in NAMES.items():
            for name in names:
                numbered = shards.get(name, {})
                total = max((total for total, _ in numbered.values()), default=0)
                lacking = [number for number in range(total) if number not in numbered]
                problems.add(
                    f"there is no file {name}-{number:05d}-of-{total:05d}.parquet, but there are "
                    "others of it"
                    for number in lacking
                )
                paths = tuple(numbered[number][1] for number in sorted(numbered))
                if paths:
                    found.append(TableSource(part, f"{name}-*.parquet", "parquet", paths, folder))
        if found:
            return found
    return []


def _downloaded(folder: Path, files: Sequence[Path]) -> list[TableSource]:
    """Return what img2dataset wrote, or archives and folders of webdataset's samples."""
    if is_img2dataset(files):
        shards = tuple(path for path in files if is_shard(path))
        return [TableSource("train", folder.name, "img2dataset", shards, folder)]
    archives = [path for path in files if path.suffix == ".tar" and path.is_file()]
    found = []
    for part, names in NAMES.items():
        of_part = [path for path in archives if path.stem.lower().rstrip("-_0123456789") in names]
        of_part += [
            path
            for name in names
            for path in sorted((folder / name).glob("*.tar"))
            if not path.name.startswith(".")
        ]
        if of_part:
            called = f"{names[0]}-*.tar" if len(of_part) > 1 else of_part[0].name
            found.append(TableSource(part, called, "webdataset", tuple(of_part), folder))
    if found:
        return found
    numbered = [path for path in files if path.is_dir() and _NUMBERED.fullmatch(path.name)]
    shards = tuple(archives or [path for path in numbered if next(path.glob("*.json"), None)])
    return [TableSource("train", folder.name, "webdataset", shards, folder)] if shards else []


def _beside_images(folder: Path) -> list[TableSource]:
    """Return tables such as ``train/metadata.csv``, which stand beside their images."""
    found = []
    for part, names in NAMES.items():
        beside = [
            folder / name / f"{stem}{suffix}"
            for name in names
            for stem in BESIDE_IMAGES
            for suffix in FORMATS
        ]
        found += [
            TableSource(part, f"{path.parent.name}/{path.name}", form, (path,), path.parent)
            for path in beside
            if path.is_file() and (form := FORMATS[path.suffix])
        ]
    return found


def _only_one(files: Sequence[Path], folder: Path, used: Iterable[Path]) -> list[TableSource]:
    """Return the one table of a folder whatever its name, if there is one alone."""
    tables = [path for path in files if path not in set(used) and is_table(path)]
    if len(tables) != 1:
        return []
    note = Note(f"{tables[0].name} is read, as it is the only table there", doubtful=False)
    return [_file("train", tables[0], folder, [note])]


def _files_of(path: Path) -> list[Path]:
    """Return a file, or those of a folder in order."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.iterdir() if file.is_file())


def _digest(paths: Sequence[Path]) -> str:
    """Return the SHA-256 of one file, or of those of several."""
    digests = []
    for each in (each for path in paths for each in _files_of(path)):
        with regular(each).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
