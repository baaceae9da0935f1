"""A store that an earlier version left in the middle, gone on with in this process or another.

As a program it goes on with all studies in a folder, and prints what they ended with as JSON.
"""

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch

import hpo
from hpo.study import StoredStudy

OLD_STORE = Path(__file__).parent / "old_store"
NAMES = ("greedy", "sampled")


def expected() -> dict[str, Any]:
    """What the studies ended with when nobody stopped them, and with what they were made."""
    found: dict[str, Any] = json.loads((OLD_STORE / "expected.json").read_text())
    return found


def unpack(folder: Path) -> Path:
    with zipfile.ZipFile(OLD_STORE / "store.zip") as store:
        store.extractall(folder)
    return folder


def open_study(folder: Path, name: str) -> hpo.Study:
    return hpo.load_study(name, f"sqlite:///{folder / 'studies.db'}", cache=folder / "cache")


def go_on(folder: Path) -> dict[str, Any]:
    """Work on the studies until they are complete; return their outcomes."""
    outcomes = {}
    for name in NAMES:
        study = open_study(folder, name)
        assert study.optimize(workers=1, progress=False)
        outcomes[name] = outcome(study.stored)
    return outcomes


def outcome(study: StoredStudy) -> dict[str, Any]:
    """Return the outcome as ``old_store/make.py`` does."""
    tasks = study.tasks()
    best = study.best(tasks)
    assert best is not None and best.config is not None
    found = {
        "best": best.config.model_dump(mode="json"),
        "tasks": [
            {
                "config": None if task.config is None else task.config.model_dump(mode="json"),
                "config_key": task.key,
                # versions were not noted then
                "outcome": None
                if task.outcome is None
                else {k: v for k, v in task.outcome.to_json().items() if k != "trained_by"},
            }
            for task in tasks
        ],
        "curves": {
            str(trial.number): {str(k): v for k, v in trial.intermediate_values.items()}
            for trial in study.optuna.get_trials()
        },
    }
    same_types: dict[str, Any] = json.loads(json.dumps(found))
    return same_types


if __name__ == "__main__":
    # It is part of each run's address.
    torch.__version__ = expected()["made_with"]["torch"]
    print(json.dumps(go_on(Path(sys.argv[1]))))
