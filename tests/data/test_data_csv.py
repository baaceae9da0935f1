"""The reader agrees with the csv module on well-formed files and never merges rows silently."""

import csv
import io
import random
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo.data._csv import read_csv
from hpo.data._problems import Problems
from hpo.data._table import Table

TRAIN = ["ImageID", "Labels", "Caption"]


def caption_of(header: Sequence[str]) -> str | None:
    return "Caption" if "Caption" in header else None


def read(text: str | bytes) -> tuple[Table | None, list[str]]:
    problems = Problems()
    content = text.encode() if isinstance(text, str) else text
    return read_csv(content, "train.csv", problems, caption_of), problems.listed()


def captions(text: str) -> tuple[str, ...]:
    table, problems = read(text)
    assert not problems
    assert table is not None
    return table.columns["Caption"]


field = st.text(alphabet='ab ,"\r\n;é1', max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    rows=st.lists(st.tuples(field, field, field), min_size=1, max_size=6),
    header=st.permutations(TRAIN),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    ending=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
)
def test_well_formed_files_read_as_with_the_csv_module(
    rows: list[tuple[str, ...]], header: list[str], quoting: int, ending: str, bom: bool
) -> None:
    text = io.StringIO(newline="")
    # A carriage return is quoted by every Python version only if the line ending holds one.
    minimal = quoting == csv.QUOTE_MINIMAL
    writer = csv.writer(text, quoting=quoting, lineterminator="\r\n" if minimal else ending)
    writer.writerow(header)
    writer.writerows(rows)
    table, problems = read(text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    expected = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    assert not problems
    assert table is not None
    columns = (table.columns[name] for name in header)
    assert [dict(zip(header, row, strict=True)) for row in zip(*columns, strict=True)] == expected


WORDS = ["a", "red", "stop", "sign,", '"go"', '"', '",', ', "', "it's", '5"', "é", '."', "x\ny"]


@pytest.mark.parametrize(
    ("header", "record"),
    [
        ("ImageID,Labels,Caption", '{id}.jpg,{labels},"{caption}"'),
        ("Labels,Caption,ImageID", '{labels},"{caption}",{id}.jpg'),
        ("ImageID,Caption,Split,Labels", '{id}.jpg,"{caption}",train,{labels}'),
        ("Labels,ImageID,Caption", '"{labels}","{id}.jpg","{caption}"'),
    ],
)
def test_unescaped_captions_are_read_whole(header: str, record: str) -> None:
    generator = random.Random(0)
    # A caption must differ from a record by RFC 4180, hence the bare quotes in its middle.
    texts = [
        " ".join(["the", '"x"', *generator.choices(WORDS, k=generator.randint(0, 8)), "end"])
        for _ in range(500)
    ]
    lines = [
        record.format(id=i, labels=generator.choice(["", "1", "1 19"]), caption=text)
        for i, text in enumerate(texts)
    ]
    table, problems = read("\n".join([header, *lines]))
    assert not problems
    assert table is not None
    assert list(table.columns["Caption"]) == texts
    assert table.columns["ImageID"] == tuple(f"{i}.jpg" for i in range(500))
    starts = [2 + sum(line.count("\n") + 1 for line in lines[:i]) for i in range(500)]
    assert list(table.lines) == starts


@settings(max_examples=300, deadline=None)
@given(
    body=st.text(alphabet='a1 ,"\n', max_size=60),
    header=st.permutations(TRAIN),
)
def test_nothing_is_dropped_silently(body: str, header: list[str]) -> None:
    """Whatever the file, each character is in a record or on a line that is reported."""
    table, problems = read(",".join(header) + "\n" + body)
    assert table is not None
    if not any(" line " in problem for problem in problems):
        columns = list(table.columns.values())
        if any("blanks after commas" in str(note) for note in table.notes):
            columns = [[cell.replace(" ", "") for cell in column] for column in columns]
            body = body.replace(" ", "")
        read_letters = sum(len(cell) - cell.count('"') for column in columns for cell in column)
        # Left off: quotes, commas between fields, line breaks after records and empty lines.
        content = len(body) - body.count('"') - body.count("\n")
        inside = sum(cell.count("\n") for column in columns for cell in column)
        assert read_letters - inside + 2 * len(table) == content


def test_time_is_linear_in_rows_that_are_all_malformed() -> None:
    # Searching to the end of the file from each row would take minutes.
    for row in ('{}.jpg,1,"open "x" and on', '{}.jpg,1,"a "b" c"', "{}.jpg,1,x,y"):
        text = "\n".join(row.format(i) for i in range(20_000))
        start = time.perf_counter()
        read("ImageID,Labels,Caption\n" + text)
        assert time.perf_counter() - start < 60


@pytest.mark.parametrize(
    "caption",
    [
        'the word "caution" on it',
        '"quoted" from the start',
        'to the "end"',
        'reads "spray."',
        'signs "Nice Ave" and "Sapphire St"',
        'a sign, "Bourbon", at a light',
        'ends in a comma and a quote "x",',
        'a ruler of 5"',
        'a quote ends the line "x"\nand it goes on, with a comma',
        'so does this "x"\n\n.',
        '"',
    ],
)
def test_malformed_caption_between_rows(caption: str) -> None:
    text = f'ImageID,Labels,Caption\n0.jpg,1,first\n1.jpg,2 3,"{caption}"\n2.jpg,,"last, one"\n'
    assert captions(text) == ("first", caption, "last, one")


def test_well_formed_caption_may_hold_what_looks_like_a_row() -> None:
    inner = 'a "sign"\n2.jpg,1,"x"'
    doubled = inner.replace('"', '""')
    text = f'ImageID,Labels,Caption\n1.jpg,1,"{doubled}"\n3.jpg,1,y\n'
    assert captions(text) == (inner, "y")


def test_undecidable_caption_is_read_as_two_rows() -> None:
    text = 'ImageID,Labels,Caption\n1.jpg,1,"a "sign"\n2.jpg,1,"x"\n'
    assert captions(text) == ('a "sign', "x")


def test_a_quote_that_is_never_closed_costs_one_row_and_is_reported() -> None:
    text = 'ImageID,Labels,Caption\n1.jpg,1,"open\nand on\n2.jpg,1,"x"\n3.jpg,1,"open again'
    table, problems = read(text)
    rule = "the quote that opens the Caption is not closed before the next row or the end"
    assert problems == [f"train.csv line 2: {rule}", f"train.csv line 5: {rule}"]
    assert table is not None
    assert table.columns["ImageID"] == ("2.jpg",)


def test_wrong_number_of_fields_is_reported_by_line() -> None:
    text = "ImageID,Labels,Caption\n1.jpg,1,red, white\n2.jpg,1\n3.jpg,1,fine\n"
    _, problems = read(text)
    assert problems == [
        "train.csv line 2: 4 fields, but the header has 3 columns; a field that holds commas "
        "must stand in quotes",
        "train.csv line 3: 2 fields, but the header has 3 columns",
    ]


def test_malformed_field_other_than_the_caption_is_reported() -> None:
    _, problems = read('ImageID,Labels,Caption\n1.jpg, 1 ,"a "b" c"\n')
    assert problems == [
        "train.csv line 2: fields beside a malformed Caption must be plain: no bare quote, no "
        "outer blanks"
    ]


def test_carriage_returns_end_lines_and_count_as_such() -> None:
    table, problems = read("ImageID,Labels,Caption\r1.jpg,1,a\r\n\r\n2.jpg,1,b\n")
    assert not problems
    assert table is not None
    assert table.lines == (2, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "train.csv is empty, but must have a header and rows"),
        (b"\xef\xbb\xbf\n\n", "train.csv is empty, but must have a header and rows"),
        (b"ImageID,Labels,Caption\n", "train.csv has a header but no rows"),
        (
            b"ImageID,Labels,Caption\n1.jpg,1,caf\xe9\n",
            "train.csv line 2: the byte 0xe9 is not UTF-8; save it as UTF-8, or if it is in "
            "Windows-1252, use iconv -f WINDOWS-1252 -t UTF-8 train.csv > new-train.csv",
        ),
        (b"ImageID;Labels;Caption\n", "train.csv has a header but no rows"),
        ("ImageID\n".encode("utf-16"), "train.csv is UTF-16, or no text; save it as UTF-8"),
        (
            b"ImageID,Labels,Caption,Labels\n",
            "train.csv has the column 'Labels' 2 times; rename one",
        ),
    ],
)
def test_files_that_are_no_table(content: bytes, message: str) -> None:
    assert read(content)[1] == [message]


