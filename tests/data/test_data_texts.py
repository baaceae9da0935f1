"""Texts of a table that a program has written or read wrongly: read as they stand, and told of."""

from pathlib import Path

import pytest
from data_samples import frame, problems_of, read

from hpo.data import dataset_of_frame


def doubts(folder: Path, *captions: str) -> list[str]:
    """Return what is said of a table with these captions, and two more."""
    every = [*captions, "one", "two"]
    labels = ["x", "y"] * len(every)
    table = frame(caption=every, labels=labels[: len(every)])
    table.to_csv(folder / "train.csv", index=False)
    dataset = read(folder)
    assert dataset.train.captions == tuple(every)
    assert dataset_of_frame(table, images="ignore").train.captions == tuple(every)
    return [str(note) for note in dataset.notes if note.doubtful]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("caf\ufffd", "'caf\ufffd', have '\ufffd' in the place of characters that were lost"),
        ("cafÃ©", "'cafÃ©', were UTF-8 and read as Windows-1252 by a program; save them as"),
        ("it’s".encode().decode("cp1252"), "'itâ€™s', were UTF-8 and read as Windows-1252"),
        ("Ã\x81", "'Ã\\x81', were UTF-8 and read as Windows-1252"),
        ("a\x07b", "'a\\x07b', have control characters in them, which no text has"),
        (r"a \"red\" ball", r"""'a \"red\" ball', have a backslash before a quote"""),
        (r"it\'s", r"""'it\'s', have a backslash before a quote"""),
    ],
)
def test_texts_with_signs_of_a_program_are_doubtful(tmp_path: Path, text: str, said: str) -> None:
    (found,) = doubts(tmp_path, text)
    assert found.startswith(f"train.csv: 1 text, such as {said}")


@pytest.mark.parametrize(
    "text", ["café", "«LIBERTÉ»", "日本", "’tis", r"\nu and C:\new", "a\tb", "😀"]
)
def test_texts_of_people_are_not(tmp_path: Path, text: str) -> None:
    assert doubts(tmp_path, text) == []


def test_labels_and_names_are_looked_at_as_well(tmp_path: Path) -> None:
    table = frame(image=["Ã¤.png", "b.png"], labels=[["Ã¤", "y"], ["x"]], caption=["a", "b"])
    dataset = dataset_of_frame(table, images="ignore")
    assert next(str(note) for note in dataset.notes if note.doubtful).startswith(
        "the frame: 2 texts, such as 'Ã¤.png', were UTF-8 "
    )


def test_captions_in_quotes_of_another_kind(tmp_path: Path) -> None:
    rows = ["Labels,Caption", "x,'a ball'", "y,'a dog'", ""]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    assert [str(note) for note in read(tmp_path).notes if note.doubtful] == [
        "train.csv: all captions stand in quotes, such as 'a ball', which are read as a part of "
        "the text; take them out"
    ]


def test_a_zero_byte_far_down(tmp_path: Path) -> None:
    rows = "".join(f"x,{'long ' * 20}{n}\n" for n in range(100))
    (tmp_path / "train.csv").write_text("Labels,Caption\n" + rows + "y,a\0b\n")
    assert problems_of(tmp_path) == [
        "train.csv line 102 has a zero byte, which no text has; the file is damaged"
    ]


def test_a_first_line_that_is_no_header(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("# made by hand\nLabels,Caption\nx,a\ny,b\n")
    assert problems_of(tmp_path) == [
        "train.csv line 1 is '# made by hand', but must have the names of the columns, separated "
        "as on the other lines, such as 'Labels,Caption'"
    ]
    (tmp_path / "train.csv").write_text("0.png,x\n1.png,y\n")
    assert problems_of(tmp_path) == [
        "train.csv has no column of labels; say which it is with --columns labels=…; its columns "
        "are '0.png', 'x'; its first line looks like a row, but must have the names of the columns"
    ]
