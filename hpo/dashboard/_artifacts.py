"""Files on a study's trials: the curve, the configuration, the predictions on validation."""

import functools
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from optuna.trial import FrozenTrial

from hpo.report import CurveReader
from hpo.results import write_csv
from hpo.search import Task
from hpo.study import StoredStudy

if TYPE_CHECKING:
    from hpo.training import Trainer

__all__ = ["ARTIFACTS", "attach_files"]

#: Folder of the artifact store in a cache.
ARTIFACTS = "artifacts"
#: Trials, the best first, that get files: each takes some hundred kB.
_MOST = 10


def attach_files(study: StoredStudy, tasks: Sequence[Task], device: str = "cpu") -> int:
    """Give the best trials of a study their files, as far as they don't have them.

    ``curve.csv`` has a row for each step and seed, ``config.json`` the configuration, and
    ``validation.csv`` the mean probability over seeds of each class for each validation row; the
    last only where the run store still has the weights.

    Args:
        study: The study.
        tasks: As they were just read.
        device: Where to predict.

    Returns:
        How many files were attached.
    """
    folder = Path(study.definition.cache) / ARTIFACTS
    done = [task for task in tasks if task.outcome is not None and task.outcome.is_scored]
    best = sorted(done, key=lambda task: -task.outcome.value if task.outcome else 0.0)[:_MOST]
    trials = {trial.number: trial for trial in study.trials.all()}
    shown, reader, count = study.shown(), CurveReader(study, list(trials.values())), 0
    rows = _Rows(study, device)
    with tempfile.TemporaryDirectory() as made:
        for task in best:
            trial = None if task.trial is None else trials.get(task.trial)
            if trial is None:
                continue
            there = shown.files(trial.number, folder)
            writers: dict[str, Callable[[Path], bool]] = {
                "config.json": functools.partial(_write_config, task),
                "curve.csv": functools.partial(_write_curve, study, reader, trial),
                "validation.csv": functools.partial(rows.write, task),
            }
            for name, write in writers.items():
                path = Path(made) / name
                if name not in there and write(path):
                    shown.attach(trial.number, path, folder)
                    count += 1
    return count


def _write_config(task: Task, path: Path) -> bool:
    assert task.config is not None  # it has an outcome
    raw = task.config.model_dump(mode="json")
    path.write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")
    return True


def _write_curve(study: StoredStudy, reader: CurveReader, trial: FrozenTrial, path: Path) -> bool:
    names = ("train_loss", "val_loss", *study.definition.metrics)
    columns = {name: reader.by_seed(trial, name) for name in names}
    steps = next(iter(columns.values()))
    rows = [
        [step, seed, *(columns[name][step][seed] for name in names)]
        for step, values in steps.items()
        for seed in range(len(values))
    ]
    write_csv(path, ["step", "seed", *names], rows)
    return bool(rows)


class _Rows:
    """Writes what models say of the validation rows, which are read once for all of them."""

    def __init__(self, study: StoredStudy, device: str) -> None:
        self._study = study
        self._device = device
        self._trainer: Trainer | None = None

    def write(self, task: Task, path: Path) -> bool:
        from hpo.results import seed_probabilities, trainer_of

        if self._trainer is None:
            self._trainer = trainer_of(self._study, task, self._device)
        by_seed = seed_probabilities(self._trainer, task, "val")
        if by_seed is None:
            return False
        bundle = self._trainer.bundle
        truth = bundle.labels_of("val") > 0
        rows = []
        for index, right, found in zip(
            bundle.split["val"], truth, np.mean(by_seed, axis=0), strict=True
        ):
            labels = [name for name, has in zip(bundle.classes, right, strict=True) if has]
            rows.append([bundle.ids[index], ";".join(labels), *(f"{p:.4f}" for p in found)])
        write_csv(path, ["ImageID", "labels", *bundle.classes], rows)
        return True
