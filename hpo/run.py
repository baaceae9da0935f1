"""``python -m hpo.run --study NAME``: the whole study, then the refit and the predictions."""

import argparse
import contextlib
import importlib
import math
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._data_arguments import data_options
from hpo._dry_run import dry_run, rehearsed
from hpo._energy import energy_of
from hpo._options import FAILED_TASKS, NO_CANDIDATE, ending, guarded
from hpo._run_options import run_parser
from hpo._run_plan import feature_lines, memory_notes, row_lines, scaling_notes
from hpo._run_screen import Shown, shown
from hpo._run_space import fusion_names, read_by, space_file
from hpo._writable import check_folder

if TYPE_CHECKING:
    from hpo.events import StudyWatch
    from hpo.features import Bundle
    from hpo.launch import Placement, RayPlan, RayWorkers, Workers
    from hpo.library import Study
    from hpo.search import Task
    from hpo.worker import WorkerSettings

__all__ = ["main"]

#: Exit status of a study that was left before its end.
UNFINISHED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    arguments = run_parser().parse_args(argv)

    from hpo.errors import InputError
    from hpo.events import Finished
    from hpo.search import NoCandidateError

    if arguments.dry_run and arguments.json:
        raise InputError("--json: tells what happens, and with --dry-run nothing does.")
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(shown(quiet=arguments.quiet, machine=arguments.json))
        try:
            status = _carry_out(arguments, sys.argv[1:] if argv is None else argv, stack, show)
        except NoCandidateError as error:
            show.tell(Finished(NO_CANDIDATE, str(error)))
            print(
                f"error: {error} The tracebacks are with the failed trials, in the dashboard; once "
                f"the cause is mended, `hpo study retry {arguments.study}` opens them again.",
                file=sys.stderr,
            )
            return NO_CANDIDATE
        except (Exception, KeyboardInterrupt) as error:
            show.tell(Finished(*ending(error)))
            raise
        show.tell(Finished(status))
        return status


