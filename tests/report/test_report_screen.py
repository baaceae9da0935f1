"""What the screen of a run shows while a study is at work."""

import io
import math
import re
from pathlib import Path

from rich.console import Console

import hpo
from hpo.report import Screen
from hpo.search import Progress, Task, TaskState


def shown(folder: Path, tasks: list[Task]) -> str:
    """The live lines for these tasks of a study that promotes."""
    space = {
        **{"name": "p", "seeds": 1, "split": {"kind": "tail", "val_rows": 2}},
        "search": {
            **{"kind": "promote", "trials": len(tasks)},
            "params": {"lr": {"low": 0.001, "high": 0.1}},
        },
    }
    data = hpo.load_data(
        features={"image": [[0.0, 1.0]] * 6}, labels=[["a"]] * 6, cache=folder / "cache"
    )
    study = hpo.create_study(data, space, storage=f"sqlite:///{folder / 's.db'}").stored
    console = Console(file=io.StringIO(), force_terminal=True, width=100, color_system=None)
    screen = Screen(study, study.plan(), console)
    with screen:
        screen.update(tasks)
    output = console.file
    assert isinstance(output, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.getvalue())


def task(position: int, state: TaskState, progress: Progress | None = None) -> Task:
    return Task(position, 0, None, None, (), state, progress=progress, token=1)


def test_trials_that_wait_are_counted_and_their_scores_are_known(tmp_path: Path) -> None:
    text = shown(
        tmp_path,
        [
            task(0, TaskState.PAUSED, Progress(5, 200, 61.5, trial=0)),
            task(1, TaskState.PAUSED, Progress(15, 200, 63.25, trial=1)),
            task(2, TaskState.CLAIMED, Progress(7, 200, math.nan, trial=2)),
            task(3, TaskState.CLAIMED, Progress(5, 200, 60.0, trial=3)),
        ],
    )
    assert re.search(r"trial   2  sampled  epoch 7/200\s", text)
    assert "trial   3  sampled  epoch 5/200  60.000" in text
    assert "0 of 4 configurations, 2 paused, best so far 63.250, " in text
    assert "nan" not in text


def test_a_study_without_a_result(tmp_path: Path) -> None:
    assert "0 of 1 configurations, no result yet, " in shown(tmp_path, [task(0, TaskState.OPEN)])
