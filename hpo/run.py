"""``python -m hpo.run --study NAME``: the whole study, then the refit and the predictions."""

import argparse
import ctypes
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._options import (
    NO_CANDIDATE,
    add_study_options,
    add_timing_options,
    guarded,
    positive,
)

if TYPE_CHECKING:
    from hpo.service import RayWorkers, Study, Workers

__all__ = ["main"]

_POLL_S = 0.5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.run", description=__doc__, allow_abbrev=False
    )
    add = parser.add_argument
    add_study_options(parser)
    add("--space", type=Path, metavar="FILE", help="default: search_spaces/NAME.yaml")
    add("--data", default="demo", metavar="DIR|demo", help="data folder (default: %(default)s)")
    add("--features", type=Path, metavar="DIR", help="embeddings that exist already")
    add(
        "--encoder",
        metavar="MODEL/PRETRAINED",
        help="open_clip's names, or a local checkpoint (default: ViT-L-14/openai)",
    )
    add("--skip-bad-images", action="store_true", help="leave out rows whose image can't be read")
    add("--cache", type=Path, default=Path(".hpo"), metavar="DIR", help="features and runs")
    add("--workers", type=positive(int), metavar="N", help="default: one a device, on CPU a core")
    add("--threads", type=positive(int), default=1, metavar="N", help="of a worker, on CPU")
    add("--precision", default="float32", metavar="float32|tf32|bf16", help="of training steps")
    add(
        "--compile",
        default="off",
        metavar="MODE",
        help="of training steps, a mode of torch.compile: off, default, reduce-overhead (CUDA "
        "graphs) or max-autotune (default: %(default)s)",
    )
    add("--devices", default="auto", metavar="auto|cpu|cuda:0,…", help="default: %(default)s")
    add(
        "--backend",
        choices=("local", "ray"),
        default="local",
        help="workers are processes here, or actors in a Ray cluster (default: %(default)s)",
    )
    add("--ray-address", metavar="auto|HOST:PORT", help="of the cluster (default: auto)")
    add(
        "--gpus-per-worker",
        type=positive(float),
        metavar="G",
        help="with --backend ray: 1 or a fraction (default: 1 if the cluster has GPUs)",
    )
    add("--seeds", type=positive(int), metavar="R", help="runs of each configuration")
    add("--trials", type=positive(int), metavar="N", help="at most so many trials in the study")
    add("--timeout", type=positive(float), metavar="SECONDS", help="stop the study after so long")
    add(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a fixed value of the space (lr=0.01) or a setting (scale.width=0.25)",
    )
    add("--out", type=Path, metavar="DIR", help="default: runs/NAME")
    add("--no-refit", action="store_true", help="end after the study")
    add(
        "--checkpoint-every",
        type=positive(int),
        default=50,
        metavar="EPOCHS",
        help="at most so many epochs are lost when a worker is killed (default: %(default)s)",
    )
    add(
        "--run-store-gb",
        type=positive(float),
        default=20.0,
        metavar="GB",
        help="limit of weights and states kept, in 10^9 bytes (default: %(default)g)",
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
    from rich.console import Console

    from hpo import service
    from hpo.errors import InputError
    from hpo.report import Screen, finished_report, make_plan
    from hpo.search import load_space, parse_setting
    from hpo.service import (
        DataOptions,
        Definition,
        Study,
        Workers,
        WorkerSettings,
        connect_ray,
        folder_defaults,
        place_workers,
        prepare_bundle,
        redact,
        resolve_devices,
    )
    from hpo.training import Arithmetic, constant_micro_f1

    console = Console(width=None if sys.stdout.isatty() else 120)
    options = DataOptions(
        data=arguments.data,
        features=arguments.features,
        encoder=arguments.encoder,
        cache=arguments.cache.absolute(),
        device="cpu",
        skip_bad_images=arguments.skip_bad_images,
    )
    defaults = folder_defaults(options)
    suggested = [(key, value, "hpo.yaml") for key, value in defaults.settings.items()]
    settings = [(*parse_setting(text), "--set") for text in arguments.set]
    if arguments.seeds is not None:
        settings.append(("seeds", arguments.seeds, "--seeds"))
    space_file = arguments.space or Path("search_spaces") / f"{arguments.study}.yaml"
    space = load_space(space_file, settings, suggested).scaled()
    out = arguments.out or Path("runs") / arguments.study

    devices = resolve_devices(arguments.devices, _cuda_devices)
    ray_plan = None
    if arguments.backend == "ray":
        ray_plan = connect_ray(
            arguments.ray_address or "auto",
            arguments.storage,
            devices=arguments.devices,
            workers=arguments.workers,
            threads=arguments.threads,
            gpus_per_worker=arguments.gpus_per_worker,
        )
    elif arguments.ray_address is not None or arguments.gpus_per_worker is not None:
        raise InputError("--ray-address and --gpus-per-worker: must go with --backend ray.")
    arithmetic = Arithmetic(arguments.threads, arguments.precision, arguments.compile)
    for name in devices if ray_plan is None else [ray_plan.device]:
        arithmetic.check(name.partition(":")[0])
    options = replace(options, device=devices[0])
    bundle, dataset = prepare_bundle(options, defaults, space)
    definition = Definition(
        space=space,
        cache=str(options.cache),
        bundle_key=bundle.key,
        modalities=tuple(bundle.features.train),
        train_rows=len(bundle.split.train),
        threads=arguments.threads,
        checkpoint_every=arguments.checkpoint_every,
        run_store_gb=arguments.run_store_gb,
        dataset=dataset,
        precision=arithmetic.precision,
        compiler=arithmetic.compiler,
    )
    study = Study.create(arguments.storage, arguments.study, definition)
    study.ledger.limit(study.name, arguments.timeout, arguments.trials)
    complete = study.open_next()
    plan = make_plan(study, study.ledger.tasks(study.name))
    screen = Screen(study, plan, console)
    placements = place_workers(devices, arguments.workers, arguments.threads)
    placed = f"workers {len(placements)} on {', '.join(devices)}, threads {arguments.threads}"
    if ray_plan is not None:
        placed = str(ray_plan)
    shown = ", ".join(f"{key}={value}" for key, value in defaults.settings.items())
    screen.show_plan(
        [
            f"study {study.name} · space {space_file} · storage {redact(arguments.storage)}",
            f"data {options.folder} · {len(bundle.split.train):,} rows to train, "
            f"{len(bundle.split.val):,} to validate, {len(bundle.test_ids):,} to predict, "
            f"{len(bundle.classes)} classes · features {dataset['encoder']} "
            + ", ".join(f"{name} {x.shape[1]}" for name, x in bundle.features.train.items()),
            f"best constant prediction: micro-F1 {constant_micro_f1(bundle.val_labels()):.3f} on "
            "the rows to validate",
            *([f"set by {options.folder / 'hpo.yaml'}: {shown}"] if shown else []),
            placed,
        ]
    )
    signal.signal(signal.SIGTERM, _as_interrupt)
    if not complete:
        timing = {
            name: getattr(arguments, name) for name in ("heartbeat", "grace", "stall_timeout")
        }
        workers: Workers | RayWorkers
        if ray_plan is not None:
            workers = service.RayWorkers(study.name, ray_plan, WorkerSettings(**timing), bundle)
        else:
            flags = [f"--{name.replace('_', '-')}={value}" for name, value in timing.items()]
            workers = Workers(study.name, arguments.storage, placements, flags)
        try:
            with screen:
                complete = _watch(study, screen, workers)
        finally:
            workers.stop()
    else:
        screen.update(study.ledger.tasks(study.name))
    if not complete:
        console.print("The study is not complete; the same command goes on from here.")
        return 3
    return finished_report(study, console, out, devices[0], refit=not arguments.no_refit)


def _watch(study: "Study", screen: Any, workers: "Workers | RayWorkers") -> bool:
    """Show the study until it is complete or nobody works on it; return whether it is complete."""
    while True:
        running = workers.watch()
        start = time.monotonic()
        tasks = study.ledger.tasks(study.name)
        screen.update(tasks)
        if not running:
            return study.best(tasks) is not None and study.open_next()
        # Looking at thousands of tasks takes its time, which is the workers' as well.
        time.sleep(max(_POLL_S, 10 * (time.monotonic() - start)))


def _cuda_devices() -> int:
    # PyTorch takes a second to import, and finds no device without NVIDIA's driver, which it loads
    # by this name, or AMD's.
    if sys.platform == "linux" and not Path("/dev/kfd").exists():
        try:
            ctypes.CDLL("libcuda.so.1")
        except OSError:
            return 0
    import torch

    return torch.cuda.device_count()


def _as_interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
