"""``python -m hpo.worker``: join a study, from any process or machine, until it is done."""

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING

from hpo._options import (
    FAILED_TASKS,
    NO_CANDIDATE,
    Parser,
    add_memory_option,
    add_study_options,
    add_timing_options,
    guarded,
)

if TYPE_CHECKING:
    from hpo.worker._worker import Worker

__all__ = ["main"]

_log = logging.getLogger("hpo.worker")
#: The worker left before the study was done: it was stopped, or a limit was reached.
LEFT_EARLY = 3
#: The study was deleted, which the run that started the worker tells.
GONE = 7


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="python -m hpo.worker",
        description="Work on a study until it is complete, from any process or machine.",
        allow_abbrev=False,
    )
    add_study_options(parser, cache=True)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)"
    )
    add_memory_option(parser)
    add_timing_options(parser)
    parser.add_argument("--held", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--of-run", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)

    from hpo.launch import resolve_devices
    from hpo.queue import StoreAwayError
    from hpo.search import NoCandidateError
    from hpo.study import (
        StoredStudy,
        StudyGoneError,
        check_bundle,
        concerns,
        failed_tasks,
        load_plugins,
    )
    from hpo.worker._settings import WorkerSettings
    from hpo.worker._worker import Worker

    if arguments.held and not sys.stdin.buffer.readline():
        return LEFT_EARLY  # the run that started this worker ended before it had a study
    load_plugins(arguments.plugin)
    wait = arguments.wait_for_store
    try:
        study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache, wait=wait)
        check_bundle(study.definition)
        settings = WorkerSettings(
            device=resolve_devices(arguments.device)[0],
            heartbeat=arguments.heartbeat,
            grace=arguments.grace,
            stall_timeout=arguments.stall_timeout,
            memory_gb=arguments.memory_gb,
            wait_for_store=wait,
            own_process=True,
        )
        worker = Worker(study, settings)
        with _stopped_by_signals(worker):
            complete = worker.run()
    except NoCandidateError as error:
        if not arguments.of_run:
            print(f"error: {error}", file=sys.stderr)
        return NO_CANDIDATE
    except StudyGoneError:
        if arguments.of_run:
            return GONE
        raise
    except StoreAwayError as error:
        if arguments.of_run:  # it says in one sentence what came of all workers
            _log.warning("%s; this worker ends.", error.reason)
            return error.status
        raise
    if not complete:
        return LEFT_EARLY
    tasks = study.tasks()
    for line in [] if arguments.of_run else concerns(study, tasks):
        print(f"CAUTION: {line}", file=sys.stderr)
    return FAILED_TASKS if failed_tasks(tasks) else 0


@contextlib.contextmanager
def _stopped_by_signals(worker: "Worker") -> Iterator[None]:
    """Let SIGTERM and SIGINT stop a worker, and a second Ctrl-C end the process at once."""

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if worker.stopping and number == signal.SIGINT:
            os._exit(130)
        worker.stop()

    before = {n: signal.signal(n, on_signal) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
