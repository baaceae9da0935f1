"""What the tests of copies and files of studies begin with."""

from pathlib import Path

import optuna
import pytest
from identity_samples import tiny_data

from hpo.features import Data


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    monkeypatch.chdir(tmp_path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return tiny_data(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def other(request: pytest.FixtureRequest, data: Data) -> str:
    """A store that is not that of the working folder, and empty."""
    if request.param == "sqlite":
        return "sqlite:///other.db"
    return str(request.getfixturevalue("postgres").new_url())
