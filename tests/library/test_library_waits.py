"""A store that goes away is waited for by whoever watches over a study, too."""

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from library_samples import array_data
from sqlalchemy.exc import OperationalError

import hpo
from hpo.queue import SqlLedger

SPACE: dict[str, Any] = {
    "name": "waits",
    "seeds": 1,
    "floor": False,
    "split": {"kind": "tail", "val_rows": 40},
    "fixed": {"hidden": [8], "epochs": 2, "batch_size": 1000},
    "search": {"kind": "greedy", "stages": [{"name": "f", "params": {"dropout": [0.1, 0.2]}}]},
    "refit": None,
}


def test_a_restart_of_the_database_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    study = hpo.create_study(
        array_data(tmp_path / "cache"), SPACE, storage=f"sqlite:///{tmp_path / 's.db'}"
    )
    real, here = SqlLedger.tasks, threading.current_thread()
    left = [3]

    def tasks(self: SqlLedger, name: str) -> Any:
        if threading.current_thread() is here and left[0]:
            left[0] -= 1
            raise OperationalError("SELECT 1", {}, Exception("shutting down"))
        return real(self, name)

    monkeypatch.setattr(SqlLedger, "tasks", tasks)
    with caplog.at_level(logging.WARNING, "hpo"):
        assert study.optimize(workers=1, progress=False)
    assert left == [0]
    assert "The store can't be reached (shutting down)" in caplog.text
    assert "Going on after " in caplog.text
