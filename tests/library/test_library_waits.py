"""A store that goes away is waited for by whoever watches over a study, too."""

import logging
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from library_samples import array_data
from sqlalchemy.exc import OperationalError

import hpo
from hpo import __main__ as command
from hpo.launch._reached import check_reached
from hpo.queue import SqlLedger, StoreAwayError
from hpo.trials import reporting_failure
from hpo.worker import Worker, WorkerSettings

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


def test_a_database_that_starts_up_is_waited_for_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real, left = SqlLedger.__init__, [2]

    def opened(self: SqlLedger, url: str) -> None:
        if left[0]:
            left[0] -= 1
            with reporting_failure(url):
                raise OperationalError("", {}, Exception("the database system is starting up"))
        real(self, url)

    monkeypatch.setattr(SqlLedger, "__init__", opened)
    data, url = array_data(tmp_path / "cache"), f"sqlite:///{tmp_path / 's.db'}"
    with caplog.at_level(logging.WARNING, "hpo"):
        study = hpo.create_study(data, SPACE, storage=url)
    assert left == [0]
    assert "(the database system is starting up); it is waited for, for at most 60 s" in caplog.text
    left[0] = 100
    with pytest.raises(hpo.errors.InputError) as caught:
        hpo.load_study("waits", url, wait_for_store=0)
    assert re.match(  # the one try takes its time on a busy machine
        re.escape(f"--storage {url}: can't be opened: the database system is starting up; ")
        + r"it was waited for \d s \(--wait-for-store 0\)\.",
        str(caught.value),
    )
    with pytest.raises(ValueError, match="wait_for_store is -1, but must be a number"):
        hpo.load_study("waits", url, wait_for_store=-1)
    left[0] = 1
    assert hpo.load_study("waits", url, wait_for_store=30).stored.wait == 30
    assert study.optimize(workers=1, progress=False)


@pytest.mark.parametrize("verb", ["report", "replay", "worker", "study", "check"])
def test_a_store_that_stays_away_has_an_exit_status(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".hpo").mkdir()
    url = "postgresql+psycopg://me@127.0.0.1:1/x"
    given = {
        "replay": ["--study", "s", "--trial", "0"],
        "study": ["list"],
        "check": [],
    }.get(verb, ["--study", "s"])
    monkeypatch.setattr("sys.argv", ["hpo", verb, *given, "--storage", url, "--wait-for-store=0"])
    assert command.main() == 6
    said = capsys.readouterr().err
    assert said.count("error: ") == 1
    assert f"error: --storage {url}: can't be opened: " in said
    assert "Connection refused" in said


class LostCrew:
    """Workers that none could reach the store any more, after what ``first`` did."""

    def __init__(self, first: Callable[[], object]) -> None:
        first()

    def watch(self) -> bool:
        check_reached([6, 6])
        raise AssertionError

    def stop(self) -> None:
        pass


def test_workers_that_could_not_reach_the_store_end_the_command_so(tmp_path: Path) -> None:
    study = hpo.create_study(
        array_data(tmp_path / "cache"), SPACE, storage=f"sqlite:///{tmp_path / 's.db'}"
    )
    said = (
        r"^No worker could reach the store for as long as it was to be waited for\. Nothing that "
        r"was stored is lost; the same command goes on once it is back\.$"
    )
    with pytest.raises(StoreAwayError, match=said) as caught:
        study.run(lambda: LostCrew(lambda: None), lambda tasks: None)
    assert caught.value.status == 6

    def work() -> None:
        assert Worker(study.stored, WorkerSettings()).run()

    assert study.run(lambda: LostCrew(work), lambda tasks: None)  # they had done all of it


@pytest.mark.parametrize("statuses", [[6, None], [6, 3], [6, 0], [6, 1], [0], []])
def test_a_worker_that_could_not_reach_it_is_one_of_several(statuses: list[int | None]) -> None:
    check_reached(statuses)


def test_a_store_that_goes_away_is_not_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///s.db"
    hpo.create_study(array_data(Path("elsewhere")), SPACE, storage=url)

    def away(*_: object) -> None:
        raise OperationalError("", {}, Exception("terminating connection"))

    monkeypatch.setattr(SqlLedger, "tasks", away)
    capsys.readouterr()
    check = ["check", "--storage", url]
    assert command.main([*check, "--wait-for-store", "0"]) == 6
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "(terminating connection); it was waited for 0 s" in printed.err
    assert printed.err.count("error:") == 1
