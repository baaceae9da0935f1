"""Parts of a user's own from the command line: found, recorded, shown, demanded."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from plugin_samples import MODULE, write_files

pytestmark = pytest.mark.slow

RUN = ["run", "--study=mine", "--space=mine.yaml", "--data=data", "--features=data"]
PARTS = (
    "the metric 'exact' of the module my_parts",
    "the fusion 'mean' of the module my_parts",
    "the head 'flat' of the module my_parts",
    "the loss 'squared' of the module my_parts",
)


def command(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run ``hpo`` as the installed command does, without the working folder on the path."""
    code = "import sys; sys.path.remove(''); from hpo.__main__ import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={**os.environ, "HPO_STORAGE": "sqlite:///studies.db"},
        capture_output=True,
        text=True,
        timeout=250,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the finished study, and what the run printed."""
    folder = write_files(tmp_path_factory.mktemp("plugins"))
    done = command(folder, *RUN, "--plugin=my_parts", "--workers=2")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return folder, done.stdout


def test_the_metric_is_the_objective_everywhere(finished: tuple[Path, str]) -> None:
    folder, printed = finished
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder / 'studies.db'}")
    best = study.best_trial
    assert 0 < best.value <= 1
    assert study.metric_names == ["exact"]
    assert study.user_attrs["metric"] == "exact"
    for trial in study.trials:
        assert trial.user_attrs["metrics"]["exact"] == pytest.approx(trial.value)
        assert list(trial.user_attrs["metrics"])[-1] == "exact"
        assert trial.intermediate_values[5] == pytest.approx(trial.value)
    report = folder / "runs" / "mine" / "report"
    assert (
        "| candidate | exact | trial | MB | ms a row | note |" in (report / "tables.md").read_text()
    )
    page = (report / "index.html").read_text()
    assert ">exact</th>" in page
    assert "exact at the last epoch" in page and "percent" not in page
    with (report / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["metrics_exact"]) for row in rows] == [
        trial.user_attrs["metrics"]["exact"] for trial in study.trials
    ]
    metrics = json.loads((folder / "runs" / "mine" / "metrics.json").read_text())
    assert metrics["metric"] == "exact"
    assert metrics["best"]["value"] == best.value
    assert f"best: trial {metrics['best']['trial']}, exact {best.value:.3f} ± " in printed
    assert metrics["best"]["metrics"]["exact"] == pytest.approx(metrics["best"]["value"])


def test_the_parameter_of_a_loss_is_one_of_the_study(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    study = optuna.load_study(study_name="mine", storage=f"sqlite:///{folder / 'studies.db'}")
    weights = [trial.params.get("squared.weight") for trial in study.trials]
    losses = [trial.params["loss"] for trial in study.trials]
    assert {loss for loss, weight in zip(losses, weights, strict=True) if weight} == {"squared"}


@pytest.mark.parametrize("verb", ["worker", "report", "replay"])
def test_a_command_without_the_module_says_what_it_lacks(
    finished: tuple[Path, str], verb: str
) -> None:
    folder, _ = finished
    more = ["--trial=0"] if verb == "replay" else []
    done = command(folder, verb, "--study=mine", *more)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert lines[0] == "error: The study 'mine' can't be worked on by this process:"
    assert len(lines) == 1 + len(PARTS)
    for part in PARTS:
        assert any(f"  {part} is not here; " in line for line in lines)
        assert "--plugin my_parts" in done.stderr
    done = command(folder, verb, "--study=mine", "--plugin=my_parts", *more)
    assert done.returncode == 0, done.stderr


def test_another_version_of_the_module_is_refused(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    other = folder / "other" / "my_parts.py"
    other.parent.mkdir()
    other.write_text(MODULE.replace("weight *", "2 * weight *"))
    for verb in ("worker", "report"):
        done = command(folder, verb, "--study=mine", f"--plugin={other}")
        assert done.returncode == 2
        for part in PARTS:
            assert re.search(
                f"{part} is another version here: its SHA-256 is [0-9a-f]{{12}}, but must be "
                "[0-9a-f]{12}",
                done.stderr,
            )
    done = command(folder, *RUN, f"--plugin={other}")
    assert done.returncode == 2
    assert "is another version here" in done.stderr


def test_a_model_names_the_parts_that_it_needs(finished: tuple[Path, str]) -> None:
    folder, _ = finished
    config = json.loads((folder / "runs" / "mine" / "model" / "config.json").read_text())
    needed = {(plugin["kind"], plugin["name"]) for plugin in config["plugins"]}
    assert ("fusion", "mean") in needed
    predict = ["predict", "--model=runs/mine/model", "--data=data", "--features=data"]
    done = command(folder, *predict)
    assert done.returncode == 2
    for kind, name in needed:
        assert f"the {kind} '{name}' of the module my_parts is not here; make" in done.stderr
    assert "--plugin my_parts" in done.stderr
    assert "Traceback" not in done.stderr
    done = command(folder, *predict, "--plugin=my_parts.py", "--out=again.csv")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    written = (folder / "runs" / "mine" / "predictions.csv").read_bytes()
    assert (folder / "again.csv").read_bytes() == written
    other = folder / "changed" / "my_parts.py"
    other.parent.mkdir()
    other.write_text(MODULE + "\n# a remark\n")
    done = command(folder, *predict, f"--plugin={other}", "--out=again.csv")
    assert done.returncode == 0, done.stderr
    assert "was trained with another version of the fusion 'mean' of the module my_p" in done.stderr


def test_plugins_that_can_not_be_imported_are_all_named(tmp_path: Path) -> None:
    folder = write_files(tmp_path)
    (folder / "broken.py").write_text("1 / 0\n")
    done = command(folder, *RUN, "--plugin=absent", "--plugin=broken", "--plugin=gone.py")
    assert done.returncode == 2
    assert "--plugin gone.py: there is no such Python file." in done.stderr
    done = command(folder, *RUN, "--plugin=absent", "--plugin=broken")
    assert "--plugin absent: can't be imported: ModuleNotFoundError: No module" in done.stderr
    assert "--plugin broken: can't be imported: ZeroDivisionError: division by zero." in done.stderr
    assert not (folder / "studies.db").exists()
    done = command(folder, *RUN)
    assert done.returncode == 2
    assert "metric is 'exact'" in done.stderr
