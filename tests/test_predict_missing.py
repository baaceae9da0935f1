"""``hpo predict --missing``: rows without an image, a caption or an embedding."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from test_predict import WIDTHS, read, write_embeddings, write_images, write_model, write_table

import hpo
from hpo.predict import main


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[str, str]]:
    """Runs the command in ``tmp_path`` and returns what it prints, and its errors."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, status: int = 0) -> tuple[str, str]:
        shared = ["--model", "model", "--data", "data", "--devices", "cpu", "--cache", "cache"]
        assert main([*shared, "--probabilities", "q.csv", *arguments]) == status
        return capfd.readouterr()

    return run


def probabilities(folder: Path) -> np.ndarray:
    cells = [row[1:] for row in read(folder / "q.csv")[1:]]
    return np.array([[cell or "nan" for cell in row] for row in cells], dtype=np.float32)


def test_rows_of_nan(tmp_path: Path, command: Callable[..., tuple[str, str]]) -> None:
    model = write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    image = np.load(folder / "image_test.npy")
    image[1:3] = np.nan
    np.save(folder / "image_test.npy", image)
    _, error = command("--features", "embeddings", status=2)
    assert "image_test.npy has NaN or infinity in rows 1, 2 (counted from 0)" in error
    printed, error = command("--features", "embeddings", "--missing", "image")
    assert printed == (
        "predicted 5 rows of data/test.csv, 3 classes\n"
        "lacking image: 2 rows, predicted without it\n"
        "note: image_test.npy, text_test.npy: the order was taken on trust to be that of test.csv; "
        "it would be certain with the ImageIDs in test_ids.txt beside it, one a line\n"
        "  predictions.csv\n  q.csv\n"
    )
    assert "Rows lack what the model reads (image 2), and it was trained without modal" in error
    text = np.load(folder / "text_test.npy").astype(np.float16)
    half = image.astype(np.float16)
    half[1:3] = 0  # this model scales nothing
    from hpo.training import open_device

    expected = model.probabilities({"image": half, "text": text}, open_device("cpu"))
    np.testing.assert_allclose(probabilities(tmp_path), expected, atol=1e-6)


def test_rows_without_an_embedding_stay_without_labels(
    tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    command("--features", "embeddings")
    whole = probabilities(tmp_path)
    image = np.load(folder / "image_test.npy")
    image[1] = np.nan
    np.save(folder / "image_test.npy", image)
    np.save(folder / "text_test.npy", np.load(folder / "text_test.npy")[1:])
    (folder / "text_test_ids.txt").write_text("\n".join(f"{i}.jpg" for i in range(1, 5)))
    _, error = command("--features", "embeddings", status=2)
    assert "--skip-bad-images leaves rows without embeddings out" in error
    printed, _ = command("--features", "embeddings", "--skip-bad-images")
    assert "predicted 3 rows" in printed
    assert "left without labels, as they have no embedding: 2 (0.jpg, 1.jpg)" in printed
    found = probabilities(tmp_path)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), [True, True, False, False, False])
    np.testing.assert_array_equal(found[2:], whole[2:])
    (folder / "text_test.npy").unlink()
    (folder / "text_test_ids.txt").unlink()
    _, error = command("--features", "embeddings", "--skip-bad-images", status=2)
    assert "there is no file text_test.npy" in error


def test_doubts_about_embeddings_to_predict_from(
    tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    np.save(folder / "image_test.npy", np.ones((5, 6), np.int8))
    np.save(folder / "text_test.npy", np.zeros((5, 4), np.float16))
    _, error = command("--features", "embeddings", "--strict", status=2)
    assert "image_test.npy is int8, and taken as embeddings that were quantised" in error
    assert "text_test.npy has only zeros in rows 0, 1, 2, 3, 4 (counted from 0)" in error


def test_a_file_that_is_not_there_is_a_row_of_nan_for_all(
    tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    np.save(folder / "text_test.npy", np.full((5, WIDTHS["text"]), np.nan, np.float32))
    command("--features", "embeddings", "--missing", "text")
    expected = probabilities(tmp_path)
    (folder / "text_test.npy").unlink()
    _, error = command("--features", "embeddings", status=2)
    assert "there is no file text_test.npy" in error
    printed, _ = command("--features", "embeddings", "--missing", "text")
    assert "lacking text: 5 rows, predicted without it\n" in printed
    np.testing.assert_array_equal(probabilities(tmp_path), expected)


def test_rows_that_lack_everything(tmp_path: Path, command: Callable[..., tuple[str, str]]) -> None:
    write_model(tmp_path / "model")
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(5)])
    folder = write_embeddings(tmp_path / "embeddings")
    for name in WIDTHS:
        array = np.load(folder / f"{name}_test.npy")
        array[3] = np.nan
        np.save(folder / f"{name}_test.npy", array)
    _, error = command("--features", "embeddings", "--missing", "image,text", status=2)
    assert error == (
        "error: Rows can't be predicted:\n"
        "  test.csv line 5 lacks all that the model reads (image, text), but must have some of "
        "it\n"
    )
    array[3, 0] = 1  # NaN in part is still an error
    np.save(folder / "text_test.npy", array)
    _, error = command("--features", "embeddings", "--missing", "image,text", status=2)
    assert "text_test.npy has NaN or infinity in row 3" in error


