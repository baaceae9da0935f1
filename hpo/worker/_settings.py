"""How a worker works, and what can end its work from outside."""

import dataclasses
import threading
import time

from hpo.training import Interrupted

__all__ = ["Stopping", "WorkerSettings"]


@dataclasses.dataclass(frozen=True)
class WorkerSettings:
    """How a worker works; nothing here changes a result.

    Attributes:
        device: ``cpu`` or ``cuda:N``.
        heartbeat: Seconds between heartbeats.
        grace: Seconds without a heartbeat after which a worker is taken for dead.
        stall_timeout: Seconds without progress after which a run is ended and counted as failed.
        memory_gb: What the training and validation rows may take as float32, in 10⁹ bytes; larger
            ones are gathered from the mapped files. None for ``memory_share_gb`` of one worker.
        wait_for_store: Seconds for which a store that is away is waited for; None for a minute at
            the start and then without end.
        own_process: Whether the process is the worker's alone. Then it is set up for training,
            and ended where a run that hangs can't be stopped otherwise.
    """

    device: str = "cpu"
    heartbeat: float = 2.0
    grace: float = 20.0
    stall_timeout: float = 600.0
    memory_gb: float | None = None
    wait_for_store: float | None = None
    own_process: bool = False


class Stopping:
    """Why a worker should stop: it was asked to, or the study's time is over.

    Safe for any number of threads.
    """

    def __init__(self) -> None:
        self._asked = threading.Event()
        #: The deadline that it was told, by the store's clock, and when that is by this process's.
        self._end: tuple[float | None, float | None] = (None, None)
        #: Why the training thread won't come back; None while it isn't known to hang.
        self.hangs: str | None = None

    def ask(self) -> None:
        """Ask the worker to stop."""
        self._asked.set()

    def leave(self, seconds: float | None, deadline: float | None = None) -> None:
        """Note how many seconds the study still has.

        Args:
            seconds: None for no limit.
            deadline: When that is by the store's clock, if it is known. While this stays the same,
                the time is counted here: the clock may be set, and then there would seem to be
                more time, or less.
        """
        told, _ = self._end
        if deadline is None or deadline != told:
            self._end = deadline, None if seconds is None else time.monotonic() + seconds

    @property
    def asked(self) -> bool:
        """Whether the worker was asked to stop; the end of the study's time doesn't count."""
        return self._asked.is_set()

    @property
    def due(self) -> bool:
        """Whether the worker should stop."""
        _, end = self._end
        return self._asked.is_set() or (end is not None and time.monotonic() >= end)

    def check(self) -> None:
        """Raise ``Interrupted`` if the worker should stop."""
        if self.due:
            raise Interrupted

    def wait(self, seconds: float) -> None:
        """Wait, or until the worker is asked to stop."""
        self._asked.wait(seconds)
