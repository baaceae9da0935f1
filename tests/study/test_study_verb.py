"""``hpo study``: what a storage has, and the end of a study."""

import json
from pathlib import Path

import optuna
import pytest
from identity_samples import SPACE, begin, finish, tiny_data
from optuna.artifacts import FileSystemArtifactStore, upload_artifact

import hpo
from hpo.studies import main as study

LEFT = (
    "Its runs stay in the cache, which studies share (hpo runs prune makes it smaller), and so do "
    "its results (--out of hpo run).\n"
)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if request.param == "sqlite":
        return "sqlite:///studies.db"
    return str(request.getfixturevalue("postgres").new_url())


def test_studies_are_listed_whatever_became_of_them(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tiny_data(tmp_path)
    finish(data, url, "done")
    begin(data, url, "open", search=SPACE["search"] | {"trials": 5}).stored.open_next()
    finish(data, url, "gone")
    optuna.delete_study(study_name="gone", storage=url)
    optuna.create_study(study_name="theirs", storage=url)
    optuna.copy_study(
        from_study_name="done", from_storage=url, to_storage=url, to_study_name="copy"
    )
    capsys.readouterr()
    assert study(["list", "--storage", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "copy    3 trials  (copied or renamed in Optuna)",
        "done    3 trials, 3 of 3 tasks done",
        "gone    no trials, 3 of 3 tasks done  (deleted in Optuna)",
        "open    0 trials, 0 of 5 tasks done",
        "theirs  0 trials  (not made by hpo)",
        "5 studies",
    ]


def test_all_of_a_study_is_deleted_and_nothing_of_another(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, files = tiny_data(tmp_path), tmp_path / "artifacts"
    mine = finish(data, url, "mine")
    files.mkdir()
    store = FileSystemArtifactStore(str(files))
    (tmp_path / "note.txt").write_text("a note")

    def attach(to: hpo.Study) -> str:
        return upload_artifact(
            artifact_store=store, file_path=str(tmp_path / "note.txt"), study_or_trial=to.optuna
        )

    shared = attach(mine)
    optuna.copy_study(
        from_study_name="mine", from_storage=url, to_storage=url, to_study_name="copy"
    )
    own, other = attach(mine), attach(finish(data, url, "other"))
    runs = sorted((tmp_path / ".hpo" / "runs").iterdir())
    capsys.readouterr()
    assert study(["delete", "mine", f"--storage={url}", "--artifact-dir=artifacts"]) == 0
    assert capsys.readouterr().out == f"deleted mine: 3 trials, 3 tasks, 1 artifacts\n{LEFT}"
    assert {path.name for path in files.iterdir()} == {shared, other} != {own}
    assert sorted((tmp_path / ".hpo" / "runs").iterdir()) == runs
    assert optuna.get_all_study_names(url) == ["copy", "other"]
    assert study(["delete", "copy", "--storage", url]) == 0
    assert capsys.readouterr().out == f"deleted copy: 3 trials, 0 tasks\n{LEFT}"
    assert len(hpo.load_study("other", url).stored.tasks()) == 3
    assert len(finish(data, url, "mine").optuna.trials) == 3


def test_what_optuna_deleted_is_cleared_and_what_hpo_did_not_make_is_left(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finish(tiny_data(tmp_path), url, "mine")
    optuna.delete_study(study_name="mine", storage=url)
    optuna.create_study(study_name="theirs", storage=url)
    capsys.readouterr()
    assert study(["delete", "mine", "--storage", url]) == 0
    assert capsys.readouterr().out.startswith("deleted mine: 0 trials, 3 tasks\n")
    assert study(["delete", "theirs", "--storage", url]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: theirs: hpo didn't make this study in ")
    assert "Optuna deletes it: optuna delete-study --study-name theirs --storage '" in error
    assert study(["delete", "their", "--storage", url]) == 2
    assert "has no such study; it has none." in capsys.readouterr().err
    assert optuna.get_all_study_names(url) == ["theirs"]


def test_wrong_input_is_one_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert study(["list"]) == 2
    assert "--storage sqlite:///studies.db: there is no such file" in capsys.readouterr().err
    finish(tiny_data(tmp_path), "sqlite:///studies.db", "mine")
    assert study(["delete", "mien"]) == 2
    assert "has no such study (did you mean 'mine'?); it has: mine." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        study(["show", "mine", "--cahce", "x"])
    said = capsys.readouterr().err
    assert said.startswith("usage: hpo study show")
    assert said.endswith("unrecognized arguments: --cahce x (did you mean '--cache'?)\n")
    assert study(["delete", "mine", "--artifact-dir", "none"]) == 2
    assert "--artifact-dir none: there is no such folder." in capsys.readouterr().err
    assert hpo.load_study("mine").is_complete


def test_an_id_that_is_no_id_deletes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A study that came from elsewhere may say anything of its files."""
    monkeypatch.chdir(tmp_path)
    mine = begin(tiny_data(tmp_path), "sqlite:///studies.db", "mine")
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "note.txt").write_text("mine")
    meta = {"artifact_id": "../note.txt", "filename": "x", "mimetype": "y", "encoding": None}
    storage, number = mine.optuna._storage, mine.optuna._study_id
    for key in ("artifacts:a", "dashboard:artifacts:0:a"):
        storage.set_study_system_attr(number, key, json.dumps(meta))
    assert study(["delete", "mine", "--artifact-dir", "artifacts"]) == 0
    assert "0 artifacts" in capsys.readouterr().out
    assert (tmp_path / "note.txt").exists()
