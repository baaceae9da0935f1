"""What Optuna's own tools do to a study: it is deleted, copied, renamed, or not hpo's at all."""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from identity_samples import SPACE, begin, finish, tiny_data
from sqlalchemy import create_engine, text

import hpo
from hpo.errors import InputError
from hpo.features import Data
from hpo.replay import main as replay
from hpo.study import StudyGoneError, _identity
from hpo.trials import redact
from hpo.worker import main as worker

pytestmark = pytest.mark.slow

GREEDY: dict[str, Any] = {
    "search": {"kind": "greedy", "stages": [{"name": "a", "params": {"dropout": [0.2, 0.5]}}]}
}


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture
def data(tmp_path: Path) -> Data:
    return tiny_data(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    return str(request.getfixturevalue("postgres").new_url())


def without_identities(url: str) -> None:
    """Leave the store as a version without identities would have."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE hpo_studies SET identity = NULL"))
        connection.execute(text("DELETE FROM study_system_attributes WHERE key = 'hpo:identity'"))
    engine.dispose()


@pytest.mark.parametrize(
    ("make", "it"),
    [
        (
            lambda url: optuna.create_study(study_name="s", storage=url),
            "minimize, and has 0 trials",
        ),
        (
            lambda url: optuna.create_study(study_name="s", storage=url, direction="maximize"),
            "maximize, and has 0 trials",
        ),
        (
            lambda url: optuna.create_study(
                study_name="s", storage=url, directions=["maximize", "minimize"]
            ),
            "maximize and to minimize, and has 0 trials",
        ),
    ],
)
def test_a_study_that_hpo_did_not_make_is_refused(
    data: Data, url: str, make: Callable[[str], Any], it: str
) -> None:
    make(url)
    with pytest.raises(InputError) as caught:
        begin(data, url)
    assert str(caught.value) == (
        f"--study s: {redact(url)} has a study of this name that hpo didn't make: it is to {it}; "
        "hpo's is to maximize micro_f1. Give hpo's another name (--study NAME --space FILE), or "
        "use another --storage."
    )
    with pytest.raises(InputError, match="a study of this name that hpo didn't make: it is to "):
        hpo.load_study("s", url)
    found = optuna.load_study(study_name="s", storage=url)
    assert not found.trials and not found.user_attrs
    assert hpo.create_study(data, SPACE, name="other", storage=url).name == "other"


def test_a_deleted_study_begins_anew(
    data: Data, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = finish(data, url)
    optuna.delete_study(study_name="s", storage=url)
    with pytest.raises(InputError) as caught:
        hpo.load_study("s", url)
    assert str(caught.value) == (
        f"--study s: this study was deleted from {redact(url)} with Optuna's tools. "
        "`hpo run --study s` begins it anew, and `hpo study delete s` clears what is left of it."
    )
    again = begin(data, url)
    assert not again.stored.tasks() and not again.optuna.trials
    assert again.optimize(workers=1, progress=False)
    trials = again.optuna.get_trials()
    assert [trial.number for trial in trials] == [0, 1, 2]
    assert [task.trial for task in again.stored.tasks()] == [0, 1, 2]
    assert again.best_config == first.best_config  # the same draws
    assert replay(["--study=s", f"--storage={url}", "--trial=2"]) == 0
    assert capsys.readouterr().out.count("equal") == 3


def test_another_space_can_take_the_name_of_a_deleted_study(data: Data, url: str) -> None:
    finish(data, url)
    optuna.delete_study(study_name="s", storage=url)
    study = finish(data, url, fixed={"hidden": [6], "epochs": 2})
    assert len(study.optuna.trials) == len(study.stored.tasks()) == 3
    optuna.delete_study(study_name="s", storage=url)
    assert len(finish(data, url, **GREEDY).stored.tasks()) == 2


def test_a_foreign_study_in_the_place_of_a_deleted_one_is_refused(data: Data, url: str) -> None:
    finish(data, url)
    optuna.delete_study(study_name="s", storage=url)
    optuna.create_study(study_name="s", storage=url, direction="maximize")
    with pytest.raises(InputError, match="that hpo didn't make: it is to maximize"):
        begin(data, url)
    optuna.delete_study(study_name="s", storage=url)
    assert len(finish(data, url).optuna.trials) == 3


def test_a_study_of_a_version_without_identities_goes_on(data: Data, url: str) -> None:
    finish(data, url)
    without_identities(url)
    study = hpo.load_study("s", url)
    assert len(study.stored.tasks()) == 3
    without_identities(url)
    assert begin(data, url).is_complete
    without_identities(url)
    optuna.delete_study(study_name="s", storage=url)
    assert not begin(data, url).stored.tasks()


def test_what_was_defined_and_got_no_further_is_begun(data: Data, url: str) -> None:
    """Its maker was killed before the study was in Optuna's storage, or right after."""
    first = begin(data, url)
    without_identities(url)
    optuna.delete_study(study_name="s", storage=url)
    assert begin(data, url, **GREEDY).stored.definition != first.stored.definition
    without_identities(url)
    optuna.delete_study(study_name="s", storage=url)
    optuna.create_study(study_name="s", storage=url, direction="maximize")
    assert len(finish(data, url, **GREEDY).optuna.trials) == 2


def test_a_renamed_study_goes_on_under_its_new_name(data: Data, url: str) -> None:
    finish(data, url)
    # as the dashboard renames
    optuna.copy_study(from_study_name="s", from_storage=url, to_storage=url, to_study_name="t")
    optuna.delete_study(study_name="s", storage=url)
    with pytest.raises(InputError) as caught:
        begin(data, url)
    assert str(caught.value) == (
        f"--study s: the study in {redact(url)} was renamed to 't' in Optuna. Go on with it by "
        "--study t, or begin one under a third name (--study NAME --space FILE)."
    )
    study = hpo.load_study("t", url)
    assert [task.trial for task in study.stored.tasks()] == [0, 1, 2]
    assert begin(data, url, "t").is_complete
    assert study.add(dropout=0.25)
    assert study.optimize(workers=1, progress=False)
    assert study.optuna.trials[3].params == {"dropout": 0.25}
    assert len(finish(data, url).optuna.trials) == 3  # the old name is free


def test_a_copy_is_told_from_its_original(
    data: Data, url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    finish(data, url)
    elsewhere = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    optuna.copy_study(from_study_name="s", from_storage=url, to_storage=url, to_study_name="c")
    optuna.copy_study(from_study_name="s", from_storage=url, to_storage=elsewhere)
    for new in (True, False):
        with pytest.raises(InputError) as caught:
            begin(data, url, "c") if new else hpo.load_study("c", url)
        assert str(caught.value) == (
            f"--study c: the study in {redact(url)} is a copy of 's' that Optuna made, which has "
            "the trials but not the queue, so hpo can't go on with it. Go on with --study s; or "
            "begin a new study with the best of it: --study NAME --space FILE --warm-start s. "
            "`hpo study delete c` deletes the copy."
        )
    with pytest.raises(InputError, match="was copied there by Optuna: its trials can be looked at"):
        begin(data, elsewhere)
    assert begin(data, url).is_complete
    assert not caplog.records


@pytest.mark.timeout(240)
@pytest.mark.parametrize(("renamed", "workers"), [(False, 2), (True, 1)])
def test_a_study_that_is_deleted_while_it_is_worked_on_ends_in_one_sentence(
    data: Data,
    url: str,
    renamed: bool,
    workers: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(_identity, "_NOTICED_S", 0.0)
    study = begin(data, url, fixed={"hidden": [4], "epochs": 100_000})
    ended: list[BaseException] = []

    def work() -> None:
        try:
            study.optimize(workers=workers, progress=False)
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    watching = hpo.load_study("s", url)
    while len(watching.optuna.get_trials()) < workers and thread.is_alive():
        time.sleep(0.1)
    if renamed:
        optuna.copy_study(from_study_name="s", from_storage=url, to_storage=url, to_study_name="t")
    optuna.delete_study(study_name="s", storage=url)
    thread.join(120)
    assert [type(error) for error in ended] == [StudyGoneError]
    assert str(ended[0]) == (
        f"The study 's' was deleted from {redact(url)}, or renamed there, while it was worked on; "
        "so the work on it has ended. `hpo run --study s` begins it anew, and finds what was "
        "trained in the run store."
    )
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err and "error:" not in err
    name = "t" if renamed else "s"
    again = begin(data, url, name, fixed={"hidden": [4], "epochs": 100_000})
    assert bool(again.stored.tasks()) is renamed


def test_a_worker_of_a_deleted_study_says_so(
    data: Data, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(data, url)
    optuna.delete_study(study_name="s", storage=url)
    assert worker(["--study=s", f"--storage={url}", "--device=cpu"]) == 2
    assert capsys.readouterr().err.startswith("error: --study s: this study was deleted from ")


def test_a_trial_that_was_told_from_outside_is_trained_as_another_one(
    data: Data, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    study = begin(data, url, search=SPACE["search"] | {"trials": 2})
    decide = study.stored.strategy.decide
    told: list[int] = []

    def and_tell(*arguments: Any) -> Any:
        running = study.optuna.get_trials(states=(optuna.trial.TrialState.RUNNING,))
        if running and not told:
            told.append(running[0].number)
            optuna.load_study(study_name="s", storage=url).tell(running[0].number, 99.0)
        return decide(*arguments)

    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(study.stored.strategy, "decide", and_tell)
        assert study.optimize(workers=1, progress=False)
    assert told == [0]
    trials = study.optuna.get_trials()
    assert [trial.value for trial in trials].count(99.0) == 1
    tasks = study.stored.tasks()
    assert sorted(task.trial or 0 for task in tasks) == [1, 2]
    assert study.best_value < 99.0
    assert "Trial 0 was ended from outside (by Study.tell, or in the dashboard)" in caplog.text


def test_a_trial_that_was_enqueued_is_told(
    data: Data, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    study = finish(data, url)
    study.optuna.enqueue_trial({"dropout": 0.125})
    study.optuna.enqueue_trial({"dropout": 0.95})
    study.optuna.enqueue_trial({"dropout": 0.125})
    with caplog.at_level(logging.WARNING):
        assert study.optimize(workers=1, progress=False)
    assert (
        "Trial 3, which was waiting since Optuna's enqueue_trial, is next: dropout 0.125"
        in caplog.text
    )
    assert "Trial 4 was enqueued, but isn't trained: " in caplog.text
    assert "Trial 5 was enqueued, but the study has this configuration, trial 3." in caplog.text
    assert study.optuna.trials[6].params == {"dropout": 0.125}


def test_what_differs_in_the_data_is_named(data: Data, tmp_path: Path) -> None:
    mine = begin(data, f"sqlite:///{tmp_path / 'data.db'}").stored.definition
    sha = "train_csv_sha256"
    dataset = {**mine.dataset, sha: "a" * 64}
    there = dataclasses.replace(mine, dataset=dataset)
    here = dataclasses.replace(mine, bundle_key="other", dataset={**dataset, sha: "b" * 64})
    assert there.differences(here) == [
        "the labelled rows (sha256 of their table): aaaaaaaaaaaa… there, bbbbbbbbbbbb… here"
    ]
    here = dataclasses.replace(here, dataset={**dataset, "encoder": "emb2"})
    assert there.differences(here) == [f"embeddings: {dataset['encoder']} there, emb2 here"]
    assert there.differences(dataclasses.replace(here, dataset=dataset)) == [
        "data: the embeddings, or how the rows are read and divided, are others here"
    ]
