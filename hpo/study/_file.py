"""One study as one file, to be sent: written, and taken into a store again.

The file is a SQLite database that has nothing but the study, so that hpo, Optuna and Optuna's
dashboard in the browser open it as any other storage. A table of its own holds the SHA-256 of the
file, in which the digits of that sum count as zeros.
"""

import contextlib
import hashlib
import mmap
import re
import sqlite3
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from hpo.errors import InputError
from hpo.files import atomic_write, regular
from hpo.queue import Copied, first_patience, is_known_version
from hpo.study._copying import check_is_database, copy_to
from hpo.study._identity import Store
from hpo.study._name import check_name
from hpo.trials import REVISION, check_exists

__all__ = ["check_replaceable", "export_file", "import_file"]

_MARK, _DIGITS = b"hpo-study-sha256:", 64
#: Whatever stands in the place of the digits: what isn't one was damaged.
_SEAL = re.compile(_MARK + b"(.{%d})" % _DIGITS, re.DOTALL)
_BLANK = b"0" * _DIGITS
_SQLITE = b"SQLite format 3\0"
#: What SQLite has in columns of a declared type; all others have text.
_HELD = {
    "INT": "integer",
    "BOOL": "integer",
    "FLOAT": "real integer",
    "DOUBLE": "real integer",
    "NUMERIC": "real integer",
}


def export_file(url: str, name: str, path: Path, wait: float | None = None) -> Copied:
    """Write one study to a file, which is there as a whole or not at all.

    Args:
        url: The storage URL.
        name: The study's name.
        path: The file; one that is there is replaced.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: There is no such study, or it isn't hpo's, or the storage is no database whose
            tables are known.
        OSError: The file can't be written.
    """
    return first_patience(wait)(lambda: _export(url, name, path))


def _export(url: str, name: str, path: Path) -> Copied:
    check_exists(url)
    check_is_database(url)
    with (
        contextlib.closing(Store.open(url)) as store,
        tempfile.TemporaryDirectory(prefix="hpo-") as folder,
    ):
        found, _ = store.find(name, "NAME")
        alone = Path(folder) / "study.db"
        with contextlib.closing(Store.open(f"sqlite:///{alone}")) as target:
            copied = copy_to(store, found, target, name, uuid.uuid4().hex)
        _pack(alone)
        with _mapped(alone) as content:
            assert content is not None  # SQLite wrote it
            ((start, _),) = _seals(content)
            digits = _digest(content, start)
            with atomic_write(path) as file, memoryview(content) as view:
                file.write(view[:start])
                file.write(digits)
                file.write(view[start + _DIGITS :])
    return copied


def import_file(
    url: str, path: Path, name: str | None, wait: float | None = None
) -> tuple[str, Copied]:
    """Take a study from a file that ``export_file`` wrote into a store, as a whole or not at all.

    Args:
        url: The storage URL; a SQLite file that isn't there is made.
        path: The file.
        name: What the study is to be called; by default what it was.
        wait: See ``StoredStudy.create``.

    Returns:
        The study's name, and how much it has.

    Raises:
        InputError: The file isn't what was written, or of a version that isn't known; or the name
            is taken; or the storage is no database whose tables are known.
        OSError: The file can't be read.
    """
    if name is not None:
        check_name(name)
    if not path.exists():
        raise InputError(f"FILE {path}: there is no such file.")
    check_is_database(url)
    with tempfile.TemporaryDirectory(prefix="hpo-") as folder:
        alone = Path(folder) / "study.db"
        _unpack(path, alone)
        with contextlib.closing(Store.open(f"sqlite:///{alone}")) as source:
            names = source.names()
            if len(names) != 1:
                raise InputError(f"{path}: has {len(names)} studies of hpo's, but must have one.")
            found, _ = source.find(names[0], "NAME")
            called, identity = found.name if name is None else name, uuid.uuid4().hex

            def take() -> Copied:
                with contextlib.closing(Store.open(url)) as target:
                    return copy_to(source, found, target, called, identity)

            return called, first_patience(wait)(take)


def check_replaceable(path: Path) -> None:
    """Check that a file which is to be written isn't there, or that ``export_file`` wrote it.

    Raises:
        InputError: It is something else, such as a store, or what somebody changed since.
    """
    if not path.is_file() or path.stat().st_size == 0:
        return
    with _mapped(path) as content:
        if content is None:
            raise InputError(
                f"--out {path}: is there, but isn't a study that hpo wrote, so it isn't replaced; "
                "give another file."
            )
        if not _is_whole(content):
            raise InputError(
                f"--out {path}: is a database with studies of its own, which isn't replaced; give "
                "another file."
            )


