"""The store goes away in the middle of a verb: it did what was asked, and couldn't say so."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from copy_samples import names_in
from identity_samples import finish
from optuna.storages import RDBStorage
from sqlalchemy import Engine, event
from sqlalchemy.exc import OperationalError

from hpo.features import Data
from hpo.queue import SqlLedger
from hpo.studies import main as study
from hpo.study import StoredStudy, list_studies

HERE = "sqlite:///studies.db"


def lose_answer(monkeypatch: pytest.MonkeyPatch, name: str) -> list[str]:
    """Let a call of the ledger be carried out, and fail nevertheless, once; return what failed."""
    real: Callable[..., Any] = getattr(SqlLedger, name)
    lost: list[str] = []

    def call(self: SqlLedger, *given: Any, **options: Any) -> Any:
        answer = real(self, *given, **options)
        if not lost:
            lost.append(name)
            raise OperationalError("COMMIT", {}, Exception("the connection was closed"))
        return answer

    monkeypatch.setattr(SqlLedger, name, call)
    return lost


@pytest.mark.parametrize(
    ("call", "arguments", "said"),
    [
        ("copy", ["copy", "mine", "other"], "copied mine to other: 3 trials, 3 tasks\n"),
        ("copy", ["import", "mine.db", "--name", "other"], "imported other: 3 trials, 3 tasks\n"),
        ("delete", ["delete", "mine"], "deleted mine: 3 trials, 3 tasks\n"),
        ("retry", ["retry", "mine"], "1 failed task opened again\n"),
    ],
)
def test_what_was_done_is_not_refused_when_it_is_tried_again(
    data: Data,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    call: str,
    arguments: list[str],
    said: str,
) -> None:
    finish(data, HERE, "mine")
    if call == "retry":
        with sqlite3.connect("studies.db") as store:
            store.execute("UPDATE hpo_tasks SET state = 'failed' WHERE position = 0")
    if arguments[0] == "import":
        assert study(["export", "mine", "--out", "mine.db"]) == 0
    capsys.readouterr()
    lost = lose_answer(monkeypatch, call)
    assert study(arguments) == 0
    assert lost == [call]
    printed = capsys.readouterr()
    assert said in printed.out
    assert printed.err.count("it is waited for") == 1
    left = [] if call == "delete" else ["mine", *(["other"] if call == "copy" else [])]
    assert names_in(HERE) == (left, left)


def test_a_new_study_of_the_name_is_not_deleted_by_a_second_try(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(data, HERE, "mine")
    lost = lose_answer(monkeypatch, "delete")
    real = SqlLedger.delete

    def meanwhile(self: SqlLedger, *given: Any) -> None:
        begin_again = not lost
        try:
            real(self, *given)
        finally:
            if begin_again:
                finish(data, HERE, "mine")

    monkeypatch.setattr(SqlLedger, "delete", meanwhile)
    assert study(["delete", "mine"]) == 0
    (line,) = list_studies(HERE)
    assert (line.name, line.trials, line.tasks, line.note) == ("mine", 3, (3, 3), "")


def test_where_its_results_are_is_waited_for(data: Data, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(data, HERE, "mine")
    stored = StoredStudy.join(HERE, "mine")
    for name in ("get_study_user_attrs", "set_study_user_attr"):
        real: Callable[..., Any] = getattr(RDBStorage, name)
        failed: list[int] = []

        def once(*given: Any, real: Callable[..., Any] = real, failed: list[int] = failed) -> Any:
            if not failed:
                failed.append(1)
                raise OperationalError("", {}, Exception("the database system is starting up"))
            return real(*given)

        monkeypatch.setattr(RDBStorage, name, once)
        stored.results = Path(name)
        assert failed == [1]
        assert stored.results == Path(name).absolute()


def test_who_looks_at_a_study_does_not_wait_for_who_writes(data: Data) -> None:
    finish(data, HERE, "mine")
    written: list[str] = []

    def begin(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        written.extend([statement] if statement.startswith(("UPDATE", "INSERT")) else [])

    with sqlite3.connect("studies.db", isolation_level=None) as other:
        other.execute("BEGIN EXCLUSIVE")
        event.listen(Engine, "before_cursor_execute", begin)
        try:
            stored = StoredStudy.join(HERE, "mine", wait=0)
            assert len(stored.tasks()) == 3
            assert stored.results is None
        finally:
            event.remove(Engine, "before_cursor_execute", begin)
            other.execute("ROLLBACK")
    assert written == []
