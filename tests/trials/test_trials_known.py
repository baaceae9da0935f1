"""Private names of Optuna stay in one room, which looks before it uses them."""

import logging
import re
import threading
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from sqlalchemy import Column, Integer, Table

import hpo
from hpo.errors import InputError
from hpo.trials import _known, open_database
from hpo.trials._reading import Database

PACKAGE = Path(hpo.__file__).parent
#: A module of Optuna whose name, or the name of a package that it is in, begins with _.
PRIVATE_MODULE = re.compile(r"optuna(\.\w+)*\._")
#: What Optuna's objects keep to themselves and is tempting all the same.
PRIVATE_NAME = re.compile(
    r"\b(?!self\b)\w+\._(storage|backend|study_id|trial_id|thread_local|directions|get_trials)\b"
)
#: The files of the room that may.
MAY = {f"trials/_{name}.py" for name in ("tables", "reading", "known", "server")}


def uses_private_names(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return bool(PRIVATE_MODULE.search(text) or PRIVATE_NAME.search(text))


def test_private_names_of_optuna_stay_in_their_room() -> None:
    files = [path for path in PACKAGE.glob("**/*.py") if "service" not in path.parts]
    assert len(files) > 50
    found = {path.relative_to(PACKAGE).as_posix() for path in files if uses_private_names(path)}
    assert found <= MAY
    assert found >= {"trials/_tables.py", "trials/_known.py"}  # so they would be found


def test_the_installed_optuna_is_known() -> None:
    assert _known._unknown_name() is None


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was said yet."""
    monkeypatch.setattr(_known, "_said", threading.Event())


def unknown_name() -> str | None:
    """What is not known, looked at now."""
    return _known._unknown_name.__wrapped__()


def another_table(monkeypatch: pytest.MonkeyPatch) -> None:
    table = models.TrialModel.__table__
    columns = [Column(column.name, Integer) for column in table.columns]
    other = Table("trials", type(table.metadata)(), *columns, Column("tags", Integer))
    monkeypatch.setattr(models.TrialModel, "__table__", other)


def other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    table = models.TrialParamModel.__table__
    columns = [Column(column.name, Integer) for column in table.columns]
    other = Table("trial_params", type(table.metadata)(), *columns)
    monkeypatch.setattr(models.TrialParamModel, "__table__", other)


def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(models, "TrialValueModel")


def another_function(monkeypatch: pytest.MonkeyPatch) -> None:
    def value_to_stored_repr(cls: type, value: float, precision: int) -> None: ...

    other = classmethod(value_to_stored_repr)
    monkeypatch.setattr(models.TrialValueModel, "value_to_stored_repr", other)


def another_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RDBStorage, "_get_trials", lambda self, study_id: [])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (another_table, "the table trials has other columns"),
        (other_keys, "the table trial_params has other keys"),
        (no_table, "it has no table TrialValueModel"),
        (another_function, "TrialValueModel.value_to_stored_repr is another one"),
        (another_method, "RDBStorage._get_trials is another one"),
    ],
)
def test_what_is_not_as_it_was_is_found(
    change: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(monkeypatch)
    assert unknown_name() == words


@pytest.mark.usefixtures("said")
def test_names_that_are_not_known_are_said_once_and_not_used(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(_known, "_unknown_name", lambda: "it has no table TrialModel")
    for _ in range(2):
        storage = open_database(url)
        assert type(storage) is RDBStorage
        storage.engine.dispose()
    assert [record.getMessage() for record in caplog.records] == [
        f"Optuna {optuna.__version__} is not as this version of hpo knows it (it has no table "
        "TrialModel); its public calls are used instead, which take longer."
    ]


def test_what_is_known_is_used(url: str) -> None:
    storage = open_database(url)
    assert type(storage) is Database
    storage.engine.dispose()


def test_tables_of_another_version_of_optuna_are_said_to_be(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.db'}"
    storage = open_database(url)
    with storage.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'v9.9.9.a'")
    storage.engine.dispose()
    with pytest.raises(InputError) as caught:
        open_database(url)
    assert str(caught.value) == (
        f"--storage {url}: its tables were made by Optuna {optuna.__version__} and are newer than "
        f"those of Optuna {optuna.__version__} here. Update it (pip install -U optuna), or use "
        "another --storage."
    )
