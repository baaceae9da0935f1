"""The loop of a process that watches over a study while workers work on it."""

import time
from collections.abc import Callable
from typing import Protocol

from hpo.dashboard import Board
from hpo.features import Bundle, load_bundle
from hpo.library._deadline import SteadyDeadline
from hpo.library._limits import Exhaustion, Limits, TimeLimit
from hpo.queue import StoreAwayError
from hpo.results import FloorThread
from hpo.search import Task
from hpo.study import StoredStudy, adopt_enqueued

__all__ = ["Crew", "Observer", "work_on"]

_POLL_S = 0.5
#: Looking at thousands of tasks takes its time, which is the workers' as well. So the pause after a
#: look is so many times as long, but no longer than what a person waits for without wondering.
_PAUSE = 10
_LONGEST_PAUSE_S = 5.0

#: Called with all tasks of the study, about twice a second, or every few seconds if there are
#: thousands, and once more at the end.
Observer = Callable[[list[Task]], None]


class Crew(Protocol):
    """Workers of whatever kind, as ``optimize`` deals with them."""

    def watch(self) -> bool:
        """Return whether any is running.

        Raises:
            StoreAwayError: None is, as none could reach the store.
        """

    def stop(self) -> None:
        """Let them hand back what they are at."""


def work_on(
    stored: StoredStudy,
    start: Callable[[], Crew],
    observe: Observer,
    limits: Limits,
    bundle: Bundle | None,
) -> tuple[bool, str | None]:
    """Watch over a study until it is complete or a limit is reached.

    A store that goes away meanwhile is waited for, as long as the study waits for it.

    Args:
        stored: The study.
        start: Starts the workers; only called if there is anything to do.
        observe: Is shown the tasks.
        limits: What may end it.
        bundle: The study's data, if it is at hand.

    Returns:
        Whether the study is complete, and which limit of the budget ended it, in words; None if
        none did.

    Raises:
        StudyGoneError: The study was deleted meanwhile.
        StoreAwayError: The store was away for too long, for this process or for all workers.
    """
    stored.definition.check_meaning(stored.name)
    board = Board(stored.plain)
    limits.set(stored)
    set_at = time.monotonic()
    adopt_enqueued(stored)
    if stored.open_next():
        observe(stored.tasks())
        return _settled(stored), None
    clock, idle = _clock(stored, limits, bundle), Exhaustion(stored)
    deadline = SteadyDeadline(stored)
    crew = start()
    floor = FloorThread(stored)
    try:
        board.begin()
        while True:
            running, away = _watch(crew)
            began = time.monotonic()
            stored.check_there()
            tasks = stored.tasks()
            observe(tasks)
            deadline.check()
            late = clock is not None and clock.over
            if clock is not None:
                clock.update(tasks)
            over = (clock is not None and clock.over) or idle.long_enough()
            if not running:  # they end by the deadline that they were told last
                over = over or late
            ended = stored.ledger.writes_trials and all(task.state.ended for task in tasks)
            if running and ended and stored.open_next():
                floor.join()
                return True, None  # the workers see that a moment later, and end
            if not running or over:
                floor.join()
                complete = stored.best(tasks) is not None and stored.open_next()
                searched = time.monotonic() - set_at
                ended_by = None if complete else limits.reached(stored, over, searched)
                if away is not None and not complete and ended_by is None:
                    raise away
                return complete and _settled(stored), ended_by
            _pause(time.monotonic() - began, crew, clock)
    finally:
        crew.stop()
        board.end()


def _pause(looked: float, crew: Crew, clock: TimeLimit | None) -> None:
    """Leave the processor to the workers, until they end or the time for trials is over.

    Args:
        looked: Seconds that the last look at all tasks took.
        crew: The workers.
        clock: Of a study with a time limit.
    """
    end = time.monotonic() + min(max(_POLL_S, _PAUSE * looked), _LONGEST_PAUSE_S)
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, _POLL_S))
        if (clock is not None and clock.over) or not _watch(crew)[0]:
            return


def _watch(crew: Crew) -> tuple[bool, StoreAwayError | None]:
    """Return whether workers are running, and what they met with if none could reach the store.

    They may have done all that there was to do before.
    """
    try:
        return crew.watch(), None
    except StoreAwayError as error:
        return False, error


def _clock(stored: StoredStudy, limits: Limits, bundle: Bundle | None) -> TimeLimit | None:
    if limits.time_limit is None:
        return None
    split = (bundle or load_bundle(stored.definition.bundle)).split
    growth = (len(split["train"]) + len(split["val"])) / len(split["train"])
    return TimeLimit(stored, limits, growth)


def _settled(stored: StoredStudy) -> bool:
    """Give every trial in Optuna the end that its task has, where that can lag; return True."""
    if not stored.ledger.writes_trials:
        stored.trials.reconcile()
    return True
