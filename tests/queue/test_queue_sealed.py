"""Rows of the ledger have checksums; each byte that changes is found."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from queue_samples import OUTCOME, claim, tasks_of

from hpo.errors import InputError
from hpo.queue import SqlLedger
from hpo.queue._sealed import seal, unseal
from hpo.search import NewTask

RECORDS: list[dict[str, Any]] = [{}, {"a": 1.5, "b": ["é", None]}, {"crc": {"crc32": "x"}}]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Path, SqlLedger]]:
    """A file, and a ledger in it with a study ``s``."""
    path = tmp_path / "s.db"
    ledger = SqlLedger(f"sqlite:///{path}")
    ledger.define("s", {"a": 1})
    yield path, ledger
    ledger.close()


@pytest.mark.parametrize("record", RECORDS)
def test_what_is_sealed_comes_back_and_every_change_is_found(record: dict[str, Any]) -> None:
    text = seal(record)
    assert json.loads(text).keys() == {*record, "crc32"}
    assert unseal(text, "it") == record
    for place in range(len(text)):
        for other in (chr(ord(text[place]) ^ 1), chr(ord(text[place]) ^ 16)):
            with pytest.raises(InputError, match="The storage is damaged: it isn't what was writ"):
                unseal(text[:place] + other + text[place + 1 :], "it")


def test_rows_of_earlier_versions_have_no_checksum() -> None:
    assert unseal('{"a": 1}', "it") == {"a": 1}
    for text in ("", "{", "[1]", "7", '{"a": 1'):
        with pytest.raises(InputError, match="it isn't what was written"):
            unseal(text, "it")


def _changed(column: str, value: Any) -> Any:
    if isinstance(value, int):
        return value + 5
    changed = value.replace("2.0", "9.0") if column == "outcome" else _with_another_letter(value)
    assert changed != value
    return changed


def _with_another_letter(text: str) -> str:
    place = len(text) // 2
    return text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]


@pytest.mark.parametrize(
    ("column", "what"),
    [
        ("outcome", "the outcome of task 0"),
        ("config", "the configuration of a task"),
        ("config_key", "what it has of task 0"),
        ("runs", "what it has of task 0"),
        ("state", "what it has of task 0"),
        ("stage", "what it has of task 0"),
        ("position", "what it has of task 5"),
        ("trial", "what it has of task 0"),
    ],
)
def test_a_row_that_was_changed_is_named(
    opened: tuple[Path, SqlLedger], column: str, what: str
) -> None:
    path, ledger = opened
    ledger.open_tasks("s", tasks_of(1))
    task = claim(ledger, "s")
    ledger.attach("s", task, 3)
    ledger.complete("s", task, OUTCOME)
    assert (ledger.tasks("s")[0].outcome, ledger.tasks("s")[0].trial) == (OUTCOME, 3)
    with closing(sqlite3.connect(path)) as connection, connection:
        (value,) = connection.execute(f"SELECT {column} FROM hpo_tasks").fetchone()
        connection.execute(f"UPDATE hpo_tasks SET {column} = ?", (_changed(column, value),))
    with pytest.raises(InputError, match=f"The storage is damaged: {what} isn't what was written"):
        ledger.tasks("s")


@pytest.mark.parametrize("change", ["stage = 1", "trial = 0", "config_key = 'k'"])
def test_a_task_that_is_not_drawn_yet_has_nothing_to_be_drawn(
    opened: tuple[Path, SqlLedger], change: str
) -> None:
    path, ledger = opened
    ledger.open_tasks("s", [NewTask(0, 0)])
    assert ledger.tasks("s")[0].config is None
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE hpo_tasks SET {change}")
    with pytest.raises(InputError, match="damaged: what it has of task 0 isn't what was written"):
        ledger.tasks("s")


def test_rows_of_earlier_versions_have_less_beside_the_configuration(
    opened: tuple[Path, SqlLedger],
) -> None:
    path, ledger = opened
    ledger.open_tasks("s", tasks_of(1))
    (task,) = ledger.tasks("s")
    assert task.config is not None
    whole = {"config": task.config.model_dump(mode="json"), "key": task.key, "runs": task.runs}
    for earlier in (seal(whole), seal(whole["config"]), json.dumps(whole["config"])):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE hpo_tasks SET config = ?, trial = 2", (earlier,))
        (read,) = ledger.tasks("s")
        assert (read.config, read.trial) == (task.config, 2)


def test_an_index_that_hides_a_row_is_named(tmp_path: Path) -> None:
    """A statement that uses it would find fewer tasks, without an error."""
    path = tmp_path / "s.db"
    ledger = SqlLedger(f"sqlite:///{path}")
    ledger.define("hidden", {"a": 1})
    ledger.open_tasks("hidden", tasks_of(3))
    ledger.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'ix_hpo_tasks_state'"
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    content = bytearray(path.read_bytes())
    place = content.index(b"hidden", (page - 1) * size, page * size)
    content[place + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        SqlLedger(f"sqlite:///{path}")
    assert str(caught.value) == (
        f"--storage sqlite:///{path}: SQLite says that the file is damaged: row 3 missing from "
        "index ix_hpo_tasks_state. Restore it from a backup; or move it away and run the study "
        "again, which finds its runs in the cache."
    )
