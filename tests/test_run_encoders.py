"""``hpo run`` with several encoders or several sets of embeddings, and prediction behind them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo import predict, run

SPACE = """\
name: small
seeds: 1
split: {kind: tail, val_rows: 10}
fixed: {fusion: concat, hidden: [8], epochs: 3, lr: 0.01}
search:
  kind: greedy
  stages:
    - {name: rate, params: {lr: [0.01, 0.02]}}
"""
ROWS = 40


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with images, two sets of embeddings, and a space; the working folder."""
    (tmp_path / "data").mkdir()
    rng = np.random.default_rng(0)
    labels = [1 + int(row % 3 > 0) for row in range(ROWS)]
    train = [f"{row}.png,{label},picture of {label}" for row, label in enumerate(labels)]
    (tmp_path / "data/train.csv").write_text("\n".join(["ImageID,Labels,Caption", *train]))
    (tmp_path / "data/test.csv").write_text("ImageID,Caption\nnew.png,picture of 2\n")
    for name in ("new", *range(ROWS)):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(tmp_path / f"data/{name}.png")
    for name, noise in (("good", 0.3), ("bad", 9)):
        (tmp_path / name).mkdir()
        for modality, width in (("image", 5), ("text", 4)):
            signal = np.outer(labels, np.ones(width)) - 1.6
            values = signal + noise * rng.normal(size=signal.shape)
            np.save(tmp_path / name / f"{modality}.npy", values.astype(np.float32))
            np.save(tmp_path / name / f"{modality}_test.npy", values[:1].astype(np.float32))
    (tmp_path / "space.yaml").write_text(SPACE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_study(*arguments: str, status: int = 0) -> None:
    common = ["--study", "s", "--space", "space.yaml", "--data", "data", "--devices", "cpu"]
    assert run.main([*common, "--workers", "1", *arguments]) == status


def test_several_sets_of_embeddings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_study("--features", "bad=bad", "--features", "good=good")
    printed = capsys.readouterr().out
    assert "features bad · image 5, text 4\nfeatures good · image 5, text 4\n" in printed
    assert "encoder bad+good" in printed
    metrics = json.loads((folder / "runs/s/metrics.json").read_text())
    assert "good" in metrics["best"]["config"]["encoder"]
    assert (folder / "runs/s/predictions.csv").read_text().startswith("ImageID,Labels\nnew.png,")
    run_study("--features", "bad=bad", "--features", "good=good")  # goes on with the same study
    run_study("--features", "good=good", "--features", "bad=bad", status=2)
    assert "is a different one" in capsys.readouterr().err


def test_encoders_that_the_space_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The demo's encoder from two places is two encoders with the same weights."""
    from hpo.features import resolve_encoder

    place = resolve_encoder("demo", folder / ".hpo").weights.parent
    (folder / "clip").symlink_to(place)
    choices = "[demo, clip, {image: demo, text: clip}, demo+clip]"
    text = SPACE.replace("lr: [0.01, 0.02]", f"encoder: {choices}")
    (folder / "space.yaml").write_text(text)
    run_study()
    printed = capsys.readouterr().out
    for name in ("demo", "clip"):
        assert f"features {name} · image 64, text 64 · " in printed
    assert printed.count("images a second (cpu)") == 2
    metrics = json.loads((folder / "runs/s/metrics.json").read_text())
    (stage,) = metrics["stages"]
    one, two, mixed, both = stage["candidates"]
    assert one["value"] == two["value"] == mixed["value"]
    assert one["encoder_mb"] > 0
    assert both["encoder_mb"] == pytest.approx(2 * one["encoder_mb"], abs=0.1)
    assert both["images_per_s"] < one["images_per_s"]

    predicted = ["--model", "runs/s/model", "--data", "data", "--devices", "cpu"]
    assert predict.main([*predicted, "--out", "p.csv"]) == 0
    assert (folder / "p.csv").read_text() == (folder / "runs/s/predictions.csv").read_text()


def test_a_model_behind_two_encoders_and_imported_embeddings(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_study(
        *("--features", "good=good", "--encoder", "demo=demo"),
        *("--set", "encoder=good+demo", "--seeds", "1"),
    )
    about = json.loads((folder / "runs/s/model/config.json").read_text())
    parts = about["features"]["parts"]
    assert [(p["name"], p["width"], p["source"]) for p in parts["image"]] == [
        ("good", 5, "import"),
        ("demo", 64, "open_clip"),
    ]
    predicted = ["--model", "runs/s/model", "--data", "data", "--devices", "cpu"]
    assert predict.main([*predicted, "--out", "p.csv"]) == 2
    assert "imported embeddings called good, so only --features good=DIR can tell" in (
        capsys.readouterr().err
    )
    assert predict.main([*predicted, "--out", "p.csv", "--features", "good=good"]) == 0
    assert (folder / "p.csv").read_text() == (folder / "runs/s/predictions.csv").read_text()

    import hpo

    model = hpo.load_model("runs/s/model")
    given = {
        name: {"good": np.load(folder / f"good/{name}_test.npy")} for name in ("image", "text")
    }
    frame = model.predict_proba(images=["data/new.png"], captions=["picture of 2"], **given)
    assert frame.shape == (1, 2)
    with pytest.raises(hpo.InputError, match="no text embeddings of 'good', but its others"):
        model.predict(images=["data/0.png"], captions=["picture of 2"], image=given["image"])
    with pytest.raises(hpo.InputError, match="embeddings have 1, 2 rows"):
        model.predict(images=["data/0.png"] * 2, captions=["picture of 2"] * 2, **given)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--features", "good=good", "--set", "encoder=god"],
            "--set encoder=god: encoder is 'god'",
        ),
        (
            ["--features", "good", "--set", "encoder=good"],
            "these embeddings have no name to choose",
        ),
        (["--features", "good", "--features", "bad"], "--features NAME=good"),
        (["--features", "a=good", "--features", "b=none"], "none' can't be used"),
        (["--encoder", "a=demo", "--encoder", "b=none"], "b: encoder 'none' is neither a folder"),
    ],
)
def test_mistakes_are_found_before_any_work(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    run_study(*arguments, status=2)
    assert said in capsys.readouterr().err
    assert not (folder / ".hpo/features").exists()
    assert not (folder / "studies.db").exists()
