"""Good folders damaged at random: the right result, or one error, or a note; nothing else.

What no reader can know is left out: that text within a row was changed into other text, and that
whole rows are gone. So every row that the damage has left whole must come out as it was, with its
own image, labels and caption; otherwise there must be an error or a note.
"""

import csv
import io
import json
import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from damage import DAMAGE, Damage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hpo.data import Dataset, ReadOptions, load_dataset
from hpo.errors import InputError

COUNT = 12
NAMES = [f"picture{n}.png" for n in range(COUNT)]
CAPTIONS = [f"caption {n}, of some length" for n in range(COUNT)]
CLASSES = ("cat", "dog", "owl")
LABELS = [
    [CLASSES[n % 3]] if n % 2 else [CLASSES[n % 3], CLASSES[(n + 1) % 3]] for n in range(COUNT)
]
KEYS = ("image", "labels", "caption", "Split", "x")
Row = tuple[str, str, tuple[str, ...], str]


def frame() -> pd.DataFrame:
    return pd.DataFrame({"image": NAMES, "caption": CAPTIONS, "labels": LABELS})


def flat() -> pd.DataFrame:
    return frame().assign(labels=[" ".join(row) for row in LABELS])


def bits() -> pd.DataFrame:
    columns = {name: [int(name in row) for row in LABELS] for name in CLASSES}
    return frame().drop(columns="labels").assign(**columns)