def _carry_out(
    arguments: argparse.Namespace,
    argv: Sequence[str],
    stack: contextlib.ExitStack,
    show: Shown,
) -> int:
    from hpo.dashboard import publish
    from hpo.data import divide
    from hpo.errors import DivergedError, InputError
    from hpo.events import EncodingWatch, Stopped, StudyWatch
    from hpo.features import folder_defaults, prepare_data
    from hpo.launch import place_workers, resolve_devices, resolve_precision
    from hpo.library import Limits, check_memory, open_study, space_of
    from hpo.notes import refuse_doubts
    from hpo.report import CommandCost, RowFacts, finish_study, note_command
    from hpo.results import check_pick
    from hpo.search import (
        encoders_of_space,
        parse_candidate,
        parse_setting,
        space_for_sources,
    )
    from hpo.study import check_name, concerns, failed_tasks, kept_split, load_plugins
    from hpo.training import Arithmetic
    from hpo.trials import redact
    from hpo.watch import LogProcess, parse_log_to

    began = time.monotonic()
    check_name(arguments.study)
    out = arguments.out or _results_folder(arguments.study)
    if not arguments.dry_run:
        check_folder(out, "--out")
        check_folder(arguments.cache, "--cache")
    candidates = [(text, parse_candidate(text)) for text in arguments.add]
    pick = None if arguments.pick is None else check_pick(arguments.pick)
    tools = parse_log_to(arguments.log_to)
    load_plugins(arguments.plugin)
    options = data_options(arguments, device="cpu")
    if arguments.dry_run:
        options = rehearsed(options, stack)
    defaults = folder_defaults(options)
    options = options.with_defaults(defaults)
    suggested = [(key, value, "hpo.yaml") for key, value in defaults.settings.items()]
    settings = [(*parse_setting(text), "--set") for text in arguments.set]
    if arguments.seeds is not None:
        settings.append(("seeds", arguments.seeds, "--seeds"))
    source = arguments.space or space_file(
        arguments.study, arguments.storage, arguments.wait_for_store
    )
    modalities = options.modalities or fusion_names(options)
    space = space_of(source, settings, suggested, modalities, options.sources() or None)
    options = options.with_encoders(encoders_of_space(space))
    space = space_for_sources(space, options.sources())
    split = kept_split(arguments.storage, arguments.study, space.split, arguments.wait_for_store)
    space = space.model_copy(update={"split": split})
    options = replace(options, reads=read_by(space))

    devices = resolve_devices(arguments.devices)
    ray_plan = _ray_plan(arguments)
    used = devices if ray_plan is None else (ray_plan.device,)
    here = devices if ray_plan is None else ("the workers of Ray",)
    cost = CommandCost(began, here, energy_of(here))
    asked = arguments.precision or space.precision
    space = space.model_copy(update={"precision": asked})
    precision = resolve_precision(asked, used)
    arithmetic = Arithmetic(arguments.threads, precision, arguments.compile)
    for name in used:
        arithmetic.check(name.partition(":")[0])
    placements = place_workers(devices, arguments.workers, arguments.threads, arguments.memory_gb)
    placed = f"workers {len(placements)} on {', '.join(devices)}, threads {arguments.threads}"
    allowed = [placement.memory_gb for placement in placements]
    if ray_plan is not None:
        placed = str(ray_plan)
        allowed = [arguments.memory_gb or math.inf]
    head = f"study {arguments.study} · space {source} · storage {redact(arguments.storage)}"
    if arguments.dry_run:
        limits = Limits.of(
            space.budget,
            arguments.timeout,
            arguments.trials,
            arguments.epoch_budget,
            arguments.time_limit,
            refit=not arguments.no_refit,
        )
        dry_run(
            replace(options, device=devices[0]),
            defaults,
            space,
            arithmetic,
            study=arguments.study,
            storage=arguments.storage,
            real_cache=arguments.cache,
            allowed=allowed,
            head=head,
            placed=f"{placed} · precision {precision}",
            limits=limits,
            candidates=[values for _, values in candidates],
            warm_start=arguments.warm_start,
            wait=arguments.wait_for_store,
            console=show.last,
        )
        return 0
    held = None
    if ray_plan is None and not (out / "metrics.json").exists():
        # Their imports take a second or two, for which the data need not wait, nor they for it.
        held = _workers(arguments, placements, show, held=True)
        stack.callback(held.stop)
    data = prepare_data(
        replace(options, device=devices[0]),
        defaults,
        lambda dataset: divide(dataset, space.split, space.train_rows),
        EncodingWatch(show.tell),
    )
    division = data.divide(space.split, space.train_rows)
    if arguments.strict:
        refuse_doubts(division.notes)
    space = space.model_copy(update={"split": division.spec})
    bundle = data.bundle_of(division)
    study = open_study(
        data,
        space,
        bundle,
        arguments.study,
        arguments.storage,
        arithmetic=arithmetic,
        checkpoint_every=arguments.checkpoint_every,
        run_store_gb=arguments.run_store_gb,
        wait=arguments.wait_for_store,
    )
    limits = study.limits(
        arguments.timeout,
        arguments.trials,
        arguments.epoch_budget,
        arguments.time_limit,
        began=began,
        refit=not arguments.no_refit,
    )
    limits.set(study.stored)
    note_command(study.stored, argv)
    notes = [] if arguments.warm_start is None else study.start_from(arguments.warm_start)
    for text, values in candidates:
        if not study.add(values):
            notes.append(f"--add {text}: the study has this configuration already")
    going_on = not study.stored.open_next()
    before = study.stored.tasks()
    watch = StudyWatch(
        study.stored,
        show.tell,
        limits.seconds_left,
        [
            head,
            *row_lines(
                options.folder,
                division,
                len(bundle.test_ids),
                feature_lines(data),
                defaults,
            ),
            *(f"note: {note}" for note in (*data.notes, *division.notes)),
            *scaling_notes(data, space),
            *([str(limits)] if str(limits) else []),
            *notes,
            *(f"note: {said}" for said in concerns(study.stored, before, going_on=going_on)),
            f"{placed} · precision {study.stored.definition.precision}",
            *memory_notes(bundle, allowed),
        ],
    )
    study.stored = study.stored.telling(watch.wait)
    if tools:
        place = arguments.cache.absolute()
        log = LogProcess(tools, arguments.study, arguments.storage, place, arguments.plugin, out)
        show.tell.add(stack.enter_context(log))
    watch.begin()
    ahead = _Ahead(len(placements))
    stack.callback(ahead.join)

    def start() -> "Workers | RayWorkers":
        if ray_plan is not None:
            return _ray_workers(arguments, study, bundle, ray_plan)
        check_memory(study.stored, devices[0])
        return _workers(arguments, placements, show) if held is None else held.release()

    def observe(tasks: "Sequence[Task]") -> None:
        watch.update(tasks)
        ahead.observe(tasks)
        cost.observe()

    with _sigterm_as_interrupt():
        with _interval(arguments, show, watch):
            complete = study.run(start, observe, limits)
        show.tell(Stopped(complete, study.ended_by))
        if complete or _has_result(study):
            if study.stopped is not None:
                show.last.print(f"stopped: {study.stopped}.", highlight=False, soft_wrap=True)
            if study.ended_by is not None:
                show.last.print(_ended(study), highlight=False, soft_wrap=True)
            refit = not arguments.no_refit
            try:
                finish_study(
                    study.stored,
                    show.last,
                    out,
                    devices[0],
                    refit=refit,
                    pick=pick,
                    memory_gb=arguments.memory_gb,
                    cost=cost,
                    known=RowFacts(division.dataset.train, division.dataset.root),
                    ended_by=study.ended_by,
                    in_time=limits.is_budget(study.ended_by),
                    models=lambda trained: limits.models(study.stored, trained),
                    tell=show.tell,
                )
            except (DivergedError, InputError):
                publish(study.stored, out.absolute(), devices[0])  # says that there is no model
                raise
            publish(study.stored, out.absolute(), devices[0])
            if not (complete or limits.is_budget(study.ended_by)):
                return UNFINISHED
            return FAILED_TASKS if failed_tasks(study.stored.tasks()) else 0
    ended = f"It was ended by {study.ended_by}, with no score yet. " if study.ended_by else ""
    show.last.print(
        f"The study is not complete. {ended}Run the same command again to continue.",
        highlight=False,
        soft_wrap=True,
    )
    return UNFINISHED