@pytest.mark.parametrize("mark", [";", "|", "\t"])
def test_other_separators_are_told_by_the_header(mark: str) -> None:
    text = f'ImageID{mark}Labels{mark}Caption\n1.jpg{mark}"a{mark}b"{mark}"one, ""two"""\n'
    table, problems = read(text)
    assert not problems and table is not None
    assert table.columns == {
        "ImageID": ("1.jpg",),
        "Labels": (f"a{mark}b",),
        "Caption": ('one, "two"',),
    }
    called = {"\t": "tabs"}.get(mark, f"'{mark}'")
    assert [str(note) for note in table.notes] == [
        f"train.csv: its columns are separated by {called}"
    ]


def test_blanks_after_commas_leave_no_quotes_in_the_text() -> None:
    text = 'ImageID,Labels,Caption\n0.jpg, 1, "caption, with a comma"\n1.jpg, 2, plain\n'
    table, problems = read(text)
    assert not problems and table is not None
    assert table.columns["Caption"] == ("caption, with a comma", "plain")
    assert table.columns["Labels"] == ("1", "2")
    (note,) = table.notes
    assert str(note) == "train.csv: the blanks after commas are left out of its fields"
    assert not note.doubtful


def test_blanks_before_quotes_on_some_rows_alone_are_doubtful() -> None:
    table, problems = read('ImageID,Labels,Caption\n0.jpg,1, "caption"\n1.jpg,2,plain\n')
    assert not problems and table is not None
    assert table.columns["Caption"] == (' "caption"', "plain")
    (note,) = table.notes
    assert note.doubtful
    assert str(note) == (
        "train.csv: 1 field begins with a blank and a quote, which are read as parts of the text; "
        "take the blanks after all commas out, or put one after each"
    )


