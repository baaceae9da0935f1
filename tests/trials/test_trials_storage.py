"""Storage URLs, and Optuna's storage as many processes share it."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from hpo.errors import InputError
from hpo.queue import SqlLedger, open_storage
from hpo.trials import _engine, check_url, open_database, redact
from hpo.trials._reading import Database
from hpo.worker.__main__ import main

SECRET = "s3cret-w0rd"


def test_racing_processes_make_the_tables_once(url: str) -> None:
    opened: list[object] = []

    def open_it() -> None:
        try:
            opened.append(open_database(url))
        except BaseException as error:
            opened.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(item) for item in opened] == [Database] * 6
    for item in opened:
        assert isinstance(item, Database)
        item.engine.dispose()


def test_sqlite_is_set_up_for_many_readers_and_writers(tmp_path: Path) -> None:
    storage = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with storage.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 60_000
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 1
    storage.engine.dispose()


def test_a_connection_that_broke_while_idle_is_replaced(
    postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.new_url()
    ledger, other = SqlLedger(url), create_engine(postgres.new_url())
    monkeypatch.setattr(_engine, "_IDLE_S", 0.0)
    for _ in range(2):
        assert ledger.studies() == []
        with other.begin() as connection:
            ended = connection.execute(
                text(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = :name"
                ),
                {"name": make_url(url).database},
            ).scalar_one()
        assert ended >= 1
    assert ledger.studies() == []
    ledger.close()
    other.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "studies.db",
            "--storage studies.db: is no database URL; a file is given as sqlite:///studies.db.",
        ),
        (
            "mysql://me:s3cret-w0rd@host/x",
            "--storage mysql://me:***@host/x: must be sqlite, postgresql or grpc.",
        ),
        (
            "sqlit:///a.db",
            "--storage sqlit:///a.db: must be sqlite, postgresql or grpc (did you mean 'sqlite'?).",
        ),
        (
            "sqlite://",
            "--storage sqlite://: must name a file, since workers are processes.",
        ),
        (
            "sqlite:///:memory:",
            "--storage sqlite:///:memory:: must name a file, since workers are processes.",
        ),
        (
            "sqlite:////no/such/place/a.db",
            "--storage sqlite:////no/such/place/a.db: the folder /no/such/place doesn't exist.",
        ),
        ("grpc://host", "--storage grpc://host: must be grpc://HOST:PORT, and nothing more."),
    ],
)
def test_a_bad_url_is_refused_in_words(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url)
    assert str(caught.value) == message


def test_postgres_always_goes_through_psycopg() -> None:
    url = check_url("postgresql://me:pw@host/name")
    assert url.drivername == "postgresql+psycopg"
    assert url.password == "pw"


def test_sqlite_on_a_network_file_system_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "shared disk"
    folder.mkdir()
    mounts = "\n".join(
        [
            "overlay / overlay rw 0 0",
            f"server:/x {tmp_path} ext4 rw 0 0",
            f"server:/y {str(folder).replace(' ', chr(92) + '040')} nfs4 rw 0 0",
        ]
    )
    read = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda path, *a, **k: mounts if str(path) == "/proc/mounts" else read(path, *a, **k),
    )
    url = f"sqlite:///{folder / 'a.db'}"
    with pytest.raises(InputError) as caught:
        check_url(url)
    assert str(caught.value) == (
        f"--storage {url}: SQLite on a network file system (nfs4) loses data, since its locks "
        "don't hold there; use a local file or PostgreSQL."
    )
    check_url(f"sqlite:///{tmp_path / 'a.db'}")  # the nearest mount above it decides


def test_a_password_is_hidden_wherever_a_url_is_shown() -> None:
    assert redact(f"postgresql+psycopg://me:{SECRET}@host/x") == (
        "postgresql+psycopg://me:***@host/x"
    )
    assert redact("sqlite:///studies.db") == "sqlite:///studies.db"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql+psycopg://me:{SECRET}@127.0.0.1:1/x",
        f"postgresql://me:{SECRET}@no.such.host.invalid/x",
        f"postgresql://me@127.0.0.1:1/x?password={SECRET}",
        f"oracle://me:{SECRET}@host/x",
        f"me:{SECRET}@host/x",
        f"postgresql//me:{SECRET}@host/x",
        f"://me:{SECRET}@host",
    ],
)
def test_a_password_is_in_no_error_and_no_log(
    url: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError) as caught:
        open_storage(url)
    monkeypatch.setenv("HPO_STORAGE", url)
    assert main(["--study", "s", "--wait-for-store", "0"]) in (2, 6)
    shown = [str(caught.value), repr(caught.value), caplog.text, *capfd.readouterr(), redact(url)]
    for where in shown:
        assert SECRET not in where


def test_a_store_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = tmp_path / "no-database.db"
    path.write_bytes(b"this is no SQLite file, and long enough to have a header" * 10)
    with pytest.raises(InputError) as caught:
        open_storage(f"sqlite:///{path}")
    assert str(caught.value) == (
        f"--storage sqlite:///{path}: can't be opened: file is not a database"
    )
