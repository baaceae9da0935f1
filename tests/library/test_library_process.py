"""What is called leaves the process as it was: its signals, threads, environment and settings."""

import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import alembic.command
import matplotlib
import numpy as np
import open_clip
import optuna
import pytest
import sklearn.preprocessing
import torch
from library_samples import CONFIG, SPACE, TAIL, array_data

import hpo
from hpo import predict, replay, runs
from hpo.features.__main__ import main as features
from hpo.report.__main__ import main as report
from hpo.run import main as run
from hpo.search import TaskState
from hpo.worker import main as worker

#: Importing something may set up the process once; all of these are here before the tests begin.
IMPORTED = (alembic.command, open_clip, sklearn.preprocessing)
LOGGERS = (None, "hpo", "optuna", "alembic", "sqlalchemy", "matplotlib", "py.warnings")
COUNT = 3


def settings() -> dict[str, Any]:
    """Everything that belongs to the process and could be left changed."""
    logs = [logging.getLogger(name) for name in LOGGERS]
    return {
        "signals": {n: signal.getsignal(n) for n in signal.valid_signals()},
        "torch threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "default type": torch.get_default_dtype(),
        "gradients": torch.is_grad_enabled(),
        "environment": dict(os.environ),
        **{f"log {x.name}": (x.level, x.propagate, list(x.handlers)) for x in logs},
        "Optuna's logging": optuna.logging.get_verbosity(),
        "warnings": list(warnings.filters),
        "folder": Path.cwd(),
        "path": list(sys.path),
        "random": random.getstate(),
        "numpy": repr(np.random.get_state()),
        "torch": torch.get_rng_state().tolist(),
        "numpy errors": np.geterr(),
        "matplotlib": dict(matplotlib.rcParams),
        "streams": (sys.stdout, sys.stderr, sys.excepthook, threading.excepthook),
        "threads": {thread.name for thread in threading.enumerate()},
        "umask": mask(),
    }


