"""Events for machines: one JSON object a line."""

import datetime
import json
import time
from typing import TextIO

from hpo.events import Encoding, Event, Stopped, StudyBegun, Totals, TrialProgress

__all__ = ["JsonLines"]

#: What comes all the time is written once in so many seconds.
_EVERY_S: dict[type[Event], float] = {Encoding: 1.0, TrialProgress: 1.0, Totals: 5.0}


class JsonLines:
    """Writes each event as a line of JSON, which is flushed at once.

    Each has ``event``, its kind; ``time``, as ISO 8601 in UTC; ``study``, once that is known; and
    the fields of its kind. Of what comes all the time, most lines are left out, but not the last
    one of an encoding or of a study.

    Args:
        file: Where to write.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._study: str | None = None
        self._written: dict[object, float] = {}
        self._held: tuple[str, Event] | None = None

    def __call__(self, event: Event) -> None:
        """Write an event, unless one like it was just written."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        if isinstance(event, Stopped) and self._held is not None:
            self._write(*self._held)
        wait = 0.0 if _is_last(event) else _EVERY_S.get(type(event), 0.0)
        key = _subject(event)
        if wait and time.monotonic() - self._written.get(key, -wait) < wait:
            self._held = (now, event) if isinstance(event, Totals) else self._held
            return
        if wait:
            self._written[key] = time.monotonic()
        self._held = None if isinstance(event, Totals) else self._held
        self._write(now, event)

    def _write(self, when: str, event: Event) -> None:
        if isinstance(event, StudyBegun):
            self._study = event.study
        head = {"event": event.kind, "time": when, "study": self._study}
        text = json.dumps(head | event.to_json(), allow_nan=False)
        self._file.write(text + "\n")
        self._file.flush()


def _subject(event: Event) -> object:
    """Return what an event is about that another one of the same kind replaces."""
    if isinstance(event, TrialProgress):
        return event.trial
    return event.what if isinstance(event, Encoding) else event.kind


def _is_last(event: Event) -> bool:
    return isinstance(event, Encoding) and event.done >= event.total
