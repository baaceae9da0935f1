"""``python -m hpo.predict``: the study's own predictions again, and what it refuses."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

import hpo
from hpo.features import resolve_encoder
from hpo.models import AssembledModel, Config
from hpo.predict import main
from hpo.report import finish_study
from hpo.training import TrainedModel, open_device

WIDTHS = {"image": 6, "text": 4}
CLASSES = ("cat", "dog", "traffic light")
SPACE = """
name: small
metric: micro_f1
seeds: 1
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.05, epochs: 12, batch_size: 1000, feature_scaling: standard}
search:
  kind: greedy
  stages: [{name: fusion, params: {fusion: [sum]}}]
refit: {rows: all}
"""


def write_embeddings(folder: Path, rows: int = 20, test_rows: int = 5) -> Path:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for ending, count in (("", rows), ("_test", test_rows)):
        for name, width in WIDTHS.items():
            array = rng.normal(size=(count, width)).astype(np.float32)
            np.save(folder / f"{name}{ending}.npy", array)
    return folder


def write_table(path: Path, ids: list[str], labels: list[str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "ImageID,Caption" if labels is None else "ImageID,Caption,Labels"
    cells = [""] * len(ids) if labels is None else [f",{label}" for label in labels]
    lines = [f"{i},a thing number {i}{cell}" for i, cell in zip(ids, cells, strict=True)]
    path.write_text("\n".join([head, *lines, ""]))


def write_model(
    folder: Path, fusion: str = "sum", encoder: str | None = None, **features: str
) -> TrainedModel:
    """A model with made-up weights, on imported embeddings or behind an encoder."""
    config = Config.model_validate({"fusion": fusion, "hidden": (8,), "feature_scaling": "none"})
    source = {"source": "import", "encoder": "", "weights_hash": "", "preprocessing": ""}
    widths = dict(WIDTHS)
    if encoder is not None:
        found = resolve_encoder(encoder, folder.parent / "cache")
        source = {
            "source": "open_clip",
            "encoder": found.name,
            "weights_hash": found.weights_hash,
            "preprocessing": found.preprocessing,
        }
        widths = dict.fromkeys(WIDTHS, int(found.config["embed_dim"]))
    kept = {name: widths[name] for name in ("image", "text") if fusion in (name, "sum")}
    module = AssembledModel(config, kept, len(CLASSES))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    model = TrainedModel(module, config, kept, CLASSES, (0.5, 0.4, 0.6), source | features, {})
    model.save(folder)
    return model


def write_images(folder: Path, count: int) -> list[str]:
    """A data folder with a test.csv of as many images; returns the ImageIDs."""
    ids = [f"{index}.png" for index in range(count)]
    write_table(folder / "test.csv", ids)
    (folder / "images").mkdir()
    rng = np.random.default_rng(2)
    for name in ids:
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((64, 64)).save(folder / "images" / name)
    return ids


def read(path: Path) -> list[list[str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """Runs the command in ``tmp_path`` and returns what it prints, or its error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0) -> str:
        shared = ["--model", "model", "--data", "data", "--devices", "cpu", "--cache", "cache"]
        assert main([*shared, *arguments]) == status
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return run


