"""What img2dataset downloaded, and archives of webdataset's samples."""

import io
import json
import tarfile
from pathlib import Path

import pandas as pd
import pytest
from data_samples import CAPTIONS, LABELS, MATRIX, png, problems_of, read, said, write_images

from hpo.data import kinds_there, load_dataset


def test_what_img2dataset_downloaded(tmp_path: Path) -> None:
    for shard, keys in enumerate((("000000000", "000000001"), ("000010000", "000010001"))):
        name = f"{shard:05d}"
        write_images(tmp_path / name, [f"{key}.jpg" for key in keys[: 2 - shard]])
        pd.DataFrame(
            {
                "url": [f"https://example.org/{key}" for key in keys],
                "caption": [f"caption {key}" for key in keys],
                "labels": ["a b", "b"],
                "key": keys,
                "status": ["success", "failed_to_download" if shard else "success"],
                "error_message": [None, "404" if shard else None],
                "width": [8, 8],
            }
        ).to_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}_stats.json").write_text("{}")
    dataset = read(tmp_path)
    assert dataset.train.ids == (
        "00000/000000000.jpg",
        "00000/000000001.jpg",
        "00001/000010000.jpg",
    )
    assert dataset.train.captions[2] == "caption 000010000"
    assert dataset.labels.tolist() == [[1, 1], [0, 1], [1, 1]]
    (note,) = said(dataset)
    assert note.doubtful
    assert str(note) == (f"{tmp_path.name}: 1 of 4 rows are left out, which weren't downloaded")
    (tmp_path / "00002.tar").touch()
    one = pd.DataFrame({"key": ["1"], "status": ["success"], "caption": "c", "labels": "a"})
    one.to_parquet(tmp_path / "00002.parquet")
    assert problems_of(tmp_path)[0] == "00002.tar can't be read: empty file"


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def sample(row: int, suffix: str = "png", **fields: object) -> dict[str, bytes]:
    """The files of a row as webdataset has them."""
    about = {"labels": LABELS[row], "url": "https://example.org", "width": 8, **fields}
    return {
        f"00000000{row}.{suffix}": png(row),
        f"00000000{row}.txt": CAPTIONS[row].encode(),
        f"00000000{row}.json": json.dumps(about).encode(),
    }


