"""Trials as ``hpo dashboard`` gives them to its page, and nowhere else."""

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.dashboard._lean import LeanStorage
from hpo.dashboard._server import serving
from hpo.study import StoredStudy

OWN = {"config": {"lr": 0.1}, "draw": {"at": 1}, "runs": [["a"]], "token": 1, "task": 0}


def trial(value: float, state: TrialState = TrialState.COMPLETE, **attributes: Any) -> FrozenTrial:
    return create_trial(
        state=state,
        value=value if state is TrialState.COMPLETE else None,
        intermediate_values={1: 0.5, 2: value},
        user_attrs=attributes,
    )


def make(trials: list[FrozenTrial]) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    study.add_trials(trials)
    return study


def lean(study: optuna.Study) -> list[FrozenTrial]:
    return LeanStorage(study._storage).get_all_trials(study._study_id, deepcopy=False)


def with_curve(trials: list[FrozenTrial]) -> list[int]:
    assert all(len(trial.intermediate_values) in (0, 2) for trial in trials)
    return [trial.number for trial in trials if trial.intermediate_values]


def test_few_trials_have_their_curve_and_many_none() -> None:
    study = make([trial(float(n)) for n in range(200)])
    assert with_curve(lean(study)) == list(range(200))
    study._storage.create_new_trial(study._study_id, trial(0.0, TrialState.RUNNING))
    assert with_curve(lean(study)) == []
    assert all(len(one.intermediate_values) == 2 for one in study.trials)  # the storage has all


def test_attributes_are_for_people() -> None:
    metrics = {"val_loss": 0.2, "micro_f1": 80.0}
    (shown,) = lean(make([trial(1.0, std=0.5, metrics=metrics, **OWN)]))
    assert shown.user_attrs == {"task": 0, "std": 0.5, "val_loss": 0.2, "micro_f1": 80.0}


def test_attributes_of_others_are_theirs() -> None:
    (shown,) = lean(make([trial(1.0, config={"a": 1}, metrics={"b": 2})]))
    assert shown.user_attrs == {"config": {"a": 1}, "metrics": {"b": 2}}


def test_a_trial_that_ended_since_is_as_it_ended() -> None:
    study = make([])
    storage = LeanStorage(study._storage)
    number = study._storage.create_new_trial(study._study_id, trial(0.0, TrialState.RUNNING))
    assert storage.get_all_trials(study._study_id)[0].state is TrialState.RUNNING
    study._storage.set_trial_user_attr(number, "worker", "a")
    study._storage.set_trial_state_values(number, TrialState.COMPLETE, [3.0])
    (ended,) = storage.get_all_trials(study._study_id)
    assert (ended.state, ended.value, ended.user_attrs) == (
        TrialState.COMPLETE,
        3.0,
        {"worker": "a"},
    )


def test_only_what_is_shown_is_lean(finished: StoredStudy, folder: Path, tmp_path: Path) -> None:
    """The page also renames studies, by copying their trials, and writes them as CSV."""
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    optuna.copy_study(
        from_study_name=finished.name,
        from_storage=finished.url,
        to_storage=url,
        to_study_name="before",
    )
    expected = optuna.load_study(study_name="before", storage=url).trials
    with serving(url, "127.0.0.1", 0, folder / "artifacts") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"

        def ask(path: str, body: dict[str, Any] | None = None) -> bytes:
            data = None if body is None else json.dumps(body).encode()
            asked = urllib.request.Request(base + path, data, {"Content-Type": "application/json"})
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return bytes(answer.read())

        try:
            detail = json.loads(ask("/api/studies/1?after=0"))
            names = {one["key"] for shown in detail["trials"] for one in shown["user_attrs"]}
            assert {"task", "std", "micro_f1"} <= names
            assert not names & {"config", "draw", "runs", "token", "metrics"}
            assert b"UserAttribute config" in ask("/csv/1")
            ask("/api/studies/1/rename", {"study_name": "after"})
        finally:
            server.shutdown()
    renamed = optuna.load_study(study_name="after", storage=url).trials
    for old, new in zip(expected, renamed, strict=True):
        assert new.user_attrs == old.user_attrs
        assert str(new.intermediate_values) == str(old.intermediate_values)
