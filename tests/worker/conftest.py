"""Stores to test on, and one undisturbed study to compare with."""

import socket
from pathlib import Path

import pytest
from worker_samples import LENGTH, Outcome, create_study, greedy_space, undisturbed


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres").new_url())


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The outcome of the greedy study that one worker ran in peace, on SQLite."""
    folder = tmp_path_factory.mktemp("calm")
    study = create_study(f"sqlite:///{folder / 'calm.db'}", "calm", greedy_space(LENGTH), folder)
    outcome: Outcome = undisturbed(study, folder / "log")
    return outcome
