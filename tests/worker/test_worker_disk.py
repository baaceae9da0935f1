"""A full disk: said, waited for, and without a trace in the results."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "disk_full.py"


def test_a_full_disk_is_waited_for_and_leaves_no_damage() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=200
    )
    assert done.stdout.endswith("PASS\n"), done.stdout + done.stderr
    assert "the disk is full: 0 bytes left" in done.stdout
    assert "the next try is in" in done.stdout
