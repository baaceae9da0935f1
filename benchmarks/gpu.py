"""An epoch on a GPU: each precision, and CUDA graphs, against the loop that everybody writes.

    python -m benchmarks.gpu

Random rows of one modality, 768 wide, with 18 classes, all of them on the device on both sides;
validation is left out. An epoch ends when the device is done. The sides are timed in turn, each in
a process of its own; a round is as many epochs as take about half a second.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks._epochs import Shape, hpo_epoch, plain_epoch
from benchmarks._result import Result, main
from benchmarks._sides import Side, alternate, ratio
from hpo.errors import InputError
from hpo.models import Config
from hpo.training import Arithmetic

__all__ = ["run"]

_DEVICE = "cuda:0"
_PAPER = Config(hidden=(2048, 512), dropout=0.6)
_SMALL = Config(hidden=(512,), dropout=0.8, epochs=20)
#: Rows of an epoch, and the configuration.
_CASES: dict[str, tuple[int, Config]] = {
    "2048-512, 25,000 rows in one batch": (25_000, _PAPER),
    "2048-512, 25,000 rows in batches of 5,000": (25_000, _PAPER.replace(batch_size=5_000)),
    "512, 5,000 rows in batches of 500": (5_000, _SMALL.replace(batch_size=500)),
}
_HOW = {
    "float32": Arithmetic(),
    "tf32": Arithmetic(precision="tf32"),
    "bf16": Arithmetic(precision="bf16"),
    "float32, reduce-overhead": Arithmetic(compiler="reduce-overhead"),
    "bf16, reduce-overhead": Arithmetic(precision="bf16", compiler="reduce-overhead"),
}
_ROUND = 0.5


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure all cases.

    Raises:
        InputError: There is no GPU.
    """
    if not torch.cuda.is_available():
        raise InputError("benchmarks.gpu needs a CUDA device, but there is none here.")
    results = []
    for name, (rows, config) in _CASES.items():
        results += _case(name, (rows, 768, 18), config, arguments.rounds)
    return results


def _case(name: str, shape: Shape, config: Config, rounds: int) -> list[Result]:
    opened = {"plain": (Side(_plain, shape, config), "step")}
    for how, arithmetic in _HOW.items():
        opened[how] = (Side(_ours, shape, config, arithmetic), "step")
    try:
        times = alternate(opened, rounds)
    finally:
        for side, _ in opened.values():
            side.close()
    results = []
    for how in _HOW:
        faster, ours, plain = ratio(times[how], times["plain"], "wall")
        results.append(
            Result(
                f"gpu: {name}: {how}",
                faster,
                1000 * ours,
                1000 * plain,
                "ms",
                "a plain loop in float32",
                note=torch.cuda.get_device_name(),
            )
        )
    return results


def _ours(shape: Shape, config: Config, arithmetic: Arithmetic) -> Mapping[str, Callable[[], Any]]:
    return {"step": _synchronized(hpo_epoch(shape, config, arithmetic, _DEVICE)["step"])}


def _plain(shape: Shape, config: Config) -> Mapping[str, Callable[[], Any]]:
    return {"step": _synchronized(plain_epoch(shape, config, _DEVICE)["step"])}


def _synchronized(epoch: Callable[[], Any]) -> Callable[[], tuple[float, float]]:
    """Return a function that does epochs for a while and returns the seconds of one."""

    def timed() -> tuple[float, float]:
        done = 0
        torch.cuda.synchronize()
        wall, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < _ROUND:
            epoch()
            torch.cuda.synchronize()
            done += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return wall / done, cpu / done

    return timed


if __name__ == "__main__":
    main(run, __doc__)
