"""The steps of a run: prepare the data, open the study, train, and write the results."""

import argparse
import contextlib
import importlib
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hpo._options import FAILED_TASKS
from hpo._run_crew import ray_workers, workers
from hpo._run_plan import feature_lines, memory_notes, row_lines, scaling_notes
from hpo._run_request import Request
from hpo._run_screen import Shown
from hpo.dashboard import publish
from hpo.data import Division, divide
from hpo.errors import DivergedError, InputError
from hpo.events import EncodingWatch, Stopped, StudyWatch
from hpo.features import Bundle, Data, prepare_data
from hpo.launch import Workers
from hpo.library import Study, check_memory, open_study
from hpo.notes import refuse_doubts
from hpo.queue import StoreAwayError
from hpo.report import RowFacts, finish_study, note_command
from hpo.search import Space, Task, TaskState
from hpo.study import best_so_far, concerns, failed_tasks
from hpo.watch import IntervalProcess, LogProcess

if TYPE_CHECKING:
    from hpo.launch import RayWorkers

__all__ = ["UNFINISHED", "run_study"]

#: Exit status of a study that was left before its end.
UNFINISHED = 3


@dataclass(frozen=True)
class _Prepared:
    """The data of a run.

    Attributes:
        data: Rows and embeddings.
        division: The rows, and how they are divided.
        space: What is searched, with that division.
        bundle: What workers read.
    """

    data: Data
    division: Division
    space: Space
    bundle: Bundle


def run_study(
    request: Request, argv: Sequence[str], stack: contextlib.ExitStack, show: Shown
) -> int:
    """Train what is left of a study, then refit its best and predict; return the exit status.

    Args:
        request: What is asked for.
        argv: The command line, which is stored with the study.
        stack: Ends what was started.
        show: What is told of it.

    Raises:
        InputError: Something can't be as it is asked for.
        NoCandidateError: Nothing has a score.
    """
    arguments = request.arguments
    held = None
    if request.ray is None and not (request.out / "metrics.json").exists():
        # Their imports take a second or two, for which the data need not wait, nor they for it.
        held = workers(arguments, request.placements, show, held=True)
        stack.callback(held.stop)
    prepared = _prepare(request, show)
    study = _open(request, prepared)
    request.limits.set(study.stored)
    note_command(study.stored, argv)
    said = _begin(request, study)
    about = _about(request, prepared, study, said)
    watch = StudyWatch(study.stored, show.tell, request.limits.seconds_left, about)
    study.stored = study.stored.telling(watch.wait)
    if request.tools:
        log = LogProcess(
            *(request.tools, arguments.study, arguments.storage, arguments.cache.absolute()),
            *(arguments.plugin, request.out),
        )
        show.tell.add(stack.enter_context(log))
    watch.begin()
    start = _starting(request, study, prepared.bundle, held, show)
    with _sigterm_as_interrupt():
        complete = _train(request, study, watch, start, stack, show)
        if complete or _has_result(study):
            return _finish(request, prepared, study, show, complete=complete)
    ended, more = "", ""
    if study.ended_by is not None:
        ended, more = f"It was ended by {study.ended_by}, with no score yet. ", " with more"
    show.last.print(
        f"The study is not complete. {ended}The same command{more} goes on.",
        highlight=False,
        soft_wrap=True,
    )
    return UNFINISHED


def _prepare(request: Request, show: Shown) -> _Prepared:
    """Read and encode the rows, divide them, and store what workers read."""
    space = request.space
    data = prepare_data(
        request.options,
        request.defaults,
        lambda dataset: divide(dataset, space.split, space.train_rows),
        EncodingWatch(show.tell),
    )
    division = data.divide(space.split, space.train_rows)
    if request.arguments.strict:
        refuse_doubts(division.notes)
    space = space.model_copy(update={"split": division.spec})
    return _Prepared(data, division, space, data.bundle_of(division))


def _open(request: Request, prepared: _Prepared) -> Study:
    arguments = request.arguments
    return open_study(
        prepared.data,
        prepared.space,
        prepared.bundle,
        arguments.study,
        arguments.storage,
        arithmetic=request.arithmetic,
        checkpoint_every=arguments.checkpoint_every,
        run_store_gb=arguments.run_store_gb,
        wait=arguments.wait_for_store,
        check=request.check,
    )


def _begin(request: Request, study: Study) -> list[str]:
    """Add what is to be tried by hand, and open the first tasks; return what is to be said."""
    warm_start = request.arguments.warm_start
    notes = [] if warm_start is None else study.start_from(warm_start)
    for text, values in request.candidates:
        if not study.add(values):
            notes.append(f"--add {text}: the study has this configuration already")
    going_on = not study.stored.open_next()
    before = study.stored.tasks()
    said = concerns(study.stored, before, going_on=going_on)
    return [*notes, *(f"note: {note}" for note in said)]


