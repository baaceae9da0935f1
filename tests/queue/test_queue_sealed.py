"""Rows of the ledger have checksums; each byte that changes is found."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from queue_samples import OUTCOME, claim, tasks_of

from hpo.errors import InputError
from hpo.queue import SqlLedger
from hpo.queue._sealed import seal, unseal

RECORDS: list[dict[str, Any]] = [{}, {"a": 1.5, "b": ["é", None]}, {"crc": {"crc32": "x"}}]


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
    ],
)
def test_a_row_that_was_changed_is_named(tmp_path: Path, column: str, what: str) -> None:
    path = tmp_path / "s.db"
    ledger = SqlLedger(f"sqlite:///{path}")
    ledger.define("s", {"a": 1})
    ledger.open_tasks("s", tasks_of(1))
    ledger.complete("s", claim(ledger, "s"), OUTCOME)
    assert ledger.tasks("s")[0].outcome == OUTCOME
    with closing(sqlite3.connect(path)) as connection, connection:
        (text,) = connection.execute(f"SELECT {column} FROM hpo_tasks").fetchone()
        changed = text.replace("2.0", "9.0") if column == "outcome" else _with_another_letter(text)
        assert changed != text
        connection.execute(f"UPDATE hpo_tasks SET {column} = ?", (changed,))
    with pytest.raises(InputError, match=f"The storage is damaged: {what} isn't what was written"):
        ledger.tasks("s")
    ledger.close()


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