def test_same_bytes_as_the_study(tmp_path: Path, command: Callable[..., str]) -> None:
    """A study on imported embeddings, its model folder, and class names with blanks."""
    data, cache = tmp_path / "data", tmp_path / "study_cache"
    rng = np.random.default_rng(0)
    labels = rng.random((170, 3)) < [0.6, 0.4, 0.3]
    cells = ["".join(f"{CLASSES[k]};" for k in np.flatnonzero(row)) for row in labels]
    write_table(data / "train.csv", [f"{i}.jpg" for i in range(140)], cells[:140])
    write_table(data / "test.csv", [f"{i}.jpg" for i in range(140, 170)])
    (data / "embeddings").mkdir()
    for name, width in WIDTHS.items():
        noise = rng.normal(size=(170, width))
        array = (labels @ rng.normal(size=(3, width)) + noise).astype(np.float32)
        np.save(data / "embeddings" / f"{name}.npy", array[:140])
        np.save(data / "embeddings" / f"{name}_test.npy", array[140:])
    (tmp_path / "space.yaml").write_text(SPACE)
    found = hpo.load_data(data, features=data / "embeddings", cache=cache)
    space, storage = tmp_path / "space.yaml", f"sqlite:///{tmp_path / 'studies.db'}"
    study = hpo.create_study(found, space, storage=storage)
    assert study.optimize(workers=1, progress=False)
    out = tmp_path / "out"
    finish_study(study.stored, Console(file=io.StringIO()), out, "cpu", refit=True)

    printed = command("--model", "out/model", "--features", "data/embeddings", "--out", "p.csv")
    assert printed == (
        "predicted 30 rows of data/test.csv, 3 classes\n"
        "note: image_test.npy, text_test.npy: the order was taken on trust to be that of test.csv; "
        "it would be certain with the ImageIDs in test_ids.txt beside it, one a line\n"
        "  p.csv\n"
    )
    expected = (out / "predictions.csv").read_bytes()
    assert (tmp_path / "p.csv").read_bytes() == expected
    given = [row[1] for row in read(out / "predictions.csv")[1:]]
    assert len(set(given)) > 2, "the model must tell rows apart for this to mean something"
    assert all(cell in ("", *cells) or cell.endswith(";") for cell in given)


def test_probabilities_are_those_of_the_model(tmp_path: Path, command: Callable[..., str]) -> None:
    model = write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "train.csv", [f"{i}.jpg" for i in range(20)])
    folder = write_embeddings(tmp_path / "embeddings")
    command("--features", "embeddings", "--probabilities", "q.csv")
    arrays = {name: np.load(folder / f"{name}.npy").astype(np.float16) for name in WIDTHS}
    with torch.no_grad():
        logits = model.module.eval()({k: torch.from_numpy(v) for k, v in arrays.items()})
    expected = logits.sigmoid().numpy()
    header, *rows = read(tmp_path / "q.csv")
    assert header == ["ImageID", *CLASSES]
    written = np.array([row[1:] for row in rows], dtype=np.float32)
    np.testing.assert_allclose(written, expected, rtol=0, atol=1e-6)
    labels = [row[1] for row in read(tmp_path / "predictions.csv")[1:]]
    above = written > np.array([0.5, 0.4, 0.6])
    assert labels == ["".join(f"{CLASSES[k]};" for k in np.flatnonzero(row)) for row in above]


