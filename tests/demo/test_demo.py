"""The demo data folder, its scenes and the encoder that is packaged with them."""

import csv
import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import yaml
from PIL import Image

import hpo
from hpo.demo._folder import (
    DEMO_DEFAULTS,
    DEMO_TEST_ROWS,
    DEMO_TRAIN_ROWS,
    demo_scene,
    make_demo,
)
from hpo.demo._scenes import CLASS_NAMES, Scene
from hpo.errors import InputError

ENCODER = Path(hpo.__file__).parent / "features" / "demo_clip"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_demo(tmp_path_factory.mktemp("place") / "demo")


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [demo_scene(row) for row in range(DEMO_TRAIN_ROWS)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `make_demo` write fewer rows, where the test is about files."""
    monkeypatch.setattr("hpo.demo._folder.DEMO_TRAIN_ROWS", 30)
    monkeypatch.setattr("hpo.demo._folder.DEMO_TEST_ROWS", 5)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def test_layout(demo: Path) -> None:
    train, test = _rows(demo / "train.csv"), _rows(demo / "test.csv")
    assert list(train[0]) == ["ImageID", "Labels", "Caption"]
    assert list(test[0]) == ["ImageID", "Caption"]
    assert (len(train), len(test)) == (DEMO_TRAIN_ROWS, DEMO_TEST_ROWS) == (3600, 600)
    names = [row["ImageID"] for row in train + test]
    assert len(set(names)) == len(names)
    assert {path.name for path in (demo / "images").iterdir()} == set(names)
    with Image.open(demo / "images" / names[0]) as image:
        assert image.size == (64, 64) and image.mode == "RGB"
    assert [path.name for path in demo.parent.iterdir()] == [demo.name], "nothing is left beside it"


def test_rows_are_the_scenes(demo: Path) -> None:
    train, test = _rows(demo / "train.csv"), _rows(demo / "test.csv")
    for row, written in ((0, train[0]), (17, train[17]), (3600, test[0]), (4199, test[-1])):
        scene = demo_scene(row)
        assert written["Caption"] == scene.caption
        assert written.get("Labels", " ".join(scene.labels)) == " ".join(scene.labels)
        with Image.open(demo / "images" / written["ImageID"]) as image:
            error = np.abs(np.asarray(image, dtype=float) - scene.pixels).mean()
        assert error < 8, "no more than JPEG takes away"


def test_same_bytes_each_time(tmp_path: Path, small: None) -> None:
    assert _digest(make_demo(tmp_path / "one")) == _digest(make_demo(tmp_path / "two"))


def test_a_scene_depends_on_its_row_alone() -> None:
    before = demo_scene(7)
    demo_scene(8)
    after = demo_scene(7)
    assert (before.labels, before.caption) == (after.labels, after.caption)
    assert np.array_equal(before.pixels, after.pixels)


def test_frequencies(scenes: list[Scene]) -> None:
    counts = Counter(name for scene in scenes for name in scene.labels)
    shares = {name: counts[name] / len(scenes) for name in CLASS_NAMES}
    assert len(CLASS_NAMES) == 18
    assert 0.72 < shares["person"] < 0.79
    assert 1.5 < sum(shares.values()) < 1.75
    rarest = min(shares, key=lambda name: shares[name])
    assert shares[rarest] < 0.009 and counts[rarest] >= 20
    last = Counter(name for scene in scenes[-600:] for name in scene.labels)
    assert all(last[name] > 0 for name in CLASS_NAMES), "each class can be scored"


def test_neither_modality_is_enough(scenes: list[Scene]) -> None:
    there = sum(len(scene.labels) for scene in scenes)
    shown = sum(len(scene.shown) for scene in scenes)
    occluded = sum(len(scene.occluded) for scene in scenes)
    named = sum(len(scene.named) for scene in scenes)
    lost = sum(len(set(scene.labels) - set(scene.shown) - set(scene.named)) for scene in scenes)
    assert 0.05 < occluded / there < 0.2
    assert 0.05 < (there - shown - occluded) / there < 0.2, "outside the frame"
    assert 0.55 < named / there < 0.75
    assert 0.03 < lost / there < 0.15, "in neither, so that nothing can score 100"


def test_captions_vary(scenes: list[Scene]) -> None:
    captions = [scene.caption for scene in scenes]
    assert len(set(captions)) > 0.7 * len(captions)
    assert not any('"' in caption or "\n" in caption for caption in captions)
    dogs = [scene.caption for scene in scenes if "dog" in scene.named]
    assert any("puppy" in caption for caption in dogs)
    assert any("dog" in caption for caption in dogs)


def test_whole_demo_is_left_alone(demo: Path) -> None:
    before = (demo / "train.csv").stat()
    (demo / "notes.txt").write_text("mine")
    (demo / "hpo.yaml").write_text(DEMO_DEFAULTS + "  # mine\n")
    assert make_demo(demo) == demo
    assert (demo / "train.csv").stat().st_mtime_ns == before.st_mtime_ns
    assert (demo / "hpo.yaml").read_text() == DEMO_DEFAULTS + "  # mine\n"


def test_damaged_or_old_demo_is_replaced(tmp_path: Path, small: None) -> None:
    folder = make_demo(tmp_path / "demo")
    whole = _digest(folder)
    (folder / "images" / "3.jpg").write_bytes(b"")
    assert _digest(make_demo(folder)) == whole
    (folder / "images" / "4.jpg").unlink()
    assert _digest(make_demo(folder)) == whole
    (folder / "train.csv").write_text("ImageID,Labels,Caption\n")
    (folder / "demo.json").write_text('{"version": 0}')
    assert _digest(make_demo(folder)) == whole
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_another_process_may_be_faster(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow_scene(row: int) -> Scene:
        if row == 0:
            monkeypatch.undo()
            monkeypatch.setattr("hpo.demo._folder.DEMO_TRAIN_ROWS", 30)
            monkeypatch.setattr("hpo.demo._folder.DEMO_TEST_ROWS", 5)
            make_demo(tmp_path / "demo")
        return demo_scene(row)

    monkeypatch.setattr("hpo.demo._folder.demo_scene", slow_scene)
    whole = _digest(make_demo(tmp_path / "demo"))
    assert whole == _digest(make_demo(tmp_path / "alone"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "demo"]


def test_foreign_files_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("a")
    with pytest.raises(
        InputError,
        match=r"holds files that the demo didn't write \(mine\.csv\), but must be absent, empty",
    ):
        make_demo(tmp_path)
    assert (tmp_path / "mine.csv").read_text() == "a"
    with pytest.raises(InputError, match=r"mine\.csv is a file, but must be a folder or absent"):
        make_demo(tmp_path / "mine.csv")


def test_failed_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(row: int) -> Scene:
        if row < 5:
            return demo_scene(row)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hpo.demo._folder.demo_scene", fail)
    with pytest.raises(OSError, match="No space left"):
        make_demo(tmp_path / "demo")
    assert list(tmp_path.iterdir()) == []


def test_defaults(demo: Path) -> None:
    defaults = yaml.safe_load((demo / "hpo.yaml").read_text(encoding="utf-8"))
    assert defaults == yaml.safe_load(DEMO_DEFAULTS)
    assert defaults["encoder"] == "demo"
    assert set(defaults["set"]) == {
        "split.val_rows",
        "scale.width",
        "scale.epochs",
        "scale.batch",
    }


def test_encoder_loads_offline(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*arguments: object, **options: object) -> None:
        raise AssertionError("the encoder must not need a network")

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("socket.socket.connect", no_network)
    size = (ENCODER / "open_clip_model.safetensors").stat().st_size
    assert size <= 6_000_000
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{ENCODER}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{ENCODER}")
    model.eval()
    test = _rows(demo / "test.csv")[:64]
    images = []
    for row in test:
        with Image.open(demo / "images" / row["ImageID"]) as image:
            images.append(preprocess(image))
    tokens = tokenizer([row["Caption"] for row in test])
    with torch.inference_mode():
        image, text = model.encode_image(torch.stack(images)), model.encode_text(tokens)
    for features in (image, text):
        assert features.shape == (64, 64) and features.dtype == torch.float32
        assert torch.isfinite(features).all()
        assert 8 < features.norm(dim=1).mean() < 12, "about CLIP's scale"
    # It was trained: a pair's own caption is nearer than chance (1 in 64) allows.
    similarity = torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T
    assert (similarity.argmax(1) == torch.arange(64)).float().mean() > 0.1
