"""The ledger's tables have a version, and older stores are brought up to date once and whole."""

import importlib
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from queue_samples import race
from sqlalchemy import create_engine, inspect, text

from hpo.errors import InputError
from hpo.queue import SqlLedger, _schema, open_ledger
from hpo.queue._tables import metadata
from hpo.search import TaskState
from hpo.trials import redact

V0001 = "hpo.queue.migrations.versions.v0001_tables"
#: A store that was made before its tables had a version, and what is in it.
OLD_STORE = Path(__file__).parents[1] / "study" / "old_store" / "store.zip"


def run(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def make_old(url: str) -> None:
    """Make the tables as they were before they had a version, with a task in them."""
    SqlLedger(url).close()
    run(
        url,
        "DROP TABLE hpo_version",
        *(f"ALTER TABLE hpo_tasks DROP COLUMN {name}" for name in ("pauses", "ending")),
        *(
            f"ALTER TABLE hpo_studies DROP COLUMN {name}"
            for name in ("epochs", "allotted", "revision", "stopped", "identity")
        ),
        "INSERT INTO hpo_studies (study, definition) VALUES ('s', '{\"a\": 1}')",
        "INSERT INTO hpo_tasks (study, position, stage, config_key, config, runs, state, token, "
        "attempts) VALUES ('s', 3, 1, 'key', '{\"fusion\": \"text\", \"lr\": 0.01}', '[\"run\"]', "
        "'open', 0, 0)",
    )


def content(url: str) -> dict[str, Any]:
    """Columns and rows of every table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: (
                [column["name"] for column in inspect(connection).get_columns(name)],
                connection.execute(text(f"SELECT * FROM {name}")).all(),
            )
            for name in inspect(connection).get_table_names()
        }
    engine.dispose()
    return found


def version(url: str) -> str:
    return str(content(url)["hpo_version"][1][0][0])


def test_a_new_store_has_the_tables_that_the_package_works_with(url: str) -> None:
    SqlLedger(url).close()
    engine = create_engine(url)
    with engine.connect() as connection:
        options = {
            "version_table": "hpo_version",
            "include_name": lambda name, kind, _: kind != "table" or name.startswith("hpo_"),
        }
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
    engine.dispose()
    assert version(url) == _schema.HEAD


def test_the_last_migration_is_the_version_of_the_package() -> None:
    scripts = ScriptDirectory(str(Path(_schema.__file__).parent / "migrations"))
    assert scripts.get_current_head() == _schema.HEAD
    assert scripts.get_base() == "0001"


def test_a_store_that_is_up_to_date_costs_one_query(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    SqlLedger(url).close()

    def migrate(*_: object) -> None:
        raise AssertionError("nothing is to be migrated")

    monkeypatch.setattr(_schema, "_migrate", migrate)
    ledger = SqlLedger(url)
    assert ledger.studies() == []
    ledger.close()


def test_an_older_store_is_brought_up_to_date(url: str) -> None:
    make_old(url)
    ledger = SqlLedger(url)
    (task,) = ledger.tasks("s")
    assert task.config is not None
    assert (task.position, task.stage, task.key) == (3, 1, "key")
    assert (task.config.fusion, task.config.lr, task.runs) == ("text", 0.01, ("run",))
    assert (task.state, task.token, task.trial) == (TaskState.OPEN, 0, None)
    assert ledger.pauses("s") == {}
    ledger.close()
    assert version(url) == _schema.HEAD


def test_racing_openers_migrate_once(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_old(url)
    from alembic import command

    upgrades: list[None] = []
    upgrade = command.upgrade

    def counted(*arguments: Any) -> None:
        upgrades.append(None)
        upgrade(*arguments)

    monkeypatch.setattr(command, "upgrade", counted)
    race(6, lambda index: SqlLedger(url).close())
    assert version(url) == _schema.HEAD
    assert len(upgrades) == 1


def failing_upgrade(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the second migration fail after what it did."""
    from alembic import op

    add_column = op.add_column

    def fail(*arguments: Any) -> None:
        add_column(*arguments)
        raise RuntimeError("the power went")

    monkeypatch.setattr(op, "add_column", fail)


@pytest.mark.parametrize("made", [make_old, lambda url: None], ids=["old", "new"])
def test_a_migration_that_fails_leaves_everything_as_it_was(
    url: str, made: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made(url)
    before = content(url)
    with monkeypatch.context() as patch:
        failing_upgrade(patch)
        with pytest.raises(RuntimeError, match="the power went"):
            SqlLedger(url)
    assert content(url) == before
    SqlLedger(url).close()
    assert version(url) == _schema.HEAD


def test_a_store_of_a_newer_version_is_left_alone(url: str) -> None:
    SqlLedger(url).close()
    run(url, "UPDATE hpo_version SET version_num = '0815'", "DROP TABLE hpo_tasks")
    before = content(url)
    with pytest.raises(InputError) as caught:
        open_ledger(url)
    assert str(caught.value) == (
        f"--storage {redact(url)}: its tables hpo_* have version 0815, and this version of hpo "
        "knows them up to 0005: a newer one made or changed them. Update it (pip install -U hpo), "
        "or use another --storage."
    )
    assert content(url) == before


def test_migrations_are_part_of_the_package() -> None:
    assert importlib.import_module(V0001).revision == "0001"
    folder = Path(_schema.__file__).parent / "migrations"
    assert sorted(path.name for path in folder.glob("**/*.py")) == [
        *("__init__.py", "__init__.py", "env.py", "v0001_tables.py", "v0002_pauses.py"),
        "v0003_rations.py",
        "v0004_identity.py",
        "v0005_checksums.py",
    ]


def test_a_real_older_store_reads_as_typed_objects(tmp_path: Path) -> None:
    with zipfile.ZipFile(OLD_STORE) as archive:
        file = Path(archive.extract("studies.db", tmp_path))
    with closing(sqlite3.connect(file)) as store:
        rows = store.execute("SELECT count(*) FROM hpo_tasks").fetchone()[0]
        keys = store.execute("SELECT config_key FROM hpo_tasks WHERE config IS NOT NULL").fetchall()
    ledger = SqlLedger(f"sqlite:///{file}")
    tasks = [task for name in ledger.studies() for task in ledger.tasks(name)]
    assert len(tasks) == rows > 10
    drawn = [task for task in tasks if task.config is not None]
    assert sorted(task.key or "" for task in drawn) == sorted(key for (key,) in keys)
    for task in drawn:
        assert task.config is not None
        assert task.config.key == task.key
        assert (task.outcome is not None) == (task.state is TaskState.DONE)
    ledger.close()
