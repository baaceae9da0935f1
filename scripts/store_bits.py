"""Flip bits of SQLite's own file, one at a time, and run the study again, in this process.

    python scripts/store_bits.py
    python scripts/store_bits.py --flips 300 --begun

Every page of the file is hit: rows of the ledger, Optuna's trials with their attributes, indexes
and the definitions of the tables. The study has to end as in peace; or with one sentence, after
which, the file being gone, the same command ends as in peace. With ``--begun`` a study is gone on
with that learns from its trials: what is drawn next shows whether they were believed.
``pytest tests/faults`` takes a sample.
"""

import argparse
import dataclasses
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from faults import SPACE, Trial, judge, judge_again, make_data, run

__all__ = ["Case", "bits", "prepare", "run_bit"]

_SAMPLED: dict[str, Any] = {
    **SPACE,
    "fixed": {**SPACE["fixed"], "fusion": "concat", "epochs": 3},
    "search": {
        "kind": "optuna",
        "trials": 6,
        "sampler": {"name": "TPESampler", "n_startup_trials": 2},
        "pruner": {"name": "MedianPruner", "n_startup_trials": 2},
        "params": {
            "lr": {"low": 0.0001, "high": 0.1, "log": True},
            "dropout": {"low": 0.0, "high": 0.5},
        },
    },
}
_BEGUN = 4
#: Seconds after which a run is taken for one that waits.
_LONGEST_S = 60


@dataclasses.dataclass(frozen=True)
class Case:
    """A study whose file is to be damaged.

    Attributes:
        place: Where it is; ``s.db`` is all there is of its store.
        data: The data folder.
        space: The study's.
        peace: What comes of it in peace.
    """

    place: Path
    data: Path
    space: dict[str, Any]
    peace: Trial


def prepare(folder: Path, *, begun: bool) -> Case:
    """Make a study, finished or begun.

    Args:
        folder: Made.
        begun: Whether it is one that learns from its trials, with some of them to come.
    """
    data, place = folder / "data", folder / "place"
    space = _SAMPLED if begun else SPACE
    make_data(data)
    if begun:
        left = run(place, data, space=space, trials=_BEGUN)
        if left.status != 0:
            raise RuntimeError(f"The study was not begun: {left.status}\n{left.printed}")
        shutil.rmtree(place / "out")
        whole = folder / "whole"
        shutil.copytree(place, whole)
    else:
        whole = place
    peace = run(whole, data, space=space)
    if peace.status != 0:
        raise RuntimeError(f"The study in peace ended with {peace.status}:\n{peace.printed}")
    with sqlite3.connect(place / "s.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    return Case(place, data, space, peace)


def bits(case: Case, count: int) -> list[int]:
    """Return places of bits in the file, the same each time, evenly over its written bytes."""
    content = (case.place / "s.db").read_bytes()
    written = [place for place, byte in enumerate(content) if byte]
    chosen = random.Random(0)
    each = len(written) / count
    return [
        8 * written[int(each * (n + chosen.random()))] + chosen.randrange(8) for n in range(count)
    ]


def run_bit(case: Case, place: Path, bit: int) -> list[str]:
    """Flip a bit in a copy of the study and run it, once more where that ended it.

    Args:
        case: The study.
        place: Where to copy it to; made.
        bit: Its number in the file.

    Returns:
        What is wrong with what came of it.
    """
    shutil.copytree(case.place, place)
    file = place / "s.db"
    content = bytearray(file.read_bytes())
    content[bit // 8] ^= 1 << (bit % 8)
    file.write_bytes(content)
    near = bytes(content[max(bit // 8 - 20, 0) : bit // 8 + 20])
    try:
        with _in_time():
            first = run(place, case.data, space=case.space)
            found = judge(first, case.peace)
            if first.status != 0 and not found:
                for path in place.glob("s.db*"):
                    path.unlink()
                found = judge_again(run(place, case.data, space=case.space), case.peace)
    except TimeoutError:
        found = [f"has no end within {_LONGEST_S} s"]
    return [f"bit {bit % 8} of byte {bit // 8}, in {near!r}: {text}" for text in found]


@contextmanager
def _in_time() -> Iterator[None]:
    def end(_number: int, _frame: Any) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(_LONGEST_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 1 if a bit had another end than it should."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--flips", type=int, default=150, help="bits that are flipped")
    parser.add_argument("--begun", action="store_true", help="of a study that is gone on with")
    arguments = parser.parse_args(argv)
    failed: list[str] = []
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bits-") as name:
        folder = Path(name)
        case = prepare(folder, begun=arguments.begun)
        for number, bit in enumerate(bits(case, arguments.flips)):
            place = folder / f"run-{number}"
            found = run_bit(case, place, bit)
            shutil.rmtree(place, ignore_errors=True)
            for text in found:
                print(f"FAIL {text}", flush=True)
            failed += found
    print(f"{'FAIL' if failed else 'PASS'}: {len(failed)} of {arguments.flips}", flush=True)
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
