"""The paper's epoch against the matrix-product rate, plain PyTorch and three libraries.

One thread, and processor time of the process, which is what one core needs whatever else the
machine does; validation is left out on all sides.
"""

import argparse
import shutil
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks._epochs import (
    Shape,
    flops,
    hpo_epoch,
    lightning_epoch,
    plain_epoch,
    sklearn_epoch,
    skorch_epoch,
    square_flops,
)
from benchmarks._result import Result, main
from benchmarks._sides import Side, Timing, alternate, ratio
from hpo.models import Config
from hpo.training import Arithmetic

__all__ = ["run"]

PAPER = Config(hidden=(2048, 512), dropout=0.6)
_BATCH = 5_000
_LAYERS = ((2048,), (2048, 512), (2048, 1024, 512))
#: Three head shapes, batch sizes and activations such that every pair of values meets once (an
#: orthogonal array), and for the gated head each value once.
_GRID = [
    ("mlp", _LAYERS[layers], batch, activation)
    for layers, batch, activation in [
        (0, 25_000, "gelu"),
        (0, 10_000, "relu"),
        (0, 5_000, "leaky_relu"),
        (1, 25_000, "relu"),
        (1, 10_000, "leaky_relu"),
        (1, 5_000, "gelu"),
        (2, 25_000, "leaky_relu"),
        (2, 10_000, "gelu"),
        (2, 5_000, "relu"),
    ]
] + [
    ("gmlp", _LAYERS[0], 25_000, "gelu"),
    ("gmlp", _LAYERS[1], 10_000, "relu"),
    ("gmlp", _LAYERS[2], 5_000, "leaky_relu"),
]


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure all of it."""
    shape: Shape = (arguments.rows, 768, 18)
    return [
        *_full_batch(shape, arguments.rounds),
        *_libraries(shape, arguments.rounds),
        *_options(shape, arguments.rounds),
        *_grid(shape, max(1, arguments.rounds // 2)),
    ]


def _full_batch(shape: Shape, rounds: int) -> list[Result]:
    with Side(hpo_epoch, shape, PAPER) as ours, Side(plain_epoch, shape, PAPER) as plain:
        times = alternate(
            {
                "product": (ours, "product"),
                "onednn": (ours, "onednn"),
                "hpo": (ours, "step"),
                "plain": (plain, "step"),
            },
            rounds,
        )
    per_flop, epoch, product = ratio(times["hpo"], times["product"])
    share = per_flop * flops(shape, PAPER.hidden) / square_flops()
    per_flop, _, onednn = ratio(times["hpo"], times["onednn"])
    share_of_onednn = per_flop * flops(shape, PAPER.hidden) / square_flops()
    faster, _, loop = ratio(times["hpo"], times["plain"])
    return [
        Result(
            "epoch: share of the matrix-product rate",
            share,
            flops(shape, PAPER.hidden) / epoch / 1e9,
            square_flops() / product / 1e9,
            "GFLOP/s",
            "torch.mm of 2048 x 2048 in the same process",
            0.85,
            note=f"{shape[0]} x 768 -> 2048 -> 512 -> 18, GELU, dropout 0.6, full batch; "
            f"{flops(shape, PAPER.hidden) / 1e9:.0f} GFLOP are needed",
        ),
        Result(
            "epoch: share of oneDNN's matrix-product rate",
            share_of_onednn,
            flops(shape, PAPER.hidden) / epoch / 1e9,
            square_flops() / onednn / 1e9,
            "GFLOP/s",
            "the same product by oneDNN, with which the epoch multiplies",
        ),
        Result(
            "epoch: full batch, against plain PyTorch",
            faster,
            epoch,
            loop,
            "s",
            "a plain loop with nn.Dropout",
            1.5,
        ),
    ]


def _libraries(shape: Shape, rounds: int) -> list[Result]:
    config = PAPER.replace(batch_size=_BATCH)
    relu = config.replace(activation="relu")
    sides: list[tuple[str, Callable[..., Any], Config, str, float | None]] = [
        ("plain PyTorch", plain_epoch, config, "hpo", 1.0),
        ("skorch", skorch_epoch, config, "hpo", 1.6),
        ("Lightning", lightning_epoch, config, "hpo", 1.4),
        ("scikit-learn", sklearn_epoch, relu, "hpo, ReLU", 1.0),
    ]
    opened = {
        "hpo": (Side(hpo_epoch, shape, config), "step"),
        "hpo, ReLU": (Side(hpo_epoch, shape, relu), "step"),
        **{name: (Side(make, shape, chosen), "step") for name, make, chosen, _, _ in sides},
    }
    times = _alternate(opened, rounds)
    results = []
    for name, _, chosen, mine, target in sides:
        faster, epoch, theirs = ratio(times[mine], times[name])
        dropout = "which has no dropout" if name == "scikit-learn" else "dropout 0.6"
        results.append(
            Result(
                f"epoch: batch {_BATCH}, against {name}",
                faster,
                epoch,
                theirs,
                "s",
                f"{name}, {dropout}, {chosen.activation}",
                target,
            )
        )
    return results


def _alternate(opened: Mapping[str, tuple[Side, str]], rounds: int) -> dict[str, list[Timing]]:
    try:
        return alternate(opened, rounds)
    finally:
        for side, _ in opened.values():
            side.close()


def _options(shape: Shape, rounds: int) -> list[Result]:
    """Measure what ``--precision`` and ``--compile`` do on this processor."""
    choices = {"bf16": Arithmetic(precision="bf16")}
    if shutil.which("g++") is not None:  # which PyTorch's compiler calls on a CPU
        choices["compile default"] = Arithmetic(compiler="default")
        choices["bf16, compile default"] = Arithmetic(precision="bf16", compiler="default")
    opened = {
        "float32": (Side(hpo_epoch, shape, PAPER), "step"),
        **{name: (Side(hpo_epoch, shape, PAPER, how), "step") for name, how in choices.items()},
    }
    times = _alternate(opened, rounds)
    results = []
    for name in choices:
        faster, epoch, usual = ratio(times[name], times["float32"])
        results.append(
            Result(
                f"epoch: option {name}",
                faster,
                epoch,
                usual,
                "s",
                "float32, not compiled, full batch",
            )
        )
    return results


def _grid(shape: Shape, rounds: int) -> list[Result]:
    results = []
    for head, hidden, batch, activation in _GRID:
        config = PAPER.replace(
            head=head, hidden=hidden, batch_size=batch, activation=activation, dropout=0.5
        )
        with Side(hpo_epoch, shape, config) as ours, Side(plain_epoch, shape, config) as plain:
            times = alternate({"hpo": (ours, "step"), "plain": (plain, "step")}, rounds)
        faster, epoch, loop = ratio(times["hpo"], times["plain"])
        results.append(
            Result(
                f"epoch: {head} {list(hidden)}, batch {batch}, {activation}",
                faster,
                epoch,
                loop,
                "s",
                "a plain loop with nn.Dropout",
                1.0,
                note=f"{rounds} round{'s' if rounds > 1 else ''} after one to warm up",
            )
        )
    return results


if __name__ == "__main__":
    main(run, __doc__)
