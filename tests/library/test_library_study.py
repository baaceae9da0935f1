"""Studies from Python, on the demo: created, worked on, looked at, refitted, opened again."""

from pathlib import Path

import optuna
import pandas as pd
import pytest
from library_samples import SPACE, array_data
from optuna.trial import TrialState

import hpo
from hpo._run_options import run_parser
from hpo.search import TaskState


def test_a_study_ends_with_a_best_configuration(study: hpo.Study) -> None:
    assert study.is_complete
    assert study.name == "small"
    trials = study.optuna.get_trials()
    assert isinstance(study.optuna, optuna.Study)
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert study.best_value == study.optuna.best_value
    best = study.optuna.best_trial
    assert study.best_config == hpo.Config.from_stored(best.user_attrs["config"])
    # the settings that the demo suggests were applied
    assert study.best_config.hidden == (32,)
    assert study.best_config.epochs == 6
    assert repr(study) == "Study('small', 'small': 5 done)"


def test_the_leaderboard_has_every_trial_the_best_first(study: hpo.Study) -> None:
    board = study.leaderboard()
    assert list(board.columns) == [
        *("rank", "score", "std", "trial", "fusion", "lr", "steps", "epochs_trained"),
        *("model_mb", "latency_ms", "pruned"),
    ]
    assert list(board["rank"]) == [1, 2, 3, 4, 5]
    assert board["score"].is_monotonic_decreasing
    assert board["score"][0] == study.best_value
    trials = {trial.number: trial for trial in study.optuna.get_trials()}
    assert set(board["trial"]) == set(trials)
    for row in board.itertuples():
        trial = trials[row.trial]
        assert row.score == trial.value
        assert row.std == trial.user_attrs["std"]
        assert (row.fusion, row.lr) == (trial.params["fusion"], trial.params["lr"])
        assert row.epochs_trained == trial.user_attrs["epochs_trained"]
        assert row.steps == len(trial.intermediate_values)
        assert row.model_mb == trial.user_attrs["model_mb"] > 0
        assert row.latency_ms == trial.user_attrs["latency_ms"] > 0
    # `sum` finds its heads trained, and trains its meta-classifier: 6 epochs, 2 seeds
    assert int(board.set_index("fusion")["epochs_trained"]["sum"].min()) <= 12


def test_a_finished_study_is_only_read(
    study: hpo.Study, demo: hpo.Data, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.launch.ThreadWorker", None)  # nobody is started
    monkeypatch.setattr("hpo.library._study.Workers", None)
    board = study.leaderboard()
    for again in (hpo.create_study(demo, SPACE, storage=storage), hpo.load_study("small", storage)):
        assert again.optimize(progress=False)
        assert again.optimize(workers=1, progress=False)
        pd.testing.assert_frame_equal(again.leaderboard(), board)


def test_workers_in_other_processes_find_the_same(study: hpo.Study, demo: hpo.Data) -> None:
    other = hpo.create_study(
        demo, SPACE, name="others", storage=study.stored.url.replace("studies", "others")
    )
    assert other.optimize(workers=2, progress=False)
    columns = ["score", "std", "fusion", "lr", "steps"]
    mine, theirs = (s.leaderboard()[columns] for s in (other, study))
    pd.testing.assert_frame_equal(mine, theirs)


def test_limits_end_a_study_early_and_the_next_call_goes_on(tmp_path: Path) -> None:
    study = hpo.create_study(
        array_data(tmp_path / "cache"),
        {**SPACE, "split": {"kind": "tail", "val_rows": 40}},
        storage=f"sqlite:///{tmp_path / 's.db'}",
    )
    assert study.leaderboard().empty
    with pytest.raises(hpo.InputError, match=r"'small' has no best configuration yet; call optim"):
        _ = study.best_config
    assert not study.optimize(workers=1, trials=2, progress=False)
    assert study.stored.counts()[TaskState.DONE] == 2
    assert study.ended_by is not None
    assert study.best_value == study.leaderboard()["score"].max()  # the best so far
    assert not study.optimize(workers=1, timeout=1e-6, progress=False)
    assert not study.is_complete
    assert study.optimize(workers=1, progress=False)
    assert study.stored.counts()[TaskState.DONE] == 5


def test_progress_is_a_line_for_each_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = hpo.create_study(
        array_data(tmp_path / "cache"),
        {**SPACE, "split": {"kind": "tail", "val_rows": 40}},
        storage=f"sqlite:///{tmp_path / 's.db'}",
    )
    assert study.optimize(workers=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert [line.split()[:2] for line in lines] == [["trial", str(number)] for number in range(5)]
    assert any(f"  {study.best_value:.3f} ± " in line for line in lines)


def test_a_space_is_a_name_a_path_a_dictionary_or_an_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    monkeypatch.chdir(tmp_path)
    data = array_data(tmp_path / "cache")
    raw = {**SPACE, "split": {"kind": "tail", "val_rows": 40}}
    (tmp_path / "search_spaces").mkdir()
    path = tmp_path / "search_spaces" / "mine.yaml"
    path.write_text(yaml.safe_dump(raw))
    spaces = [raw, path, str(path), "mine", hpo.load_space(path), hpo.load_space(raw)]
    opened = [
        hpo.create_study(data, space, name=f"s{i}", storage="sqlite:///s.db").stored.space
        for i, space in enumerate(spaces)
    ]
    assert all(space == opened[0] for space in opened)
    assert hpo.create_study(data, "mine").name == "mine"
    assert hpo.create_study(data, path).name == "small"
    changed = hpo.create_study(data, raw, name="changed", settings={"dropout": 0.1, "seeds": 1})
    assert (changed.stored.space.fixed.dropout, changed.stored.space.seeds) == (0.1, 1)
    assert hpo.create_study(data, "tpe", settings={"split.val_rows": 40}).name == "tpe"


def test_the_space_of_those_who_name_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ``hpo run`` takes without ``--study``."""
    monkeypatch.chdir(tmp_path)
    study = hpo.create_study(array_data(tmp_path / ".hpo"))
    assert study.name == run_parser().parse_args([]).study == "best"
    assert study.stored.space.search.kind == "promote"


def test_scores_by_class_of_what_is_no_model_of_the_study(
    study: hpo.Study, demo: hpo.Data, model: hpo.Model
) -> None:
    with pytest.raises(hpo.InputError, match="model is 'model', but must be a model, such as ref"):
        study.class_scores("model")  # type: ignore[arg-type]
    other = hpo.fit(demo, hpo.Config(hidden=[4], epochs=1))  # of all rows, those of a test part too
    for scores in (study.class_scores, study.scores_without):
        with pytest.raises(hpo.InputError, match="model is of other rows than the study's, or of"):
            scores(other)
    assert len(study.class_scores(model)) == len(study.class_scores())
