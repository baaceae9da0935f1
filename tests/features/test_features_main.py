"""The command: what it prints and how it fails."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpo.data import Dataset
from hpo.features import load_data
from hpo.features.__main__ import main


@pytest.fixture
def data(make_dataset: Callable[..., Dataset]) -> Path:
    dataset: Dataset = make_dataset(train=4, test=2, folder="data/images")
    assert dataset.test is not None
    root = dataset.root.parent
    lines = ["ImageID,Labels,Caption"]
    pairs = zip(dataset.train.ids, dataset.train.captions, strict=True)
    lines += [f'{image},{row % 2},"{caption}"' for row, (image, caption) in enumerate(pairs)]
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    pairs = zip(dataset.test.ids, dataset.test.captions, strict=True)
    lines = ["ImageID,Caption", *(f'{image},"{caption}"' for image, caption in pairs)]
    (root / "test.csv").write_text("\n".join(lines) + "\n")
    return root


def test_extract_twice(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--data", str(data), "--encoder", str(checkpoint), "--cache", str(tmp_path / "c")]
    assert main([*command, "--device", "cpu"]) == 0
    output = capsys.readouterr()
    (folder,) = (tmp_path / "c" / "features").iterdir()
    assert output.out.splitlines() == [
        f"features: {folder}",
        "image: 4 labelled and 2 test rows, 16 wide; 6 items encoded, 0 reused",
        "text: 4 labelled and 2 test rows, 16 wide; 6 items encoded, 0 reused",
    ]
    assert "encoding images: 6 of 6" in output.err
    assert main([*command, "--device", "cpu"]) == 0
    assert "6 wide; 0 items encoded, 6 reused" in capsys.readouterr().out


def test_bad_image(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "images" / "train1.png").write_bytes(b"rubbish")
    command = ["--data", str(data), "--encoder", str(checkpoint), "--cache", str(tmp_path / "c")]
    command += ["--device", "cpu"]
    assert main(command) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == [
        "error: Images can't be encoded; mend them, or leave their rows out with "
        "--skip-bad-images:",
        "  train.csv line 3: image 'images/train1.png' is not an image that Pillow can read "
        "(7 bytes)",
    ]
    assert main([*command, "--skip-bad-images"]) == 0
    output = capsys.readouterr().out.splitlines()
    assert output[1] == "left out: 1 rows without an image or an embedding"
    assert output[2].startswith("image: 3 labelled and 2 test rows, 16 wide")


def test_import(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(data / "images")
    folder = tmp_path / "embeddings"
    folder.mkdir()
    np.save(folder / "text.npy", np.ones((4, 3), np.float32))
    command = ["--data", str(data), "--features", str(folder), "--cache", str(tmp_path / "c")]
    assert main(command) == 2
    assert (
        "test.csv has 2 rows to predict, but there are no embeddings of them; put them into "
        in (capsys.readouterr().err)
    )
    command.append("--skip-test")
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "text: 4 labelled and 0 test rows, 3 wide",
        "note: text.npy: the order was taken on trust to be that of train.csv; it would be certain "
        "with the ImageIDs in ids.txt beside it, one a line",
    ]
    assert main([*command, "--long-captions", "mean"]) == 2
    assert "--long-captions mean is about captions that are encoded" in capsys.readouterr().err
    assert main([*command, "--strict"]) == 2
    assert "error: The data is not read without doubt, as --strict asks:" in (
        capsys.readouterr().err
    )
    np.save(folder / "text.npy", np.ones((5, 3), np.float32))
    assert main(command) == 2
    assert "text.npy has 5 rows, but train.csv has 4" in capsys.readouterr().err
    assert main([*command, "--encoder", "demo"]) == 2
    assert "--features imports embeddings, so it can't go with --encoder" in (
        capsys.readouterr().err
    )


def test_the_folders_own_defaults_hold(
    data: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for `hpo run`: hpo.yaml names the encoder, and the command line goes before it."""
    (data / "hpo.yaml").write_text(f"encoder: {checkpoint}\nset: {{scale.width: 0.5}}\n")
    command = ["--data", str(data), "--cache", str(tmp_path / "c"), "--device", "cpu"]
    assert main(command) == 0
    assert "16 wide; 6 items encoded, 0 reused" in capsys.readouterr().out
    assert main([*command, "--encoder", "demo"]) == 0
    assert "64 wide; 6 items encoded, 0 reused" in capsys.readouterr().out
    (data / "hpo.yaml").write_text("encodre: demo\nencoder: [demo]\nset: 3\n")
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f"error: {data}/hpo.yaml: unknown key 'encodre' (did you mean 'encoder'?); allowed: "
        "encoder, set, columns, captions, labels_as, classes, no_label, modalities, long_captions\n"
        f"{data}/hpo.yaml: encoder is ['demo'], but must be a name\n"
        f"{data}/hpo.yaml: set is 3, but must be a mapping, such as scale.width: 0.25\n"
    )