def mask() -> int:
    value = os.umask(0o022)
    os.umask(value)
    return value


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(COUNT)  # unlike what anything here computes with
    before = settings()
    try:
        yield
        after = settings()
    finally:
        torch.set_num_threads(threads)
    changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    assert changed == {}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a finished study, its model and a run store."""
    folder = tmp_path_factory.mktemp("process")
    with contextlib.chdir(folder):
        study = made(folder)
        assert study.optimize(workers=1, progress=False)
        study.refit().save("model")
    return folder


def made(folder: Path, name: str = "small") -> hpo.Study:
    space = {**SPACE, "split": TAIL}
    storage = f"sqlite:///{folder / 'studies.db'}"
    return hpo.create_study(array_data(folder / ".hpo"), space, name=name, storage=storage)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_study_leaves_nothing(tmp_path: Path, workers: int) -> None:
    with unchanged():
        study = made(tmp_path)
        assert study.optimize(workers=workers)
        study.leaderboard()
        model = study.refit()
        model.predict(**{name: np.ones((2, width)) for name, width in model.trained.widths.items()})


def test_training_leaves_nothing(tmp_path: Path) -> None:
    with unchanged():
        data = array_data(tmp_path / "cache")
        hpo.train(data, CONFIG, seeds=2, threads=2)
        model = hpo.fit(data, CONFIG)
        hpo.load_model(model.save(tmp_path / "model")).predict_proba(
            image=np.ones((2, 6)), text=np.ones((2, 4))
        )


def test_encoding_leaves_nothing(home: Path, demo: hpo.Data, tmp_path: Path) -> None:
    images = sorted((home / ".hpo" / "demo" / "images").glob("*.jpg"))[:40]
    model = hpo.fit(demo, hpo.Config(fusion="image", hidden=(8,), epochs=2))
    model.cache = tmp_path  # where nothing is encoded yet
    with unchanged():
        assert len(model.predict(images=images)) == 40


def failing(folder: Path) -> list[Callable[[], object]]:
    data = array_data(folder / ".hpo")
    hopeless = {
        **SPACE,
        "name": "hopeless",
        "split": TAIL,
        "search": {
            "kind": "greedy",
            "stages": [{"name": "layers", "params": {"hidden": [[10**14]]}}],
        },
    }
    study = hpo.create_study(data, hopeless, storage=f"sqlite:///{folder / 'hopeless.db'}")
    return [
        lambda: hpo.train(data, hpo.Config(fusion="audio")),
        lambda: hpo.train(data, CONFIG.replace(hidden=(10**14,))),
        lambda: hpo.fit(data, CONFIG.replace(hidden=(10**14,))),
        lambda: hpo.load_study("none"),
        lambda: hpo.load_model(folder / "none"),
        lambda: study.optimize(workers=1, progress=False),
        lambda: study.refit(),
    ]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    for action in failing(tmp_path):
        with unchanged(), pytest.raises((hpo.InputError, hpo.NoCandidateError, RuntimeError)):
            action()


@pytest.mark.parametrize(
    ("main", "arguments", "status"),
    [
        (report, ["--study=small"], 0),
        (report, ["--study=none"], 2),
        (worker, ["--study=small"], 0),
        (worker, ["--study=none"], 2),
        (replay.main, ["--study=small", "--trial=0"], 0),
        (replay.main, ["--study=small", "--trial=99"], 2),
        (runs.main, ["check"], 0),
        (runs.main, ["check", "--cache=none"], 2),
        (predict.main, ["--model=model", "--data=data", "--features=data"], 0),
        (predict.main, ["--model=none", "--data=data"], 2),
        (features, ["--data=data", "--features=data"], 0),
        (features, ["--data=none"], 2),
        (run, ["--study=new", "--space=new.yaml", "--data=data", "--features=data"], 0),
        (run, ["--study=greedy", "--data=none"], 2),
    ],
)
def test_a_command_leaves_nothing(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    main: Callable[[list[str]], int],
    arguments: list[str],
    status: int,
) -> None:
    monkeypatch.chdir(folder)
    write_data(folder)
    with unchanged():
        assert main(arguments) == status, capsys.readouterr()


def write_data(folder: Path) -> None:
    rng = np.random.default_rng(0)
    (folder / "data").mkdir(exist_ok=True)
    rows = [f"{index}.jpg,{1 + index % 3},a thing" for index in range(100)]
    (folder / "data" / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *rows, ""]))
    for name, width in (("image", 6), ("text", 4)):
        np.save(folder / "data" / f"{name}.npy", rng.normal(size=(100, width)).astype(np.float32))
    (folder / "new.yaml").write_text(
        "name: new\nseeds: 1\nsplit: {kind: tail, val_rows: 20}\n"
        "fixed: {hidden: [8], epochs: 3, fusion: concat}\n"
        "search: {kind: greedy, stages: [{name: rate, params: {lr: [0.01, 0.1]}}]}\n"
    )


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Python's own handler, which a process that a shell started in the background lacks."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_hands_the_task_back(tmp_path: Path) -> None:
    """Wherever the thread that watches is, and the next call goes on from there."""
    space = {
        **SPACE,
        "split": TAIL,
        "seeds": 1,
        "fixed": {"hidden": [8], "epochs": 30_000},
        "divergence": {"patience": 30_000},
    }
    study = hpo.create_study(
        array_data(tmp_path / "cache"), space, storage=f"sqlite:///{tmp_path / 's.db'}"
    ).stored

    def observe(tasks: list[Any]) -> None:
        if any(task.progress is not None for task in tasks):
            signal.raise_signal(signal.SIGINT)

    from hpo.launch import ThreadWorker
    from hpo.worker import WorkerSettings

    with unchanged(), pytest.raises(KeyboardInterrupt):
        hpo.Study(study).run(lambda: ThreadWorker(study, WorkerSettings(heartbeat=0.2)), observe)
    task = study.tasks()[0]
    assert (task.state, task.attempts, task.token) == (TaskState.OPEN, 0, 1)
    (trial,) = study.optuna.get_trials()
    assert trial.state is optuna.trial.TrialState.WAITING
    assert trial.intermediate_values
    states = list(study.definition.run_store.rglob("*.state.safetensors"))
    assert states


def test_importing_takes_nothing_with_it() -> None:
    """Not even numpy: ``import hpo`` is to take less than a tenth of a second."""
    code = (
        "import sys; before = set(sys.modules); import hpo; new = set(sys.modules) - before\n"
        "heavy = {'torch', 'optuna', 'pandas', 'numpy', 'sqlalchemy', 'pydantic', 'PIL', 'rich'}\n"
        "print(sorted(heavy & new)); print(len(new)); hpo.Config; print('torch' in sys.modules)\n"
        "missing = [name for name in hpo.__all__ if not hasattr(hpo, name)]; print(missing)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy, count, torch_there, missing = done.stdout.splitlines()
    assert (heavy, torch_there, missing) == ("[]", "False", "[]")
    assert int(count) < 40


SCRIPT = """
import numpy as np
import hpo

rng = np.random.default_rng(0)
labels = (rng.random((120, 3)) < 0.5).astype(int)
image = labels @ rng.normal(size=(3, 8)) + rng.normal(size=(120, 8))
data = hpo.load_data(features={"image": image}, labels=labels)
space = {
    "name": "plain",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [8], "epochs": 3},
    "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.01, 0.1]}}]},
}
study = hpo.create_study(data, space)
print("started", flush=True)
assert study.optimize(workers=2, progress=False)
print(study.best_config.lr, len(study.leaderboard()), study.refit())
"""


def test_a_script_needs_no_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("started") == 1
    assert done.stdout.splitlines()[-1].endswith("Model(3 classes, reads image, 0.00 MB)")
    assert done.stderr == ""
