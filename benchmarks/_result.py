"""What a measurement gives, and the command line that every measurement has."""

import argparse
import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from hpo.files import write_json

__all__ = ["Result", "main"]

#: Whether the ratio should be large (a speed) or small (a share of the time).
Sense = Literal["at least", "at most"]


@dataclasses.dataclass(frozen=True)
class Result:
    """One ratio.

    Attributes:
        name: Names the measurement from one run to the next.
        ratio: How many times as fast as the baseline, or which share of it.
        ours: The side that is measured, in ``unit``.
        baseline: The side it is compared with, in ``unit``; None where there is none.
        unit: Such as ``s`` or ``images/s``.
        against: What the baseline is, in words.
        target: What the ratio should be; None where it is only recorded.
        sense: Which way is good.
        note: How it was measured, where the name doesn't say it.
    """

    name: str
    ratio: float
    ours: float
    baseline: float | None
    unit: str
    against: str
    target: float | None = None
    sense: Sense = "at least"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        if self.sense == "at least":
            return self.ratio >= self.target
        return self.ratio <= self.target

    def worse_than(self, recorded: "Result") -> bool:
        """Tell whether this is worse than what was recorded, by more than noise explains.

        A speed may fall to two thirds and a share may double (shares below 2% are noise), since the
        machines that this runs on are shared.
        """
        if math.isnan(self.ratio) or math.isnan(recorded.ratio):
            return math.isnan(self.ratio) and not math.isnan(recorded.ratio)
        if self.sense == "at least":
            return self.ratio < recorded.ratio / 1.5
        return self.ratio > 2 * recorded.ratio + 0.02

    @staticmethod
    def from_json(raw: dict[str, Any]) -> "Result":
        """Return the result of which ``dataclasses.asdict`` made a dictionary."""
        return Result(**raw)


def main(run: Callable[[argparse.Namespace], Sequence[Result]], about: str | None) -> None:
    """Run one measurement as a program: print its results, or write them to a file."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    add_options(parser)
    arguments = parser.parse_args()
    results = run(arguments)
    for result in results:
        print(line(result))
    if arguments.json is not None:
        write_json(arguments.json, [dataclasses.asdict(result) for result in results])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what changes how much is measured."""
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="of A B A B (default: %(default)s)"
    )
    parser.add_argument(
        "--rows", type=int, default=25_000, metavar="N", help="of an epoch (default: %(default)s)"
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "shared" / "datasets" / "comp5329",
        metavar="DIR",
        help="a data folder with features/ in it (default: ../shared/datasets/comp5329)",
    )


def line(result: Result) -> str:
    """Return a result as one line of text."""
    verdict = {True: "met", False: "MISSED", None: "-"}[result.met]
    wanted = "" if result.target is None else f" ({result.sense} {result.target:g})"
    baseline = "" if result.baseline is None else f" / {result.baseline:.4g}"
    return (
        f"{verdict:7}{result.name}: {result.ratio:.3f}{wanted}; "
        f"{result.ours:.4g}{baseline} {result.unit} against {result.against}"
    )


def read_results(path: Path) -> list[Result]:
    """Read what ``--json`` wrote."""
    return [Result.from_json(raw) for raw in json.loads(path.read_text(encoding="utf-8"))]
