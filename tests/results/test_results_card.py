"""The model card: Hugging Face reads it, and it says what is stored and nothing else."""

import json
from importlib import metadata
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from rich.console import Console

import hpo
from hpo.check import main as check
from hpo.report import finish_study
from hpo.results import model_card, write_card
from hpo.results._card_markdown import escaped

CLASSES = ("a|b", "*star*_x_", "<img src=x onerror=alert(1)>", "www.example.org `code` [l](u)\n# h")
SPACE = {
    "name": "tiny",
    "seeds": 1,
    "split": {"kind": "tail", "val_rows": 60, "test_rows": 40},
    "thresholds": {"metrics": ["micro_f1", "macro_f1"]},
    "calibrate": True,
    "fixed": {"hidden": [8], "epochs": 12, "lr": 0.05, "batch_size": 1000},
    "search": {"kind": "greedy", "stages": [{"name": "f", "params": {"fusion": ["sum"]}}]},
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> hpo.Study:
    folder = tmp_path_factory.mktemp("card")
    rng = np.random.default_rng(0)
    labels = (rng.random((300, 4)) < [0.5, 0.4, 0.3, 0.03]).astype(np.int64)
    embeddings = {
        name: labels @ rng.normal(size=(4, 8)) + rng.normal(size=(300, 8))
        for name in ("image", "text")
    }
    data = hpo.load_data(
        features=embeddings, labels=labels, classes=CLASSES, cache=folder / ".hpo", progress=False
    )
    study = hpo.create_study(data, SPACE, storage=f"sqlite:///{folder / 'studies.db'}")
    assert study.optimize(workers=1, progress=False)
    return study


@pytest.fixture(scope="module")
def out(study: hpo.Study, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``hpo run`` leaves."""
    folder = tmp_path_factory.mktemp("out")
    finish_study(study.stored, Console(quiet=True), folder, "cpu", refit=True)
    return folder


def shown(text: str) -> list[list[str]]:
    """The cells of all tables as a reader sees them, row by row."""
    rows: list[list[str]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        if token.type == "tr_open":
            rows.append([])
        if token.type == "inline" and token.level >= 4 and rows:
            assert all(c.type in ("text", "text_special") for c in token.children or ())
            rows[-1].append("".join(c.content for c in token.children or ()))
    return rows


def test_the_hub_reads_its_header(out: Path) -> None:
    card = ModelCard.load(out / "model" / "README.md")
    written = json.loads((out / "metrics.json").read_text())
    assert card.data.library_name == "hpo"
    assert card.data.pipeline_tag == "image-classification"
    assert card.data.license == "unknown"
    assert card.data.model_name == "tiny"
    found = {
        (one.dataset_split, one.metric_name): one.metric_value for one in card.data.eval_results
    }
    assert len(found) == 6
    for part, scores in (
        ("validation", written["judged"]["validation_tuned"]),
        ("test", written["test"]),
    ):
        value = scores["micro_f1"]["value"]
        assert found[part, "micro-F1"] == pytest.approx(value / 100, abs=1e-5)
    assert card.data.eval_results[0].metric_type == "f1"


def test_it_shows_what_is_stored(out: Path, study: hpo.Study) -> None:
    text = (out / "model" / "README.md").read_text(encoding="utf-8")
    written = json.loads((out / "metrics.json").read_text())
    rows = shown(text)
    score = written["test"]["macro_f1"]
    expected = f"{score['value']:.2f} ({score['low']:.2f} to {score['high']:.2f})"
    assert ["test", "chosen"] in [row[:2] for row in rows if row[3:4] == [expected]]
    assert ["training", "200"] in rows
    thresholds = json.loads((out / "model" / "config.json").read_text())["thresholds"]
    labels = study.stored.definition.bundle
    for k, (name, scores) in enumerate(written["classes"]["test"].items()):
        (row,) = [row for row in rows if row[0] == " ".join(name.split())]
        assert row[1] == f"{thresholds[k]:.4f}"
        assert row[3:] == [
            *(f"{scores[key]:.2f}" for key in ("precision", "recall", "f1")),
            str(scores["support"]),
        ]
    assert labels.name not in text  # nothing of this machine's places
    assert "Classes with fewer than 20 rows to train on: www\\.example\\.org" in text
    assert "model.predict(image=image_embeddings, text=text_embeddings)" in text


def test_names_look_like_themselves() -> None:
    for name in (
        *CLASSES,
        "~~gone~~",
        "&lt;b&gt;",
        "$x$",
        ":smile:",
        "@you",
        "1. one",
        "\\",
        "é_ü",
    ):
        rows = shown(f"| a |\n| --- |\n| {escaped(name)} |\n")
        assert rows == [["a"], [" ".join(name.split())]]


def test_it_is_the_same_twice_and_nobody_trips_over_it(
    out: Path, study: hpo.Study, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    finish_study(study.stored, Console(quiet=True), again, "cpu", refit=True)
    for name in ("README.md", "model.safetensors", "config.json"):
        assert (again / "model" / name).read_bytes() == (out / "model" / name).read_bytes()
    assert check(["--cache", str(tmp_path), "--model", str(out / "model")]) == 0
    # One that was deleted is written again, although nothing else is.
    (again / "model" / "README.md").unlink()
    finish_study(study.stored, Console(quiet=True), again, "cpu", refit=True)
    assert (again / "model" / "README.md").is_file()


def test_what_people_said_of_the_licence_is_kept(out: Path, tmp_path: Path) -> None:
    card = (out / "model" / "README.md").read_text(encoding="utf-8")
    filled = card.replace("license: unknown", "license: other\nlicense_name: ours")
    (tmp_path / "README.md").write_text(filled, encoding="utf-8")
    write_card(tmp_path, card)
    read = ModelCard.load(tmp_path / "README.md").data
    assert (read.license, read["license_name"]) == ("other", "ours")
    assert read.model_name == "tiny"


def test_from_python(study: hpo.Study, out: Path, tmp_path: Path) -> None:
    model = study.refit()
    best = study.stored.tasks()[0].outcome
    assert best is not None
    micro = best.metrics["micro_f1"]
    assert f"micro-F1 {micro:.2f}" in model.card
    folder = model.save(tmp_path / "mine")
    assert (folder / "README.md").read_text(encoding="utf-8") == model.card
    # What was loaded is kept with the card that it had.
    loaded = hpo.load_model(out / "model")
    loaded.save(tmp_path / "copy")
    for name in ("README.md", "model.safetensors", "config.json"):
        assert (tmp_path / "copy" / name).read_bytes() == (out / "model" / name).read_bytes()


def test_of_a_model_of_which_little_is_known(out: Path) -> None:
    card = ModelCard(model_card(hpo.load_model(out / "model").trained))
    assert card.data.eval_results is None
    assert "None are stored with this model." in card.content


def test_it_is_written_where_hpo_is_not_installed(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a copy of the repository, after ``python -m hpo.run``."""

    def version(name: str) -> str:
        if name == "hpo":
            raise PackageNotFoundError(name)
        return installed(name)

    installed = metadata.version
    monkeypatch.setattr(metadata, "version", version)
    assert ["hpo", "from source"] in shown(model_card(hpo.load_model(out / "model").trained))
