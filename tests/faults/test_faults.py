"""Each call of a small study fails once, and each file it stores is damaged once: a sample.

``scripts/faults.py`` takes all calls.
"""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from fault_points import ERRORS, Fault, Point
from faults import Trial, flips, make_data, run_fault, run_flip, run_in_peace, sampled

pytestmark = pytest.mark.slow

#: Calls of each kind that are tried.
SAMPLE = {"open": 5, "create": 5, "write": 4, "fsync": 3, "rename": 4, "store": 9, "answer": 4}


@pytest.fixture(scope="session")
def peace(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Trial, list[Point]]:
    """The study in peace: its data, where it ran, what came of it, and all its calls."""
    folder = tmp_path_factory.mktemp("faults")
    make_data(folder / "data")
    trial, points = run_in_peace(folder / "peace", folder / "data")
    return folder / "data", folder / "peace", trial, points


def test_a_study_makes_calls_of_every_kind(
    peace: tuple[Path, Path, Trial, list[Point]],
) -> None:
    _, place, trial, points = peace
    assert trial.printed.count("error") == 0
    assert {point.kind for point in points} == set(ERRORS)
    assert len(points) > 200
    files = {file.relative_to(place).parts[0] for file, _ in flips(place)}
    assert files == {"cache", "out"}


def spread(points: list[Point]) -> list[Fault]:
    """Return some faults of each kind, as far from each other as can be."""
    found = []
    for kind, count in SAMPLE.items():
        those = sampled(points, only=[kind])
        found += [those[(2 * n + 1) * len(those) // (2 * count)] for n in range(count)]
    return found


@pytest.mark.parametrize("kind", list(SAMPLE))
@pytest.mark.timeout(120)
def test_a_call_that_fails_once_changes_nothing(
    peace: tuple[Path, Path, Trial, list[Point]], tmp_path: Path, kind: str
) -> None:
    data, _, trial, points = peace
    wrong = []
    for number, fault in enumerate(f for f in spread(points) if f.point.kind == kind):
        wrong += run_fault(tmp_path / str(number), data, fault, trial)
    assert wrong == []


@pytest.mark.timeout(120)
def test_a_byte_that_changed_is_made_good_or_named(
    peace: tuple[Path, Path, Trial, list[Point]], tmp_path: Path
) -> None:
    data, place, trial, _ = peace
    wrong = []
    for number, (file, byte) in enumerate(list(flips(place))[::3]):
        copy = tmp_path / str(number)
        shutil.copytree(place, copy)
        wrong += run_flip(copy, data, copy / file.relative_to(place), byte, trial)
    assert wrong == []
