"""A study in a notebook: one display, which is updated and stays."""

import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

SOURCE = """
import numpy as np
import hpo

rng = np.random.default_rng(0)
labels = (rng.random((120, 3)) < 0.5).astype(int)
image = labels @ rng.normal(size=(3, 8)) + rng.normal(size=(120, 8))
data = hpo.load_data(features={"image": image}, labels=labels)
space = {
    "name": "a<b>",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [8], "epochs": 300},
    "divergence": {"patience": 300},
    "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.01, 0.1]}}]},
}
study = hpo.create_study(data, space, name="a&b")
"""


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[nbformat.NotebookNode]:
    """Outputs of a notebook that makes a study, works on it, and looks at it again."""
    # The kernel is a process of its own, which looks for the package like this one.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    cells = ["study.optimize(workers=1)", "study.optimize(workers=2)"]
    notebook = new_notebook(cells=[new_code_cell(text) for text in (SOURCE, *cells)])
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=200, kernel_name="python3", resources=resources).execute()
    return [cell.outputs for cell in notebook.cells]


def test_one_display_shows_the_study_and_stays(cells: list[nbformat.NotebookNode]) -> None:
    _, worked, again = cells
    shown = [output for output in worked if output.output_type == "display_data"]
    assert len(shown) == 1  # updates take its place
    page = shown[0].data["text/html"]
    assert "a&amp;b · 0:00:" in page and "a<b>" not in page
    assert re.search(r'<progress value="2" max="2"', page)
    assert "2 of 2" in page
    assert "best " in page and "stage rate: lr 0." in page
    assert [output.data["text/plain"] for output in worked if "data" in output][-1] == "True"
    assert not [output for output in worked if output.output_type == "stream"]
    # a study that is complete is shown as it is
    assert "2 of 2" in again[0].data["text/html"]
