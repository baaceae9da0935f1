"""Notes, plots and files of a study in Optuna's storage."""

import errno
import io
import itertools
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard_samples import make_study
from optuna.storages import RDBStorage
from optuna_dashboard import get_note
from rich.console import Console
from sqlalchemy.exc import OperationalError

from hpo.dashboard import ARTIFACTS, Board, attach_files, publish
from hpo.dashboard._importance import importances
from hpo.dashboard._note import study_note, trial_notes
from hpo.queue import Patience, StoreAwayError
from hpo.report import best_so_far_by_epochs, finish_study
from hpo.results import seed_probabilities, trainer_of
from hpo.study import StoredStudy


def attributes(study: StoredStudy) -> dict[str, Any]:
    storage = study.optuna._storage
    return dict(storage.get_study_system_attrs(study.optuna._study_id))


def plots_of(study: StoredStudy) -> dict[str, Any]:
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    return {k: json.loads(v) for k, v in get_plotly_graph_objects(attributes(study)).items()}


def test_a_study_that_is_decided(finished: StoredStudy) -> None:
    Board(finished).write()
    best = finished.best()
    assert best is not None and best.outcome is not None
    note = get_note(finished.optuna)
    assert note == study_note(finished, finished.tasks(), finished.trials.all(), None)
    lines = note.splitlines()
    assert lines[0] == "# small"
    assert (
        f"## Best: trial {best.trial}, {best.outcome.value:.3f} ± {best.outcome.std:.3f}" in lines
    )
    assert "- **Configurations**: 7 done, complete" in lines
    assert any(line.startswith("| fusion | fusion concat |") for line in lines)
    trained = sum(task.outcome.epochs_trained for task in finished.tasks() if task.outcome)
    spent_line = next(line for line in lines if line.startswith("- **Spent**"))
    assert spent_line.startswith(f"- **Spent**: {trained} epochs of single runs")
    assert "plan" not in spent_line  # nothing of it is left


def test_plots_have_ids_that_stay(finished: StoredStudy) -> None:
    Board(finished).write()
    plots = plots_of(finished)
    expected = {"curves-1", "curves-2", "fusions", "best-so-far", "loss-by-batch-size-and-lr"}
    assert expected <= plots.keys()
    # each fusion of the first stage: a curve and the band of its two seeds
    assert len(plots["curves-1"]["data"]) == 4
    band, line = plots["curves-1"]["data"][:2]
    assert band["fill"] == "toself" and line["name"].startswith("fusion image: ")
    steps = list(line["x"])
    assert steps == [1, 2, 3, 4, 5, 6]
    low = band["y"][len(steps) :][::-1]
    assert all(a <= m <= b for a, m, b in zip(low, line["y"], band["y"], strict=False))
    rates = {trace.get("name") for trace in plots["loss-by-batch-size-and-lr"]["data"]}
    assert rates == {"validation loss", "diverged"}
    assert plots["best-so-far"]["data"][0]["y"] == sorted(plots["best-so-far"]["data"][0]["y"])