def test_a_folder_says_how_it_is_read(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (data / "test.csv").unlink()
    text = (data / "train.csv").read_text().replace("ImageID,Labels,Caption", "a,b,c")
    (data / "train.csv").write_text(text)
    command = ["--data", str(data), "--cache", str(tmp_path / "c"), "--encoder", "demo"]
    assert main(command) == 2
    capsys.readouterr()
    (data / "hpo.yaml").write_text(
        "columns: {image: a, labels: b, caption: c}\nmodalities: [text]\nlong_captions: mean\n"
    )
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("text: 4 labelled and 0 test rows")
    assert main([*command, "--columns", "caption=d"]) == 2
    assert "train.csv has no column 'd'" in capsys.readouterr().err
    loaded = load_data(data, encoder="demo", cache=tmp_path / "c", progress=False)
    assert loaded.modalities == ("text",) and loaded.features.info.long_captions == "mean"
    (data / "hpo.yaml").write_text(
        "columns: {imgae: a}\ncaptions: all\nlabels_as: multihot\nclasses: [yes, a]\n"
        "no_label:\nmodalities: text\nlong_captions: cut\n"
    )
    assert main(command) == 2
    assert capsys.readouterr().err == (
        f"error: {data}/hpo.yaml: columns is {{'imgae': 'a'}}, but must be a mapping, such as "
        "{image: path, labels: [cat, dog]}\n"
        f"{data}/hpo.yaml: captions is 'all', but must be mean, first or each\n"
        f"{data}/hpo.yaml: classes is [True, 'a'], but must be a list of names, yes and no in "
        "quotes\n"
        f"{data}/hpo.yaml: no_label is None, but must be a word or a list of words, null in "
        "quotes\n"
        f"{data}/hpo.yaml: modalities is 'text', but must be a list of names, such as [image, "
        "text]\n"
        f"{data}/hpo.yaml: long_captions is 'cut', but must be truncate, mean, refuse\n"
    )
    (data / "hpo.yaml").write_text("labels_as: multihot\n")
    assert main(command) == 2
    assert f"{data}/hpo.yaml: labels are to be read as 'multihot' (did you mean 'multi-hot'?)" in (
        capsys.readouterr().err
    )


def test_modalities(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--data", str(data), "--cache", str(tmp_path / "c"), "--device", "cpu"]
    shutil.rmtree(data / "images")
    assert main([*command, "--encoder", "demo", "--modalities", "text"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2, "no image was asked for"
    assert main([*command, "--encoder", "demo", "--modalities", "text,audio"]) == 2
    assert capsys.readouterr().err == (
        "error: there is no modality 'audio'; there are: image, text\n"
    )
    folder = tmp_path / "embeddings"
    folder.mkdir()
    for name, width in (("audio", 2), ("text", 3), ("labels", 4)):
        np.save(folder / f"{name}.npy", np.ones((4, width), np.float32))
    command += ["--features", str(folder), "--skip-test"]
    assert main(command) == 2
    assert "labels.npy: 'labels' can't name a modality" in capsys.readouterr().err
    assert main([*command, "--modalities", "text, audio"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == [
        "text: 4 labelled and 0 test rows, 3 wide",
        "audio: 4 labelled and 0 test rows, 2 wide",
        "note: text.npy, audio.npy: the order was taken on trust to be that of train.csv; it would "
        "be certain with the ImageIDs in ids.txt beside it, one a line",
    ]


def test_rows_without_an_embedding_are_left_out(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "embeddings"
    folder.mkdir()
    np.save(folder / "text.npy", np.ones((3, 3), np.float32))
    ids = [line.partition(",")[0] for line in (data / "train.csv").read_text().splitlines()[1:]]
    (folder / "ids.txt").write_text("\n".join([ids[3], ids[0], ids[2]]))
    command = ["--data", str(data), "--features", str(folder), "--cache", str(tmp_path / "c")]
    command.append("--skip-test")
    assert main(command) == 2
    assert f"ids.txt has no row for the ImageIDs '{ids[1]}'" in capsys.readouterr().err
    assert main([*command, "--skip-bad-images"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1:3] == [
        "left out: 1 rows without an image or an embedding",
        "text: 3 labelled and 0 test rows, 3 wide",
    ]
    assert lines[-1] == (
        "note: 1 row is left out, as it has no image that can be read or no embedding"
    )


def test_packaged_encoder(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["--data", str(data), "--encoder", "demo", "--cache", str(tmp_path / "c")]
    assert main([*command, "--device", "cpu"]) == 0
    assert "6 items encoded, 0 reused" in capsys.readouterr().out
