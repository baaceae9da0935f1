"""Several named sources of embeddings: gathered, kept in one bundle, and chosen from it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from features_samples import write_checkpoint

from hpo.data import Dataset, TailSplit
from hpo.errors import InputError
from hpo.features import Bundle, Data, choice_cost, load_bundle, load_data
from hpo.features.__main__ import main

TAIL = TailSplit(kind="tail", val_rows=2)
CLASSES = ("a", "b")
LABELS = np.array([[1, 0], [0, 1]] * 4)


def embeddings(seed: int, **widths: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(8, width)).astype(np.float16) for name, width in widths.items()}


CLIP = embeddings(0, image=4, text=3)
LARGE = embeddings(1, image=6, text=5)
DINO = embeddings(2, image=2)


def data_of(cache: Path, **sources: dict[str, np.ndarray]) -> Data:
    return load_data(features=sources, labels=LABELS, classes=CLASSES, cache=cache)


def alone(cache: Path, arrays: dict[str, np.ndarray]) -> Bundle:
    data = load_data(features=arrays, labels=LABELS, classes=CLASSES, cache=cache)
    return data.bundle(TAIL)


def test_a_choice_gives_the_bundle_of_its_source_alone(tmp_path: Path) -> None:
    data = data_of(tmp_path, clip=CLIP, large=LARGE)
    assert data.sources == {"clip": ("image", "text"), "large": ("image", "text")}
    assert repr(data) == (
        "Data(8 labelled rows, 0 to predict; 2 classes; clip: image 4, text 3; "
        "large: image 6, text 5)"
    )
    bundle = data.bundle(TAIL)
    for name, arrays in (("clip", CLIP), ("large", LARGE)):
        chosen, single = bundle.choosing(name), alone(tmp_path, arrays)
        assert chosen.key == single.key != bundle.key
        assert chosen.features.key == single.features.key
        np.testing.assert_array_equal(chosen.features.train["image"], arrays["image"])
    assert bundle.choosing(None).key == bundle.choosing("clip").key


def test_neither_other_sources_nor_names_change_the_key_of_a_choice(tmp_path: Path) -> None:
    two = data_of(tmp_path, clip=CLIP, large=LARGE).bundle(TAIL)
    three = data_of(tmp_path, x=DINO, b=LARGE, a=CLIP).bundle(TAIL)
    for one, other in (
        ("large", "b"),
        ("clip+large", "a+b"),
        ("image=large,text=clip", "image=b,text=a"),
    ):
        assert two.choosing(one).key == three.choosing(other).key
        assert two.choosing(one).keys_alone == three.choosing(other).keys_alone
    assert two.choosing("clip+large").key != two.choosing("large+clip").key
    # a run on images alone is that of the source of the images
    mixed = two.choosing("image=large,text=clip")
    assert mixed.keys_alone == {
        "image": two.choosing("large").key,
        "text": two.choosing("clip").key,
    }
    assert two.choosing("clip").keys_alone == {}


def test_side_by_side(tmp_path: Path) -> None:
    bundle = data_of(tmp_path, clip=CLIP, dino=DINO).bundle(TAIL)
    chosen = bundle.choosing("clip+dino")
    image = chosen.features.train["image"]
    expected = np.concatenate([CLIP["image"], DINO["image"]], axis=1)
    assert (image.shape, image.dtype, len(image)) == ((8, 6), np.float16, 8)
    np.testing.assert_array_equal(image[2:5], expected[2:5])
    np.testing.assert_array_equal(image[np.array([6, 1])], expected[[6, 1]])
    np.testing.assert_array_equal(np.asarray(image), expected)
    assert chosen.features.train["text"].shape == (8, 3)
    assert [(part.name, part.width) for part in chosen.parts["image"]] == [("clip", 4), ("dino", 2)]
    with pytest.raises(InputError, match="'dino' has no text embeddings; write for example 'image"):
        bundle.choosing("dino")


def test_a_bundle_is_read_as_it_was_written(tmp_path: Path) -> None:
    data = data_of(tmp_path, clip=CLIP, large=LARGE)
    bundle = data.bundle(TAIL)
    folder = tmp_path / "bundles" / bundle.key
    again = load_bundle(folder)
    assert again.sources == bundle.sources
    assert again.choosing("clip+large").key == bundle.choosing("clip+large").key
    assert data.bundle(TAIL).key == bundle.key
    about = json.loads((folder / "bundle.json").read_text())
    about["features"][1]["folder"] = "../../features/gone"
    (folder / "bundle.json").write_text(json.dumps(about))
    with pytest.raises(InputError, match=r"features/gone' can't be used:\n.*no file info.json"):
        load_bundle(folder)


def test_what_is_wrong_with_sources_is_listed(tmp_path: Path) -> None:
    short = {"image": LARGE["image"][:7]}
    with pytest.raises(InputError) as caught:
        load_data(
            features={"clip": CLIP, "large": short, "a+b": DINO, "none": tmp_path / "none"},
            labels=LABELS,
            classes=CLASSES,
            cache=tmp_path,
        )
    assert caught.value.problems[0] == (
        "'a+b' can't name a source of embeddings, as a name has no '+', ',', '=' or blanks"
    )
    assert "none: The embeddings folder" in caught.value.problems[1]
    with pytest.raises(InputError, match=r"large: [\s\S]*has 7 rows, but .* has 8"):
        data_of(tmp_path, clip=CLIP, large=short)
    with pytest.raises(InputError, match=r"there is no modality 'audio'; there are: image, text"):
        load_data(
            features={"clip": CLIP},
            labels=LABELS,
            classes=CLASSES,
            cache=tmp_path,
            modalities=["audio"],
        )
    with pytest.raises(InputError, match="dino: has image, but only text are asked for"):
        load_data(
            features={"clip": CLIP, "dino": DINO},
            labels=LABELS,
            classes=CLASSES,
            cache=tmp_path,
            modalities=["text"],
        )
    for wrong, said in (
        ({"features": {"clip": CLIP, "image": DINO["image"]}}, r"features\['image'\] is of type"),
        ({"features": {"clip": CLIP}, "encoder": "demo"}, "nothing to encode without a source"),
        ({"encoder": []}, "encoder is empty, but must name one at least"),
        ({"encoder": ["demo", "demo"]}, "encoder has 'demo' twice, but must have it once"),
        ({"encoder": ["demo", 3]}, "encoder has 3 in it, but must have names of encoders"),
        ({"encoder": 3}, "encoder is of type int, but must be a name, a list or a mapping"),
        (
            {"features": {"clip": CLIP}, "test": {"large": CLIP}},
            r"test\['large'\] must be a mapping of modalities to arrays, for a source of features",
        ),
    ):
        with pytest.raises(InputError, match=said):
            load_data(labels=LABELS, classes=CLASSES, cache=tmp_path, **wrong)


def test_rows_to_predict_must_be_in_all_sources(tmp_path: Path) -> None:
    test = {name: array[:3] for name, array in CLIP.items()}
    both = {"clip": CLIP, "large": LARGE}
    with pytest.raises(InputError, match=r"(?s)large: .* has 3 rows to predict, but there are no"):
        load_data(
            features=both, test={"clip": test}, labels=LABELS, classes=CLASSES, cache=tmp_path
        )
    data = load_data(
        features=both,
        test={"clip": test, "large": {name: array[:3] for name, array in LARGE.items()}},
        labels=LABELS,
        classes=CLASSES,
        cache=tmp_path,
    )
    assert data.test_rows == 3
    chosen = data.bundle(TAIL).choosing("clip+large")
    assert chosen.features.test["text"].shape == (3, 8)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("checkpoints")
    return {f"tiny{n}": str(write_checkpoint(folder / f"tiny{n}", seed=n)) for n in (1, 2)}


def write_folder(dataset: Dataset) -> Path:
    assert dataset.root is not None and dataset.test is not None
    lines = [
        f"{name},{1 + row % 2},{caption}"
        for row, (name, caption) in enumerate(
            zip(dataset.train.ids, dataset.train.captions, strict=True)
        )
    ]
    text = "\n".join(["ImageID,Labels,Caption", *(line.replace(", number", "") for line in lines)])
    (dataset.root / "train.csv").write_text(text)
    rows = [f"{name},x" for name in dataset.test.ids]
    (dataset.root / "test.csv").write_text("\n".join(["ImageID,Caption", *rows]))
    return dataset.root


def test_each_encoder_runs_once_and_its_cost_is_known(
    tmp_path: Path, make_dataset: Callable[..., Dataset], checkpoints: dict[str, str]
) -> None:
    folder = write_folder(make_dataset())
    cache = tmp_path / "cache"
    data = load_data(folder, encoder=checkpoints, cache=cache, progress=False)
    assert tuple(data.named) == ("tiny1", "tiny2")
    assert [one.counts["image"].encoded for one in data.named.values()] == [9, 9]
    costs = data.description["encoders"]
    for name, place in checkpoints.items():
        size = (Path(place) / "open_clip_model.safetensors").stat().st_size / 1e6
        assert costs[name]["mb"] == pytest.approx(size, abs=0.05)
        assert costs[name]["images_per_s"] > 0
        assert costs[name]["captions_per_s"] > 0
        assert costs[name]["device"] == "cpu"
        assert costs[name]["widths"] == {"image": 16, "text": 16}
    single = load_data(folder, encoder=checkpoints["tiny2"], cache=cache, progress=False)
    assert single.features.counts["image"].encoded == 0
    assert single.features.key == data.named["tiny2"].key
    assert single.features.cost == data.named["tiny2"].cost  # not measured again
    assert single.bundle(TAIL).key == data.bundle(TAIL).choosing("tiny2").key


def test_encoders_beside_imported_embeddings(
    tmp_path: Path, make_dataset: Callable[..., Dataset], checkpoints: dict[str, str]
) -> None:
    folder = write_folder(make_dataset())
    dino = {"image": np.ones((6, 3), np.float32)}
    with pytest.raises(InputError, match=r"(?s)dino: .*test.csv has 3 rows to predict, but there"):
        load_data(
            folder,
            features={"dino": dino},
            encoder={"tiny": checkpoints["tiny1"]},
            cache=tmp_path / "cache",
            progress=False,
        )
    data = load_data(
        folder,
        features={"dino": dino},
        test={"dino": {"image": np.ones((3, 3), np.float32)}},
        encoder={"tiny": checkpoints["tiny1"]},
        cache=tmp_path / "cache",
        progress=False,
    )
    assert data.modalities == ("image", "text")
    assert data.bundle(TAIL).choosing("dino+tiny").features.train["image"].shape == (6, 19)


def test_a_row_that_one_can_not_encode_is_left_out_of_all(
    tmp_path: Path, make_dataset: Callable[..., Dataset], checkpoints: dict[str, str]
) -> None:
    folder = write_folder(make_dataset())
    (folder / "train2.png").write_bytes(b"no image")
    data = load_data(
        folder, encoder=checkpoints, cache=tmp_path / "cache", skip_bad_images=True, progress=False
    )
    assert data.dataset.skipped == ("train2.png",)
    assert data.rows == 5
    assert [len(one.train["image"]) for one in data.named.values()] == [5, 5]
    assert data.bundle(TAIL).choosing("tiny1+tiny2").features.train["text"].shape == (5, 32)


def test_an_encoder_without_weights_is_found_before_any_work(
    tmp_path: Path, make_dataset: Callable[..., Dataset], checkpoints: dict[str, str]
) -> None:
    folder = write_folder(make_dataset())
    gone = tmp_path / "gone"
    gone.mkdir()
    cache = tmp_path / "cache"
    with pytest.raises(InputError) as caught:
        load_data(
            folder,
            encoder={"tiny": checkpoints["tiny1"], "gone": str(gone), "vit": "ViT-B-23/openai"},
            cache=cache,
            progress=False,
        )
    first, second = caught.value.problems
    assert first.startswith("gone: The encoder") and "has no open_clip_model.safetensors" in first
    assert second.startswith("vit: encoder 'ViT-B-23/openai' is neither a folder nor a model")
    assert not (cache / "encoded").exists()


def test_the_command_takes_several(
    tmp_path: Path,
    make_dataset: Callable[..., Dataset],
    checkpoints: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = write_folder(make_dataset())
    place = tmp_path / "other"
    place.mkdir()
    np.save(place / "image.npy", np.ones((6, 3), np.float32))
    np.save(place / "image_test.npy", np.ones((3, 3), np.float32))
    common = ["--data", str(folder), "--cache", str(tmp_path / "cache"), "--device", "cpu"]
    asked = ["--features", f"other={place}", "--encoder", f"tiny={checkpoints['tiny1']}"]
    assert main([*common, *asked]) == 0
    printed = capsys.readouterr().out
    assert "other features: " in printed
    assert "tiny features: " in printed
    assert "tiny image: 6 labelled and 3 test rows, 16 wide; 9 items encoded, 0 reused" in printed
    assert main([*common, "--features", str(place), "--features", f"b={place}"]) == 2
    assert "has no name to choose it by; give it one, as in --features NAME=" in (
        capsys.readouterr().err
    )
    assert main([*common, "--features", f"b={place}", "--features", f"b={place}"]) == 2
    assert "the name 'b' stands twice, but must be of one source" in capsys.readouterr().err
    assert main([*common, "--features", str(place), "--encoder", "demo"]) == 2
    assert "can't go with --encoder, unless they have names" in capsys.readouterr().err


def test_what_a_choice_costs() -> None:
    sources = {
        "a": {"widths": {"image": 1, "text": 1}, "mb": 100.0, "images_per_s": 30.0},
        "b": {"widths": {"image": 1, "text": 1}, "mb": 300.0, "images_per_s": 10.0},
        "given": {"widths": {"image": 1}},
    }
    assert choice_cost("a", sources) == (30.0, 100.0)
    assert choice_cost("a+b", sources) == (7.5, 400.0)
    assert choice_cost("image=b,text=a", sources) == (10.0, 400.0)
    assert choice_cost("a+given", sources) == (None, None)
    assert choice_cost("image=given,text=a", sources) == (None, None)
