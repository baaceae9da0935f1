"""The examples run as they stand, the script and the notebook."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_every_example_is_run_here() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == {"quickstart.py", "quickstart.ipynb"}


def test_script_without_a_main_guard(tmp_path: Path, demo_cache: Path) -> None:
    shutil.copytree(demo_cache, tmp_path / ".hpo")
    script = EXAMPLES / "quickstart.py"
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    assert "Data(3,600 labelled rows, 600 to predict; 18 classes; image 64, text 64)" in done.stdout
    assert "concat: " in done.stdout
    assert (tmp_path / "my-model" / "config.json").exists()
    assert "Traceback" not in done.stderr


def test_notebook(tmp_path: Path, demo_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo_cache, tmp_path / ".hpo")
    # The kernel is a process of its own, which looks for the package like this one.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    notebook = nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "kept without outputs"
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=280, kernel_name="python3", resources=resources).execute()
    printed = json.dumps([cell.get("outputs", []) for cell in notebook.cells])
    assert "labelled rows" in printed  # the first cell shows the data
    assert "focal.gamma" in printed  # a column of the leaderboard
    assert "giraffe" in printed  # a column of the probabilities
    assert (tmp_path / "my-model" / "model.safetensors").exists()
