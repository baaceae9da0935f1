"""Labels that are not names: what is read without doubt, and both readings where there is doubt."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.data import LabelsAs, class_line, classes_argument, dataset_of_arrays, dataset_of_frame
from hpo.data import load_dataset as load
from hpo.data._label_notes import class_notes
from hpo.errors import InputError

MakeFolder = Callable[..., Path]

NAMES = ["red", "dark blue", "green"]
TRUTH = [[1, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1]]
SETS = [["red", "green"], ["dark blue"], [], ["red", "dark blue", "green"]]
IDS = [[0, 2], [1], [], [0, 1, 2]]


def read(
    make_folder: MakeFolder, cells: Sequence[str], way: LabelsAs | None = None
) -> tuple[tuple[str, ...], list[list[int]], list[str]]:
    """Return classes, labels and notes of a train.csv with these cells."""
    frame = pd.DataFrame({"ImageID": range(len(cells)), "Labels": cells, "Caption": "x"})
    folder = make_folder(frame.to_csv(index=False))
    dataset = load(folder, images="ignore", labels_as=way)
    return dataset.classes, dataset.labels.tolist(), [str(note) for note in dataset.notes]


def refused(
    make_folder: MakeFolder, cells: Sequence[str], way: LabelsAs | None = None
) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(make_folder, cells, way)
    return caught.value.problems


def numpy_text(values: Sequence[object]) -> str:
    return str(np.array(values)) if values else "[]"


@pytest.mark.parametrize(
    "spell",
    [
        str,
        repr,
        lambda labels: str(labels).replace("'", '"'),
        lambda labels: str(tuple(labels)),
        lambda labels: str(set(labels)) if labels else "set()",
        lambda labels: f"frozenset({set(labels) if labels else ''})",
        numpy_text,
        lambda labels: repr(np.array(labels)) if labels else "[]",
        lambda labels: repr(np.array(labels, dtype=object)),
        lambda labels: str([np.str_(v) if isinstance(v, str) else np.int64(v) for v in labels]),
        lambda labels: "nan" if not labels else str(labels),
        lambda labels: "[None]" if not labels else str(labels),
        lambda labels: "['']" if not labels else str(labels),
    ],
)
def test_lists_in_all_spellings(make_folder: MakeFolder, spell: Callable[..., str]) -> None:
    classes, labels, _ = read(make_folder, [spell(row) for row in SETS])
    assert classes == ("dark blue", "green", "red")
    assert labels == [[row[1], row[2], row[0]] for row in TRUTH]
    classes, labels, _ = read(make_folder, [spell(row) for row in IDS])
    assert classes == ("0", "1", "2") and labels == TRUTH


def test_lists_with_quotes_and_long_arrays(make_folder: MakeFolder) -> None:
    classes, _, _ = read(make_folder, [str(["rock 'n' roll", 'a "b"']), '["it\\u2019s"]'])
    assert classes == ('a "b"', "it’s", "rock 'n' roll")
    wide = str(np.arange(100))  # numpy breaks the line
    assert "\n" in wide and len(read(make_folder, [wide, "[0]"])[0]) == 100
    cut = refused(make_folder, [str(np.arange(2000)), "[0]"])
    assert cut[0].startswith("train.csv line 2: Labels '[   0    1    2 ... 1997 1998 1999]' was ")
    assert "cut by '...' as it was printed, so that labels are missing" in cut[0]


@pytest.mark.parametrize(
    ("cell", "fault"),
    [
        ("[red, green]", "has red without quotes in it"),
        ("{'red': 1}", "has keys and values, so it is no list"),
        ('{"red": 1}', "has keys and values, so it is no list"),
        ("[['red'], ['green']]", "has a list in it, but must have labels alone"),
        ("['red' 'green', 'blue']", "has commas between some labels and blanks between others"),
        ("['red'] ['green']", "is no list from its beginning to its end"),
        ("[1.5]", "has the label 1.5, but a label must be an integer or text that is not empty"),
        ("['red', None]", "has the label None, but a label must be an integer or text"),
        ("['red;']", "has the label 'red;', but a label must be an integer or text"),
        ("[print('x')]", "has print() in it"),
        ("['red'", None),
        ("[0, 1)", "has ')' where a label must be"),
    ],
)
def test_lists_that_are_none(make_folder: MakeFolder, cell: str, fault: str | None) -> None:
    if fault is None:  # a name as well as any other
        assert read(make_folder, [cell, "x"])[0] == ("['red'", "x")
        return
    problems = refused(make_folder, [cell, "['x']"])
    assert problems[0].startswith(f"train.csv line 2: Labels '{cell}' {fault}")


def test_names_in_brackets_stay_names_and_lists_among_names_are_refused(
    make_folder: MakeFolder,
) -> None:
    assert read(make_folder, ["(none)", "dog", "cat (wild)"])[0] == (
        "(none)",
        "(wild)",
        "cat",
        "dog",
    )
    assert refused(make_folder, ["['dog']", "dog"]) == [
        "train.csv line 2: Labels '['dog']' is a list, but other cells aren't; write all in one "
        "way, or say with --labels-as that it is a name (from Python labels_as='…')"
    ]


def test_commas_separate_where_no_other_separator_does(make_folder: MakeFolder) -> None:
    classes, labels, notes = read(
        make_folder, ["red,green", "dark blue", "", "red, dark blue,green"]
    )
    assert classes == ("dark blue", "green", "red")
    assert labels == [[row[1], row[2], row[0]] for row in TRUTH]
    assert notes[0] == "Labels is read as names separated by commas"
    assert read(make_folder, ["a, b; c", "c;"])[0] == ("a, b", "c")
    assert refused(make_folder, ["1 19,3", "3"]) == [
        "train.csv line 2: Labels '1 19,3' holds commas and blanks between numbers, but one of "
        "them must separate the labels"
    ]


@pytest.mark.parametrize(
    "spell",
    [
        lambda bits: " ".join(map(str, bits)),
        lambda bits: ",".join(map(str, bits)),
        lambda bits: ";".join(map(str, bits)),
        lambda bits: "|".join(map(str, bits)),
        lambda bits: "".join(map(str, bits)),
        lambda bits: " ".join(map(str, map(float, bits))),
        lambda bits: " ".join(map(str, map(bool, bits))),
        str,
        lambda bits: str(np.array(bits)),
        lambda bits: str(np.array(bits, dtype=float)),
        lambda bits: str(np.array(bits, dtype=bool)),
        lambda bits: str(list(map(bool, bits))),
    ],
)
def test_vectors_need_names_or_a_word(make_folder: MakeFolder, spell: Callable[..., str]) -> None:
    cells = [spell(row) for row in TRUTH]
    (problem,) = refused(make_folder, cells)
    assert problem.startswith("Labels looks like vectors of 3 zeros and ones")
    assert "--classes A,B,C" in problem and "--labels-as multi-hot" in problem
    given = LabelsAs(classes=tuple(NAMES))
    assert read(make_folder, cells, given)[:2] == (tuple(NAMES), TRUTH)
    classes, labels, notes = read(make_folder, cells, LabelsAs("multi-hot"))
    assert classes == ("0", "1", "2") and labels == TRUTH
    assert notes[0] == (
        "Labels is read as vectors of 3 zeros and ones; the classes are called 0 to 2 (--classes "
        "A,B,C names them)"
    )


def test_both_readings_of_a_vector_are_named(make_folder: MakeFolder) -> None:
    cells = ["0 1 1", "1 0 0"]
    assert refused(make_folder, cells) == [
        "Labels looks like vectors of 3 zeros and ones (such as 0 1 1, train.csv line 2), but "
        "could also be the classes '0' and '1'. Say which: --classes A,B,C with the 3 names of a "
        "vector, or --labels-as multi-hot for the names 0 to 2; or --labels-as blanks for the "
        "classes '0' and '1' (from Python classes=[…], labels_as='…')"
    ]
    classes, labels, _ = read(make_folder, cells, LabelsAs("blanks"))
    assert classes == ("0", "1") and labels == [[1, 1], [1, 1]]
    assert refused(make_folder, ["011", "100", "001"])[0].startswith(
        "Labels looks like vectors of 3 zeros and ones without blanks (such as 011, train.csv line "
        "2), but could also be 3 classes with such names. Say which: "
    )
    assert read(make_folder, ["011", "100"], LabelsAs("one"))[0] == ("011", "100")


@pytest.mark.parametrize(
    "cells",
    [
        ["0", "1", "0 1"],  # lengths differ
        ["0 1", "0 1"],  # ids in order
        ["1 19", "1 3"],
        ["10", "11"],  # no leading zero
        ["0", "1"],
        ["1 1 19", "3 3 3"],
    ],
)
def test_ids_stay_ids(make_folder: MakeFolder, cells: list[str]) -> None:
    expected = sorted({name for cell in cells for name in cell.split()}, key=int)
    assert read(make_folder, cells)[0] == tuple(expected)


def test_vectors_that_do_not_fit(make_folder: MakeFolder) -> None:
    two = LabelsAs("multi-hot", ("a", "b"))
    assert refused(make_folder, ["0 1", "0 1 1", "0 2", ""], two) == [
        "train.csv line 4: Labels '0 2' has 2 in it, but a vector must have 0 and 1 alone",
        "train.csv line 3: Labels '0 1 1' has 3 numbers, but there are 2 classes",
    ]
    assert refused(make_folder, ["red", "green"], LabelsAs(classes=("red",))) == [
        "train.csv line 3: the label 'green' is not among the classes; they are 'red'"
    ]


@pytest.mark.parametrize("word", ["nan", "None", "NULL", "NA", "<NA>"])
def test_missing_values_as_text(make_folder: MakeFolder, word: str) -> None:
    cells = ["red green", word, "green", word]
    assert refused(make_folder, cells) == [
        f"train.csv line 3: Labels is '{word}' (and on 1 more rows), which may be a missing value "
        f"or a class of this name. Say which: --no-label '{word}' for no label, or --labels-as "
        f"blanks for a class (from Python no_label='{word}', labels_as='blanks')"
    ]
    assert read(make_folder, cells, LabelsAs(no_label=(word,)))[0] == ("green", "red")
    assert word in read(make_folder, cells, LabelsAs("blanks"))[0]
    _, labels, notes = read(make_folder, cells, LabelsAs(classes=("red", "green")))
    assert labels == [[1, 1], [0, 0], [0, 1], [0, 0]]
    assert notes[0] == f"2 rows have no label: they say '{word}', which is not among the classes"


def test_names_that_blanks_may_have_cut(make_folder: MakeFolder) -> None:
    cells = ["red", "dark blue", "dark blue", "green", "dark blue"]
    assert refused(make_folder, cells) == [
        "'dark' and 'blue' stand together on 3 rows of Labels and never apart (first on train.csv "
        "line 3), so 'dark blue' may be one name or two classes. Say which: --labels-as one if "
        "each row has one name, --labels-as blanks if blanks separate them; names with blanks "
        "beside others need ';' or '|' between them (from Python labels_as='…')"
    ]
    assert read(make_folder, cells, LabelsAs("one"))[0] == ("dark blue", "green", "red")
    assert read(make_folder, cells, LabelsAs("blanks"))[0] == ("blue", "dark", "green", "red")
    assert read(make_folder, cells, LabelsAs(classes=tuple(NAMES)))[0] == tuple(NAMES)
    notes = read(make_folder, ["light blue", "blue", "light blue", "light blue", "red"])[2]
    assert notes[0].startswith("'light' never stands without 'blue' behind it (3 rows), so 'light ")


def test_what_looks_wrong_is_noted(make_folder: MakeFolder) -> None:
    classes, _, notes = read(make_folder, ["Red x", "red x", "sci-fi x", "Sci_Fi sci-fi x", "x"])
    assert len(classes) == 5
    assert notes == [
        "classes differ only by case, blanks, '_', '-' or zeros: 'Red', 'red'; 'Sci_Fi', 'sci-fi'; "
        "each is a class of its own. Write them alike if they are one",
        "the class 'x' is on every row, so there is nothing to learn of it",
    ]
    notes = read(make_folder, ["1 1", "01", "", "1.0", "2"])[2]
    assert notes == [
        "1 rows name a label twice (first train.csv line 2: Labels is '1 1'); it counts once",
        "classes differ only by case, blanks, '_', '-' or zeros: '01', '1', '1.0'; each is a class "
        "of its own. Write them alike if they are one",
        "1 of 5 rows have no label",
    ]
    notes = read(make_folder, ["a b c", "d"])[2]
    assert notes == [
        "there are more classes (4) than rows (2); if these are no labels, or have another "
        "separator, say so (--labels-as, from Python labels_as='…')"
    ]
    notes = read(make_folder, ["11", "101", "0", "10"])[2]
    assert notes[0].startswith("the classes have only the digits 0 and 1 (0, 10, 11, …); if they ")


def test_names_that_differ_by_signs_are_not_alike(make_folder: MakeFolder) -> None:
    assert read(make_folder, ["c c++", "c#", "-1 1", "v1-1 v11", "A A-", "c", "", "", ""])[2] == [
        "3 of 9 rows have no label"
    ]


def test_python_values_are_read_alike() -> None:
    vectors = pd.DataFrame({"labels": [np.array(row) for row in TRUTH]})
    with pytest.raises(InputError, match="looks like vectors of 3 zeros and ones"):
        dataset_of_frame(vectors)
    named = dataset_of_frame(vectors, labels_as=LabelsAs(classes=tuple(NAMES)))
    assert named.classes == tuple(NAMES) and named.labels.tolist() == TRUTH
    with pytest.raises(InputError, match=r"labels looks like vectors .*--labels-as list for the"):
        dataset_of_arrays([[0, 1, 1], [1, 0, 0]])
    texts = pd.DataFrame({"labels": ["red", "nan"]})
    with pytest.raises(InputError, match="which may be a missing value or a class of this name"):
        dataset_of_frame(texts)
    gaps = pd.DataFrame({"labels": [1.0, None, 3.0]})  # as pandas reads integers with a gap
    assert dataset_of_frame(gaps).classes == ("1", "3")
    with pytest.raises(InputError, match="labels has lists, so it can't be read as 'blanks'"):
        dataset_of_arrays([["a"], ["b"]], labels_as=LabelsAs("blanks"))
    with pytest.raises(InputError, match="are a column for each class, so neither classes nor"):
        dataset_of_frame(
            pd.DataFrame({"a": [0, 1]}), columns={"labels": ["a"]}, labels_as=LabelsAs("blanks")
        )


def test_wishes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        LabelsAs.of("blank", ["a", "a", ""], None)
    assert caught.value.problems == [
        "labels are to be read as 'blank' (did you mean 'blanks'?), but must be one of: auto, one, "
        "blanks, commas, semicolons, bars, list, multi-hot",
        "the class 'a' is there 2 times",
        "a class has an empty name",
    ]
    (tmp_path / "classes.txt").write_text("red\ndark blue\n\n")
    assert classes_argument(str(tmp_path / "classes.txt")) == ("red", "dark blue")
    assert classes_argument("red, dark blue") == ("red", "dark blue")


def test_classes_are_listed_with_their_rows() -> None:
    matrix = np.triu(np.ones((12, 12), np.uint8))
    names = [f"c{k}" for k in range(12)]
    assert class_line(names[:3], matrix[:, :3]) == "c0 1, c1 2, c2 3"
    assert class_line(names, matrix) == (
        "c11 12, c10 11, c9 10, c8 9, c7 8, … c4 5, c3 4, c2 3, c1 2, c0 1"
    )


def test_entities_and_other_separators(make_folder: MakeFolder) -> None:
    assert refused(make_folder, ["Horror &amp; Sci-Fi", "Drama"]) == [
        "train.csv line 2: Labels 'Horror &amp; Sci-Fi' holds '&amp;', but ';' separates the "
        "labels; write what the entity stands for"
    ]
    classes, _, notes = read(make_folder, ["cat/dog", "dog", "cat", "and/or"])
    assert classes == ("and/or", "cat", "cat/dog", "dog")
    assert notes[0] == (
        "the class 'cat/dog' has parts that other classes have as well; if '/' separates labels, "
        "put ';' in its place"
    )
    _, _, notes = read(make_folder, ["1.0", "2.0", ""])
    assert notes[0] == (
        "the classes are whole numbers with '.0' ('1.0', …), as pandas writes them beside missing "
        "values; each is called so"
    )


def test_names_that_a_spreadsheet_runs_are_told() -> None:
    names = ("=cmd|' /C calc'!A0", "@home", "-1", "+1.5", "cat")
    (note,) = class_notes(names, np.eye(5, dtype=np.uint8))
    assert not note.doubtful
    assert str(note) == (
        "the class '=cmd|' /C calc'!A0' (and 1 more) begins with =, +, - or @, so a spreadsheet "
        "takes it for a formula and runs it; open predictions.csv and tables.csv there as text"
    )
    assert class_notes(("-1", "0", "1", "a-b"), np.eye(4, dtype=np.uint8)) == []


@pytest.mark.parametrize("text", [r"'\x'", r"'\u12'", r"'\N{no}'", "'red\nblue'"])
def test_lists_with_texts_that_python_can_not_read(make_folder: MakeFolder, text: str) -> None:
    (problem,) = refused(make_folder, [f"[{text}]", "['x']"])
    assert f"has {text!r} in it, which is no text of Python" in problem
