"""Names, keys and captions that lie beside an array of embeddings, in a file of their own."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpo.errors import InputError
from hpo.features._formats import open_file, open_npy
from hpo.features._name_texts import NAMING, name_texts
from hpo.features._parquet import read_parquet
from hpo.files import regular
from hpo.json_files import RepeatedKeyError, parse_json

__all__ = ["Beside", "is_list_of_names", "names_beside", "tables_among"]

_TABLES = ("metadata", "meta", "index", "manifest", "rows", "train", "test")
# Files with other names are read only up to this size, in bytes.
_LARGEST = 100_000_000
_NOT_READ = (".pkl", ".pickle", ".joblib", ".xlsx", ".feather", ".h5")
_ARRAYS = (".npy", ".npz", ".pt", ".pth")
_SUFFIXES = (".txt", ".json", ".jsonl", ".csv", ".tsv", ".parquet", *_ARRAYS)


@dataclass
class Beside:
    """What identifies the rows of an array.

    Attributes:
        columns: One text for each row, by the column's name.
        where: The files that it was read from.
        perhaps: What may, by the file's name, of files with other names.
    """

    columns: dict[str, Sequence[str]] = field(default_factory=dict)
    where: list[str] = field(default_factory=list)
    perhaps: dict[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)

    def add(self, columns: Mapping[str, Sequence[str]], where: str) -> None:
        """Take more columns; those of another file with the same name get the file's name."""
        for name, values in columns.items():
            self.columns[f"{where} {name}" if name in self.columns else name] = values
        if columns:
            self.where.append(where)


def is_list_of_names(path: Path) -> bool:
    """Say whether a file ``.npy`` names rows, by its name and since it isn't [rows, width]."""
    stem = path.stem.removesuffix("_test").lower()
    is_kind = bool(NAMING.fullmatch(stem))
    if not is_kind and not NAMING.fullmatch(stem.partition("_")[2]):
        return False
    try:
        values = open_npy(path)
        return values.ndim == 1 or values.dtype.kind in "US"
    except (InputError, OSError):
        return is_kind  # reading the names says what is wrong


def tables_among(folder: Path, data: Path | None) -> frozenset[Path]:
    """Return the tables of a data folder that lie among embeddings, which are then in it.

    Their rows are those that the embeddings are compared with, so they say nothing of the order.
    """
    from hpo.data import table_files

    if data is None or not data.is_dir() or not folder.is_dir() or not data.samefile(folder):
        return frozenset()
    return frozenset(folder / path.relative_to(data) for path in table_files(data))


def names_beside(
    folder: Path,
    array: str,
    part: str,
    count: int,
    problems: list[str],
    nameless: Collection[Path] = (),
) -> Beside:
    """Read all files of a folder that name the rows of an array.

    They are called after the array, such as ``image_ids.txt`` or ``image.csv`` of ``image.npy``, or
    stand for all arrays, such as ``ids.txt``, ``names.json`` or ``metadata.parquet``; those of
    ``image_test.npy`` have ``test`` in their names as well.

    Args:
        folder: Where the array is.
        array: The name of its modality.
        part: ``train`` or ``test``.
        count: How many rows it has.
        problems: Takes what is wrong with a file.
        nameless: Files that name no rows of it: those of embeddings, and the tables that rows are
            compared with.
    """
    beside = Beside()
    for path in _candidates(folder, array.lower(), part):
        kind = _kind(path, array.lower(), part)
        if path.suffix.lower() in _NOT_READ and NAMING.fullmatch(path.stem.lower()):
            problems.append(
                f"{path.name} names rows, but isn't read; write one a line into "
                f"{path.stem.lower()}.txt, or move it away"
            )
            continue
        if kind is None or path in nameless:
            continue
        if not path.is_file():
            problems += [f"{path.name} is there, but is no regular file"] if kind else []
            continue
        if kind == "" and path.stat().st_size > _LARGEST:
            continue
        try:
            columns = _read(path, kind or "names", count)
        except InputError as error:
            problems += [f"{path.name} {problem}" for problem in error.problems if kind]
            continue
        if kind == "":
            same = {name: values for name, values in columns.items() if len(values) == count}
            beside.perhaps |= {path.name: same} if same else {}
            continue
        if not columns and kind not in _TABLES and kind != "names":
            problems.append(
                f"{path.name} has no {kind} that can be read; write one a line into {kind}.txt"
            )
            continue
        lengths = {len(values) for values in columns.values()} - {count}
        if lengths:
            problems.append(
                f"{path.name} names {lengths.pop()} rows, but the {array} embeddings of the "
                f"{'labelled' if part == 'train' else 'test'} rows are {count}"
            )
            continue
        beside.add(columns, path.name)
    return beside


def _candidates(folder: Path, array: str, part: str) -> list[Path]:
    """List the files of a folder; where some are called after this array, those called after
    images are theirs alone."""
    paths = sorted(folder.iterdir())

    def called_after(path: Path, *starts: str) -> bool:
        return path.stem.lower().removeprefix("test_").removeprefix("train_").startswith(starts)

    if array == "image" or not any(
        called_after(path, array) and _kind(path, array, part) for path in paths
    ):
        return paths
    return [path for path in paths if not called_after(path, "image_", "img_")]


