"""Storage URLs that are written wrongly, and what is shown of them."""

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from hpo.errors import InputError
from hpo.queue import open_storage
from hpo.study import Store
from hpo.trials import check_exists, check_url, redact
from hpo.trials._redact import scrub
from hpo.worker.__main__ import main


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:p@ss#word9@127.0.0.1:5999/db", "postgresql://me:***@127.0.0.1:5999/db"),
        ("postgresql://me:pa/ss?w:d@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:p@s?s=w@host/db?sslmode=require", None),
        ("postgresql://m@e:pass9@host/db", "postgresql://***:***@host/db"),
        ("postgresql://pass9w@rd@host/db", "postgresql://***@host/db"),
        ("postgresql://me:pass9/db", "postgresql://me:***"),
        ("postgresql://me:pass9@/db?host=/tmp/x", "postgresql://me:***@/db?host=/tmp/x"),
        ("postgresql://h/d?sslpassword=pass9", "postgresql://h/d?sslpassword=***"),
        ("postgresql://h/d?password=p@ss9&sslmode=require", None),
        ("postgresql://h/d?token=pass9&port=5", "postgresql://h/d?token=***&port=5"),
        ("postgresql://h/d?application_name=a@b", "postgresql://h/d?application_name=a@b"),
        ("postgresql://me@h:5432/d", "postgresql://me@h:5432/d"),
        ("sqlite:////data/me@home:1/a.db", "sqlite:////data/me@home:1/a.db"),
        ("sqlite:///a.db?key=pass9", "sqlite:///a.db?key=***"),
        ("grpc://host:13000", "grpc://host:13000"),
        ("me:pass9@host", "…"),
    ],
)
def test_what_may_be_secret_is_hidden(url: str, shown: str | None) -> None:
    found = redact(url)
    if shown is not None:
        assert found == shown
    for part in ("pass9", "p@s", "ss#word9", "s=w", "ss9", "word9", "w@rd"):
        assert part not in found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:p@ss#word9@127.0.0.1:5999/db",
        "postgresql+psycopg://me:p@ss:word9@127.0.0.1/db",
        "postgresql://me:p@ss?word9@127.0.0.1/db",
        "postgresql://me:ss#word9@127.0.0.1:port/db",
        "postgresql://me:word9/db",
        "postgresql://me@127.0.0.1:1/x?sslpassword=word9",
        "grpc://me:p@ss#word9@127.0.0.1:1",
    ],
)
def test_no_part_of_a_password_is_in_an_error_or_a_log(
    url: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(InputError) as caught:
        open_storage(url)
    monkeypatch.setenv("HPO_STORAGE", url)
    assert main(["--study", "s", "--wait-for-store", "0"]) in (2, 6)
    for where in (str(caught.value), repr(caught.value), caplog.text, *capfd.readouterr()):
        assert "word9" not in where and "ss#" not in where


def test_what_a_driver_says_is_without_the_password() -> None:
    url = "postgresql://me:s%C3%B6cret%40w@h/d?sslpassword=pass9"
    said = 'failed for "sö' + 'cret@w", s%C3%B6cret%40w and pass9 at h'
    assert scrub(said, url) == 'failed for "***", *** and *** at h'


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "postgresql://me:p@ss@host/db",
            "--storage postgresql://me:***@host/db: there is more than one @ in it. Special "
            "characters of a user's name or a password must be percent-encoded, such as %40 for "
            "@: python -c \"import urllib.parse; print(urllib.parse.quote('PASSWORD', "
            "safe=''))\" prints one so.",
        ),
        (
            "postgresql://me:pw@host:port/db",
            "--storage postgresql://me:***@host:port/db: the port, which stands behind the host's "
            "name and a colon, must be a number; a user's name and password stand before the host "
            "and an @.",
        ),
        (
            "sqlite://studies.db",
            "--storage sqlite://studies.db: a file needs three slashes, sqlite:///studies.db, or "
            "four where its path begins at the root, sqlite:////path/studies.db.",
        ),
        (
            "sqlite://runs/studies.db",
            "--storage sqlite://runs/studies.db: a file needs three slashes, "
            "sqlite:///runs/studies.db, or four where its path begins at the root, "
            "sqlite:////path/runs/studies.db.",
        ),
    ],
)
def test_a_url_that_is_written_wrongly_is_refused_in_words(url: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url)
    assert str(caught.value) == message