def _pack(path: Path) -> None:
    """Make a database one file, without what was deleted in it, and with room for its checksum."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE hpo_file (seal TEXT NOT NULL)")
        connection.execute("INSERT INTO hpo_file VALUES (?)", [(_MARK + _BLANK).decode()])
        # Optuna's app in the browser can't open one that is being written ahead.
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("VACUUM")


def _unpack(path: Path, to: Path) -> None:
    """Copy a file, once it was found to be what was written and nothing that only looks so.

    Raises:
        InputError: It isn't.
        OSError: It can't be read.
    """
    with _mapped(path) as content:
        if content is None:
            raise InputError(f"{path}: is no file that hpo study export --format sqlite wrote.")
        if not _seals(content):
            raise InputError(
                f"{path}: is a database, but none that hpo study export wrote; a study is taken "
                f"from a store with hpo study copy NAME --storage sqlite:///{path} --to URL."
            )
        if not _is_whole(content):
            raise InputError(
                f"{path}: is damaged, or was changed: it isn't what hpo study export wrote. Send "
                "it again, or export the study anew."
            )
        with to.open("wb") as copy, memoryview(content) as view:
            copy.write(view)
    with contextlib.closing(sqlite3.connect(to)) as connection:
        kinds = connection.execute("SELECT type, sql FROM sqlite_master").fetchall()
        plain = all(kind in ("table", "index") for kind, _ in kinds) and not any(
            str(sql).upper().startswith("CREATE VIRTUAL") for _, sql in kinds
        )
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
        if not plain or not {"alembic_version", "hpo_version", "studies"} <= tables:
            raise InputError(f"{path}: has other tables than hpo study export writes.")
        versions = [
            str((connection.execute(f"SELECT version_num FROM {table}").fetchone() or ("none",))[0])
            for table in ("alembic_version", "hpo_version")
        ]
        odd = _of_other_types(connection)
    optuna, ledger = versions
    if optuna != REVISION:
        raise InputError(
            f"{path}: its tables are of Optuna's revision {optuna}, and this version of hpo reads "
            f"{REVISION}; export the study anew with a version of hpo as this one is."
        )
    if not is_known_version(ledger):
        raise InputError(
            f"{path}: a newer version of hpo wrote it: its tables hpo_* have version {ledger}. "
            "Update hpo (pip install -U hpo)."
        )
    if odd:
        raise InputError(
            f"{path}: {', '.join(odd)} can't be what hpo wrote; export the study anew."
        )


def _of_other_types(connection: sqlite3.Connection) -> list[str]:
    """Return the columns, as ``table.column``, that hold values of other types than they say.

    SQLite takes a text for a number, which every other database refuses.
    """
    found = []
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for table in (name.replace('"', '""') for (name,) in tables):
        columns = connection.execute(f'PRAGMA table_info("{table}")').fetchall()
        for _, column, declared, *_ in columns:
            kinds = next((held for kind, held in _HELD.items() if kind in declared.upper()), "text")
            query = (
                f'SELECT 1 FROM "{table}" WHERE "{column}" IS NOT NULL '
                f'AND instr(?, typeof("{column}")) = 0 LIMIT 1'
            )
            if connection.execute(query, [kinds]).fetchone():
                found.append(f"{table}.{column}")
    return found


@contextlib.contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | None]:
    """Yield what a SQLite file has; None for any other file.

    Raises:
        OSError: It can't be read.
    """
    with regular(path).open("rb") as file:
        if file.read(len(_SQLITE)) != _SQLITE:
            yield None
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content


def _seals(content: mmap.mmap) -> list[tuple[int, bytes]]:
    """Return where the digits of the checksum begin, and the digits; one item in a whole file."""
    return [(found.start(1), found[1]) for found in _SEAL.finditer(content)]


def _is_whole(content: mmap.mmap) -> bool:
    seals = _seals(content)
    return len(seals) == 1 and _digest(content, seals[0][0]) == seals[0][1]


def _digest(content: mmap.mmap, start: int) -> bytes:
    """Return the SHA-256 of a file in which the digits from ``start`` on count as zeros."""
    with memoryview(content) as view:
        total = hashlib.sha256(view[:start])
        total.update(_BLANK)
        total.update(view[start + _DIGITS :])
    return total.hexdigest().encode()