def _kind(path: Path, array: str, part: str) -> str | None:
    """Return what a file has of the rows of an array, such as ``ids``.

    It is an empty text if only its content can tell, and None if it has nothing of them.
    """
    if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
        return None
    if path.suffix in _ARRAYS and not path.is_file():
        return None
    words = path.stem.lower().replace("-", "_").replace(".", "_")
    is_test = words == "test" or words.startswith("test_") or words.endswith("_test")
    is_test = is_test or "_test_" in words
    if is_test != (part == "test"):
        return None
    bare = words
    for word in ("test_", "_test", "train_", "_train"):
        bare = bare.removeprefix(word) if word.endswith("_") else bare.removesuffix(word)
    bare = bare.removeprefix(f"{array}_test_")
    own = bare.removeprefix(f"{array}_")
    if NAMING.fullmatch(own) and (path.suffix != ".npy" or is_list_of_names(path)):
        return own
    if path.suffix in _ARRAYS:
        return None
    if bare == array:
        return "captions" if array == "text" and path.suffix == ".txt" else "names"
    return "names" if own in _TABLES else ""


def _read(path: Path, kind: str, count: int) -> dict[str, Sequence[str]]:
    """Return the columns of a file; none if it isn't about rows.

    Raises:
        InputError: It is damaged; the message goes on after the file's name.
    """
    suffix = path.suffix.lower()
    if suffix in (".npz", ".pt", ".pth"):
        return dict(open_file(path).columns)
    if suffix == ".npy":
        values = open_npy(path)
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1 or values.dtype.kind not in "USTiu":
            raise InputError(f"is {values.dtype} {list(values.shape)}, but must be one name a row")
        if values.dtype.kind == "S":
            return {kind: [one.decode("utf-8", "replace") for one in values.tolist()]}
        return {kind: [str(one) for one in values.tolist()]}
    if suffix == ".parquet":
        return dict(read_parquet(path, vectors=False).columns)
    try:
        text = regular(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror}") from None
    if suffix == ".json":
        return _of_json(_json(text, "is not JSON"), kind)
    if suffix == ".jsonl":
        lines = [line for line in text.splitlines() if line.strip()]
        return _of_json([_json(line, "has a line that is not JSON") for line in lines], kind)
    if suffix == ".txt":
        lines = text.removesuffix("\n").split("\n") if text else []
        while len(lines) > count and not lines[-1].strip():
            lines.pop()
        headed = len(lines) == count + 1 and NAMING.fullmatch(lines[0].strip().lower())
        return {kind: lines[1:] if headed else lines}
    try:
        return _of_table(text, "\t" if suffix == ".tsv" else ",", kind, count)
    except csv.Error as error:
        raise InputError(f"can't be read as a table: {error}") from None


def _json(text: str, otherwise: str) -> Any:
    """Return the value of a text.

    Raises:
        InputError: It is no JSON, which ``otherwise`` says, or a key stands twice in it.
    """
    try:
        return parse_json(text, keys_once=True)
    except RepeatedKeyError as error:
        raise InputError(f"can't be read: {error}") from None
    except ValueError:
        raise InputError(otherwise) from None


def _of_json(content: Any, kind: str) -> dict[str, Sequence[str]]:
    if isinstance(content, list) and content:
        if all(isinstance(one, dict) for one in content):
            keys = dict.fromkeys(key for one in content for key in one)
            return _named({key: [one.get(key) for one in content] for key in keys})
        return _named({kind: content})
    if isinstance(content, dict) and content:
        numbers = sorted(map(str, range(len(content))))
        if sorted(map(str, content.values())) == numbers:
            return {kind: sorted(content, key=lambda name: int(content[name]))}
        if sorted(content) == numbers:  # what stands at each place
            return _named({kind: [content[str(n)] for n in range(len(content))]})
        return _named({name: _as_listed(values) for name, values in content.items()})
    return {}


def _as_listed(values: Any) -> list[Any]:
    """Return a column of JSON as a list; pandas writes it as an object by row."""
    if isinstance(values, dict) and all(name.isdecimal() for name in values):
        return list(values.values())
    return values if isinstance(values, list) else []


def _named(columns: Mapping[Any, list[Any]]) -> dict[str, Sequence[str]]:
    """Return those of some columns that can name rows."""
    found = {str(name): name_texts(values) for name, values in columns.items()}
    return {name: texts for name, texts in found.items() if texts is not None}


def _of_table(text: str, delimiter: str, kind: str, count: int) -> dict[str, Sequence[str]]:
    """Read a table; a first record more than there are rows is the header."""
    records = [record for record in csv.reader(io.StringIO(text), delimiter=delimiter) if record]
    if len(records) == count and records:
        header = [kind, *(f"column {number}" for number in range(2, len(records[0]) + 1))]
    else:
        header, records = (records[0], records[1:]) if records else ([], [])
    if any(len(record) != len(header) for record in records):
        raise InputError("has lines with different numbers of fields")
    return {name.strip(): [r[i] for r in records] for i, name in enumerate(header)}
