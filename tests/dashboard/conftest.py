"""A finished study that tests of this folder add notes, plots and files to."""

from pathlib import Path

import pytest
from dashboard_samples import make_study

from hpo.study import StoredStudy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    return make_study(tmp_path_factory.mktemp("dashboard"))


@pytest.fixture
def folder(finished: StoredStudy) -> Path:
    return Path(finished.definition.cache).parent
