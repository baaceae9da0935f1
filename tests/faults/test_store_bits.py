"""Bits of SQLite's own file are flipped: the study ends equal, or with one sentence. A sample.

``scripts/store_bits.py`` takes as many as it is asked for.
"""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from store_bits import bits, prepare, run_bit

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("begun", [False, True], ids=["finished", "begun"])
@pytest.mark.timeout(180)
def test_a_bit_that_changed_in_the_store_is_named_or_does_nothing(
    begun: bool, tmp_path: Path
) -> None:
    case = prepare(tmp_path / "case", begun=begun)
    chosen = bits(case, 12)
    assert len(set(chosen)) == 12
    wrong = []
    for number, bit in enumerate(chosen):
        wrong += run_bit(case, tmp_path / str(number), bit)
    assert wrong == []
