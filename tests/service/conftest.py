"""Stores to test on, and one undisturbed study to compare with."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from service_samples import LENGTH, Outcome, create_study, greedy_space, undisturbed
from sqlalchemy import create_engine, text

from hpo.service import Ledger, open_ledger


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres").new_url())


@pytest.fixture(scope="session", params=["sqlite", "postgresql", "grpc"])
def shared_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """A store of each kind, a proxy being one: its URL, and that of the database."""
    database = f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"
    if request.param == "postgresql":
        database = request.getfixturevalue("postgres").new_url()
    if request.param != "grpc":
        yield database, database
        return
    pytest.importorskip("grpc")
    from hpo.service._proxy import serve

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = serve(database, "127.0.0.1", port)
    yield f"grpc://127.0.0.1:{port}", database
    server.stop(grace=None)


@pytest.fixture
def new_ledger(shared_store: tuple[str, str]) -> Iterator[Callable[[], Ledger]]:
    """Opens a ledger of the emptied store; each has its own connections, as each process would."""
    url, database = shared_store
    opened = [open_ledger(url)]
    engine = create_engine(database)
    with engine.begin() as connection:
        for table in ("hpo_tasks", "hpo_studies"):
            connection.execute(text(f"DELETE FROM {table}"))
    engine.dispose()

    def make() -> Ledger:
        opened.append(open_ledger(url))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    ledger = new_ledger()
    ledger.define("s", {})
    return ledger


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of the greedy study that one worker ran in peace, on SQLite."""
    folder = tmp_path_factory.mktemp("calm")
    study = create_study(f"sqlite:///{folder / 'calm.db'}", "calm", greedy_space(LENGTH), folder)
    outcome: Outcome = undisturbed(study, folder / "log")
    return outcome
