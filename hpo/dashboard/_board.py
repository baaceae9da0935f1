"""Keeps what a study shows in optuna-dashboard current, beside everything else."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo.dashboard._note import study_note, trial_notes
from hpo.dashboard._plots import plots
from hpo.report import read_results
from hpo.search import NoCandidateError, Task
from hpo.study import StoredStudy
from hpo.trials import StoreAwayError, passing_reason

__all__ = ["Board", "publish"]

_log = logging.getLogger(__name__)
#: Seconds between two looks; more if one takes long, so that it takes 2% of a core at most.
_EVERY_S = 15.0
_SHARE = 50


class Board:
    """Writes a study's note, the notes on its trials, and its plots, as often as they change.

    What can't be shown is logged once; the study goes on without. A store that is away is waited
    for as the study does; one that doesn't wait is written to at the next look.

    Args:
        study: The study.
    """

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self._ended = threading.Event()
        # A daemon: a command that is killed doesn't wait for it.
        self._thread = threading.Thread(target=self._run, name="dashboard", daemon=True)
        self._failed = False

    def begin(self) -> None:
        """Write what changes every 15 seconds, in a thread of its own, until ``end``."""
        self._thread.start()

    def end(self) -> None:
        """Write nothing more."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def write(self, results: Path | None = None) -> None:
        """Write what has changed.

        Args:
            results: The folder of the results, from now on.

        Raises:
            StoreAwayError: The store was waited for in vain.
        """
        try:
            _waiting(self._study, lambda: self._write(results))
        except NoCandidateError:
            pass  # the study says so itself
        except Exception as error:
            if isinstance(error, StoreAwayError) and error.given_up:
                raise
            passes = not isinstance(error, OSError) and passing_reason(error) is not None
            if not (passes or self._failed):
                _log.warning("What optuna-dashboard shows of the study is not current: %s", error)
                self._failed = True

    def _run(self) -> None:
        wait = _EVERY_S
        while not self._ended.wait(wait):
            began = time.monotonic()
            self.write()
            wait = max(_EVERY_S, _SHARE * (time.monotonic() - began))

    def _write(self, results: Path | None) -> None:
        study = self._study
        if results is not None:
            study.results = results
        tasks, trials = study.tasks(), study.trials.all()
        if not trials:
            return
        found = self._results(tasks)
        shown = study.shown()
        shown.note(study_note(study, tasks, trials, found))
        for number, note in trial_notes(tasks).items():
            shown.trial_note(number, note)
        for name, figure in plots(study, tasks, trials, found):
            shown.plot(name, figure)

    def _results(self, tasks: list[Task]) -> Mapping[str, Any] | None:
        folder = self._study.results
        if folder is None:
            return None
        found = read_results(self._study, tasks, folder)
        return None if found is None else {**found, "folder": str(folder)}


def publish(study: StoredStudy, results: Path, device: str) -> None:
    """Show all that there is of a study whose results were just written.

    Args:
        study: The study.
        results: Their folder.
        device: Where to predict the validation rows for the trials' files.

    Raises:
        StoreAwayError: The store was waited for in vain.
    """
    from hpo.dashboard._artifacts import attach_files

    Board(study).write(results)
    try:
        _waiting(study, lambda: attach_files(study, study.tasks(), device))
    except StoreAwayError:
        raise
    except Exception as error:
        _log.warning("The trials have no files in optuna-dashboard: %s", error)


def _waiting(study: StoredStudy, write: Callable[[], object]) -> None:
    """Write, and again while the store is away; a full disk isn't waited for."""

    def tried() -> OSError | None:
        try:
            write()
        except OSError as error:
            return error
        return None

    error = study.waiting(tried)
    if error is not None:
        raise error
