"""A PostgreSQL server that is there and does nothing is found to be away."""

import os
import signal
from typing import Any

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError

from hpo.trials import _quiet as module
from hpo.trials import check_url, engine_arguments, open_database, passing_reason

AWAY = "The store can't be reached (the server is there, but hasn't answered for 0.5 s)"


def suspend_its_process(engine: Engine) -> int:
    """Stop what serves the connection that the engine uses next; return its process number."""
    with engine.connect() as connection:
        process = int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
    os.kill(process, signal.SIGSTOP)
    return process


@pytest.fixture
def url(postgres: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(module, "_QUIET_S", 0.5)
    return str(postgres.new_url())


def test_a_statement_ends_and_the_next_one_has_another_connection(url: str) -> None:
    parsed = check_url(url)
    engine = create_engine(parsed, **engine_arguments(parsed))
    process = suspend_its_process(engine)
    try:
        with pytest.raises(DBAPIError) as raised, engine.connect() as connection:
            connection.execute(text("SELECT 1"))
        assert raised.value.connection_invalidated
        assert passing_reason(raised.value) == AWAY
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    finally:
        os.kill(process, signal.SIGCONT)
        engine.dispose()


def test_so_does_a_call_of_optunas(url: str) -> None:
    storage = open_database(url)
    process = suspend_its_process(storage.engine)
    try:
        with pytest.raises((StorageInternalError, DBAPIError)) as raised:
            storage.get_all_studies()
        assert passing_reason(raised.value) == AWAY
        assert storage.get_all_studies() == []
    finally:
        os.kill(process, signal.SIGCONT)
        storage.engine.dispose()


def test_a_statement_that_takes_its_time_with_rows_is_left_alone(url: str) -> None:
    parsed = check_url(url)
    engine = create_engine(parsed, **engine_arguments(parsed))
    slow = text("SELECT i, pg_sleep(0.2), repeat('x', 100000) FROM generate_series(1, 6) AS i")
    with engine.connect() as connection:
        assert len(connection.execute(slow).all()) == 6  # 1.2 s, and something all the time
    engine.dispose()
