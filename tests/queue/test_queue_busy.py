"""SQLite, locked by another process for longer than a store is to be waited for."""

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpo.queue import FIRST_WAIT_S, Ledger, Patience, StoreAwayError, open_ledger, waiting
from hpo.trials import _engine, busy_at_most


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[str]:
    """The URL of a ledger that somebody else writes to, and never stops."""
    path = tmp_path / "store.db"
    ledger = open_ledger(f"sqlite:///{path}")
    ledger.define("s", {})
    ledger.close()
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield f"sqlite:///{path}"
        other.execute("ROLLBACK")


def timeout_of(ledger: Ledger) -> int:
    """Return the busy timeout of the next connection, in milliseconds."""
    with ledger._engine.connect() as connection:  # type: ignore[attr-defined]
        return int(connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one())


def test_it_gives_up_when_the_store_has_been_waited_for(
    locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_engine, "_TURN_S", 0.1)
    began = time.monotonic()
    ledger = waiting(open_ledger(locked), Patience(limit=0.5))
    said = (
        r"^The store can't be reached \(database is locked\); it was waited for \d s "
        r"\(--wait-for-store 0\.5\)\. Nothing that was stored is lost; the same command goes on "
        r"once it is back\.$"
    )
    with pytest.raises(StoreAwayError, match=said):
        ledger.define("t", {})
    assert 0.4 < time.monotonic() - began < 60


def test_a_turn_is_waited_for_however_short_a_store_is(tmp_path: Path) -> None:
    """Many workers write to one file; who has to wait for its turn doesn't take it for away."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'store.db'}")
    assert timeout_of(ledger) == 60_000
    for seconds, expected in ((0, 5_000), (-3, 5_000), (7.5, 7_500), (FIRST_WAIT_S * 10, 60_000)):
        with busy_at_most(seconds):
            assert timeout_of(ledger) == expected
    assert timeout_of(ledger) == 60_000
    with busy_at_most(7):
        another = open_ledger(f"sqlite:///{tmp_path / 'store.db'}")
        assert timeout_of(another) == 7_000
    assert timeout_of(another) == 60_000
