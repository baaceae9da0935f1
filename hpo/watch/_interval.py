"""How sure the best so far is, found out by a process of its own that leaves workers the time."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hpo.events import Best, Event

__all__ = ["IntervalProcess"]

#: Seconds between two questions; the best so far changes often at the beginning of a study.
_EVERY_S = 10.0
_log = logging.getLogger(__name__)

Known = Callable[[int | None, float, float], None]


class IntervalProcess:
    """Listens for a new best trial, and asks how sure its score is; use it as a context manager.

    What scores it is a process with a low priority: the rows are predicted with the weights
    that the run store has, and drawn with replacement. Workers go first, and nothing of this
    process computes. If it can't be found out, there is no interval.

    Args:
        study: Name of the study.
        url: The storage URL; handed over in the environment, since it may hold a password.
        cache: Where the study's features and runs are.
        plugins: Modules or files with the user's own parts.
        known: Is told trial, lower and upper end.
    """

    def __init__(
        self, study: str, url: str, cache: Path, plugins: Sequence[str], known: Known
    ) -> None:
        self._command = [
            *(sys.executable, "-m", "hpo.watch._interval_main", "--study", study),
            *("--cache", str(cache), *(f"--plugin={plugin}" for plugin in plugins)),
        ]
        self._url = url
        self._known = known
        self._wanted: int | None = None
        self._ended = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="interval", daemon=True)

    def __call__(self, event: Event) -> None:
        """Note which trial is the best."""
        if isinstance(event, Best) and event.step is None and event.low is None:
            self._wanted = event.trial

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self._process is not None:
            self._process.kill()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._ended.wait(_EVERY_S):
                trial, self._wanted = self._wanted, None
                if trial is not None:
                    self._ask(trial)
        except (OSError, ValueError, KeyError) as error:
            _log.debug("How sure the best so far is can't be found out: %s", error)
        finally:
            if self._process is not None:
                self._process.kill()
                self._process.communicate()

    def _ask(self, trial: int) -> None:
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                env={**os.environ, "HPO_STORAGE": self._url},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
            )
        if self._ended.is_set():
            return  # whoever ends it may have seen none to be ended
        assert self._process.stdin is not None and self._process.stdout is not None  # as asked
        self._process.stdin.write(f"{trial}\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        if found is not None and not self._ended.is_set():
            self._known(trial, found["low"], found["high"])