def _about(request: Request, prepared: _Prepared, study: Study, said: Sequence[str]) -> list[str]:
    """Return the lines of the plan on data, limits and workers."""
    data, division, bundle = prepared.data, prepared.division, prepared.bundle
    return [
        request.head,
        *row_lines(
            request.options.folder,
            division,
            len(bundle.test_ids),
            feature_lines(data),
            request.defaults,
        ),
        *(f"note: {note}" for note in (*data.notes, *division.notes)),
        *scaling_notes(data, prepared.space),
        *(f"note: {note}" for note in request.unused),
        *(f"note: {note}" for note in prepared.space.notes(len(bundle.split["train"]))),
        *([str(request.limits)] if str(request.limits) else []),
        *said,
        f"{request.placed} · precision {study.stored.definition.precision}",
        *memory_notes(bundle, request.allowed),
    ]


def _starting(
    request: Request, study: Study, bundle: Bundle, held: Workers | None, show: Shown
) -> "Callable[[], Workers | RayWorkers]":
    """Return what starts the workers."""
    arguments = request.arguments

    def start() -> "Workers | RayWorkers":
        if request.ray is not None:
            return ray_workers(arguments, study, bundle, request.ray)
        check_memory(study.stored, request.devices[0])
        return workers(arguments, request.placements, show) if held is None else held.release()

    return start


def _train(
    request: Request,
    study: Study,
    watch: StudyWatch,
    start: "Callable[[], Workers | RayWorkers]",
    stack: contextlib.ExitStack,
    show: Shown,
) -> bool:
    """Let workers train until the study is complete or a limit is reached; return whether it is."""
    ahead = _Ahead(len(request.placements))
    stack.callback(ahead.join)

    def observe(tasks: Sequence[Task]) -> None:
        watch.update(tasks)
        ahead.observe(tasks)
        request.cost.observe()

    with _interval(request.arguments, show, watch):
        complete = study.run(start, observe, request.limits)
    show.tell(Stopped(complete, study.ended_by))
    return complete


def _finish(
    request: Request,
    prepared: _Prepared,
    study: Study,
    show: Shown,
    *,
    complete: bool,
) -> int:
    """Refit, predict and write the results; return the exit status."""
    stored, out, device = study.stored, request.out, request.devices[0]
    if study.stopped is not None:
        show.last.print(f"stopped: {study.stopped}.", highlight=False, soft_wrap=True)
    if study.ended_by is not None:
        show.last.print(_ended(study), highlight=False, soft_wrap=True)
    limits = request.limits
    in_budget = limits.is_budget(study.ended_by)
    rows = prepared.division.dataset
    try:
        finish_study(
            stored,
            show.last,
            out,
            device,
            refit=not request.arguments.no_refit,
            pick=request.pick,
            memory_gb=request.arguments.memory_gb,
            cost=request.cost,
            known=RowFacts(rows.train, rows.root),
            ended_by=study.ended_by,
            in_time=in_budget,
            models=lambda trained: limits.models(stored, trained),
            enough=limits.refit_is_over,
            tell=show.tell,
        )
    except StoreAwayError:
        raise
    except (DivergedError, InputError):
        with contextlib.suppress(StoreAwayError):
            publish(stored, out.absolute(), device)  # says that there is no model
        raise
    publish(stored, out.absolute(), device)
    if not (complete or in_budget):
        return UNFINISHED
    return FAILED_TASKS if failed_tasks(stored.tasks()) else 0


@contextlib.contextmanager
def _interval(arguments: argparse.Namespace, show: Shown, watch: StudyWatch) -> Iterator[None]:
    """Find out how sure the best so far is, where somebody is shown it."""
    if not (show.live or show.machine):
        yield
        return
    cache = arguments.cache.absolute()
    with IntervalProcess(
        *(arguments.study, arguments.storage, cache, arguments.plugin, watch.know_interval)
    ) as process:
        show.tell.add(process)
        yield


def _has_result(study: Study) -> bool:
    """Tell whether a study that a limit has ended has anything to refit."""
    return (
        study.ended_by is not None and best_so_far(study.stored, study.stored.tasks()) is not None
    )


def _ended(study: Study) -> str:
    """Say which limit ended the study, and how far it got."""
    tasks = study.stored.tasks()
    begun = sum(task.begun for task in tasks)
    whole = sum(t.outcome is not None and t.outcome.pruned is None for t in tasks)
    return (
        f"ended by {study.ended_by}: {begun} {'trial' if begun == 1 else 'trials'} begun, {whole} "
        "of them trained to the end. The study is unfinished, and what follows is the best so far. "
        "The same command with more goes on."
    )


class _Ahead:
    """Imports what the end of a study needs as soon as a worker has nothing left to do.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._thread: threading.Thread | None = None

    def observe(self, tasks: Sequence[Task]) -> None:
        """Look at all tasks of the study."""
        left = sum(task.state in (TaskState.OPEN, TaskState.CLAIMED) for task in tasks)
        if self._thread is None and 0 < left < self._workers:
            module = "hpo.results._judge"  # PyTorch takes a second, see hpo/_lazy.py
            self._thread = threading.Thread(target=importlib.import_module, args=(module,))
            self._thread.start()

    def join(self) -> None:
        """Wait until it is done; a process must not end in the middle of an import."""
        if self._thread is not None:
            self._thread.join()


@contextlib.contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does."""

    def interrupt(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
