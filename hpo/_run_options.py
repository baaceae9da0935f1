"""The options of ``python -m hpo.run``."""

import argparse
from pathlib import Path

from hpo._data_arguments import add_source_options
from hpo._options import (
    MOST_THREADS,
    Parser,
    add_memory_option,
    add_study_options,
    add_timing_options,
    duration,
    positive,
)
from hpo._recommended import RECOMMENDED
from hpo._run_screen import add_screen_options

__all__ = ["run_parser"]


def run_parser() -> argparse.ArgumentParser:
    """Return the parser of the command."""
    parser = Parser(
        prog="python -m hpo.run",
        description="Run a study to its end, then refit and predict. Run it again to resume.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_study_options(parser, cache=False, default=RECOMMENDED)
    add(
        "--space",
        type=Path,
        metavar="FILE",
        help="search space, or the name of one (default: search_spaces/NAME.yaml)",
    )
    add_source_options(parser, default="demo")
    add(
        "--workers",
        type=positive(int, MOST_THREADS),
        metavar="N",
        help="number of workers (default: one per GPU, or one per CPU core)",
    )
    add(
        "--threads",
        type=positive(int, MOST_THREADS),
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
        help="stop the search after this time and refit the best so far, which takes time of its "
        "own; see --time-limit",
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
    add(
        "--dry-run",
        action="store_true",
        help="print the whole plan and end, with nothing encoded, stored or trained",
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
    add_screen_options(parser)
    add(
        "--log-to",
        action="append",
        default=[],
        metavar="TOOL[=WHERE]",
        help="keep each trial as a run in tensorboard[=DIR], mlflow[=URI] or wandb[=PROJECT]; may "
        "be given several times",
    )
    add_timing_options(parser)
    return parser
