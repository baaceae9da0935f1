"""A console that several threads may print to while a part of it is drawn again and again."""

import threading
from typing import Any

from rich.live import Live

from hpo._console import Console

__all__ = ["Drawing", "SharedConsole"]

_PER_SECOND = 4


class SharedConsole(Console):
    """A console of rich's that prints one thing after the other.

    ``Live`` looks up how many lines it has drawn, and moves up by as many a little later. If
    another thread draws in between, lines are left standing; so one has to wait for the other.

    Args:
        options: Of the ``Console``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.turn = threading.RLock()

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as ``Console.print`` does, when it is this thread's turn."""
        with self.turn:
            super().print(*objects, **options)


class Drawing:
    """Draws something at the bottom of a console, four times a second, until it is ended.

    Args:
        console: Where.
        live: What rich draws, which doesn't refresh itself.
    """

    def __init__(self, console: SharedConsole, live: Live) -> None:
        self._console = console
        self._live = live
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    def begin(self) -> None:
        """Draw from now on."""
        with self._console.turn:
            self._live.start()
        self._thread.start()

    def end(self) -> None:
        """Draw no more, and leave nothing behind."""
        self._ended.set()
        self._thread.join()
        with self._console.turn:
            self._live.stop()

    def _run(self) -> None:
        while not self._ended.wait(1 / _PER_SECOND):
            with self._console.turn:
                self._live.refresh()
