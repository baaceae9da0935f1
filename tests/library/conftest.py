"""The demo's data, and a finished study on it, that the tests of this folder only read."""

from pathlib import Path

import pytest
from library_samples import SPACE

import hpo


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with the demo's cache."""
    return tmp_path_factory.mktemp("library")


@pytest.fixture(scope="session")
def demo(home: Path) -> hpo.Data:
    return hpo.load_data("demo", cache=home / ".hpo", progress=False)


@pytest.fixture(scope="session")
def storage(home: Path) -> str:
    return f"sqlite:///{home / 'studies.db'}"


@pytest.fixture(scope="session")
def study(demo: hpo.Data, storage: str) -> hpo.Study:
    study = hpo.create_study(demo, SPACE, storage=storage)
    assert study.optimize(workers=1, progress=False)
    return study


@pytest.fixture(scope="session")
def model(study: hpo.Study) -> hpo.Model:
    return study.refit()
