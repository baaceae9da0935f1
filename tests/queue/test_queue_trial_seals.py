"""What a bit changed of a trial in the database is named, and not what others did to the trial."""

import dataclasses
import math
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from queue_samples import OUTCOME
from trial_samples import SEARCHED, Process, noted

from hpo.errors import InputError
from hpo.queue._public import PublicTrials
from hpo.search import Progress
from hpo.trials import SEAL, LiveTrial

DAMAGED = "The storage is damaged: what it has of trial 0 isn't what was written. Restore it from"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.db"


def process(path: Path) -> Process:
    return Process(f"sqlite:///{path}", "study")


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1


def finished(path: Path) -> None:
    """A trial with a curve that is written in pieces, and ends."""
    here = process(path)
    task, trial = here.started()
    for step, value in ((1, 10.5), (2, 20.5)):
        trial.note(step, value)
    here.trials.append(trial, [(1, 10.5), (2, 20.5)], {"completed_rung_0": 20.5})
    trial.remember({"completed_rung_0": 20.5})
    here.trials.complete(task, trial, OUTCOME, [(3, 30.5)])
    here.close()


def paused(path: Path) -> tuple[Process, LiveTrial]:
    here = process(path)
    task, trial = here.started()
    trial.note(1, 10.5)
    here.trials.append(trial, [(1, 10.5)], {})
    here.trials.pause(task, trial, Progress(1, 3, 10.5))
    return here, trial


CHANGES = {
    "a parameter": "UPDATE trial_params SET param_value = 0.5 WHERE param_name = 'lr'",
    "a domain": "UPDATE trial_params SET distribution_json = replace(distribution_json, '300', "
    "'400') WHERE param_name = 'epochs'",
    "the name of a parameter": "UPDATE trial_params SET param_name = 'ls' WHERE param_name = 'lr'",
    "the value": "UPDATE trial_values SET value = value + 64",
    "a step": "UPDATE trial_intermediate_values SET intermediate_value = 52.5 WHERE step = 2",
    "a step's number": "UPDATE trial_intermediate_values SET step = 4 WHERE step = 3",
    "a step that is gone": "DELETE FROM trial_intermediate_values WHERE step = 1",
    "a configuration": "UPDATE trial_user_attributes SET value_json = replace(value_json, 'adam', "
    "'sgd') WHERE key = 'config'",
    "JSON": "UPDATE trial_user_attributes SET value_json = substr(value_json, 2) "
    "WHERE key = 'config'",
    "the task": "UPDATE trial_user_attributes SET value_json = '1' WHERE key = 'task'",
    "an attribute that is gone": "DELETE FROM trial_user_attributes WHERE key = 'config'",
    "what a pruner noted": "UPDATE trial_system_attributes SET value_json = '21.5' "
    "WHERE key = 'completed_rung_0'",
    "the checksum": f"UPDATE trial_system_attributes SET value_json = '[1' WHERE key = '{SEAL}'",
}


@pytest.mark.parametrize("statement", CHANGES.values(), ids=list(CHANGES))
def test_a_trial_that_ended(path: Path, statement: str) -> None:
    finished(path)
    (trial,) = process(path).trials.all()
    assert (trial.value, trial.intermediate_values[2]) == (OUTCOME.value, 20.5)
    change(path, statement)
    with pytest.raises(InputError, match=DAMAGED):
        process(path).trials.all()


def running(path: Path) -> tuple[Process, LiveTrial]:
    """A trial with a part of its curve, whose worker is still there."""
    here = process(path)
    _, trial = here.started()
    here.trials.append(trial, [(1, 10.5)], {})
    curve = [(1, 11.5), (2, math.inf), (3, 20.5), (3, 21.5)]  # the first of each step stays
    here.trials.append(trial, curve, {"completed_rung_0": 20.5})
    return here, trial


_OF_ENDED = ("the value", "the checksum")
RUNNING = {
    **{what: statement for what, statement in CHANGES.items() if what not in _OF_ENDED},
    "a step": "UPDATE trial_intermediate_values SET intermediate_value = 52.5 WHERE step = 1",
}


@pytest.mark.parametrize("statement", RUNNING.values(), ids=list(RUNNING))
def test_a_trial_that_runs(path: Path, statement: str) -> None:
    here, _ = running(path)
    here.close()
    (trial,) = process(path).trials.all()
    assert (trial.state, trial.intermediate_values[3]) == (TrialState.RUNNING, 20.5)
    change(path, statement)
    with pytest.raises(InputError, match=DAMAGED):
        process(path).trials.all()


def test_a_trial_of_which_nothing_is_scored_yet(path: Path) -> None:
    here = process(path)
    here.started()
    here.close()
    assert len(process(path).trials.all()) == 1
    change(path, CHANGES["a parameter"])
    with pytest.raises(InputError, match=DAMAGED):
        process(path).trials.all()


def test_a_running_trial_is_whole_whoever_writes_to_it(path: Path) -> None:
    """Its two threads write at once, while another process reads."""
    here, trial = running(path)
    there = process(path)

    def write_curve() -> None:
        for step in range(4, 60):
            assert here.trials.append(trial, [(step, float(step))], {})

    def write_notes() -> None:
        for n in range(60):
            assert here.trials.append(trial, [], {f"note {n % 20}": n % 20})

    with ThreadPoolExecutor(2) as pool:
        writing = [pool.submit(write_curve), pool.submit(write_notes)]
        read = 0
        while not all(future.done() for future in writing) or not read:
            there.trials.all()
            read += 1
        for future in writing:
            future.result()
    (stored,) = there.stored()
    names = sorted(["completed_rung_0", *(f"note {n}" for n in range(20))])
    assert stored.system_attrs[SEAL][1:] == [59, 0, *names]


