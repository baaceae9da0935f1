"""Tasks and outcomes to test with, and stores in unusual states."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hpo.models import Config
from hpo.queue import Ledger
from hpo.search import NewTask, Task, TrialOutcome
from hpo.trials import _known

GRACE = 30.0
OUTCOME = TrialOutcome(
    value=2.0,
    std=0.5,
    scores=(1.5, 2.5),
    metrics={"micro_f1": 2.0},
    steps=4,
    epochs_trained=8,
    runs=(("a", "b"), ("c", "d")),
    pruned=None,
)


def config(number: int) -> Config:
    """A configuration for each number."""
    return Config(epochs=1 + number)


def new_task(position: int, number: int | None = None, *runs: str) -> NewTask:
    """A task at a position; its configuration is that of ``number``, or of the position."""
    return NewTask(position, 0, config(position if number is None else number), runs)


def tasks_of(count: int, first: int = 0) -> list[NewTask]:
    return [new_task(i, i, f"run{i}") for i in range(first, first + count)]


def claim(ledger: Ledger, study: str, owner: str = "a", grace: float = GRACE) -> Task:
    task = ledger.claim(study, owner, grace)
    assert task is not None
    return task


def state_of(ledger: Ledger, study: str, position: int = 0) -> Task:
    return next(task for task in ledger.tasks(study) if task.position == position)


def race(count: int, action: Callable[[int], object]) -> None:
    """Let so many threads start at the same moment; what one raises is raised here."""
    barrier = threading.Barrier(count)
    errors: list[BaseException] = []

    def run(index: int) -> None:
        try:
            barrier.wait()
            action(index)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


@contextmanager
def proxy(database: str) -> Iterator[str]:
    """Serve a database; give the proxy's URL."""
    pytest.importorskip("grpc")
    from hpo.queue._server import serve

    port = unused_port()
    server = serve(database, "127.0.0.1", port)
    yield f"grpc://127.0.0.1:{port}"
    server.stop(grace=None)


def unused_port() -> int:
    """Return a port that nobody listens on at the moment."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def unknown_optuna() -> Iterator[None]:
    """Let Optuna's tables be of a revision that the package doesn't know."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_known, "REVISION", "v2.0.0.a")
        patch.setattr(_known, "_said", threading.Event())
        yield
