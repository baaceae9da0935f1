"""A process that dies, or whose answers are lost, at any call on a task and its trial."""

import copy
import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from optuna.trial import TrialState
from queue_samples import OUTCOME, unknown_optuna
from trial_samples import NUMBERS, SEARCHED, SHOWN, Process

from hpo.queue import Fenced
from hpo.search import Progress, TaskState


class CrashError(Exception):
    """The process is gone, or the store before it answered."""


class Breaking:
    """Passes calls on, until one of them, before or after which it breaks.

    Args:
        thing: What does the work.
        calls: Counts the calls of all things of a process that write.
        at: The call that breaks.
        carried_out: Whether it has an effect.
    """

    def __init__(self, thing: Any, calls: Iterator[int], at: int, carried_out: bool) -> None:
        self._thing, self._calls, self._at, self._carried_out = thing, calls, at, carried_out

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._thing, name)
        if not callable(value) or name.startswith("get_"):
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            breaks = next(self._calls) == self._at
            if breaks and not self._carried_out:
                raise CrashError
            result = value(*args, **kwargs)
            if breaks:
                raise CrashError
            return result

        return call


def breaking(process: Process, at: int, carried_out: bool) -> Process:
    """Let a process break at one of its calls that write."""
    calls = itertools.count()
    storage = Breaking(process.source.storage, calls, at, carried_out)
    source = dataclasses.replace(process.source, storage=storage)  # type: ignore[arg-type]
    ledger: Any = Breaking(process.ledger, calls, at, carried_out)
    broken = copy.copy(process)
    broken.ledger = ledger
    broken.trials = type(process.trials)(source, ledger, SEARCHED)  # type: ignore[call-arg]
    return broken


def points(url: str) -> Iterator[int]:
    """Calls at which to break: every one on SQLite, fewer where each takes longer."""
    return itertools.count(step=1 if url.startswith("sqlite") else 9)


def work(process: Process, do: Callable[..., Any]) -> None:
    """Work on two tasks as a worker does: one is paused on its way, the other fails once.

    Args:
        process: Who works.
        do: Carries out a call of the trials.
    """
    trials = process.trials
    while (task := process.ledger.claim(process.name, "a", 0.0)) is not None:
        do(trials.close_former, task)
        trial = do(trials.take_up, task) or do(trials.begin, task, {})
        if not do(trials.append, trial, [(1, 1.0)], {"note": 1}):
            continue
        try:
            if task.position == 0 and not process.ledger.pauses(process.name):
                do(trials.pause, task, trial, Progress(1, 2, 1.0))
                process.ledger.resume(process.name, [0])
            elif task.position == 1 and task.attempts == 0:
                do(trials.fail, task, trial, "why")
            else:
                do(trials.complete, task, trial, OUTCOME, [(2, 2.0)])
        except Fenced:
            continue
        finally:
            trials.leave()
    process.ledger.resume(process.name, [0])
    trials.reconcile()


def once(method: Callable[..., Any], *arguments: Any) -> Any:
    return method(*arguments)


def check(process: Process) -> None:
    """Check that tasks and trials say the same."""
    assert [task.state for task in process.tasks()] == [TaskState.DONE] * 2
    stored = process.stored()
    assert all(trial.state.is_finished() for trial in stored)
    for task in process.tasks():
        done = [
            trial
            for trial in stored
            if trial.state == TrialState.COMPLETE and trial.user_attrs["task"] == task.position
        ]
        assert [trial.number for trial in done] == [task.trial]
        assert done[0].value == 2.0
        assert done[0].intermediate_values == {1: 1.0, 2: 2.0}
        assert {key: done[0].user_attrs[key] for key in SHOWN} == SHOWN


def test_a_process_that_dies_at_any_call_leaves_nothing_to_be_lost(
    here: Process, either_store: tuple[str, str, bool]
) -> None:
    url = either_store[0]
    for at in points(url):
        name = f"t{next(NUMBERS)}"
        first = Process(url, name, here)
        first.open(0, 1)
        try:
            work(breaking(first, at, carried_out=False), once)
        except CrashError:
            second = Process(url, name, here)
            for _ in range(2):  # what was paused when the first one died is resumed by then
                work(second, once)
            check(second)
        else:
            assert at > 15  # it has no more calls than this
            return


def test_an_answer_that_is_lost_at_any_call_is_asked_for_again(
    here: Process, either_store: tuple[str, str, bool]
) -> None:
    """As ``waiting`` does; the calls of the ledger alone are the worker's own matter."""
    url = either_store[0]
    lost = 0

    def again(method: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal lost
        try:
            return method(*arguments)
        except CrashError:
            lost += 1
            return method(*arguments)

    for at in points(url):
        process = Process(url, f"t{next(NUMBERS)}", here)
        process.open(0, 1)
        before = lost
        try:
            work(breaking(process, at, carried_out=True), again)
        except CrashError:  # of the ledger alone
            continue
        for _ in range(2):
            work(process, again)
        check(process)
        if lost == before and at > 15:
            return


def test_what_public_calls_left_half_done_is_made_good_by_whoever_opens_next(
    either_store: tuple[str, str, bool],
) -> None:
    url, database, _ = either_store
    with unknown_optuna():
        left = Process(database, f"t{next(NUMBERS)}")
        task, trial = left.started()
        left.ledger.complete(left.name, task, OUTCOME)
        left.close()
    later = Process(url, left.name)
    later.trials.reconcile()
    (stored,) = later.stored()
    assert (stored.state, stored.value, stored.number) == (TrialState.COMPLETE, 2.0, trial.number)
    later.trials.reconcile()
    assert later.stored() == [stored]
    later.close()
