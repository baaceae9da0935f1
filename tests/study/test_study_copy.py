"""``hpo study copy``: to another name and another database, and on from there."""

import dataclasses
import json
from pathlib import Path

import optuna
import pytest
from copy_samples import GREEDY, content, killed_at, names_in
from identity_samples import begin, finish
from study_samples import outcome

import hpo
from hpo.dashboard import ARTIFACTS, Board, attach_files
from hpo.features import Data
from hpo.report import write_report
from hpo.search import TaskState
from hpo.studies import main as study
from hpo.trials import redact

HERE = "sqlite:///studies.db"


def test_there_and_back_it_is_the_same(
    data: Data, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = finish(data, HERE, "mine", search=GREEDY)
    Board(first.stored).write()
    attach_files(first.stored, first.stored.tasks())
    finish(data, HERE, "filler")  # so that ids differ
    begin(data, other, "filler").stored.open_next()
    expected = content(HERE, "mine")
    assert any(
        key.startswith("dashboard:artifacts:#") for key in expected["study_system_attributes"]
    )
    capsys.readouterr()
    assert study(["copy", "mine", "--to", other]) == 0
    line = f"copied mine to mine in {redact(other)}: 5 trials, 5 tasks\n"
    assert capsys.readouterr().out == line
    assert content(other, "mine") == expected
    assert study(["copy", "mine", "back", "--storage", other, "--to", HERE]) == 0
    assert content(HERE, "back") == expected
    stored = hpo.load_study("back", HERE).stored
    files = stored.shown().files(0, Path(stored.definition.cache) / ARTIFACTS)
    assert files == {"config.json", "curve.csv", "validation.csv"}
    assert names_in(HERE) == (["back", "filler", "mine"], ["back", "filler", "mine"])


def test_a_copy_goes_on_refits_and_reports_as_the_study_does(
    data: Data, other: str, tmp_path: Path
) -> None:
    begun = begin(data, HERE, "mine", search=GREEDY)
    begun.optimize(workers=1, trials=2, progress=False)
    assert study(["copy", "mine", "twin", "--to", other]) == 0
    twin = hpo.load_study("twin", other)
    assert twin.optimize(workers=1, progress=False)
    assert not hpo.load_study("mine", HERE).is_complete
    assert begun.optimize(workers=1, progress=False)
    timeless = {"outcome": None}
    both = [outcome(one.stored) for one in (begun, twin)]
    for one in both:
        for task in one["tasks"]:
            for changing in ("latency_ms", "epochs_trained"):  # runs are shared
                (task["outcome"] or timeless).pop(changing, None)
    assert both[0] == both[1]
    assert (twin.refit().predict_proba(image=[[0.5] * 6]).to_numpy() > 0).all()
    write_report(twin.stored, twin.stored.tasks(), tmp_path / "report")
    assert "1e+30" in (tmp_path / "report" / "tables.md").read_text()


def test_what_is_being_worked_on_is_open_in_the_copy(data: Data, other: str) -> None:
    mine = begin(data, HERE, "mine").stored
    mine.open_next()
    task = mine.ledger.claim("mine", "somebody", 30)
    assert task is not None
    config, draw = mine.trials.draw(task.position, 0)
    live = mine.trials.begin(dataclasses.replace(task, config=config, key=config.key), {}, draw)
    assert live is not None
    assert study(["copy", "mine", "--to", other]) == 0
    twin = hpo.load_study("mine", other)
    assert twin.stored.counts()[TaskState.CLAIMED] == 0
    assert [trial.state.name for trial in twin.optuna.trials] == ["WAITING"]
    assert twin.optimize(workers=1, progress=False)
    # the trial that was begun was gone on with
    assert [trial.state.name for trial in twin.optuna.trials] == ["COMPLETE"] * 3
    assert twin.optuna.trials[0].params == live.frozen.params
    assert mine.counts()[TaskState.CLAIMED] == 1


def test_a_killed_copy_is_whole_or_not_there(data: Data, other: str) -> None:
    finish(data, HERE, "mine")
    for count in (0, 3, 6):
        assert killed_at(count, "copy", "mine", "--to", other)
        assert names_in(other) == ([], [])
    assert not killed_at(100, "copy", "mine", "--to", other)
    assert content(other, "mine") == content(HERE, "mine")


def test_a_copy_is_deleted_and_the_study_stays(data: Data) -> None:
    finish(data, HERE, "mine")
    before = content(HERE, "mine")
    assert study(["copy", "mine", "twin"]) == 0
    assert study(["delete", "twin"]) == 0
    assert names_in(HERE) == (["mine"], ["mine"])
    assert content(HERE, "mine") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["copy", "mine"],
            "error: mine: a study can't be copied to itself; give the copy another name (hpo study "
            "copy mine OTHER) or another storage (--to URL).",
        ),
        (
            ["copy", "mine", "other"],
            "error: other: sqlite:///studies.db has a study of this name; give another one, or "
            "delete that one first (hpo study delete other).",
        ),
        (
            ["copy", "mien", "twin"],
            "error: NAME mien: sqlite:///studies.db has no such study (did you mean 'mine'?); it "
            "has: mine, other.",
        ),
        (
            ["copy", "theirs", "twin"],
            "error: NAME theirs: sqlite:///studies.db has a study of this name that hpo didn't "
            "make: it is to minimize, and has 0 trials; hpo's is another one. ",
        ),
        (
            ["copy", "mine", "a\tb"],
            "error: The name of a study must have 1 to 200 printable characters, but 'a\\tb' has "
            "'\\t', which isn't one.",
        ),
        (
            ["copy", "mine", "--to", "grpc://127.0.0.1:1"],
            "error: --storage grpc://127.0.0.1:1: a study is copied from database to database, not "
            "through a proxy; give the URL of the database behind it.",
        ),
        (
            ["copy", "mine", "--to", "mysql://x/y"],
            "error: --storage mysql://x/y: must be sqlite, postgresql or grpc",
        ),
        (
            ["show", "mien"],
            "error: NAME mien: sqlite:///studies.db has no such study (did you mean 'mine'?); it "
            "has: mine, other.",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    data: Data, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    begin(data, HERE, "mine")
    begin(data, HERE, "other")
    optuna.create_study(study_name="theirs", storage=HERE)
    before = names_in(HERE)
    capsys.readouterr()
    assert study(arguments) == 2
    assert capsys.readouterr().err.startswith(message)
    assert names_in(HERE) == before


def test_tables_that_are_not_known_are_not_copied(
    data: Data, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    begin(data, HERE, "mine")
    monkeypatch.setattr("hpo.trials._known.REVISION", "v1")
    capsys.readouterr()
    assert study(["copy", "mine", "twin"]) == 2
    assert (
        "error: --storage sqlite:///studies.db: Optuna's tables there aren't those that this "
        "version of hpo knows, so a study can't be copied whole."
    ) in capsys.readouterr().err


def test_one_study_is_shown(data: Data, capsys: pytest.CaptureFixture[str]) -> None:
    mine = finish(data, HERE, "mine")
    best = mine.stored.best()
    assert best is not None and best.outcome is not None
    capsys.readouterr()
    assert study(["show", "mine"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "study mine: 3 done of 3 configurations, complete"
    assert lines[2].startswith(f"best: trial {best.trial}, {best.outcome.value:.3f} (")
    assert lines[3:] == [
        "space: mine, micro_f1 (%), mean of 1 seed",
        f"data: {mine.stored.definition.dataset['data']}, 60 rows to train, image by "
        f"{mine.stored.definition.dataset['encoder']}",
        f"features: {mine.stored.definition.bundle}",
        "trials in sqlite:///studies.db: 3 (3 complete)",
        "results: none here; hpo run writes them",
        "model: none here; hpo run ends with it, or study.refit() in Python",
    ]
    mine.refit().save("runs/mine/model")
    mine.stored.results = Path("runs/mine")
    assert study(["show", "mine", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["model"] == str(Path("runs/mine/model").absolute())
    assert about["results"] == str(Path("runs/mine").absolute())
    assert about["trials"] == {"complete": 3}
    assert about["best"]["trial"] == best.trial
    assert about["space"] == mine.stored.space.model_dump(mode="json")
