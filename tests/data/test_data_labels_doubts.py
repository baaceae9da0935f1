"""Labels that look like vectors, scores, missing values or what a program printed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from test_data_labels import read, refused

from hpo.data import LabelsAs, classes_argument, load_dataset
from hpo.data._label_columns import hardly_classes
from hpo.errors import InputError

MakeFolder = Callable[..., Path]


@pytest.mark.parametrize(
    ("cells", "words", "way"),
    [
        (["1 -1 1", "-1 1 1"], "'-1' and '1'", "blanks"),
        (["[1, -1]", "[-1, 1]"], "'-1' and '1'", "list"),
        (["1 0 -1", "0 1 1"], "'-1' and '0' and '1'", "blanks"),
        (["yes,no", "no,yes"], "'no' and 'yes'", "commas"),
        (["T F", "F T"], "'f' and 't'", "blanks"),
    ],
)
def test_vectors_in_other_words_than_0_and_1(
    make_folder: MakeFolder, cells: list[str], words: str, way: str
) -> None:
    (problem,) = refused(make_folder, cells)
    assert problem.startswith("Labels looks like vectors of ")
    assert (
        f"{words} (such as {cells[0]}, train.csv line 2), but a vector must have 0 and" in problem
    )
    assert f"--labels-as {way} if {words} are classes" in problem
    assert len(read(make_folder, cells, LabelsAs(way))[0]) == words.count("'") // 2


def test_scores_are_no_labels(make_folder: MakeFolder) -> None:
    cells = ["0.9 0.1 0.0", "0.2 0.7 0.1"]
    assert refused(make_folder, cells) == [
        "Labels looks like vectors of 3 probabilities or scores (such as 0.9 0.1 0.0, train.csv "
        "line 2), which are no labels; write 1 for those that count and 0 for the others, or say "
        "--labels-as blanks if these numbers are names of classes (from Python labels_as='blanks')"
    ]
    assert read(make_folder, ["0.93", "0.12"])[2][0] == (
        "the classes are numbers with a fraction (0.93, train.csv line 2); if they are scores or "
        "probabilities, they are no labels"
    )


@pytest.mark.parametrize(
    ("cells", "shown", "way"),
    [
        (["cat;nan", "dog;cat"], "cat;nan", "semicolons"),
        (["cat,None", "dog,cat"], "cat,None", "commas"),
        (["['cat', 'nan']", "['dog']"], "['cat', 'nan']", "list"),
    ],
)
def test_missing_values_among_labels(
    make_folder: MakeFolder, cells: list[str], shown: str, way: str
) -> None:
    word = "None" if "None" in shown else "nan"
    assert refused(make_folder, cells) == [
        f"train.csv line 2: Labels has '{word}' in '{shown}', which may be a missing value or a "
        f"class of this name. Say which: --no-label '{word}' for no label, or --labels-as {way} "
        f"for a class (from Python no_label='{word}', labels_as='{way}')"
    ]
    classes, labels, _ = read(make_folder, cells, LabelsAs(no_label=(word,)))
    assert classes == ("cat", "dog")
    assert labels[0] == [1, 0]
    assert word in read(make_folder, cells, LabelsAs(way))[0]


@pytest.mark.parametrize("word", ["#REF!", "?", "-", "---"])
def test_what_spreadsheets_and_people_write_for_nothing(make_folder: MakeFolder, word: str) -> None:
    (problem,) = refused(make_folder, ["cat", word, "dog"])
    assert f"Labels is '{word}', which may be a missing value" in problem


def test_names_as_python_prints_them(make_folder: MakeFolder) -> None:
    for cells, first in [
        (['"cat"', '"dog"'], '"cat" (and 1 more)'),
        (["b'cat'", "dog"], "b'cat'"),
        (["np.int64(3)", "np.int64(4)"], "np.int64(3) (and 1 more)"),
    ]:
        assert f"the class {first} is called as Python prints a value" in " ".join(
            read(make_folder, cells)[2]
        )
    assert read(make_folder, ["tensor([0, 2])", "tensor([1])"])[0] == ("0", "1", "2")
    assert read(make_folder, ["dict_keys(['a', 'b'])", "dict_keys([])"])[1] == [[1, 1], [0, 0]]


def test_separators_that_are_none_here(make_folder: MakeFolder) -> None:
    notes = read(make_folder, ["猫、狗", "狗", "猫"])[2]
    assert notes == [
        "the class '猫、狗' has parts that other classes have as well; if '、' separates labels, "
        "put ';' in its place"
    ]
    (problem,) = refused(make_folder, ["dark blue\nred", "red"])
    assert problem.startswith("train.csv line 2: Labels 'dark blue\\nred' has a line break in it ")
    assert read(make_folder, ["blue\nred", "red"])[1] == [[1, 1], [0, 1]]
    cells = ["Portrait, oil"] * 3 + ["Still, ink"]
    assert read(make_folder, cells)[2][0].startswith(
        "'Portrait' and 'oil' stand together on 3 rows and never apart, so 'Portrait, oil' may be"
    )
    assert read(make_folder, cells, LabelsAs("one"))[0] == ("Portrait, oil", "Still, ink")


def test_columns_that_are_hardly_classes(make_folder: MakeFolder) -> None:
    folder = make_folder("ImageID,Caption,cat,dog,fold\n0.jpg,a,1,0,0\n1.jpg,b,0,1,1\n")
    (note, *_) = load_dataset(folder, images="ignore").notes
    assert note.doubtful
    assert note.text == (
        "train.csv: the labels are its 3 columns of zeros and ones, 'cat', 'dog', 'fold'; 'fold' "
        "may be something else: --columns labels=cat,dog leaves it out"
    )


def test_a_vector_beside_names_of_numbers(tmp_path: Path) -> None:
    feature = {"feature": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "_type": "Sequence"}
    about = {"info": {"features": {"label": feature}}}
    table = pa.table({"image": ["0.jpg", "1.jpg"], "label": [[0, 1], [1, 0]]})
    named = table.replace_schema_metadata({b"huggingface": json.dumps(about).encode()})
    parquet.write_table(named, tmp_path / "train.parquet")

    def labels(way: str) -> Any:
        return load_dataset(tmp_path, images="ignore", labels_as=LabelsAs(way)).labels.tolist()

    with pytest.raises(
        InputError, match=r"vectors of 2 zeros and ones .* --labels-as multi-hot, or"
    ):
        labels("auto")
    assert labels("multi-hot") == [[0, 1], [1, 0]]
    assert labels("list") == [[1, 1], [1, 1]]


def test_words_for_nothing_may_be_numbers_and_lists_must_be_there() -> None:
    assert LabelsAs.of(None, None, 0).no_label == ("0",)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"--classes none\.txt: there is no such file"):
        classes_argument("none.txt")


def test_columns_of_zeros_and_ones_that_are_hardly_classes() -> None:
    assert hardly_classes(["cat", "Fold", "is_train"]) == ["Fold", "is_train"]
    assert hardly_classes(["boat", "train", "bus"]) == []  # COCO has these
    assert hardly_classes(["cat", "train", "val"]) == ["train", "val"]


@pytest.mark.parametrize(
    ("cells", "made"),
    [
        (["cat::dog", "cat", "dog"], "'cat::dog' is made of the classes 'cat' and 'dog'"),
        (["cat~dog", "cat", "dog"], "'cat~dog' is made of the classes 'cat' and 'dog'"),
        (["cat_dog", "cat", "dog"], "'cat_dog' is made of the classes 'cat' and 'dog'"),
        (["cat;dog", "cat, dog"], "'cat, dog' is made of the classes 'cat' and 'dog'"),
        (["bus;red cat", "red cat and bus"], "'red cat and bus' is made of the classes 'red cat'"),
        (["red cat;bus", "red cat, bus"], "'red cat, bus' is made of the classes 'red cat' and"),
    ],
)
def test_names_that_are_made_of_others(
    make_folder: MakeFolder, cells: list[str], made: str
) -> None:
    assert any(note.startswith(f"the class {made}") for note in read(make_folder, cells)[2])


def test_a_list_of_names_in_one_text(make_folder: MakeFolder) -> None:
    notes = read(make_folder, ["['cat, dog']", "['cat']", "['dog']"])[2]
    assert any("the class 'cat, dog' is made of the classes" in note for note in notes)


@pytest.mark.parametrize("cells", [["1.5", "1", "5"], ["hot_dog", "dog"], ["sea-bird", "bird"]])
def test_names_that_only_look_like_that(make_folder: MakeFolder, cells: list[str]) -> None:
    assert not any("is made of" in note for note in read(make_folder, cells)[2])


def test_words_between_labels(make_folder: MakeFolder) -> None:
    assert read(make_folder, ["cat and dog", "dog", "owl and cat", "owl cat"])[2][0] == (
        "'and' stands between other labels alone, so it may join them; it was read as a class. "
        "Take it out, or put ';' between all names if it belongs to one"
    )
    assert not any("between" in note for note in read(make_folder, ["and cat", "dog", "x"])[2])


def test_scores_behind_names(make_folder: MakeFolder) -> None:
    cells = ["cat:0.9;dog:0.1", "cat:0.2;dog:0.8", "owl (0.5)"]
    assert any(
        note.startswith("the classes end in a number with a fraction ('cat:0.2', …)")
        for note in read(make_folder, cells)[2]
    )


@pytest.mark.parametrize("missing", ["", None, float("nan")])
def test_a_list_of_a_missing_value_has_no_label(tmp_path: Path, missing: object) -> None:
    rows = [{"caption": "a", "labels": ["x", "y"]}, {"caption": "b", "labels": [missing]}]
    (tmp_path / "train.json").write_text(json.dumps(rows))
    dataset = load_dataset(tmp_path)
    assert dataset.classes == ("x", "y") and dataset.labels.tolist() == [[1, 1], [0, 0]]
    (tmp_path / "train.json").write_text(json.dumps([{"caption": "a", "labels": ["x", missing]}]))
    with pytest.raises(InputError, match="a label must be an integer or text"):
        load_dataset(tmp_path)


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ('["red", "dark blue"]', ("red", "dark blue")),
        ('[\n  "red",\n  "dark blue"\n]\n', ("red", "dark blue")),
        ("red, dark blue\n", ("red", "dark blue")),
        ("1 star\n2 stars\n", ("1 star", "2 stars")),
        ("0\n1\n", ("0", "1")),
    ],
)
def test_files_of_class_names(tmp_path: Path, content: str, names: tuple[str, ...]) -> None:
    (tmp_path / "names.txt").write_text(content)
    assert classes_argument(str(tmp_path / "names.txt")) == names


@pytest.mark.parametrize(
    "content", ["0 red\n1 blue\n", "- red\n- blue\n", '{"0": "red"}', "[1, 2]", "\n"]
)
def test_files_that_have_more_than_names(tmp_path: Path, content: str) -> None:
    (tmp_path / "names.txt").write_text(content)
    with pytest.raises(InputError, match="must have one name a line, as rows have it"):
        classes_argument(str(tmp_path / "names.txt"))


def test_vectors_of_another_length_than_the_classes(make_folder: MakeFolder) -> None:
    assert refused(make_folder, ["0 1", "1 0"], LabelsAs(classes=("a", "b", "c"))) == [
        "Labels looks like vectors of 2 zeros and ones (such as 0 1, train.csv line 2), but there "
        "are 3 classes ('a', 'b', 'c'); name 2, or the labels themselves"
    ]


def test_a_word_for_no_label_that_no_row_has(make_folder: MakeFolder) -> None:
    assert read(make_folder, ["a", "b"], LabelsAs(no_label=("nan",)))[2][0] == (
        "no row of Labels says 'nan'"
    )


@pytest.mark.parametrize("word", ["none", "NONE", "no_label", "Unlabelled"])
def test_classes_that_may_stand_for_no_label(make_folder: MakeFolder, word: str) -> None:
    assert read(make_folder, ["cat", "dog", word])[2][0] == (
        f"the class '{word}' may stand for no label; --no-label '{word}' reads it so (from Python "
        f"no_label='{word}')"
    )
    assert read(make_folder, ["cat", "dog", word], LabelsAs(no_label=(word,)))[0] == ("cat", "dog")