@pytest.mark.parametrize(
    ("fusion", "missing", "said"),
    [
        ("sum", "audio", "--missing is audio, but must be of several modalities that the model"),
        ("image", "image", "must be of several modalities that the model reads; it reads image"),
    ],
)
def test_what_may_be_missing(
    tmp_path: Path,
    command: Callable[..., tuple[str, str]],
    fusion: str,
    missing: str,
    said: str,
) -> None:
    write_model(tmp_path / "model", fusion)
    _, error = command("--features", "embeddings", "--missing", missing, status=2)
    assert said in error


def test_no_image_file_and_an_empty_caption(
    tmp_path: Path, command: Callable[..., tuple[str, str]]
) -> None:
    model = write_model(tmp_path / "model", encoder="demo")
    ids = write_images(tmp_path / "data", 6)
    command()
    whole = probabilities(tmp_path)
    table = tmp_path / "data" / "test.csv"
    table.write_text(table.read_text().replace("2.png,a thing number 2.png", "2.png, "))
    for name in (ids[0], ids[4]):
        (tmp_path / "data" / "images" / name).unlink()
    _, error = command("--missing", "text", status=2)
    assert "test.csv line 2: image '0.png' is not in data/, images/" in error
    printed, _ = command("--missing", "text,image")
    assert printed == (
        "predicted 6 rows of data/test.csv, 3 classes\n"
        "lacking image: 2 rows, predicted without it\n"
        "lacking text: 1 row, predicted without it\n"
        "note: test.csv: 1 of 6 rows have no caption\n"
        "  predictions.csv\n  q.csv\n"
    )
    found = probabilities(tmp_path)
    np.testing.assert_allclose(found[[1, 3, 5]], whole[[1, 3, 5]], atol=1e-4)
    assert np.isfinite(found).all()
    assert (np.abs(found[[0, 2, 4]] - whole[[0, 2, 4]]).max(axis=1) > 1e-3).all()
    # Without --missing text, a blank caption is a caption like any other.
    printed, _ = command("--missing", "image")
    assert "lacking text" not in printed
    assert not np.array_equal(probabilities(tmp_path)[2], found[2])
    # A damaged image is not a missing one.
    (tmp_path / "data" / "images" / ids[3]).write_bytes(b"no image")
    _, error = command("--missing", "text,image", status=2)
    assert "test.csv line 5: image 'images/3.png' is not an image" in error
    printed, _ = command("--missing", "text,image", "--skip-bad-images")
    assert "predicted 5 rows" in printed
    assert "left without labels, as their image can't be read: 1 (3.png)\n" in printed
    skipped = probabilities(tmp_path)
    assert np.isnan(skipped[3]).all()
    np.testing.assert_allclose(np.delete(skipped, 3, 0), np.delete(found, 3, 0), atol=1e-4)
    assert model.modalities == ("image", "text")


def test_no_images_at_all(tmp_path: Path, command: Callable[..., tuple[str, str]]) -> None:
    write_model(tmp_path / "model", encoder="demo")
    write_table(tmp_path / "data" / "test.csv", ["a", "b"])
    printed, _ = command("--missing", "image")
    assert "lacking image: 2 rows, predicted without it\n" in printed
    assert np.isfinite(probabilities(tmp_path)).all()


def test_embeddings_of_another_length_than_at_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_embeddings(tmp_path / "emb", rows=100, test_rows=40)
    labels = [("cat", "dog")[index % 2] for index in range(100)]
    write_table(tmp_path / "data" / "train.csv", [f"{i}.jpg" for i in range(100)], labels)
    write_table(tmp_path / "data" / "test.csv", [f"{i}.jpg" for i in range(100, 140)])
    data = hpo.load_data("data", features="emb", cache="cache", progress=False)
    hpo.fit(data, hpo.Config(fusion="sum", hidden=(4,), epochs=1)).save("model")
    arguments = ["--model", "model", "--data", "data", "--features", "emb", "--devices", "cpu"]
    assert main(arguments) == 0
    assert "times as long" not in capsys.readouterr().out
    np.save("emb/image_test.npy", 5 * np.load("emb/image_test.npy"))
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert re.search(r"note: the image embeddings are (4|5)\.\d+ times as long as those", printed)
    assert main([*arguments, "--strict", "--out", "strict.csv"]) == 2
    assert "times as long as those that the model was trained on" in capsys.readouterr().err
    assert not Path("strict.csv").exists()
