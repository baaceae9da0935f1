"""Workers killed at random change nothing; ``scripts/chaos.py`` does the same for minutes."""

import random
from pathlib import Path
from typing import Any

import pytest
from worker_samples import (
    LENGTH,
    Outcome,
    chaos,
    create_study,
    crew_of,
    greedy_space,
    outcome_of,
    violations,
)

pytestmark = pytest.mark.slow


def test_a_study_in_peace_has_all_its_stages(reference: Outcome) -> None:
    stages = [row[0] for row in reference.tables]
    space = greedy_space(LENGTH)
    assert list(dict.fromkeys(stages)) == [stage.name for stage in space.search.stages]
    assert all(row[2] is not None for row in reference.tables)
    assert sum(row[4] for row in reference.tables) == len(space.search.stages)
    assert any("diverged" in row[5] for row in reference.tables)
    full = next(curve for name, curve in reference.curves.items() if "'epochs': 40" in name)
    assert sorted(full) == list(range(1, len(full) + 1))


def test_two_workers_on_another_store_get_the_same_numbers(
    postgres: Any, tmp_path: Path, reference: Outcome
) -> None:
    study = create_study(postgres.new_url(), "calm", greedy_space(LENGTH), tmp_path)
    with crew_of(study, tmp_path / "log") as crew:
        crew.start(2)
        assert crew.wait(90) == [0, 0], crew.log.read_text()
    assert violations(study, reference) == []
    assert outcome_of(study) == reference
    trials = study.optuna.get_trials()
    assert len(trials) == len(study.tasks())
    assert len({trial.user_attrs["worker"] for trial in trials}) == 2


@pytest.mark.timeout(120)
def test_killed_workers_change_nothing(url: str, tmp_path: Path, reference: Outcome) -> None:
    kill_at_random(url, tmp_path, reference)


@pytest.mark.timeout(120)
def test_workers_of_a_proxy_change_nothing_either(
    tmp_path: Path, free_port: int, reference: Outcome
) -> None:
    pytest.importorskip("grpc")
    from hpo.queue._server import serve

    server = serve(f"sqlite:///{tmp_path / 'store.db'}", "127.0.0.1", free_port)
    try:
        kill_at_random(f"grpc://127.0.0.1:{free_port}", tmp_path, reference)
    finally:
        server.stop(grace=None)


def kill_at_random(url: str, tmp_path: Path, reference: Outcome) -> None:
    study = create_study(url, "chaos", greedy_space(LENGTH), tmp_path)
    killed = chaos(study, tmp_path / "log", random.Random(0), workers=3, every=1.0, seconds=100.0)
    assert violations(study, reference) == []
    assert killed >= 3