def test_what_is_shown_already_is_not_written_again(
    finished: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    Board(finished).write()
    before = attributes(finished)
    storage = type(finished.optuna._storage)
    monkeypatch.setattr(storage, "set_study_system_attr", lambda *_: pytest.fail("written twice"))
    Board(finished).write()
    assert attributes(finished) == before


def test_trials_that_ended_early_say_why(finished: StoredStudy) -> None:
    Board(finished).write()
    notes = trial_notes(finished.tasks())
    pruned = [task for task in finished.tasks() if task.outcome and task.outcome.pruned]
    assert pruned and notes.keys() == {task.trial for task in pruned}
    for task in pruned:
        assert task.outcome is not None and task.trial is not None
        assert notes[task.trial].startswith(f"**Pruned** after step {task.outcome.steps}: diverged")
    texts = [v for k, v in attributes(finished).items() if ":note_str:" in k]
    assert all(note in texts for note in notes.values())


def test_results_are_in_the_note(finished: StoredStudy, tmp_path: Path) -> None:
    console = Console(file=io.StringIO())
    finish_study(finished, console, tmp_path / "out", "cpu", refit=True)
    publish(finished, tmp_path / "out", "cpu")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    note = get_note(finished.optuna)
    f1 = metrics["judged"]["validation_tuned"]["micro_f1"]
    assert f"| validation | {f1['value']:.2f} ({f1['low']:.2f} to {f1['high']:.2f}) |" in note
    assert f"- **Model**: {metrics['model']['mb']:.2f} MB, trained on 120 rows" in note
    by_class = plots_of(finished)["f1-by-class"]["data"][0]
    assert set(by_class["y"]) == {"a*b", "&lt;c&gt;", "d"}


def test_files_of_the_best_trials(finished: StoredStudy, folder: Path) -> None:
    attach_files(finished, finished.tasks())
    assert attach_files(finished, finished.tasks()) == 0
    store = folder / ".hpo" / ARTIFACTS
    best = finished.best()
    assert best is not None and best.trial is not None and best.config is not None
    metas = [
        json.loads(text)
        for key, text in attributes(finished).items()
        if key.startswith("dashboard:artifacts:")
    ]
    files = [meta["filename"] for meta in metas]
    assert sorted(set(files)) == ["config.json", "curve.csv", "validation.csv"]
    assert finished.shown().files(best.trial, store) == set(files)
    configs = {
        meta["artifact_id"]: json.loads((store / meta["artifact_id"]).read_text())
        for meta in metas
        if meta["filename"] == "config.json"
    }
    assert best.config.model_dump(mode="json") in configs.values()
    (store / metas[0]["artifact_id"]).unlink()  # what is gone is made again
    assert attach_files(finished, finished.tasks()) == 1


def test_predictions_are_those_of_the_trial(finished: StoredStudy, tmp_path: Path) -> None:
    from hpo.dashboard._artifacts import _Rows

    best = finished.best()
    assert best is not None
    path = tmp_path / "validation.csv"
    assert _Rows(finished, "cpu").write(best, path)
    head, *rows = [line.split(",") for line in path.read_text().splitlines()]
    assert head == ["ImageID", "labels", "a*b", "<c>", "d"]
    expected = seed_probabilities(trainer_of(finished, best, "cpu"), best, "val")
    assert expected is not None
    found = np.array([[float(cell) for cell in row[2:]] for row in rows])
    assert np.allclose(found, np.mean(expected, axis=0), atol=5e-5)


def test_the_best_so_far_counts_what_all_trials_cost(finished: StoredStudy) -> None:
    tasks, trials = finished.tasks(), finished.trials.all()
    points = best_so_far_by_epochs(tasks, trials)
    best = finished.best()
    assert best is not None and best.outcome is not None
    assert points[-1][1] == max(
        task.outcome.value for task in tasks if task.outcome and task.outcome.is_whole
    )
    assert points[-1][0] == sum(task.outcome.epochs_trained for task in tasks if task.outcome)
    assert best_so_far_by_epochs([], []) == []


def test_importances_need_trials(finished: StoredStudy) -> None:
    assert importances(finished.optuna) == {}


def test_what_cannot_be_shown_does_not_end_the_study(
    finished: StoredStudy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("hpo.dashboard._board.study_note", fails)
    board = Board(finished)
    board.write()
    board.write()
    assert [record.getMessage() for record in caplog.records] == [
        "What optuna-dashboard shows of the study is not current: No space left on device"
    ]


def test_it_is_kept_current_while_a_study_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpo.dashboard._board._EVERY_S", 0.05)
    monkeypatch.setattr("hpo.dashboard._board._SHARE", 1)
    stored = make_study(tmp_path)
    assert get_note(stored.optuna).startswith("# small\n")
    assert "fusion" in get_note(stored.optuna)


def shown_by(study: StoredStudy) -> tuple[str, dict[str, Any], list[str]]:
    """Note, plots and names of the files of a study."""
    files = [
        json.loads(text)["filename"]
        for key, text in attributes(study).items()
        if key.startswith("dashboard:artifacts:")
    ]
    return get_note(study.optuna), plots_of(study), sorted(files)


def test_results_are_shown_although_the_store_goes_away_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = make_study(tmp_path)
    calls: list[int] = []
    failing: list[int] = []  # the number of the call that fails
    lost = [False]  # whether it is done, and nobody knows

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            calls.append(1)
            if len(calls) not in failing:
                return real(*given)
            if lost[0]:
                real(*given)
            raise OperationalError("", {}, Exception("terminating connection"))

        return call

    for name in ("set_study_system_attr", "get_study_system_attrs", "get_all_trials"):
        monkeypatch.setattr(RDBStorage, name, counted(getattr(RDBStorage, name)))
    publish(study, tmp_path, "cpu")
    number, expected = len(calls), shown_by(study)
    assert number > 20
    for at, lost[0] in itertools.product(range(1, number + 1, 4), (False, True)):
        failing[:] = [at]
        with sqlite3.connect(tmp_path / "studies.db") as store:
            store.execute("DELETE FROM study_system_attributes WHERE key != 'hpo:identity'")
        calls.clear()
        caplog.clear()
        publish(study, tmp_path, "cpu")
        said = [record.getMessage() for record in caplog.records]
        assert "it is waited for" in said[0] and said[1].startswith("Going on after"), at
        assert len(said) == 2
        failing.clear()
        assert shown_by(study) == expected, at


def test_a_board_that_waits_for_nothing_leaves_it_to_the_next_look(
    finished: StoredStudy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object) -> None:
        raise StoreAwayError("The store can't be reached (no connection)")

    monkeypatch.setattr("hpo.dashboard._board.study_note", away)
    Board(finished.plain).write()
    assert caplog.records == []


def test_a_store_that_was_waited_for_in_vain_is_waited_for_once(
    finished: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object) -> None:
        raise StoreAwayError("The store can't be reached (no connection)")

    study = finished.patient(Patience(limit=0.0))
    monkeypatch.setattr("hpo.dashboard._artifacts.attach_files", lambda *_: pytest.fail("again"))
    monkeypatch.setattr("hpo.dashboard._board.study_note", away)
    with pytest.raises(StoreAwayError, match="it was waited for 0 s"):
        publish(study, Path(finished.definition.cache), "cpu")


def test_a_full_disk_is_not_waited_for_with_what_is_shown(
    finished: StoredStudy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "artifacts/a")

    monkeypatch.setattr("hpo.dashboard._artifacts._write_config", full)
    monkeypatch.setattr("hpo.trials._shown.Shown.files", lambda *_: set())
    publish(finished, Path(finished.definition.cache), "cpu")
    assert [record.getMessage() for record in caplog.records] == [
        "The trials have no files in optuna-dashboard: [Errno 28] No space left on device: "
        "'artifacts/a'"
    ]
