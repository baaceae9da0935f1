"""The progress of an encoding, as events."""

import threading
import time

from hpo.events._events import Encoding
from hpo.events._stream import Tell

__all__ = ["EncodingWatch"]


class EncodingWatch:
    """A ``hpo.features.Progress`` that tells events.

    Args:
        tell: Is told.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._began: dict[str, tuple[float, int]] = {}
        self._lock = threading.Lock()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell how far it is; items that were there before don't count for the rate."""
        now = time.monotonic()
        with self._lock:
            began, first = self._began.setdefault(what, (now, done))
        rate = (done - first) / (now - began) if done > first and now > began else None
        self._tell(Encoding(what, done, total, rate))
