"""The demo's data, and a finished study on it, that the tests of this folder only read."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from library_samples import SPACE

import hpo


@pytest.fixture(scope="session")
def home(made_once: Callable[[str, Callable[[Path], None]], Path], demo_cache: Path) -> Path:
    """A working folder with the demo's cache and a finished study."""

    def fill(folder: Path) -> None:
        shutil.copytree(demo_cache, folder / ".hpo")
        data = hpo.load_data("demo", cache=folder / ".hpo", progress=False)
        study = hpo.create_study(data, SPACE, storage=f"sqlite:///{folder / 'studies.db'}")
        assert study.optimize(workers=1, progress=False)
        study.refit()

    return made_once("library", fill)


@pytest.fixture(scope="session")
def demo(home: Path) -> hpo.Data:
    return hpo.load_data("demo", cache=home / ".hpo", progress=False)


@pytest.fixture(scope="session")
def storage(home: Path) -> str:
    return f"sqlite:///{home / 'studies.db'}"


@pytest.fixture(scope="session")
def study(demo: hpo.Data, storage: str) -> hpo.Study:
    return hpo.create_study(demo, SPACE, storage=storage)


@pytest.fixture(scope="session")
def model(study: hpo.Study) -> hpo.Model:
    return study.refit()
