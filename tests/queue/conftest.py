"""Stores to test on: each database, and a proxy in front of one."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from queue_samples import proxy, unknown_optuna, unused_port
from trial_samples import NUMBERS, Process

from hpo.queue import Ledger, open_ledger

_names = (f"s{number}" for number in itertools.count())


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres").new_url())


def new_database(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Return the URL of an empty database; a proxy has SQLite behind it."""
    if kind == "postgresql":
        return str(request.getfixturevalue("postgres").new_url())
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'store.db'}"


@pytest.fixture
def free_port() -> int:
    return unused_port()


@pytest.fixture(scope="module", params=["sqlite", "postgresql", "grpc"])
def shared_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """A store of each kind: its URL, and that of the database."""
    database = new_database(request.param, request, tmp_path_factory)
    with ExitStack() as stack:
        url = stack.enter_context(proxy(database)) if request.param == "grpc" else database
        yield url, database


@pytest.fixture(
    scope="module",
    params=[
        (kind, room) for room in ("known", "public") for kind in ("sqlite", "postgresql", "grpc")
    ],
    ids="-".join,
)
def either_store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str, bool]]:
    """A store of each kind, whose Optuna is known or is not: URL, that of the database, which."""
    kind, room = request.param
    with ExitStack() as stack:
        if room == "public":
            stack.enter_context(unknown_optuna())
        database = new_database(kind, request, tmp_path_factory)
        url = stack.enter_context(proxy(database)) if kind == "grpc" else database
        yield url, database, room == "known"


@pytest.fixture
def new_ledger(shared_store: tuple[str, str]) -> Iterator[Callable[[], Ledger]]:
    """Opens a ledger of the store; each has its own connections, as each process would."""
    opened: list[Ledger] = []

    def make() -> Ledger:
        opened.append(open_ledger(shared_store[0]))
        return opened[-1]

    yield make
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(new_ledger: Callable[[], Ledger]) -> Ledger:
    return new_ledger()


@pytest.fixture
def study(ledger: Ledger) -> str:
    """The name of a study that is defined in the ledger, a new one for each test."""
    name = next(_names)
    ledger.define(name, {})
    return name


@pytest.fixture
def new_process(either_store: tuple[str, str, bool]) -> Iterator[Callable[[], Process]]:
    """Opens a study, a new one for each test, as another process would."""
    name = f"t{next(NUMBERS)}"
    opened: list[Process] = []

    def make() -> Process:
        opened.append(Process(either_store[0], name))
        return opened[-1]

    yield make
    for process in opened:
        process.close()


@pytest.fixture
def here(new_process: Callable[[], Process]) -> Process:
    return new_process()