@contextlib.contextmanager
def _interval(arguments: argparse.Namespace, show: Shown, watch: "StudyWatch") -> "Iterator[None]":
    """Find out how sure the best so far is, where somebody is shown it."""
    from hpo.watch import IntervalProcess

    if not (show.live or show.machine):
        yield
        return
    cache = arguments.cache.absolute()
    with IntervalProcess(
        *(arguments.study, arguments.storage, cache, arguments.plugin, watch.know_interval)
    ) as process:
        show.tell.add(process)
        yield


def _results_folder(study: str) -> Path:
    """Return where the results of a study go if nothing is said of it.

    Raises:
        InputError: That would be outside of ``runs/``.
    """
    from hpo.errors import InputError

    if Path(study).is_absolute() or ".." in Path(study).parts:
        raise InputError(
            f"--study {study}: its results would go to {Path('runs') / study}; give their folder "
            "with --out."
        )
    return Path("runs") / study


def _has_result(study: "Study") -> bool:
    """Tell whether a study that a limit has ended has anything to refit."""
    from hpo.study import best_so_far

    return (
        study.ended_by is not None and best_so_far(study.stored, study.stored.tasks()) is not None
    )


def _ended(study: "Study") -> str:
    """Say which limit ended the study, and how far it got."""
    tasks = study.stored.tasks()
    begun = sum(task.begun for task in tasks)
    whole = sum(t.outcome is not None and t.outcome.pruned is None for t in tasks)
    return (
        f"ended by {study.ended_by}: {begun} trials begun, {whole} of them trained to the end. The "
        "study is unfinished, and what follows is the best so far. The same command with more goes "
        "on."
    )


class _Ahead:
    """Imports what the end of a study needs as soon as a worker has nothing left to do.

    Args:
        workers: How many there are.
    """

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._thread: threading.Thread | None = None

    def observe(self, tasks: "Sequence[Task]") -> None:
        """Look at all tasks of the study."""
        from hpo.search import TaskState

        left = sum(task.state in (TaskState.OPEN, TaskState.CLAIMED) for task in tasks)
        if self._thread is None and 0 < left < self._workers:
            module = "hpo.results._judge"  # PyTorch takes a second, see hpo/_lazy.py
            self._thread = threading.Thread(target=importlib.import_module, args=(module,))
            self._thread.start()

    def join(self) -> None:
        """Wait until it is done; a process must not end in the middle of an import."""
        if self._thread is not None:
            self._thread.join()


def _workers(
    arguments: argparse.Namespace,
    placements: "list[Placement]",
    show: Shown,
    *,
    held: bool = False,
) -> "Workers":
    """Start the worker processes of a study, which need not exist yet if they are held."""
    from hpo.launch import Workers

    return Workers(
        arguments.study,
        arguments.storage,
        placements,
        arguments.cache.absolute(),
        arguments.plugin,
        _settings(arguments),
        held=held,
        relayed=show.live or show.machine,
    )


def _ray_workers(
    arguments: argparse.Namespace, study: "Study", bundle: "Bundle", plan: "RayPlan"
) -> "RayWorkers":
    from hpo.launch import RayWorkers

    cache = Path(study.stored.definition.cache)
    return RayWorkers(study.name, plan, _settings(arguments), bundle, cache, arguments.plugin)


def _settings(arguments: argparse.Namespace) -> "WorkerSettings":
    from hpo.worker import WorkerSettings

    return WorkerSettings(
        heartbeat=arguments.heartbeat,
        grace=arguments.grace,
        stall_timeout=arguments.stall_timeout,
        memory_gb=arguments.memory_gb,
        wait_for_store=arguments.wait_for_store,
    )


def _ray_plan(arguments: argparse.Namespace) -> "RayPlan | None":
    from hpo.errors import InputError
    from hpo.launch import connect_ray

    if arguments.backend == "ray":
        return connect_ray(
            arguments.ray_address or "auto",
            arguments.storage,
            devices=arguments.devices,
            workers=arguments.workers,
            threads=arguments.threads,
            gpus_per_worker=arguments.gpus_per_worker,
        )
    if arguments.ray_address is not None or arguments.gpus_per_worker is not None:
        raise InputError("--ray-address and --gpus-per-worker: must go with --backend ray.")
    return None


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


if __name__ == "__main__":
    sys.exit(main())