def test_blanks_without_quotes_stay() -> None:
    table, problems = read("ImageID, Labels, Caption\n0.jpg, 1, a dog\n")
    assert not problems and table is not None
    assert table.columns == {"ImageID": ("0.jpg",), "Labels": (" 1",), "Caption": (" a dog",)}
    assert table.notes == ()


def test_a_file_that_may_be_cut_off_is_noted() -> None:
    table, _ = read("ImageID,Labels,Caption\n1.jpg,1,a do")
    assert table is not None
    assert [str(note) for note in table.notes] == [
        "train.csv: no line break follows the last row; was the file cut off?"
    ]


def test_a_quote_is_not_repaired_in_a_table_without_captions() -> None:
    _, problems = read('ImageID,Labels\n1.jpg,"a "b" c"\n')
    assert problems == [
        "train.csv line 2: a quote inside a field must be doubled, and the field stand in quotes"
    ]


def test_what_spreadsheets_write_around_a_table() -> None:
    """A line ``sep=;`` before the header, and columns that were emptied."""
    table, problems = read("sep=;\r\nImageID;Labels;Caption;;\r\n1.jpg;a b;x;;\r\n")
    assert not problems and table is not None
    assert table.columns == {"ImageID": ("1.jpg",), "Labels": ("a b",), "Caption": ("x",)}
    assert table.lines == (3,)
    assert read("ImageID,Labels,,\n1.jpg,a,1,2\n")[1] == [
        "train.csv has 2 columns without a name; name them, or delete them"
    ]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_headers_again_are_refused_and_byte_order_marks_taken_off(mark: str) -> None:
    rows = "0.jpg,1,a\n"
    header = "ImageID,Labels,Caption\n"
    assert read(f"\ufeff{mark}{header}{rows}")[0] == read(header + rows)[0]
    assert read(header + rows + mark + header + rows)[1] == [
        "train.csv line 3 has the names of the columns again, as where tables were put one behind "
        "the other; delete the line"
    ]
