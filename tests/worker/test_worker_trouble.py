"""A worker's own trouble ends that worker, with what to mend, and the study loses nothing."""

import errno
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from worker_samples import (
    LENGTH,
    Outcome,
    create_study,
    crew_of,
    greedy_space,
    violations,
    wait_for,
)

from hpo.search import Space, TaskState
from hpo.study import StoredStudy
from hpo.training import RunStore, Trainer
from hpo.worker import Worker, WorkerSettings, WorkerTroubleError

pytestmark = pytest.mark.slow


@pytest.fixture
def study(tmp_path: Path) -> StoredStudy:
    return create_study(f"sqlite:///{tmp_path / 's.db'}", "s", greedy_space(LENGTH), tmp_path)


def is_as_before(study: StoredStudy) -> bool:
    """Tell whether no attempt was counted, and everything can be worked on."""
    states = {task.state for task in study.tasks()}
    waiting = {trial.state for trial in study.optuna.get_trials()}
    uncounted = all(task.attempts == 0 for task in study.tasks())
    return uncounted and states == {TaskState.OPEN} and waiting <= {TrialState.WAITING}


def goes_on_equal(study: StoredStudy, reference: Outcome, log: Path) -> None:
    with crew_of(study, log) as crew:
        crew.start()
        assert crew.wait(90) == [0], crew.log.read_text()
    assert violations(study, reference) == []


def test_a_worker_that_may_not_write(
    study: StoredStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: Outcome
) -> None:
    def refused(store: RunStore, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(store.folder))

    with monkeypatch.context() as patch:
        patch.setattr(RunStore, "save", refused)
        with pytest.raises(WorkerTroubleError) as caught:
            Worker(study, WorkerSettings()).run()
    assert str(caught.value) == (
        f"Permission denied '{study.definition.run_store}'. The cache must be readable and "
        "writable for the user that the worker runs as: mend its permissions, or give a folder of "
        "this machine with --cache."
    )
    assert is_as_before(study)
    goes_on_equal(study, reference, tmp_path / "log")


def test_a_copy_that_is_not_complete(
    study: StoredStudy, tmp_path: Path, reference: Outcome
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(study.definition.bundle, copy / "bundles" / study.definition.bundle.name)
    there = StoredStudy.join(study.url, "s", copy)
    with pytest.raises(WorkerTroubleError, match="features"):
        Worker(there, WorkerSettings()).run()
    assert is_as_before(study)
    shutil.copytree(tmp_path / "features", copy / "features")
    goes_on_equal(there, reference, tmp_path / "log")


def test_a_worker_that_finds_itself_broken_counts_no_attempt(
    study: StoredStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def odd(*_: Any, **__: Any) -> None:
        raise RuntimeError("something odd")

    def full(_: RunStore) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(Trainer, "model", odd)
    monkeypatch.setattr(RunStore, "check_writable", full)
    message = r"^Input/output error\. Look at the disk, and start the worker again\.$"
    with pytest.raises(WorkerTroubleError, match=message):
        Worker(study, WorkerSettings()).run()
    assert is_as_before(study)


def test_a_device_that_fails(study: StoredStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with …")

    monkeypatch.setattr(Trainer, "model", broken)
    with pytest.raises(WorkerTroubleError) as caught:
        Worker(study, WorkerSettings()).run()
    assert str(caught.value) == (
        "CUDA error: an illegal memory access was encountered. Look at the device, and start the "
        "worker again."
    )
    assert is_as_before(study)


def test_a_run_store_that_can_t_be_kept_within_its_limit_stops_nobody(
    study: StoredStudy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    reference: Outcome,
) -> None:
    def refused(*_: Any, **__: Any) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("hpo.worker._bench.trim_store", refused)
    assert Worker(study, WorkerSettings()).run()
    assert "The run store can't be kept within its limit: [Errno 13] Permission denied" in (
        caplog.text
    )
    assert violations(study, reference) == []


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="nothing can be suspended here")
def test_a_nap_is_no_stall(tmp_path: Path) -> None:
    space = greedy_space(LENGTH).model_dump(mode="json")
    space["fixed"]["epochs"] = 100_000
    space["search"]["stages"] = [{"name": "dropout", "params": {"dropout": [0.1]}}]
    url = f"sqlite:///{tmp_path / 's.db'}"
    study = create_study(url, "s", Space.model_validate(space), tmp_path)
    with crew_of(study, tmp_path / "log", "--stall-timeout", "3") as crew:
        crew.start()
        wait_for(lambda: any(task.progress for task in study.tasks()), "a trial to go on", 60)
        (process,) = crew.processes
        assert process.pid is not None
        time.sleep(0.1)  # it rests between two beats, where a nap is most like a stall
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(6)
        before = study.tasks()[0].progress
        os.kill(process.pid, signal.SIGCONT)
        wait_for(lambda: study.tasks()[0].progress != before, "the worker to go on")
        crew.end()
    assert "no progress for" not in crew.log.read_text()
    assert [task.attempts for task in study.tasks()] == [0]
