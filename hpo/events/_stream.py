"""The stream of events: everybody who listens is told, and nobody who fails ends anything."""

import logging
import threading
from collections.abc import Callable

from hpo.events._events import Event

__all__ = ["Stream", "Tell", "nobody"]

Tell = Callable[[Event], None]
_log = logging.getLogger(__name__)


def nobody(event: Event) -> None:
    """Tell nobody."""


class Stream:
    """Tells events to all listeners, in the order in which they happen.

    Any thread may call it; one event is told to all before the next one is. A listener that raises
    an error is left out from then on, with one warning.

    Args:
        listeners: Called with each event.
    """

    def __init__(self, *listeners: Tell) -> None:
        self._listeners = list(listeners)
        self._lock = threading.RLock()

    def add(self, listener: Tell) -> None:
        """Let one more listen from now on."""
        with self._lock:
            self._listeners.append(listener)

    def __call__(self, event: Event) -> None:
        """Tell an event."""
        with self._lock:
            for listener in list(self._listeners):
                try:
                    listener(event)
                except Exception as error:
                    self._listeners.remove(listener)
                    _log.warning(
                        "What shows the progress failed and is left out (%s: %s); the study goes "
                        "on.",
                        *(type(error).__name__, error),
                    )
