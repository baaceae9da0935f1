"""Many clients at once: every one is answered, and with its own answer."""

import subprocess
import sys
from pathlib import Path

import pytest
from serve_samples import picture, write_model

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_is_lost_or_mixed_up(tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", tmp_path / "cache")
    images = tmp_path / "images"
    images.mkdir()
    for n in range(10):
        (images / f"{n}.jpg").write_bytes(picture(n, "JPEG", (320, 240)))
    command = [sys.executable, "-m", "benchmarks.serve", "--model", str(model)]
    command += ["--images", str(images), "--cache", str(tmp_path / "cache")]
    command += ["--clients", "60", "--seconds", "4"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 lost, 0 wrong, " in done.stdout
    assert done.stderr == ""
