"""One new user's way, timed: pictures and a TSV with one-hot columns, to labels of other pictures.

    python -m benchmarks.first_use
    python -m benchmarks.first_use --pictures 80 --others 20

Three commands that a user types, each a process of its own, and no file is edited. The pictures are
those of the demo, and so is the encoder, whose weights are in the package. Printed are the seconds
of each command, and micro-F1 of the labels that the last one wrote, beside that of the most
frequent labels.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks._studies import command
from hpo.demo import demo_scene
from hpo.demo._scenes import CLASS_NAMES
from hpo.results import f1_scores
from hpo.training import constant_micro_f1

__all__ = ["Used", "first_use", "write_pictures"]

COMMANDS = (
    ("data", "check", "pictures"),
    ("run", "--data", "pictures", "--encoder", "demo"),
    ("predict", "--model", "runs/best/model", "--images", "others"),
)


@dataclass(frozen=True)
class Used:
    """What came of it.

    Attributes:
        seconds: Of each command.
        printed: What each printed.
        micro_f1: Of the predicted labels, in percent.
        constant: Of the most frequent labels, in percent.
    """

    seconds: tuple[float, ...]
    printed: tuple[str, ...]
    micro_f1: float
    constant: float


def main() -> None:
    """Time it and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=500, metavar="N")
    parser.add_argument("--others", type=int, default=100, metavar="N")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        used = first_use(Path(name), arguments.pictures, arguments.others)
    for verb, seconds in zip(COMMANDS, used.seconds, strict=True):
        print(f"{seconds:6.1f} s  hpo {' '.join(verb)}")
    print(f"{sum(used.seconds):6.1f} s  in all")
    print(f"micro-F1 {used.micro_f1:.2f}, of the most frequent labels {used.constant:.2f}")


def first_use(folder: Path, pictures: int, others: int, options: Sequence[str] = ()) -> Used:
    """Go a new user's way.

    Args:
        folder: Where to work.
        pictures: How many are labelled.
        others: How many are to be labelled.
        options: More ones of ``hpo run``, such as a smaller budget.

    Raises:
        RuntimeError: A command failed.
    """
    truth = write_pictures(folder, pictures, others)
    seconds, printed = [], []
    for verb in COMMANDS:
        began = time.monotonic()
        more = options if verb[0] == "run" else ()
        printed.append(command(["hpo", *verb, *more], folder).stdout)
        seconds.append(time.monotonic() - began)
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["ImageID"]: set(row["Labels"].split()) for row in csv.DictReader(file)}
    names = [f"{row}.jpg" for row in range(others)]
    given = np.array([[name in rows[image] for name in CLASS_NAMES] for image in names])
    return Used(
        tuple(seconds),
        tuple(printed),
        f1_scores(given, truth)["micro_f1"],
        constant_micro_f1(truth.astype(np.uint8)),
    )


def write_pictures(folder: Path, pictures: int, others: int) -> NDArray[np.bool_]:
    """Write labelled pictures with their table, and others; return the others' labels, [N, K]."""
    lines = ["\t".join(["filename", *CLASS_NAMES])]
    truth = []
    for place, count, start in (("pictures/images", pictures, 0), ("others", others, pictures)):
        (folder / place).mkdir(parents=True)
        for row in range(count):
            scene = demo_scene(start + row)
            Image.fromarray(scene.pixels).save(folder / place / f"{row}.jpg", quality=90)
            bits = [name in scene.labels for name in CLASS_NAMES]
            if place == "others":
                truth.append(bits)
            else:
                lines.append("\t".join([f"{row}.jpg", *(str(int(bit)) for bit in bits)]))
    (folder / "pictures" / "labels.tsv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return np.array(truth)


if __name__ == "__main__":
    main()
