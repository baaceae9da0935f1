"""Tables in Parquet, and those that Hugging Face's ``datasets`` keeps on disk.

``datasets`` itself isn't needed: a folder of its ``save_to_disk`` has Arrow files, whose names
stand in ``state.json``. The names of classes are in the schema, as it writes it into both formats.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.data._embedded import embedded_image
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.files import regular
from hpo.json_files import parse_json, read_json

__all__ = ["arrow_files", "arrow_names", "read_arrow"]


def arrow_files(folder: Path, name: str, problems: Problems) -> tuple[Path, ...]:
    """Return the Arrow files of a data set that ``save_to_disk`` wrote, in order.

    Args:
        folder: The one with ``state.json``.
        name: What the data set is called in messages.
        problems: Takes what is wrong.
    """
    try:
        state: Any = read_json(folder / "state.json")
        files = tuple(folder / str(one["filename"]) for one in state["_data_files"])
        indices = state.get("_indices_data_files") or state.get("_indices_files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problems.add(f"{name}: state.json is damaged: {error!r}")
        return ()
    if indices:
        problems.add(
            f"{name} is a selection of rows of another data set; save it again with "
            "flatten_indices().save_to_disk(…)"
        )
    if not files:
        problems.add(f"{name}: state.json names no files, but must name one at least")
    problems.add(
        f"{name}: state.json names '{path.name}', which is no file in that folder"
        for path in files
        if path.parent != folder or not path.is_file()
    )
    return files


def arrow_names(paths: Sequence[Path]) -> list[str]:
    """Return the columns of Parquet or Arrow files; none if they can't be read."""
    try:
        return list(_schema(paths[0]).names)
    except _damage():
        return []


def read_arrow(
    paths: Sequence[Path], name: str, problems: Problems, unpack: Path | None = None
) -> Table | None:
    """Read Parquet or Arrow files that follow one another.

    Cells that hold an image become ``EmbeddedImage``.

    Args:
        paths: The files; all have the same columns.
        name: What they are called in messages.
        problems: Takes what is wrong.
        unpack: Where to write images that the files hold; None leaves them.
    """
    columns: dict[str, list[Any]] = {}
    metadata: Mapping[bytes, bytes] = {}
    rows = 0
    for path in paths:
        called = name if len(paths) == 1 else path.name
        try:
            table = _read(path)
            table.validate(full=True)
            found = {column: _cells(table.column(column), unpack) for column in _names(table)}
        except _damage() as error:
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            problems.add(f"{called} can't be read: {first[:120]}")
            return None
        if path is paths[0]:
            columns, metadata = found, table.schema.metadata or {}
        elif found.keys() != columns.keys():
            problems.add(
                f"{called} has the columns {list(found)}, but {paths[0].name} has {list(columns)}"
            )
            return None
        else:
            for column, cells in found.items():
                columns[column] += cells
        rows += table.num_rows
    if not rows:
        problems.add(f"{name} has no rows")
    every = {column: tuple(cells) for column, cells in columns.items()}
    return Table(name, every, class_names=_class_names(metadata))


def _names(table: Any) -> list[str]:
    names: list[str] = table.schema.names
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"it has the column '{twice[0]}' {len(twice)} times")
    return names


def _cells(column: Any, unpack: Path | None) -> list[Any]:
    """Return the values of a column."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_struct(kind) and "bytes" in {field.name for field in kind}:
        return [
            None if (cell := scalar.as_py()) is None else embedded_image(cell, unpack)
            for chunk in column.chunks
            for scalar in chunk
        ]
    if _is_list(pa, kind) and pa.types.is_struct(kind.value_type):
        return [_only_one(scalar.as_py(), unpack) for chunk in column.chunks for scalar in chunk]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        if (texts := _texts(column)) is not None:
            return texts
        return [
            None if (cell := scalar.as_py()) is None else embedded_image({"bytes": cell}, unpack)
            for chunk in column.chunks
            for scalar in chunk
        ]
    values: list[Any] = column.to_pylist()
    return values


def _texts(column: Any) -> list[Any] | None:
    """Return bytes as text, which programs such as Spark write so; None if any is no UTF-8."""
    cells = column.to_pylist()
    try:
        return [None if cell is None else cell.decode() for cell in cells]
    except UnicodeDecodeError:
        return None


def _is_list(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _only_one(cell: Any, unpack: Path | None) -> Any:
    """Return the image of a list with one; any other list as it is."""
    if not isinstance(cell, list) or len(cell) != 1 or "bytes" not in cell[0]:
        return cell
    return embedded_image(cell[0], unpack)


def _damage() -> tuple[type[BaseException], ...]:
    """Return what pyarrow raises for files that are damaged: its own errors and Python's."""
    import pyarrow as pa

    return (pa.ArrowException, OSError, ValueError, LookupError, TypeError, MemoryError)


def _schema(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    if path.suffix == ".parquet":
        return parquet.read_schema(regular(path))
    with pa.memory_map(str(regular(path))) as source:
        return _opened(source).schema


def _read(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import parquet

    if path.suffix == ".parquet":
        # not read_table, which takes folder names such as a=1 for columns
        return parquet.ParquetFile(regular(path), page_checksum_verification=True).read()
    with pa.memory_map(str(regular(path))) as source:
        return _opened(source).read_all()


def _opened(source: Any) -> Any:
    """Open an Arrow file, which ``datasets`` writes as a stream."""
    import pyarrow as pa

    try:
        return pa.ipc.open_stream(source)
    except pa.ArrowInvalid:
        return pa.ipc.open_file(source)


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[Any, tuple[str, ...]]:
    """Return what the numbers of classes stand for, as ``datasets`` writes it into a schema."""
    try:
        features = parse_json(metadata[b"huggingface"])["info"]["features"]
        return {
            column: names
            for column, feature in features.items()
            if (names := _names_of(feature)) is not None
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _names_of(feature: Any) -> tuple[str, ...] | None:
    """Return the class names of a column that has one class, or several, on each row."""
    if isinstance(feature, list) and len(feature) == 1:
        return _names_of(feature[0])
    if not isinstance(feature, dict):
        return None
    if feature.get("_type") == "ClassLabel":
        return tuple(map(str, feature["names"]))
    return _names_of(feature.get("feature"))