def test_test_rows_come_from_their_own_files_or_else_from_the_plain_ones(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    command("--features", "embeddings", "--probabilities", "q.csv")
    for name in WIDTHS:
        (folder / f"{name}_test.npy").replace(folder / f"{name}.npy")
    command("--features", "embeddings", "--probabilities", "r.csv")
    assert (tmp_path / "q.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()


def test_modality_that_the_model_does_not_read_is_not_needed(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    write_model(tmp_path / "model", fusion="text")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    (folder / "image_test.npy").unlink()
    (folder / "image.npy").write_text("no array")
    command("--features", "embeddings")
    assert len(read(tmp_path / "predictions.csv")) == 6


def test_a_model_is_looked_for_nearby(tmp_path: Path, command: Callable[..., str]) -> None:
    write_model(tmp_path / "model" / "model")
    write_table(tmp_path / "data" / "test.csv", ["0.jpg"])
    assert command(status=2) == (
        "error: model is no model folder: config.json: No such file or directory; there is one in "
        "model/model\n"
    )
    with pytest.raises(hpo.InputError, match=r"Not a directory; there is one in .*/model/model$"):
        hpo.load_model(tmp_path / "model" / "model" / "model.safetensors")


@pytest.mark.parametrize("flag", ["--out", "--probabilities"])
def test_predictions_are_csv(tmp_path: Path, command: Callable[..., str], flag: str) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    write_embeddings(tmp_path / "embeddings")
    assert command("--features", "embeddings", flag, "p.xlsx", status=2) == (
        f"error: {flag} is p.xlsx, but is written as CSV; name it so\n"
    )


def test_all_problems_of_the_embeddings_are_listed(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    image = np.zeros((4, 7), dtype=np.float32)
    image[2, 3] = np.nan
    np.save(folder / "image_test.npy", image)
    np.save(folder / "text_test.npy", np.zeros((5, 4), dtype=np.int64))
    assert command("--features", "embeddings", status=2) == (
        "error: The embeddings folder 'embeddings' can't be used:\n"
        "  image_test.npy has 4 rows, but test.csv has 5\n"
        "  image_test.npy is 7 wide, but the model reads 6\n"
        "  image_test.npy has NaN or infinity in row 2 (counted from 0)\n"
        "  text_test.npy is int64, but must be float16, float32, float64 or int8\n"
    )
    (folder / "text_test.npy").unlink()
    np.save(folder / "image_test.npy", np.zeros((5, 6), dtype=np.float32))
    assert command("--features", "embeddings", status=2) == (
        "error: The embeddings folder 'embeddings' can't be used:\n"
        "  there is no file text_test.npy, but the model reads text embeddings; the folder has "
        "image, text\n"
    )
    assert "there is no such folder" in command("--features", "absent", status=2)
    assert not (tmp_path / "predictions.csv").exists()


def test_pickled_embeddings_are_not_opened(tmp_path: Path, command: Callable[..., str]) -> None:
    write_model(tmp_path / "model", fusion="text")
    write_table(tmp_path / "data" / "test.csv", ["0.jpg"])
    folder = write_embeddings(tmp_path / "embeddings")
    np.save(folder / "text_test.npy", np.array([{}], dtype=object), allow_pickle=True)
    error = command("--features", "embeddings", status=2)
    assert "text_test.npy holds Python objects, which could run code when they are read" in error


def test_options_that_do_not_go_together(tmp_path: Path, command: Callable[..., str]) -> None:
    write_model(tmp_path / "model")
    (tmp_path / "folder").mkdir()
    assert command("--out", "folder", "--probabilities", "folder", status=2) == (
        "error: The model model was trained on imported embeddings, so only --features can tell "
        "what it is to read.\n"
        "--out folder is a folder, but must be a file\n"
        "--probabilities folder is a folder, but must be a file\n"
        "--out and --probabilities are both folder, but must differ\n"
    )
    assert command("--features", "e", "--encoder", "demo", status=2) == (
        "error: --features takes embeddings that exist, so it can't go with --encoder\n"
    )
    error = command("--model", "absent", "--features", "e", status=2)
    assert error.startswith("error: absent is no model folder: ")


@pytest.mark.parametrize("fusion", ["sum", "image", "text"])
def test_images_and_captions_go_through_the_models_encoder(
    tmp_path: Path, command: Callable[..., str], fusion: str
) -> None:
    from hpo.data import load_rows
    from hpo.features._model import Model

    model = write_model(tmp_path / "model", fusion, encoder="demo")
    write_images(tmp_path / "data", 4)
    if fusion == "text":
        (tmp_path / "data" / "images" / "3.png").unlink()
    command("--probabilities", "q.csv")

    encoder = Model(resolve_encoder("demo", tmp_path / "cache"), "cpu")
    inputs: dict[str, Any] = {}
    if fusion != "image":
        rows = load_rows(tmp_path / "data", images="ignore")
        inputs["text"] = encoder.encode_texts(rows.captions)
    if fusion != "text":
        paths = [tmp_path / "data" / "images" / f"{index}.png" for index in range(4)]
        inputs["image"] = encoder.encode_images(
            [encoder.prepare(path.read_bytes()) for path in paths]
        )
    encoded = {path.name for path in (tmp_path / "cache" / "encoded").glob("*/*")}
    assert encoded == set(inputs), "and no other modality"
    expected = model.probabilities(inputs, open_device("cpu"))
    assert 0.01 < expected.min() < expected.max() < 0.99, "saturated outputs would hide an error"
    written = np.array([row[1:] for row in read(tmp_path / "q.csv")[1:]], dtype=np.float32)
    np.testing.assert_allclose(written, expected, rtol=0, atol=1e-5)


def test_rows_with_bad_images_stay_without_labels(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    write_model(tmp_path / "model", encoder="demo")
    ids = write_images(tmp_path / "data", 9)
    command("--out", "whole.csv", "--probabilities", "whole_q.csv")
    for name in ids[1:8]:
        (tmp_path / "data" / "images" / name).write_bytes(b"no image")
    (tmp_path / "data" / "images" / ids[0]).unlink()
    assert command(status=2) == (
        "error: The data folder 'data' has problems:\n"
        "  test.csv line 2: image '0.png' is not in data/, images/ or the data folder itself\n"
    )
    assert command("--skip-bad-images", "--probabilities", "q.csv") == (
        "predicted 1 row of data/test.csv, 3 classes\n"
        "left without labels, as their image can't be read: 8 "
        "(0.png, 1.png, 2.png, 3.png, 4.png and 3 more)\n"
        "  predictions.csv\n  q.csv\n"
    )
    assert read(tmp_path / "predictions.csv") == [
        ["ImageID", "Labels"],
        *([image_id, ""] for image_id in ids[:8]),
        read(tmp_path / "whole.csv")[9],
    ]
    rows = read(tmp_path / "q.csv")
    assert rows[1:9] == [[image_id, "", "", ""] for image_id in ids[:8]]
    (tmp_path / "data" / "images" / ids[0]).write_bytes(b"no image")
    _, _, error = command(status=2).partition("error: ")
    assert error == (
        "Images can't be encoded; mend them, or leave their rows out with "
        "--skip-bad-images:\n"
        + "".join(
            f"  test.csv line {row + 2}: image 'images/{row}.png' is not an image that Pillow can "
            "read (8 bytes)\n"
            for row in range(8)
        )
    )
    # Other rows in the batch change the last bits of a product.
    whole = [float(cell) for cell in read(tmp_path / "whole_q.csv")[9][1:]]
    assert [float(cell) for cell in rows[9][1:]] == pytest.approx(whole, abs=1e-4)

    (tmp_path / "data" / "images" / ids[8]).unlink()
    _, _, error = command("--skip-bad-images", status=2).partition("error: ")
    assert error == (
        "Images can't be encoded:\n  none of the 9 rows of test.csv has an image to read\n"
    )


def test_another_encoder_is_refused(tmp_path: Path, command: Callable[..., str]) -> None:
    write_model(tmp_path / "model", encoder="demo", weights_hash="ab" * 32, preprocessing="none")
    write_images(tmp_path / "data", 1)
    here = resolve_encoder("demo", tmp_path / "cache")
    assert command(status=2) == (
        "error: The model model was trained with another encoder than 'demo':\n"
        f"  SHA-256 of the weights: '{'ab' * 32}' there, '{here.weights_hash}' here\n"
        f"  preprocessing: 'none' there, '{here.preprocessing}' here\n"
    )


def test_encoder_that_moved_is_found_with_an_option(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    write_model(tmp_path / "model", encoder="demo")
    write_images(tmp_path / "data", 2)
    command("--out", "expected.csv")
    about = json.loads((tmp_path / "model" / "config.json").read_text())
    about["features"]["encoder"] = "/elsewhere/checkpoint"
    del about["checksum"]
    (tmp_path / "model" / "config.json").write_text(json.dumps(about))
    assert re.match(
        r"error: encoder '/elsewhere/checkpoint' is neither a folder nor a model of open_clip"
        r"[\s\S]*\nThe model model reads embeddings of it; say where it is with --encoder\.\n$",
        command(status=2),
    )
    command("--encoder", "demo")
    assert (tmp_path / "predictions.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_embeddings_are_put_in_the_order_of_the_rows(
    tmp_path: Path, command: Callable[..., str]
) -> None:
    """What lies beside the arrays says which rows they are of; one that isn't there lacks it."""
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    command("--features", "embeddings", "--probabilities", "q.csv")
    order = [3, 1, 4, 0, 2]
    for name in WIDTHS:
        path = folder / f"{name}_test.npy"
        np.save(path, np.load(path)[order])
    (folder / "test_ids.txt").write_text("".join(f"/d/{i}.jpg\n" for i in order))
    printed = command("--features", "embeddings", "--probabilities", "r.csv")
    assert "in the order of test.csv by test_ids.txt" in printed
    assert (tmp_path / "q.csv").read_bytes() == (tmp_path / "r.csv").read_bytes()
    (folder / "test_ids.txt").write_text("0\n1\n2\n3\n9\n")
    assert "test_ids.txt has no row for the ImageIDs '4.jpg'" in command(
        "--features", "embeddings", status=2
    )