def test_archives_of_samples(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", sample(0) | sample(1, "PNG"))
    write_tar(tmp_path / "00001.tar", {f"a/{k}": v for k, v in (sample(2) | sample(3)).items()})
    dataset = read(tmp_path)
    assert dataset.train.ids == (
        "00000/000000000.png",
        "00000/000000001.png",
        "00001/a/000000002.png",
        "00001/a/000000003.png",
    )
    assert dataset.train.captions == CAPTIONS and dataset.labels.tolist() == MATRIX
    assert dataset.train.images is not None
    assert [path.read_bytes() for path in dataset.train.images] == [png(n) for n in range(4)]
    assert dataset.has == ("images", "captions") == kinds_there(tmp_path)
    assert said(dataset) == []
    assert load_dataset(tmp_path, images="ignore").train.images is None
    whole = (tmp_path / "00001.tar").read_bytes()
    (tmp_path / "00001.tar").write_bytes(whole[:530])
    assert problems_of(tmp_path) == ["00001.tar can't be read: unexpected end of data"]
    (tmp_path / "00001.tar").write_bytes(whole[: whole.index(b"a/000000003.png")])
    (note,) = said(read(tmp_path))
    assert str(note) == "00001.tar has no end as an archive has; was it cut off?" and note.doubtful


def test_a_key_that_stands_twice_in_a_sample(tmp_path: Path) -> None:
    twice = b'{"labels": ["x"], "labels": ["y"]}'
    write_tar(tmp_path / "00000.tar", sample(0) | sample(1) | {"000000001.json": twice})
    assert problems_of(tmp_path) == [
        "00000.tar can't be read: an object has the key 'labels' twice"
    ]


def test_parts_in_archives_and_numbers_of_classes(tmp_path: Path) -> None:
    for part, rows in (("train", (0, 1)), ("val", (2,)), ("test", (3,))):
        files = {}
        for row in rows:
            label = {} if part == "test" else {f"{row}.cls": str(row % 2).encode()}
            files |= {f"{row}.jpg": png(row), **label}
        write_tar(tmp_path / f"{part}-000000.tar", files)
    dataset = read(tmp_path)
    assert dataset.split_column == ("train", "train", "val")
    assert dataset.classes == ("0", "1") and dataset.labels.tolist() == [[1, 0], [0, 1], [1, 0]]
    assert dataset.test is not None and dataset.test.ids == ("test-000000/3.jpg",)
    assert dataset.has == ("images",)


def test_samples_that_lack_an_image(tmp_path: Path) -> None:
    files = sample(0) | sample(1)
    del files["000000001.png"]
    write_tar(tmp_path / "00000.tar", files)
    assert problems_of(tmp_path)[0] == (
        f"{tmp_path.name}: the sample '00000/000000001' has no image, but others have"
    )


def test_folders_of_samples_without_parquet(tmp_path: Path) -> None:
    for row in range(4):
        for name, content in sample(row, key=f"00000000{row}", status="success").items():
            (tmp_path / f"0000{row // 2}").mkdir(exist_ok=True)
            (tmp_path / f"0000{row // 2}" / name).write_bytes(content)
    (tmp_path / "00000_stats.json").write_text("{}")
    dataset = read(tmp_path)
    assert dataset.train.captions == CAPTIONS and dataset.labels.tolist() == MATRIX
    assert dataset.train.images is not None
    assert dataset.train.images[3] == tmp_path / "00001" / "000000003.png"
    assert said(dataset) == []


@pytest.mark.parametrize("inside", [True, False])
def test_images_of_img2dataset_in_archives_or_in_parquet(tmp_path: Path, inside: bool) -> None:
    table = pd.DataFrame(
        {
            "key": [f"00000000{row}" for row in range(4)],
            "status": ["success", "success", "success", "failed_to_resize"],
            "caption": CAPTIONS,
            "labels": LABELS,
        }
    )
    if inside:
        table["png"] = [png(row) if row < 3 else None for row in range(4)]
    else:
        write_tar(tmp_path / "00000.tar", sample(0) | sample(1) | sample(2))
    table.to_parquet(tmp_path / "00000.parquet")
    dataset = read(tmp_path)
    assert dataset.train.captions == CAPTIONS[:3] and dataset.labels.tolist() == MATRIX[:3]
    assert dataset.train.images is not None
    assert [path.read_bytes() for path in dataset.train.images] == [png(n) for n in range(3)]
    if not inside:
        write_tar(tmp_path / "00000.tar", sample(0) | sample(1))
        assert problems_of(tmp_path)[0] == (
            "00000.tar has no image '000000002', but 00000.parquet says that it was downloaded"
        )


def test_what_archives_lack_is_told(tmp_path: Path) -> None:
    write_tar(tmp_path / "train-0000.tar", sample(0) | {"000000000.npy": b""})
    without = {name: c for name, c in sample(1).items() if not name.endswith(".txt")}
    write_tar(tmp_path / "train-0003.tar", without)
    assert [(note.doubtful, str(note)) for note in said(read(tmp_path))] == [
        (True, "the shards train-0 to train-3 are there, but not 2 of them (1, 2)"),
        (True, "train-*.tar: 1 of 2 samples have no 'caption'"),
        (False, "train-*.tar: files that aren't read: 1 .npy"),
        (False, "train-*.tar: 1 of 2 rows have no caption"),
    ]


def test_files_of_other_kinds_are_no_samples(tmp_path: Path) -> None:
    files = {"a.png": png(0), "a.mask.png": png(1), "a.cls": b"1", "a.txt": b"x"}
    write_tar(tmp_path / "train.tar", files)
    dataset = read(tmp_path)
    assert dataset.train.captions == ("x",)
    assert "train.tar: files that aren't read: 1 .mask.png" in [str(n) for n in dataset.notes]
    write_tar(tmp_path / "train.tar", {"v1.a.png": png(0), "v1.b.png": png(1)})
    assert problems_of(tmp_path) == [
        "train.tar has no samples: none of its files ends in .jpg, .txt, .json or .cls after the "
        "first dot in its name"
    ]