@pytest.mark.parametrize("arrived", [True, False])
def test_notes_that_may_be_written_are_written_with_what_comes_next(
    path: Path, arrived: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store goes away while a second note of the same name is written."""
    here, trial = running(path)
    append = here.ledger.append

    def cut_off(*arguments: Any) -> bool:
        if arrived:
            append(*arguments)
        raise ConnectionError

    monkeypatch.setattr(here.ledger, "append", cut_off)
    with pytest.raises(ConnectionError):
        here.trials.append(trial, [], {"completed_rung_0": 30.5})
    process(path).trials.all()
    monkeypatch.setattr(here.ledger, "append", append)
    assert here.trials.append(trial, [(4, 40.5)], {})  # by the other thread
    (stored,) = process(path).trials.all()
    assert noted(stored) == {"completed_rung_0": 30.5}
    assert stored.system_attrs[SEAL][1:] == [4, 0, "completed_rung_0"]


def test_who_writes_without_seals_takes_them_away(path: Path) -> None:
    here, _ = paused(path)
    here.ledger.resume(here.name, [0])
    task = here.claim("b")
    unsealed = PublicTrials(here.source, here.ledger, SEARCHED)
    trial = unsealed.take_up(task)
    assert trial is not None
    # what the seal was over, one call after the other, and no step with it
    here.source.storage.set_trial_user_attr(trial.id, "metrics", {"micro_f1": 1.0})
    (stored,) = process(path).trials.all()
    assert stored.system_attrs[SEAL] is None
    unsealed.hand_back(task, trial)
    task = here.claim("c")
    trial = here.trials.take_up(task)
    assert trial is not None
    here.trials.append(trial, [(2, 20.5)], {})
    here.close()
    (stored,) = process(path).trials.all()
    assert stored.system_attrs[SEAL][1:] == [2, 0]


def test_a_trial_that_waits(path: Path) -> None:
    here, _ = paused(path)
    here.close()
    assert len(process(path).trials.all((TrialState.WAITING,))) == 1
    change(path, "UPDATE trial_intermediate_values SET intermediate_value = 90.5")
    with pytest.raises(InputError, match=DAMAGED):
        process(path).trials.all((TrialState.WAITING,))


def test_one_that_is_gone_on_with_is_sealed_anew(path: Path) -> None:
    here, _ = paused(path)
    here.ledger.resume(here.name, [0])
    task = here.claim("b")
    trial = here.trials.take_up(task)
    assert trial is not None
    trial.note(2, 20.5)
    here.trials.append(trial, [(2, 20.5)], {})
    here.trials.hand_back(task, trial)
    task = here.claim("c")
    trial = here.trials.take_up(task)
    assert trial is not None
    here.trials.complete(task, trial, OUTCOME, [(3, 30.5)])
    here.close()
    (stored,) = process(path).trials.all()
    assert stored.system_attrs[SEAL][1:] == [3, 1]


def test_what_those_without_seals_write_is_read_as_it_is(path: Path) -> None:
    here, trial = paused(path)
    storage = here.source.storage
    storage.set_trial_state_values(trial.id, TrialState.RUNNING)
    storage.set_trial_intermediate_value(trial.id, 2, 20.5)
    storage.set_trial_state_values(trial.id, TrialState.COMPLETE, [20.5])
    here.close()
    (stored,) = process(path).trials.all()
    assert stored.value == 20.5


def test_attributes_of_a_users_own_are_not_sealed(path: Path) -> None:
    here = process(path)
    task, trial = here.started()
    storage = here.source.storage
    storage.set_trial_user_attr(trial.id, "mine", "any")
    storage.set_trial_system_attr(trial.id, "artifacts:1", "{}")
    here.trials.hand_back(task, trial)
    storage.set_trial_user_attr(trial.id, "mine", "another")
    here.close()
    (stored,) = process(path).trials.all()
    assert stored.user_attrs["mine"] == "another"


def test_a_trial_of_another_configuration_than_its_tasks_is_not_gone_on_with(path: Path) -> None:
    here, _ = paused(path)
    here.ledger.resume(here.name, [0])
    task = here.claim("b")
    assert task.config is not None
    other = task.config.replace(lr=0.5)
    with pytest.raises(InputError, match=DAMAGED):
        here.trials.take_up(dataclasses.replace(task, config=other))


def test_how_far_a_paused_task_was(path: Path) -> None:
    here, _ = paused(path)
    (then,) = here.ledger.pauses(here.name)[0]
    assert (then.step, then.value) == (1, 10.5)
    here.close()
    change(path, "UPDATE hpo_tasks SET pauses = replace(pauses, '10.5', '90.5')")
    with pytest.raises(InputError, match="damaged: how far task 0 was isn't what was written"):
        process(path).ledger.pauses("study")
    # as an earlier version wrote it
    change(path, """UPDATE hpo_tasks SET pauses = '[{"step": 1, "steps": 3, "value": 11.5}]'""")
    (then,) = process(path).ledger.pauses("study")[0]
    assert (then.step, then.value) == (1, 11.5)
