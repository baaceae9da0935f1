"""Time and memory of an epoch with the number of rows, the widths and the classes.

Time as the share of the arithmetic rate that the paper's shape reaches, which would be 1 all over
if nothing but matrix products cost anything; memory as the largest of the process in which the
epoch ran, data included.
"""

import argparse
from statistics import median

from benchmarks._epochs import Shape, flops, hpo_epoch
from benchmarks._result import Result, main
from benchmarks._sides import Side
from hpo.models import Config

__all__ = ["run"]

_HIDDEN = (2048, 512)
_PAPER: Shape = (25_000, 768, 18)
_SHAPES: dict[str, tuple[Shape, tuple[int, ...]]] = {
    "1,000 rows": ((1_000, 768, 18), _HIDDEN),
    "5,000 rows": ((5_000, 768, 18), _HIDDEN),
    "100,000 rows": ((100_000, 768, 18), _HIDDEN),
    "features of width 512": ((25_000, 512, 18), _HIDDEN),
    "features of width 1,536": ((25_000, 1_536, 18), _HIDDEN),
    "hidden widths 256, 64": (_PAPER, (256, 64)),
    "hidden widths 4096, 1024": (_PAPER, (4096, 1024)),
    "80 classes": ((25_000, 768, 80), _HIDDEN),
    "1,000 classes": ((25_000, 768, 1_000), _HIDDEN),
}


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure the paper's shape before and after each other one."""
    results = []
    scale = arguments.rows / 25_000
    paper = _scaled(_PAPER, scale)
    with Side(hpo_epoch, paper, Config(hidden=_HIDDEN, dropout=0.6)) as usual:
        usual.time()
        for name, (wanted, hidden) in {"25,000 rows": (_PAPER, _HIDDEN), **_SHAPES}.items():
            shape = _scaled(wanted, scale)
            config = Config(hidden=hidden, dropout=0.6, batch_size=10**6)
            ratios, seconds = [], []
            with Side(hpo_epoch, shape, config) as other:
                other.time()
                for _ in range(max(1, arguments.rounds // 3)):
                    base, timing = usual.time(), other.time()
                    rate = flops(shape, hidden) / timing.cpu
                    ratios.append(rate / (flops(paper, _HIDDEN) / base.cpu))
                    seconds.append(timing.cpu)
            data = shape[0] * (shape[1] + shape[2]) * 4 / 2**20
            results.append(
                Result(
                    f"scaling: {name}",
                    median(ratios),
                    median(seconds),
                    None,
                    "s/epoch",
                    "the arithmetic rate of the paper's epoch",
                    note=f"peak memory {timing.peak:.0f} MiB, of which the data are {data:.0f}",
                )
            )
    return results


def _scaled(shape: Shape, scale: float) -> Shape:
    return (max(1, round(shape[0] * scale)), *shape[1:])


if __name__ == "__main__":
    main(run, __doc__)
