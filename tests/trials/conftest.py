"""Databases to test on."""

from pathlib import Path

import pytest


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgres").new_url())


@pytest.fixture
def unknown_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    """Optuna's tables are of a revision that the package doesn't know."""
    monkeypatch.setattr("hpo.trials._known.REVISION", "v2.0.0.a")
    monkeypatch.setattr("hpo.trials._known._said", __import__("threading").Event())
