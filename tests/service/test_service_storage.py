"""Storage URLs, and Optuna's storage as many processes share it."""

import logging
import math
import threading
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.trial import TrialState
from sqlalchemy import text

from hpo import worker
from hpo.errors import InputError
from hpo.service import append_values, check_url, open_database, open_storage, redact

SECRET = "s3cret-w0rd"


@pytest.fixture
def storage(url: str) -> Iterator[RDBStorage]:
    storage = open_database(url)
    yield storage
    storage.remove_session()
    storage.engine.dispose()


def new_trial(storage: RDBStorage) -> int:
    directions = [optuna.study.StudyDirection.MAXIMIZE]
    return storage.create_new_trial(storage.create_new_study(directions, "s"))


def test_values_are_appended_once_each(storage: RDBStorage) -> None:
    trial = new_trial(storage)
    assert append_values(storage, trial, {1: 50.0, 2: 60.0})
    assert append_values(storage, trial, {2: 61.0, 3: 70.0})  # the first write of a step wins
    assert append_values(storage, trial, {})
    assert storage.get_trial(trial).intermediate_values == {1: 50.0, 2: 60.0, 3: 70.0}


def test_values_are_stored_as_optuna_stores_them(storage: RDBStorage) -> None:
    trial, other = new_trial(storage), storage.create_new_trial(1)
    append_values(storage, trial, {1: 0.1 + 0.2, 2: math.nan, 3: math.inf})
    storage.set_trial_intermediate_value(other, 1, 0.1 + 0.2)
    storage.set_trial_intermediate_value(other, 2, math.nan)
    ours, optunas = (storage.get_trial(number).intermediate_values for number in (trial, other))
    assert ours[1] == optunas[1] == 0.1 + 0.2
    assert math.isnan(ours[2])
    assert math.isnan(optunas[2])
    assert math.isnan(ours[3])  # a gap in the curve as well


@pytest.mark.parametrize("state", [TrialState.FAIL, TrialState.COMPLETE, TrialState.WAITING])
def test_a_trial_that_is_not_running_takes_no_values(
    storage: RDBStorage, state: TrialState
) -> None:
    trial = new_trial(storage)
    append_values(storage, trial, {1: 50.0})
    storage.set_trial_state_values(trial, state, [50.0] if state == TrialState.COMPLETE else None)
    assert not append_values(storage, trial, {2: 60.0})
    assert not append_values(storage, 999, {2: 60.0})
    assert storage.get_trial(trial).intermediate_values == {1: 50.0}


def test_racing_writers_lose_nothing(url: str) -> None:
    storages = [open_database(url) for _ in range(4)]
    trial = new_trial(storages[0])
    errors: list[BaseException] = []

    def write(index: int) -> None:
        try:
            for step in range(index, 100, 2):  # two writers for each step
                append_values(storages[index], trial, {step: float(step)})
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert storages[0].get_trial(trial).intermediate_values == {s: float(s) for s in range(100)}
    for storage in storages:
        storage.engine.dispose()


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
    assert [type(item) for item in opened] == [RDBStorage] * 6
    for item in opened:
        assert isinstance(item, RDBStorage)
        item.engine.dispose()


def test_sqlite_is_set_up_for_many_readers_and_writers(tmp_path: Path) -> None:
    storage = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    with storage.engine.connect() as connection:
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
        assert connection.execute(text("PRAGMA busy_timeout")).scalar_one() == 60_000
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 1
    storage.engine.dispose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "studies.db",
            "--storage is no database URL; it must look like sqlite:///studies.db or "
            "postgresql+psycopg://user:password@host/name.",
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
        ("grpc://host", "--storage grpc://host: must be grpc://HOST:PORT."),
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
    assert worker.main(["--study", "s"]) == 2
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
