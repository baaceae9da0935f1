"""One worker in this process, for a notebook or a script that wants no further ones."""

import threading

from hpo.features import Bundle
from hpo.study import StoredStudy
from hpo.worker import Worker, WorkerSettings

__all__ = ["ThreadWorker"]


class ThreadWorker:
    """A worker in a thread of this process; to be used like ``Workers``.

    Losses, heads, fusions and metrics that were registered in this process are there for it, those
    of a notebook's cells included.

    Args:
        study: The study.
        settings: See there.
        bundle: The study's, if it was loaded already.
    """

    def __init__(
        self, study: StoredStudy, settings: WorkerSettings, bundle: Bundle | None = None
    ) -> None:
        self._worker = Worker(study, settings, bundle)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="hpo worker", daemon=True)
        self._thread.start()

    def watch(self) -> bool:
        """Return whether the worker is running.

        Raises:
            RuntimeError: A training step hangs. A thread can't be ended, so it is left behind.
            Exception: What ended the worker.
        """
        if self._thread.is_alive():
            if self._worker.hangs is not None:
                raise RuntimeError(
                    f"A training step hangs ({self._worker.hangs}). Its attempt was failed, but "
                    "its thread can't be ended: start a new process to go on with the study, or "
                    "use optimize(workers=2), whose workers are processes of their own."
                )
            return True
        self._thread.join()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return False

    def stop(self, patience: float = 30.0) -> None:
        """Let the worker checkpoint and hand back its trial."""
        self._worker.stop()
        self._thread.join(patience if self._worker.hangs is None else 0.0)

    def _run(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:
            self._error = error
