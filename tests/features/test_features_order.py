"""Embeddings are put in the order of our rows by what lies beside them, or it is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from order_samples import CAPTIONS, IDS, NAMES, SORTED, doubts, refused, take, vectors

from hpo.errors import InputError
from hpo.features import import_arrays, import_features
from hpo.features._match import ABSENT, Wanted, match_rows


@pytest.mark.parametrize(
    ("file", "write"),
    [
        ("ids.txt", lambda path: path.write_text("\n".join(NAMES) + "\n")),
        ("ids.txt", lambda path: path.write_text("\r\n".join(f"C:\\d\\{n}" for n in NAMES))),
        ("image_ids.npy", lambda path: np.save(path, np.array(NAMES))),
        ("ids.npy", lambda path: np.save(path, np.array([0, 10, 2, 7]))),
        ("names.json", lambda path: path.write_text(json.dumps(NAMES))),
        ("names.json", lambda path: path.write_text(json.dumps({n: NAMES.index(n) for n in IDS}))),
        (
            "image.csv",
            lambda path: path.write_text("filename,w\n" + "".join(f"{n},9\n" for n in NAMES)),
        ),
        ("image.csv", lambda path: path.write_text("".join(f"{n}\n" for n in NAMES))),
        ("metadata.csv", lambda path: pd.DataFrame({"file": NAMES}).to_csv(path)),
        (
            "image_keys.tsv",
            lambda path: path.write_text("key\tn\n" + "".join(f"{n[:-4]}\t1\n" for n in NAMES)),
        ),
        (
            "metadata.parquet",
            lambda path: pd.DataFrame(
                {"url": [f"https://x.org/a/{n}?w=2" for n in NAMES]}
            ).to_parquet(path),
        ),
        (
            "metadata.jsonl",
            lambda path: path.write_text(
                "".join(json.dumps({"file_name": f"/d/{n}"}) + "\n" for n in NAMES)
            ),
        ),
        ("captions.txt", lambda path: path.write_text("".join(CAPTIONS[r] + "\n" for r in SORTED))),
    ],
)
def test_what_lies_beside_an_array_is_compared(file: str, write: Any, tmp_path: Path) -> None:
    image = vectors()
    np.save(tmp_path / "image.npy", image[SORTED])
    write(tmp_path / file)
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], image)
    assert doubts(features) == []
    assert [str(note) for note in features.notes][-1].startswith(
        "image.npy: in the order of train.csv by " + file
    )


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("filelist.txt", "\n".join(NAMES)),
        ("order.json", json.dumps(NAMES)),
        ("ids.txt", "ImageID\n" + "\n".join(NAMES)),
        ("ids.tsv", "".join(f"{row}\t{name}\n" for row, name in enumerate(NAMES))),
        ("image.csv", "id,file\n" + "".join(f"{n},{name}\n" for n, name in enumerate(NAMES, 1))),
    ],
)
def test_files_of_any_name_headers_and_counted_rows(file: str, text: str, tmp_path: Path) -> None:
    """A file is one of names if all ImageIDs are in it; a column that counts rows names none."""
    image = vectors()
    np.save(tmp_path / "image.npy", image[SORTED])
    (tmp_path / file).write_text(text)
    (tmp_path / "readme.txt").write_text("what\nthis\nis\nof\n")
    features = take(tmp_path)
    np.testing.assert_array_equal(features.train["image"], image)
    assert doubts(features) == []


def test_nothing_beside_is_said(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    np.save(tmp_path / "text.npy", vectors())
    assert doubts(take(tmp_path)) == [
        "image.npy, text.npy: the order was taken on trust to be that of train.csv; it would be "
        "certain with the ImageIDs in ids.txt beside it, one a line"
    ]


def test_positions_say_nothing(tmp_path: Path) -> None:
    image = vectors()
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "ids.npy", np.arange(4))
    ids = ["a.jpg", "b.jpg", "c.jpg", "d.jpg"]
    features = import_features(tmp_path, 4, 0, tmp_path / "store", ids=ids)
    np.testing.assert_array_equal(features.train["image"], image)
    assert len(doubts(features)) == 1


def test_names_that_fit_nothing_or_not_all(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors(5))
    (tmp_path / "ids.txt").write_text("a.jpg\nb.jpg\nc.jpg\nd.jpg\n")
    assert refused(tmp_path) == [
        "ids.txt names 4 rows, but the image embeddings of the labelled rows are 5"
    ]
    (tmp_path / "ids.txt").write_text("a.jpg\nb.jpg\nc.jpg\nd.jpg\ne.jpg\n")
    assert refused(tmp_path) == [
        "ids.txt names rows such as 'a.jpg', and none of train.csv, whose ImageIDs are such as "
        "'10.jpg'; mend it, or remove it if it is of something else"
    ]
    (tmp_path / "ids.txt").write_text("10.jpg\nb.jpg\n7.jpg\n0.jpg\ne.jpg\n")
    assert refused(tmp_path) == [
        "ids.txt has no row for the ImageIDs '2.jpg'; --skip-bad-images leaves rows without "
        "embeddings out"
    ]
    features = take(tmp_path, skip_absent=True)
    np.testing.assert_array_equal(features.train["image"], vectors(5)[[0, 2, 3]])
    assert features.left_out == {"train": {1: "row 1 of train.csv is not in image.npy"}}


def test_rows_of_both_parts_in_one_array(tmp_path: Path) -> None:
    image = vectors(6)
    np.save(tmp_path / "image.npy", image)
    (tmp_path / "ids.txt").write_text("t1\n0\n10\n2\n7\nextra\n")
    features = import_features(tmp_path, 4, 1, tmp_path / "store", ids=IDS, test_ids=["t1.png"])
    np.testing.assert_array_equal(features.train["image"], image[[2, 3, 4, 1]])
    np.testing.assert_array_equal(features.test["image"], image[[0]])
    assert "image.npy: 1 row is none of train.csv, and not used" in map(str, features.notes)


def test_two_columns_that_disagree(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    table = pd.DataFrame({"key": NAMES, "path": IDS})
    table.to_csv(tmp_path / "image.csv", index=False)
    assert refused(tmp_path) == [
        "image.csv has 'key' and 'path', which put the rows in different orders; remove the one "
        "that is wrong"
    ]


def test_captions_beside_text_embeddings_of_other_captions(tmp_path: Path) -> None:
    np.save(tmp_path / "text.npy", vectors())
    pd.DataFrame({"id": IDS, "caption": ["ten", "II", " seven\n", "0"]}).to_csv(
        tmp_path / "text.csv", index=False
    )
    assert doubts(take(tmp_path)) == [
        "text.csv: 2 captions are others than those of train.csv, such as that of '2.jpg', and the "
        "text embeddings are of those"
    ]


def test_captions_that_repeat(tmp_path: Path) -> None:
    text = vectors()
    text[3] = text[2]
    np.save(tmp_path / "text.npy", text)
    (tmp_path / "captions.txt").write_text("two\nten\nsame\nsame\n")
    captions = ["same", "two", "same", "ten"]
    features = import_features(
        tmp_path, 4, 0, tmp_path / "store", ids=["a", "b", "c", "d"], captions=captions
    )
    np.testing.assert_array_equal(features.train["text"], text[[2, 0, 2, 1]])
    np.save(tmp_path / "text.npy", vectors())
    with pytest.raises(InputError) as caught:
        import_features(
            tmp_path, 4, 0, tmp_path / "store", ids=["a", "b", "c", "d"], captions=captions
        )
    assert caught.value.problems == [
        "captions.txt names rows by captions alone, and the caption 'same' has different "
        "embeddings on the rows 2 and 3 (2 such); write the ImageIDs beside the array"
    ]


def matched(names: list[str], ids: list[str]) -> tuple[list[int], list[str], list[str]]:
    problems: list[str] = []
    match = match_rows(
        {"path": names},
        Wanted(ids, (), "train.csv"),
        lambda i, j: False,
        problems,
        "ids.txt",
        reads_captions=False,
    )
    return (match.rows.tolist(), match.doubts, problems) if match else ([], [], problems)


def test_equal_names_in_different_folders() -> None:
    names = ["/d/b/1.jpg", "/d/a/1.jpg", "/d/a/2.jpg"]
    assert matched(names, ["a/1.jpg", "b/1.jpg"])[0] == [1, 0]
    assert matched(names, ["1.jpg", "2.jpg"])[2] == [
        "ids.txt has '1.jpg' on the rows 0 and 1, but needs one row for each ImageID (1 such)"
    ]
    assert matched(["1.jpg", "2.jpg"], ["a/1.jpg", "b/1.jpg"])[2] == [
        "ids.txt: the ImageIDs 'a/1.jpg' and 'b/1.jpg' are both found in row 0, '1.jpg'; names "
        "need the folders that tell them apart"
    ]
    rows, said, _ = matched(["c/1.jpg", "c/2.jpg"], ["a/2.jpg", "a/1.jpg"])
    assert rows == [1, 0]
    assert said == [
        "ids.txt: 2 ImageIDs are found by file name alone, in other folders ('a/2.jpg' in "
        "'c/2.jpg')"
    ]


def test_forms_of_names() -> None:
    assert matched(["139", "25"], ["000000000025.jpg", "000000000139.jpg"])[0] == [1, 0]
    assert matched(["photo.v1", "photo.v2"], ["photo.v2", "photo.v3"])[0] == [1, ABSENT]
    assert matched(["B.JPG", "a.jpeg"], ["a", "B.jpg"])[0] == [1, 0]
    assert matched(["cafe\u0301.jpg"], ["caf\u00e9.jpg"])[0] == [0]


def test_frames_are_aligned_by_their_index(tmp_path: Path) -> None:
    image = vectors()
    frame = pd.DataFrame(image[SORTED].astype("float32"), index=NAMES)
    features = import_arrays({"image": frame}, 4, tmp_path, ids=IDS)
    np.testing.assert_array_equal(features.train["image"], image)
    assert doubts(features) == []
    counted = import_arrays({"image": frame.reset_index(drop=True)}, 4, tmp_path, ids=IDS)
    np.testing.assert_array_equal(counted.train["image"], image[SORTED])
    assert doubts(counted) == [
        "features['image']: the order was taken on trust to be that of the labelled rows; it would "
        "be certain with a DataFrame with the ImageIDs as its index"
    ]


def test_no_embeddings_of_the_rows_to_predict(tmp_path: Path) -> None:
    np.save(tmp_path / "image.npy", vectors())
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    with pytest.raises(InputError) as caught:
        import_features(tmp_path, 4, 2, tmp_path / "store", ids=IDS, test_ids=["a", "b"])
    assert caught.value.problems == [
        "test.csv has 2 rows to predict, but there are no embeddings of them; put them into "
        "image_test.npy, or leave these rows out: --skip-test (from Python skip_test=True, or no "
        "test)"
    ]
