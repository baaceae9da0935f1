"""A finished study for each file of tests, which may finish, refit and report it."""

from pathlib import Path

import pytest
from report_samples import make_study, work

from hpo.results import compute_floor
from hpo.study import StoredStudy


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> StoredStudy:
    study = make_study(tmp_path_factory.mktemp("report") / "finished")
    assert work(study)
    compute_floor(study)  # as the first test to finish it would, for those after it to see
    return study


@pytest.fixture
def study_folder(finished: StoredStudy) -> Path:
    """Where the finished study's data, storage and cache are."""
    return Path(finished.definition.cache).parent
