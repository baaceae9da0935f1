"""``hpo study export`` and ``import``: one study as one file, and its trials as tables."""

import contextlib
import csv
import json
import os
import sqlite3
from pathlib import Path

import optuna
import pandas as pd
import pytest
from copy_samples import GREEDY, content, killed_at, names_in
from identity_samples import begin, finish

import hpo
from hpo.features import Data
from hpo.studies import main as study

HERE = "sqlite:///studies.db"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``hpo study`` prints."""
    capsys.readouterr()
    assert study(list(arguments)) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What ``hpo study`` says to bad input."""
    capsys.readouterr()
    assert study(list(arguments)) == 2
    return capsys.readouterr().err


def test_a_study_that_was_sent_goes_on(
    data: Data, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = begin(data, HERE, "mine", search=GREEDY)
    mine.optimize(workers=1, trials=1, progress=False)
    finish(data, HERE, "another")
    assert run(capsys, "export", "mine", "--out", "mine.db") == "wrote mine.db: 1 trials, 3 tasks\n"
    assert run(capsys, "import", "mine.db", "--storage", other) == (
        "imported mine: 1 trials, 3 tasks\n"
    )
    assert names_in(other) == (["mine"], ["mine"])
    assert content(other, "mine") == content(HERE, "mine")
    assert run(capsys, "import", "mine.db", "--name", "twin", "--storage", other) == (
        "imported twin: 1 trials, 3 tasks\n"
    )
    twin = hpo.load_study("twin", other)
    assert twin.optimize(workers=1, progress=False)
    assert mine.optimize(workers=1, progress=False)
    assert twin.best_config == mine.best_config
    assert twin.best_value == mine.best_value
    assert len(twin.refit().predict(image=[[0.5] * 6])) == 1


def test_the_file_is_a_store_by_itself_as_the_browser_app_reads_it(data: Data) -> None:
    finish(data, HERE, "mine")
    assert study(["export", "mine", "--out", "mine.sqlite3"]) == 0
    head = Path("mine.sqlite3").read_bytes()[:20]
    # neither reader nor writer has to write ahead, for which the app has no second file
    assert head[18:20] == b"\x01\x01"
    assert sorted(path.name for path in Path().glob("*mine*")) == ["mine.sqlite3"]
    with contextlib.closing(sqlite3.connect("file:mine.sqlite3?mode=ro", uri=True)) as file:
        # what SQLite3Storage of optuna-dashboard's tslib asks for
        assert file.execute("SELECT version_num FROM alembic_version LIMIT 1").fetchall() == [
            ("v3.2.0.a",)
        ]
        ((study_id, name, direction),) = file.execute(
            "SELECT s.study_id, s.study_name, sd.direction FROM studies AS s INNER JOIN "
            "study_directions AS sd ON s.study_id = sd.study_id ORDER BY sd.study_direction_id"
        )
        assert (name, direction) == ("mine", "MAXIMIZE")
        states = file.execute(
            "SELECT state FROM trials WHERE study_id = ? ORDER BY number", [study_id]
        )
        assert states.fetchall() == [("COMPLETE",)] * 3
    found = optuna.load_study(study_name="mine", storage="sqlite:///mine.sqlite3")
    assert found.best_value == hpo.load_study("mine").best_value
    assert hpo.load_study("mine", "sqlite:///mine.sqlite3").is_complete


def test_one_bit_is_enough(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    finish(data, HERE, "mine")
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    whole, mark = Path("mine.db").read_bytes(), b"hpo-study-sha256:"
    seal = whole.index(mark)
    for place in (30, 100, len(whole) // 2, seal + 20, len(whole) - 1):
        changed = bytearray(whole)
        changed[place] ^= 1
        Path("mine.db").write_bytes(changed)
        said = refused(capsys, "import", "mine.db", "--storage", "sqlite:///new.db")
        in_mark = seal <= place < seal + len(mark)  # where that stands depends on the file's length
        fault = "is a database, but none that" if in_mark else "is damaged, or was changed"
        assert f"mine.db: {fault}" in said
    for size in (len(whole) - 1, len(whole) - 4096, 4096):
        Path("mine.db").write_bytes(whole[:size])
        assert "mine.db: is " in refused(
            capsys, "import", "mine.db", "--storage", "sqlite:///new.db"
        )
    assert not Path("new.db").exists()
    Path("mine.db").write_bytes(whole)
    assert study(["import", "mine.db", "--storage", "sqlite:///new.db"]) == 0


def test_a_killed_import_or_export_is_whole_or_not_there(data: Data, other: str) -> None:
    finish(data, HERE, "mine")
    assert killed_at(5, "export", "mine", "--out", "mine.db")
    assert not Path("mine.db").exists()
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    for count in (0, 4, 6):
        assert killed_at(count, "import", "mine.db", "--storage", other)
        assert names_in(other) == ([], [])
    assert not killed_at(100, "import", "mine.db", "--storage", other)
    assert content(other, "mine") == content(HERE, "mine")


def test_trials_as_tables(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    mine = finish(data, HERE, "mine")
    assert run(capsys, "export", "mine", "--out", "t.csv") == "wrote t.csv: 3 trials\n"
    assert run(capsys, "export", "mine", "--out", "t", "--format=parquet") == "wrote t: 3 trials\n"
    with Path("t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    frame = pd.read_parquet("t")
    assert list(frame.columns) == list(rows[0])
    for trial in mine.optuna.trials:
        row = frame.iloc[trial.number]
        assert float(rows[trial.number]["value"]) == row["value"] == trial.value
        assert row["params_dropout"] == trial.params["dropout"]
        assert row["metrics_micro_f1"] == trial.user_attrs["metrics"]["micro_f1"]
        assert (row["state"], row["epochs_trained"]) == ("complete", 3)


def test_values_of_several_types_are_text(data: Data) -> None:
    """As of a head that is a list of widths in one trial and none in another."""
    search = {
        "kind": "greedy",
        "stages": [
            {"name": "norm", "params": {"feature_scaling": ["none", "l2"], "hidden": [[4], []]}}
        ],
    }
    finish(data, HERE, "mine", search=search)
    assert study(["export", "mine", "--out", "t.parquet"]) == 0
    shown = pd.read_parquet("t.parquet")["params_hidden"].astype(str)
    optuna_shows = [
        str(t.params["hidden"]) for t in optuna.load_study(study_name="mine", storage=HERE).trials
    ]
    assert list(shown) == optuna_shows


def test_a_store_is_not_replaced(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    finish(data, HERE, "mine")
    before = content(HERE, "mine")
    for kind, why in (
        ("sqlite", ": is a database with studies of its own, which isn't replaced; give another"),
        ("csv", " is a database, which isn't replaced; give another"),
    ):
        said = refused(capsys, "export", "mine", "--out", "studies.db", "--format", kind)
        assert said.startswith(f"error: --out studies.db{why} file")
    assert content(HERE, "mine") == before
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    assert study(["export", "mine", "--out", "mine.db"]) == 0  # an export is
    finish(data, "sqlite:///mine.db", "more")
    assert "isn't replaced" in refused(capsys, "export", "mine", "--out", "mine.db")


@pytest.mark.parametrize("kind", ["sqlite", "csv", "parquet"])
def test_nothing_but_an_export_is_replaced(
    data: Data, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    """Neither the table that a study was made from nor a file of its cache."""
    finish(data, HERE, "mine")
    pd.DataFrame({"ImageID": ["0.jpg"], "Labels": ["a"]}).to_csv("train.csv", index=False)
    pd.DataFrame({"ImageID": ["0.jpg"], "Labels": ["a"]}).to_parquet("train.parquet")
    cached = next(path for path in sorted(Path(".hpo").rglob("*")) if path.is_file())
    what = "a study" if kind == "sqlite" else "a table of trials"
    for path in (Path("train.csv"), Path("train.parquet"), cached):
        before = path.read_bytes()
        said = refused(capsys, "export", "mine", "--out", str(path), "--format", kind)
        assert said == (
            f"error: --out {path}: is there, but isn't {what} that hpo wrote, so it isn't "
            "replaced; give another file.\n"
        )
        assert path.read_bytes() == before
    Path("empty").touch()
    for _ in range(2):
        assert study(["export", "mine", "--out", "empty", "--format", kind]) == 0


def test_bad_input_is_one_sentence(
    data: Data, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    finish(data, HERE, "mine")
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    Path("text.db").write_text("no database")
    Path("empty.db").touch()
    with contextlib.closing(sqlite3.connect("theirs.db")) as theirs:
        theirs.execute("CREATE TABLE t (x)")
    os.mkfifo("pipe")
    said = refused(capsys, "export", "mine", "--out", "mine.txt")
    assert said == (
        "error: --out mine.txt: its ending must be one of .csv, .parquet, .db, .sqlite, .sqlite3, "
        "or --format must say what is written.\n"
    )
    assert "--out . is a folder, but must be a file" in refused(
        capsys, "export", "mine", "--out", ".", "--format", "csv"
    )
    assert "NAME mien: sqlite:///studies.db has no such study (did you mean 'mine'?)" in refused(
        capsys, "export", "mien", "--out", "x.db"
    )
    for file in ("text.db", "empty.db"):
        assert refused(capsys, "import", file) == (
            f"error: {file}: is no file that hpo study export --format sqlite wrote.\n"
        )
    for file in ("theirs.db", "studies.db"):
        assert refused(capsys, "import", file, "--name", "x") == (
            f"error: {file}: is a database, but none that hpo study export wrote; a study is taken "
            f"from a store with hpo study copy NAME --storage sqlite:///{file} --to URL.\n"
        )
    assert refused(capsys, "import", "mine.db") == (
        "error: mine: sqlite:///studies.db has a study of this name; give another one, or delete "
        "that one first (hpo study delete mine).\n"
    )
    assert refused(capsys, "import", "mine.db", "--name", " ").startswith(
        "error: The name of a study must have 1 to 200 printable characters"
    )
    assert study(["import", "none.db"]) == 2
    assert capsys.readouterr().err == "error: FILE none.db: there is no such file.\n"
    assert study(["import", "pipe"]) == 1
    assert "it is a named pipe, but must be a regular file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE hpo_version SET version_num = '9999'", "a newer version of hpo wrote it"),
        ("UPDATE alembic_version SET version_num = 'v9'", "its tables are of Optuna's revision v9"),
        ("CREATE VIEW v AS SELECT 1", "has other tables than hpo study export writes."),
        ("DROP TABLE hpo_version", "has other tables than hpo study export writes."),
        ("UPDATE study_directions SET objective = 'x'", "objective can't be what hpo wrote"),
        ("UPDATE hpo_studies SET definition = x'00'", "hpo_studies.definition can't be what hpo"),
    ],
)
def test_what_is_well_sealed_may_still_be_another(
    data: Data, capsys: pytest.CaptureFixture[str], change: str, message: str
) -> None:
    from hpo.study import _file

    begin(data, HERE, "mine")
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    with contextlib.closing(sqlite3.connect("mine.db", isolation_level=None)) as connection:
        connection.execute(change)
    with Path("mine.db").open("r+b") as file, _file._mapped(Path("mine.db")) as content:
        assert content is not None
        ((start, _),) = _file._seals(content)
        file.seek(start)
        file.write(_file._digest(content, start))
    said = refused(capsys, "import", "mine.db", "--name", "x")
    assert said.startswith("error: mine.db: ") and message in said


def test_a_study_is_in_its_file_with_its_note(data: Data) -> None:
    from hpo.dashboard import Board

    mine = finish(data, HERE, "mine")
    Board(mine.stored).write()
    assert study(["export", "mine", "--out", "mine.db"]) == 0
    with contextlib.closing(sqlite3.connect("mine.db")) as file:
        keys = dict(file.execute("SELECT key, value_json FROM study_system_attributes"))
    assert json.loads(keys["dashboard:note_str:0"]).startswith("# mine")