def test_a_path_that_begins_elsewhere_is_hinted_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "some" / "folder"
    folder.mkdir(parents=True)
    below = str(folder)[1:]
    with pytest.raises(InputError) as caught:
        check_url(f"sqlite:///{below}/a.db")
    assert str(caught.value) == (
        f"--storage sqlite:///{below}/a.db: the folder {tmp_path / below} doesn't exist; four "
        f"slashes begin at the root: sqlite:////{below}/a.db."
    )
    with pytest.raises(InputError, match=r"exist; three slashes begin at the .*: sqlite:///some/f"):
        check_url("sqlite:////some/folder/a.db")
    (tmp_path / "studies.db").touch()
    with pytest.raises(InputError) as caught:
        check_exists("sqlite:////studies.db")
    assert str(caught.value) == (
        "--storage sqlite:////studies.db: there is no such file; three slashes begin at the "
        "working folder: sqlite:///studies.db."
    )
    with pytest.raises(InputError, match="~ is not a home folder here, write sqlite:////"):
        check_url("sqlite:///~/none/a.db")
    with pytest.raises(InputError, match="is a folder, but must be a file, such as some/studies"):
        check_url("sqlite:///some")


def test_a_file_or_folder_without_rights_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.db").touch()
    denied: set[Path] = set()
    # whoever runs the tests may be the one user whom nothing is denied
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).absolute() not in denied)
    denied.add(tmp_path / "a.db")
    with pytest.raises(InputError) as caught:
        check_url("sqlite:///a.db")
    assert str(caught.value) == (
        "--storage sqlite:///a.db: you have no rights to read and write this file."
    )
    denied.add(tmp_path)
    with pytest.raises(InputError, match=f"no rights to write to the folder {tmp_path}, where SQL"):
        check_url("sqlite:///b.db")


@pytest.mark.parametrize(
    ("revision", "library", "message"),
    [
        (
            "v3.0.0.d",
            "3.1.1",
            "--storage sqlite:///my old.db: its tables were made by Optuna 3.1.1 and are older "
            f"than those of Optuna {optuna.__version__} here. Make a backup, then bring them up to "
            "date: optuna storage upgrade --storage 'sqlite:///my old.db'",
        ),
        (
            "v9.0.0.a",
            "9.1.0",
            "--storage sqlite:///my old.db: its tables were made by Optuna 9.1.0 and are newer "
            f"than those of Optuna {optuna.__version__} here. Update it (pip install -U optuna), "
            "or use another --storage.",
        ),
    ],
)
def test_tables_of_another_optuna_are_refused_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, revision: str, library: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    url = "sqlite:///my old.db"
    optuna.create_study(study_name="old", storage=url)
    with closing(sqlite3.connect("my old.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.execute("UPDATE version_info SET library_version = ?", (library,))
    with pytest.raises(InputError) as caught:
        Store.open(url)
    assert str(caught.value) == message
    with closing(sqlite3.connect("my old.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name LIKE 'hpo%'")
        assert tables.fetchall() == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("grpc://me:pass9@h:1", "grpc://me:***@h:1: must be grpc://HOST:PORT, and nothing more."),
        ("grpc://h:1/x?token=pass9", "token=***: must be grpc://HOST:PORT, and nothing more."),
        ("sqlite:///a.db?mode=ro", "SQLite has no mode, so what stands behind the ? isn't used; "),
        ("sqlite:///a.db?password=pass9", "a.db?password=***: SQLite has no password, so what "),
        ("sqlite:///file:a.db?uri=true&mode=ro", "uri is for addresses of SQLite's own, which "),
        ("sqlite+aiosqlite:///a.db", "names another driver than Python's own; write sqlite:///a."),
        ("studies.db", "--storage studies.db: is no database URL; a file is given as sqlite:///s"),
        ("a/b c.db", "--storage a/b c.db: is no database URL; a file is given as sqlite:///a/b c."),
        (
            "me:pass9@host",
            "--storage is no database URL; it must look like sqlite:///studies.d",
        ),
        ("sqlite:///a.db ", "sqlite:///a.db: a blank stands before or behind it; take it off."),
        ("sqlite:///C:\\x\\a.db", "is a path of Windows, but this machine has another."),
    ],
)
def test_what_would_not_be_used_is_refused(url: str, said: str) -> None:
    with pytest.raises(InputError) as caught:
        check_url(url)
    assert said in str(caught.value)
    assert "pass9" not in str(caught.value)


def test_a_timeout_of_sqlite_is_taken() -> None:
    assert check_url("sqlite:///a.db?timeout=5").query == {"timeout": "5"}
