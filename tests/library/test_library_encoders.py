"""A search that chooses among encoders, its tables, and models that read one or several."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_samples import CLASSES, arrays

import hpo
from hpo import predict
from hpo.report import write_report

TAIL = {"kind": "tail", "val_rows": 60}
FIXED = {"fusion": "sum", "hidden": [16], "lr": 0.01, "epochs": 8}
EMBEDDINGS, LABELS = arrays(240)


def noisy(seed: int) -> dict[str, np.ndarray]:
    """The embeddings with four times as much noise in them."""
    rng = np.random.default_rng(seed)
    return {name: x + 4 * rng.normal(size=x.shape) for name, x in EMBEDDINGS.items()}


SOURCES: dict[str, Mapping[str, Any]] = {"noisy": noisy(1), "good": EMBEDDINGS}


@pytest.fixture
def data(tmp_path: Path) -> hpo.Data:
    return hpo.load_data(features=SOURCES, labels=LABELS, classes=CLASSES, cache=tmp_path / "cache")


def space_of(**search: Any) -> dict[str, Any]:
    return {"name": "s", "seeds": 1, "split": TAIL, "fixed": FIXED, "search": search}


def studied(data: hpo.Data, folder: Path, space: Any, **settings: Any) -> hpo.Study:
    study = hpo.create_study(
        data, space, storage=f"sqlite:///{folder / 'studies.db'}", settings=settings
    )
    assert study.optimize(workers=1, progress=False)
    return study


def test_a_greedy_study_chooses_the_better_encoder(data: hpo.Data, tmp_path: Path) -> None:
    space = space_of(
        kind="greedy", stages=[{"name": "fusion", "params": {"fusion": ["image", "sum"]}}]
    )
    study = studied(data, tmp_path, space)
    assert [stage.name for stage in study.stored.space.search.stages] == ["fusion", "encoder"]
    assert "good" in str(study.best_config.encoder)
    scores = study.leaderboard().set_index("encoder")["score"]
    assert scores["good"] > scores["noisy"].max() + 5
    # the heads of a source are the runs that a study with it alone has
    again = hpo.load_data(
        features=EMBEDDINGS, labels=LABELS, classes=CLASSES, cache=tmp_path / "cache"
    )
    single = hpo.create_study(again, space, name="one", storage=f"sqlite:///{tmp_path / 'one.db'}")
    assert single.optimize(workers=1, progress=False)
    trained = single.leaderboard().set_index("fusion")["epochs_trained"]
    assert (trained["sum"], trained["image"]) == (0, 0)


@pytest.mark.parametrize("kind", ["optuna", "promote"])
def test_a_sampled_study_chooses_among_what_its_space_names(
    data: hpo.Data, tmp_path: Path, kind: str
) -> None:
    choices = ["noisy", {"image": "good", "text": "noisy"}, "good"]
    space = space_of(
        kind=kind,
        trials=9,
        sampler={"name": "RandomSampler"},
        params={"encoder": {"choices": choices}, "lr": {"low": 0.005, "high": 0.02}},
    )
    study = studied(data, tmp_path, space)
    tried = set(study.leaderboard()["encoder"])
    assert tried == {"noisy", "image=good,text=noisy", "good"}
    assert study.best_config.encoder == "good"
    assert study.optuna.best_trial.params["encoder"] == "good"


def test_an_ensemble_reads_one_choice_of_encoders(data: hpo.Data, tmp_path: Path) -> None:
    from hpo.results import select_ensemble

    stages = [
        {"name": "encoder", "params": {"encoder": ["noisy", "good"]}},
        {"name": "rate", "params": {"lr": [0.01, 0.02, 0.03]}},
    ]
    space = {**space_of(kind="greedy", stages=stages), "ensemble": {"neighbours": True}}
    study = studied(data, tmp_path, space)
    tasks = study.stored.tasks()
    selection = select_ensemble(study.stored, study.best_task, tasks, "cpu")
    assert selection is not None
    assert len(tasks) == 4
    assert selection.looked_at == 3 + 1  # with the good encoder, and a vote of its neighbours


def test_another_choice_is_another_study(data: hpo.Data, tmp_path: Path) -> None:
    space = space_of(kind="greedy", stages=[{"name": "rate", "params": {"lr": [0.01]}}])
    studied(data, tmp_path, space, encoder="good")
    with pytest.raises(hpo.InputError, match=r"fixed.encoder: 'good' there, 'noisy' here"):
        studied(data, tmp_path, space, encoder="noisy")
    with pytest.raises(hpo.InputError, match=r"settings encoder=god: encoder is 'god', but there "):
        studied(data, tmp_path, space, encoder="god")


def test_a_space_that_names_encoders_needs_names(tmp_path: Path) -> None:
    data = hpo.load_data(features=EMBEDDINGS, labels=LABELS, classes=CLASSES, cache=tmp_path)
    space = space_of(kind="greedy", stages=[{"name": "e", "params": {"encoder": ["a", "b"]}}])
    with pytest.raises(hpo.InputError, match="The encoder is 'a', but these embeddings have no na"):
        hpo.create_study(data, space, storage=f"sqlite:///{tmp_path / 'studies.db'}")
    with pytest.raises(hpo.InputError, match="The encoder is 'a', but these embeddings have no na"):
        hpo.train(data, hpo.Config(encoder="a", epochs=1), seeds=1)


def test_train_and_fit_take_an_encoder(data: hpo.Data) -> None:
    config = hpo.Config(**{**FIXED, "encoder": "good"})
    scores = {
        encoder: hpo.train(data, config.replace(encoder=encoder), seeds=1, split=TAIL).score
        for encoder in (None, "noisy", "good")
    }
    assert scores[None] == scores["noisy"] < scores["good"]
    model = hpo.fit(data, config)
    expected = model.predict_proba(**EMBEDDINGS)
    one_each = {name: {"good": x} for name, x in EMBEDDINGS.items()}
    assert expected.equals(model.predict_proba(**one_each))


def test_a_model_asks_for_each_source_by_its_name(data: hpo.Data, tmp_path: Path) -> None:
    config = hpo.Config(**{**FIXED, "encoder": "image=good+noisy,text=good"})
    model = hpo.load_model(hpo.fit(data, config).save(tmp_path / "model"))
    image = {name: SOURCES[name]["image"] for name in ("good", "noisy")}
    text = SOURCES["good"]["text"]
    frame = model.predict_proba(image=image, text=text)
    assert ((frame.to_numpy() > 0.5) == LABELS).mean() > 0.7
    swapped = {"good": image["noisy"], "noisy": image["good"]}
    assert not frame.equals(model.predict_proba(image=swapped, text=text))
    for given, said in (
        ({"image": image["good"]}, r"several sources: image=\{'good': …, 'noisy': …\}"),
        ({"image": {"good": image["good"]}}, "there are no image of 'noisy' embeddings, but the"),
        (
            {"image": {**image, "nosy": text}},
            r"image has embeddings of 'nosy', which the model doesn't read \(did you mean 'noisy'",
        ),
        ({"image": {**image, "noisy": text}}, r"image of 'noisy' has shape \[240, 4\], but must"),
        ({"image": {**image, "noisy": image["noisy"][:9]}}, "numbers of rows: .*'noisy' 9, text"),
    ):
        with pytest.raises(hpo.InputError, match=said):
            model.predict_proba(**{"text": text, **given})
    with pytest.raises(
        hpo.InputError, match="imported embeddings called 'good', so that it can on"
    ):
        model.predict(images=["a.jpg"], captions=["a dog"])


def write_folders(folder: Path) -> None:
    (folder / "data").mkdir()
    lines = [f"{row}.jpg,caption" for row in range(len(LABELS))]
    (folder / "data" / "test.csv").write_text("\n".join(["ImageID,Caption", *lines]))
    for source, embeddings in SOURCES.items():
        (folder / source).mkdir()
        for name, array in embeddings.items():
            np.save(folder / source / f"{name}.npy", array.astype(np.float16))


def test_the_command_asks_for_each_source_by_its_name(
    data: hpo.Data,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_folders(tmp_path)
    monkeypatch.chdir(tmp_path)
    model = hpo.fit(data, hpo.Config(**{**FIXED, "encoder": "good+noisy"}))
    model.save("model")
    command = ["--model", "model", "--data", "data", "--devices", "cpu", "--probabilities", "p.csv"]
    assert predict.main([*command, "--features", "good=good", "--features", "noisy=noisy"]) == 0
    expected = model.predict_proba(
        **{name: {s: SOURCES[s][name] for s in SOURCES} for name in EMBEDDINGS}
    )
    found = np.loadtxt("p.csv", delimiter=",", skiprows=1, usecols=(1, 2, 3), dtype=np.float32)
    np.testing.assert_array_equal(found, expected.to_numpy())
    capsys.readouterr()
    for flags, said in (
        ([], "was trained on imported embeddings called good, noisy, so only --features good=DIR"),
        (["--features", "good=good"], "embeddings called noisy, so only --features noisy=DIR can"),
        (["--features", "good"], "the model reads several (good, noisy); say which, as in --feat"),
        (["--features", "god=good"], "names 'god', but the model reads good, noisy (did you mean"),
    ):
        assert predict.main([*command, *flags]) == 2
        assert said in capsys.readouterr().err


def test_tables_state_what_encoders_cost(data: hpo.Data, tmp_path: Path) -> None:
    """As of encoders that were measured; those of this data were not."""
    import dataclasses

    costs = {
        "noisy": {"widths": data.widths, "mb": 350.0, "images_per_s": 40.0},
        "good": {"widths": data.widths, "mb": 900.5, "images_per_s": 10.0},
    }
    description = {**data.description, "encoders": costs}
    measured = dataclasses.replace(data, description=description)
    space = space_of(kind="greedy", stages=[{"name": "rate", "params": {"lr": [0.01]}}])
    study = studied(measured, tmp_path, space)
    board = study.leaderboard().set_index("encoder")
    assert board.loc["good", ["images_per_s", "encoder_mb"]].tolist() == [10.0, 900.5]
    assert board.loc["noisy+good", ["images_per_s", "encoder_mb"]].tolist() == [8.0, 1250.5]
    write_report(study.stored, study.stored.tasks(), tmp_path / "report")
    text = (tmp_path / "report" / "tables.md").read_text().replace("**", "")
    assert " | images/s | encoder MB | note |" in text
    assert "| 8.0 | 1,250.5 |" in text
    header, *rows = (tmp_path / "report" / "tables.csv").read_text().splitlines()
    assert header.endswith(",note,model_mb,latency_ms,images_per_s,encoder_mb")
    assert any(row.endswith(",40.0,350.0") for row in rows)
    assert '<th class="number">images/s</th>' in (tmp_path / "report/index.html").read_text()

    from hpo.results import study_metrics

    metrics = study_metrics(study.stored, study.stored.tasks(), study.best_task)
    assert metrics["data"]["encoders"] == costs
    (stage, _) = metrics["stages"]
    assert [one["encoder_mb"] for one in stage["candidates"]] == [350.0, 900.5, 1250.5]
    assert metrics["best"]["encoder_mb"] in (900.5, 1250.5)
