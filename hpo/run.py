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

from hpo._options import (
    NO_CANDIDATE,
    add_memory_option,
    add_study_options,
    add_timing_options,
    duration,
    guarded,
    positive,
)

if TYPE_CHECKING:
    from hpo.features import Bundle, Data, DataOptions
    from hpo.launch import Placement, RayPlan, RayWorkers, Workers
    from hpo.library import Study
    from hpo.search import Space, Task
    from hpo.worker import WorkerSettings

__all__ = ["main"]

#: A norm up to which embeddings count as normalised.
_NORMALISED = 1.5
#: The study of those who have no wish of their own.
DEFAULT_STUDY = "best"
#: Exit status of a study that was left before its end.
UNFINISHED = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.run",
        description="Run a study to its end, then refit and predict. Run it again to resume.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_study_options(parser, cache=False, default=DEFAULT_STUDY)
    add(
        "--space", type=Path, metavar="FILE", help="search space (default: search_spaces/NAME.yaml)"
    )
    add("--data", default="demo", metavar="DIR|demo", help="data folder (default: %(default)s)")
    add(
        "--features",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="embeddings that exist already; several, each with a name, are chosen among",
    )
    add(
        "--encoder",
        action="append",
        default=[],
        metavar="[NAME=]MODEL/PRETRAINED",
        help="open_clip's names, or a local checkpoint; several are chosen among (default: those "
        "that the space names, else ViT-L-14/openai)",
    )
    add(
        "--modalities",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        metavar="A,B,…",
        help="embeddings to use, such as image,text (default: all that are there)",
    )
    add("--skip-bad-images", action="store_true", help="leave out rows whose image can't be read")
    add(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help="folder of stored embeddings and training runs (default: %(default)s)",
    )
    add(
        "--workers",
        type=positive(int),
        metavar="N",
        help="number of workers (default: one per GPU, or one per CPU core)",
    )
    add(
        "--threads",
        type=positive(int),
        default=1,
        metavar="N",
        help="per worker, on a CPU (default: 1)",
    )
    add_memory_option(parser)
    add(
        "--precision",
        metavar="float32|tf32|bf16|auto",
        help="precision of training steps; auto is bf16 on devices that compute with it natively, "
        "else float32 (default: what the space says)",
    )
    add(
        "--compile",
        default="off",
        metavar="MODE",
        help="compile training steps with a mode of torch.compile: off, default, reduce-overhead "
        "(CUDA graphs) or max-autotune (default: %(default)s)",
    )
    add(
        "--devices",
        default="auto",
        metavar="auto|cpu|cuda:0,…",
        help="devices of the workers (default: %(default)s, which is all GPUs, or else the CPU)",
    )
    add(
        "--backend",
        choices=("local", "ray"),
        default="local",
        help="workers are processes here, or actors in a Ray cluster (default: %(default)s)",
    )
    add(
        "--ray-address", metavar="auto|HOST:PORT", help="address of the Ray cluster (default: auto)"
    )
    add(
        "--gpus-per-worker",
        type=positive(float),
        metavar="G",
        help="with --backend ray: 1, or a fraction of a GPU (default: 1 if the cluster has GPUs)",
    )
    add("--seeds", type=positive(int), metavar="R", help="training runs per configuration")
    add(
        "--trials", type=positive(int), metavar="N", help="stop when the study has this many trials"
    )
    add(
        "--timeout",
        type=positive(float),
        metavar="SECONDS",
        help="stop after this time, without a result; see --time-limit",
    )
    add(
        "--time-limit",
        type=duration,
        metavar="TIME",
        help="end in this time (90s, 10m, 1h30m), refit and results included, with what there is",
    )
    add(
        "--epoch-budget",
        type=positive(int),
        metavar="N",
        help="train at most so many epochs, those of the refit and of earlier commands included, "
        "and end with what there is",
    )
    add(
        "--warm-start",
        metavar="STUDY",
        help="try the best configurations of another study of the storage first",
    )
    add(
        "--add",
        action="append",
        default=[],
        metavar="NAME=VALUE,…",
        help="try this candidate next (lr=0.002,dropout=0.6), beyond the number of trials; may be "
        "given several times, and for a study that is running or complete",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a fixed value of the space (lr=0.01) or a key of it (scale.width=0.25); may "
        "be given several times",
    )
    add("--out", type=Path, metavar="DIR", help="folder of the results (default: runs/NAME)")
    add(
        "--no-refit",
        action="store_true",
        help="stop after the study, without refit and predictions",
    )
    add(
        "--pick",
        metavar="best|smallest_tied|N",
        help="which configuration is refitted: the best score, the smallest model that can't be "
        "told from it, or trial N (default: what the space says, or else best)",
    )
    add(
        "--checkpoint-every",
        type=positive(int),
        default=50,
        metavar="EPOCHS",
        help="epochs between checkpoints, which is what a killed worker loses at most "
        "(default: %(default)s)",
    )
    add(
        "--run-store-gb",
        type=positive(float),
        default=20.0,
        metavar="GB",
        help="size limit of the stored weights and states, in 10^9 bytes (default: %(default)g)",
    )
    add_timing_options(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.search import NoCandidateError

    try:
        return _run(arguments)
    except NoCandidateError as error:
        print(
            f"error: {error} The tracebacks are with the failed trials, in the dashboard.",
            file=sys.stderr,
        )
        return NO_CANDIDATE


def _run(arguments: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        return _carry_out(arguments, stack)


def _carry_out(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    from rich.console import Console

    from hpo.data import make_split
    from hpo.features import DataOptions, asked_sources, folder_defaults, prepare_data
    from hpo.launch import place_workers, resolve_devices, resolve_precision
    from hpo.library import find_space, open_study, space_of
    from hpo.report import Screen, finish_study
    from hpo.results import check_pick
    from hpo.search import (
        encoders_of_space,
        parse_candidate,
        parse_setting,
        space_for_sources,
    )
    from hpo.study import load_plugins
    from hpo.training import Arithmetic, constant_micro_f1
    from hpo.trials import redact

    began = time.monotonic()
    candidates = [(text, parse_candidate(text)) for text in arguments.add]
    pick = None if arguments.pick is None else check_pick(arguments.pick)
    console = Console(width=None if sys.stdout.isatty() else 120)
    load_plugins(arguments.plugin)
    features, encoder = asked_sources(arguments.features, arguments.encoder)
    options = DataOptions(
        data=arguments.data,
        features=features,
        encoder=encoder,
        cache=arguments.cache.absolute(),
        device="cpu",
        skip_bad_images=arguments.skip_bad_images,
        modalities=arguments.modalities,
    )
    defaults = folder_defaults(options)
    suggested = [(key, value, "hpo.yaml") for key, value in defaults.settings.items()]
    settings = [(*parse_setting(text), "--set") for text in arguments.set]
    if arguments.seeds is not None:
        settings.append(("seeds", arguments.seeds, "--seeds"))
    source = arguments.space or find_space(arguments.study)
    modalities = arguments.modalities or _modalities(options)
    space = space_of(source, settings, suggested, modalities, options.sources() or None)
    options = options.with_encoders(encoders_of_space(space))
    space = space_for_sources(space, options.sources())
    out = arguments.out or Path("runs") / arguments.study

    devices = resolve_devices(arguments.devices)
    ray_plan = _ray_plan(arguments)
    used = devices if ray_plan is None else (ray_plan.device,)
    asked = arguments.precision or space.precision
    space = space.model_copy(update={"precision": asked})
    precision = resolve_precision(asked, used)
    arithmetic = Arithmetic(arguments.threads, precision, arguments.compile)
    for name in used:
        arithmetic.check(name.partition(":")[0])
    placements = place_workers(devices, arguments.workers, arguments.threads, arguments.memory_gb)
    held = None
    if ray_plan is None and not (out / "metrics.json").exists():
        # Their imports take a second or two, for which the data need not wait, nor they for it.
        held = _workers(arguments, placements, held=True)
        stack.callback(held.stop)
    data = prepare_data(
        replace(options, device=devices[0]),
        defaults,
        lambda dataset: make_split(dataset, space.split, space.train_rows),
    )
    bundle = data.bundle(space.split, space.train_rows)
    study = open_study(
        data,
        space,
        bundle,
        arguments.study,
        arguments.storage,
        arithmetic=arithmetic,
        checkpoint_every=arguments.checkpoint_every,
        run_store_gb=arguments.run_store_gb,
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
    notes = [] if arguments.warm_start is None else study.start_from(arguments.warm_start)
    for text, values in candidates:
        if not study.add(values):
            notes.append(f"--add {text}: the study has this configuration already")
    study.stored.open_next()
    screen = Screen(study.stored, study.stored.plan(), console)
    placed = f"workers {len(placements)} on {', '.join(devices)}, threads {arguments.threads}"
    allowed = [placement.memory_gb for placement in placements]
    if ray_plan is not None:
        placed = str(ray_plan)
        allowed = [arguments.memory_gb or math.inf]
    placed += f" · precision {study.stored.definition.precision}"
    shown = ", ".join(f"{key}={value}" for key, value in defaults.settings.items())
    parts = bundle.split.parts
    screen.show_plan(
        [
            f"study {study.name} · space {source} · storage {redact(arguments.storage)}",
            f"data {options.folder} · {len(parts['train']):,} rows to train, "
            f"{len(parts['val']):,} to validate, {len(bundle.test_ids):,} to predict, "
            f"{len(bundle.classes)} classes",
            *_feature_lines(data),
            f"best constant prediction: micro-F1 {constant_micro_f1(bundle.labels_of('val')):.3f} "
            "on the rows to validate",
            *([f"set by {options.folder / 'hpo.yaml'}: {shown}"] if shown else []),
            *_scaling_notes(data, space),
            *([str(limits)] if str(limits) else []),
            *notes,
            placed,
            *_memory_notes(bundle, allowed),
        ]
    )
    ahead = _Ahead(len(placements))
    stack.callback(ahead.join)

    def start() -> "Workers | RayWorkers":
        if ray_plan is not None:
            return _ray_workers(arguments, study, bundle, ray_plan)
        return _workers(arguments, placements) if held is None else held.release()

    def observe(tasks: "Sequence[Task]") -> None:
        screen.update(tasks)
        ahead.observe(tasks)

    with _sigterm_as_interrupt(), screen:
        complete = study.run(
            start,
            observe,
            limits,
        )
        if complete or study.ended_by is not None:
            screen.stop()
            if study.stopped is not None:
                console.print(f"stopped: {study.stopped}.", highlight=False, soft_wrap=True)
            if study.ended_by is not None:
                console.print(_ended(study), highlight=False, soft_wrap=True)
            refit = not arguments.no_refit
            finish_study(
                study.stored,
                console,
                out,
                devices[0],
                refit=refit,
                pick=pick,
                memory_gb=arguments.memory_gb,
                began=began,
                ended_by=study.ended_by,
            )
            return 0
    console.print("The study is not complete. Run the same command again to continue.")
    return UNFINISHED


def _feature_lines(data: "Data") -> list[str]:
    """Say which embeddings there are, how wide they are, and what their encoders cost."""
    lines = []
    for name, features in (data.named or {data.description["encoder"]: data.features}).items():
        widths = ", ".join(f"{m} {array.shape[1]}" for m, array in features.train.items())
        cost = ""
        if features.cost is not None:
            cost = f" · {features.cost.mb:,.1f} MB"
            if features.cost.images_per_s is not None:
                rate = f"{features.cost.images_per_s:,.1f} images a second"
                cost += f", {rate} ({features.cost.device})"
        lines.append(f"features {name} · {widths}{cost}")
    return lines


def _ended(study: "Study") -> str:
    """Say which limit ended the study, and how far it got."""
    tasks = study.stored.tasks()
    begun = sum(task.begun for task in tasks)
    whole = sum(t.outcome is not None and t.outcome.pruned is None for t in tasks)
    return (
        f"ended by {study.ended_by}: {begun} trials begun, {whole} of them trained to the end. The "
        "same command with more goes on."
    )


def _scaling_notes(data: "Data", space: "Space") -> list[str]:
    """Say which embeddings are too small for a study that doesn't scale them."""
    scalings = {space.fixed.feature_scaling, *space.search.values_of("feature_scaling")}
    small = [name for name, norm in data.norms.items() if norm <= _NORMALISED]
    if scalings != {"none"} or not small:
        return []
    norms = ", ".join(f"{name} {data.norms[name]:.2f}" for name in small)
    return [
        f"note: embeddings look normalised (norm: {norms}), and this study doesn't scale them. "
        "Adam hardly trains on them at the usual learning rates: 100 epochs of the paper's sum "
        "head end at a micro-F1 of 68.2 instead of 82.3 (docs/log.md). --set feature_scaling=auto "
        "scales them."
    ]


def _memory_notes(bundle: "Bundle", allowed: "Sequence[float]") -> list[str]:
    """Say that workers will not hold the rows, where some may not."""
    from hpo.training import copy_gb

    size = copy_gb(bundle)
    least = min(allowed)
    if size <= least:
        return []
    some = sum(size > share for share in allowed)
    who = "workers read" if some == len(allowed) else f"{some} of {len(allowed)} workers read"
    return [
        f"{who} the rows from mapped files, batch by batch: as float32 they are {size:.3g} GB, and "
        f"a worker may hold {least:.3g} GB (--memory-gb)"
    ]


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
    arguments: argparse.Namespace, placements: "list[Placement]", *, held: bool = False
) -> "Workers":
    """Start the worker processes of a study, which need not exist yet if they are held."""
    from hpo.launch import Workers

    cache, url = arguments.cache.absolute(), arguments.storage
    settings = _settings(arguments)
    return Workers(arguments.study, url, placements, cache, arguments.plugin, settings, held=held)


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


def _modalities(options: "DataOptions") -> tuple[str, ...]:
    """Return the names that a fusion may have: those of the embeddings, or those of an encoder."""
    from hpo.features import ENCODED, modality_names, union

    encoded = tuple(ENCODED)
    if options.are_named:
        return union(options.sources())
    assert options.features is None or isinstance(options.features, Path)  # it has no name
    return encoded if options.features is None else modality_names(options.features) or encoded


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