def write(text: str, folder: Path, name: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def write_parquet(folder: Path) -> Path:
    frame().to_parquet(folder / "train.parquet", write_page_checksum=True)
    return folder / "train.parquet"


def write_parts(folder: Path) -> Path:
    """Write two tables, of which the second has the columns in another order."""
    others = bits()[8:][["owl", "caption", "cat", "image", "dog"]]
    write(others.to_csv(index=False), folder, "val.csv")
    return write(bits()[:8].to_csv(index=False), folder, "train.csv")


def several() -> pd.DataFrame:
    return frame().assign(caption=[[text, f"{text}, too"] for text in CAPTIONS])


WRITERS: dict[str, Callable[[Path], Path]] = {
    "csv": lambda folder: write(flat().to_csv(index=False), folder, "train.csv"),
    "csv in quotes": lambda folder: write(
        flat().to_csv(index=False, quoting=csv.QUOTE_ALL), folder, "train.csv"
    ),
    "csv with lists": lambda folder: write(
        frame().assign(labels=[str(row) for row in LABELS]).to_csv(index=False), folder, "train.csv"
    ),
    "one-hot csv": lambda folder: write(bits().to_csv(index=False), folder, "train.csv"),
    "two tables": write_parts,
    "tsv": lambda folder: write(flat().to_csv(index=False, sep="\t"), folder, "train.tsv"),
    "one-hot tsv": lambda folder: write(bits().to_csv(index=False, sep="\t"), folder, "train.tsv"),
    "json": lambda folder: write(frame().to_json(orient="records"), folder, "train.json"),
    "jsonl": lambda folder: write(
        frame().to_json(orient="records", lines=True), folder, "train.jsonl"
    ),
    "jsonl with several captions": lambda folder: write(
        several().to_json(orient="records", lines=True), folder, "train.jsonl"
    ),
    "parquet": write_parquet,
}


def image(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (number, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


IMAGES = [image(n) for n in range(COUNT)]


@pytest.fixture(scope="module")
def good() -> dict[str, tuple[Path, Path]]:
    """A folder of each format, and its table."""
    root = Path(tempfile.mkdtemp())
    found = {}
    for kind, writer in WRITERS.items():
        folder = root / kind
        (folder / "images").mkdir(parents=True)
        for name, content in zip(NAMES, IMAGES, strict=True):
            (folder / "images" / name).write_bytes(content)
        found[kind] = (folder, writer(folder))
    return found


def rows_of(dataset: Dataset) -> list[Row]:
    rows = []
    for row, name in enumerate(dataset.train.ids):
        labels = tuple(name for k, name in enumerate(dataset.classes) if dataset.labels[row, k])
        picture = "" if dataset.train.images is None else dataset.train.images[row].name
        rows.append((name, picture, tuple(sorted(labels)), dataset.train.captions[row]))
    return rows


EXPECTED = [
    (name, name, tuple(sorted(labels)), caption)
    for name, labels, caption in zip(NAMES, LABELS, CAPTIONS, strict=True)
]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(sorted(WRITERS)), damage=st.sampled_from(DAMAGE), seed=st.integers(0))
def test_a_damaged_table(
    good: dict[str, tuple[Path, Path]],
    kind: str,
    damage: Damage,
    seed: int,
) -> None:
    folder, table = good[kind]
    usual = load_dataset(folder, options=ReadOptions(unpack=folder / "cache"))
    content = table.read_bytes()
    damaged = damage(content, random.Random(seed))
    table.write_bytes(damaged)
    try:
        dataset = load_dataset(folder, options=ReadOptions(unpack=folder / "cache"))
    except InputError:
        return
    finally:
        table.write_bytes(content)
    # A Parquet file's footer has no checksum, so it may describe other rows than it did.
    if {note.text for note in dataset.notes} - {note.text for note in usual.notes}:
        return
    if kind == "parquet":
        return
    found = {row[0]: row for row in rows_of(dataset)}
    whole = set(records(damaged.decode("utf-8", "replace"), table))
    for record, right in zip(records(content.decode(), table), EXPECTED, strict=False):
        if record in whole:
            assert found.get(right[0]) == right


def records(text: str, table: Path) -> list[str]:
    """Return what stands for each row, apart from the others."""
    if table.suffix == ".json":
        return text.removeprefix("[{").removesuffix("}]").split("},{")
    lines = text.split("\n")
    return [line for line in (lines if table.suffix == ".jsonl" else lines[1:]) if line]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(kind=st.sampled_from(["csv", "one-hot tsv"]), order=st.permutations(range(3)))
def test_columns_in_another_order_are_the_same(
    good: dict[str, tuple[Path, Path]], kind: str, order: list[int]
) -> None:
    folder, table = good[kind]
    content = table.read_text()
    mark = "\t" if table.suffix == ".tsv" else ","
    read = pd.read_csv(io.StringIO(content), sep=mark, dtype=str)
    names = [read.columns[k] for k in order] + list(read.columns[3:])
    table.write_text(read[names].to_csv(index=False, sep=mark))
    try:
        found = rows_of(load_dataset(folder))
    finally:
        table.write_text(content)
    assert found == EXPECTED


@pytest.mark.parametrize("kind", ["csv", "json", "jsonl"])
@pytest.mark.parametrize("pair", [("image", "caption"), ("image", "labels"), ("caption", "labels")])
def test_columns_with_one_another_s_names_are_refused_or_noted(
    good: dict[str, tuple[Path, Path]], tmp_path: Path, kind: str, pair: tuple[str, str]
) -> None:
    folder, table = good[kind]
    shutil.copytree(folder, tmp_path / "data")
    one, other = pair
    source = flat() if kind == "csv" else frame()
    swapped = source.rename(columns={one: other, other: one})
    path = tmp_path / "data" / table.name
    if kind == "csv":
        swapped.to_csv(path, index=False)
    else:
        swapped.to_json(path, orient="records", lines=kind == "jsonl")
    try:
        dataset = load_dataset(tmp_path / "data")
    except InputError:
        return
    assert any(note.doubtful for note in dataset.notes)


def test_files_in_one_another_s_place_are_refused(
    good: dict[str, tuple[Path, Path]], tmp_path: Path
) -> None:
    """A table under the name of another format, an image in the place of a table."""
    single = {kind: files for kind, files in good.items() if kind != "two tables"}
    for kind, (folder, table) in single.items():
        for other, (_, content) in single.items():
            place = tmp_path / f"{kind}-{other}"
            shutil.copytree(folder, place)
            (place / table.name).write_bytes(content.read_bytes())
            try:
                found = rows_of(load_dataset(place))
            except InputError:
                continue
            assert found == EXPECTED
        place = tmp_path / f"{kind}-image"
        shutil.copytree(folder, place)
        (place / table.name).write_bytes(IMAGES[0])
        with pytest.raises(InputError):
            load_dataset(place)


@settings(max_examples=100, deadline=None)
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
        ),
        max_leaves=12,
    )
)
def test_any_json(value: object) -> None:
    """Whatever a JSON file holds, it is read or refused."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "train.json").write_text(json.dumps(value))
        for options in (ReadOptions(), ReadOptions(captions="each")):
            try:
                load_dataset(Path(folder), images="ignore", options=options)
            except InputError:
                continue
