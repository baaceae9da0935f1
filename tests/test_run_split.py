"""Splits from the command line: the spaces that are shipped on data of any size."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.data import SplitSpec, StratifiedSplit, TailSplit
from hpo.run import main as run
from hpo.study import StoredStudy, kept_split

pytestmark = pytest.mark.slow

SMALL = ["--set", "scale.width=0.01", "--set", "scale.epochs=0.01", "--seeds", "1"]
Plan = Callable[..., str]


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> Plan:
    """Return a function that begins a study of some rows and returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def begin(
        rows: int,
        *arguments: str,
        column: Callable[[int], str] | None = None,
        rare: int | None = None,
        status: int = 3,
    ) -> str:
        rng = np.random.default_rng(0)
        labels = rng.random((rows, 3)) < 0.5
        cells = [" ".join(f"c{k}" for k in np.flatnonzero(row)) for row in labels]
        if rare is not None:
            cells[rare] += " rare"
        lines = [f"{i}.jpg,{cell},x" for i, cell in enumerate(cells)]
        if column is not None:
            lines = [f"{line},{column(i)}" for i, line in enumerate(lines)]
        header = "ImageID,Labels,Caption" + ("" if column is None else ",Split")
        Path("train.csv").write_text("\n".join([header, *lines, ""]))
        for name in ("image", "text"):
            array = labels @ rng.normal(size=(3, 8)) + rng.normal(size=(rows, 8))
            np.save(f"{name}.npy", array.astype(np.float32))
        Path("ids.txt").write_text("".join(f"{i}.jpg\n" for i in range(rows)))
        command = ["--data", ".", "--features", ".", "--workers", "1", "--trials", "1", *SMALL]
        assert run([*command, *arguments]) == status
        printed = capsys.readouterr()
        return printed.out + printed.err

    return begin


@pytest.mark.parametrize("rows", [200, 5500])
def test_a_space_of_the_paper_fits_any_size(plan: Plan, rows: int) -> None:
    out = plan(rows, "--study", "greedy")
    assert f"{rows * 4 // 5:,} rows to train, {rows // 5:,} to validate" in out
    assert "\nsplit stratified\n" in out
    assert "fewer rows to train on" not in out
    stored = StoredStudy.join("sqlite:///studies.db", "greedy").space.split
    assert stored == StratifiedSplit(kind="stratified", val_fraction=0.2)


def test_a_column_is_read_unless_the_user_says_otherwise(plan: Plan) -> None:
    by = {"column": lambda row: "val" if row < 30 else "train"}
    assert "70 rows to train, 30 to validate" in plan(100, "--study", "greedy", **by)
    own = ["--study", "own", "--space", "own.yaml"]
    space = Path(hpo.__file__).parents[1] / "search_spaces" / "greedy.yaml"
    before, _, rest = space.read_text().partition("split:\n")
    rest = rest[rest.index("fixed:") :]
    Path("own.yaml").write_text(f"{before}split: {{kind: tail, val_rows: 5000}}\n{rest}")
    out = plan(100, *own, status=2, **by)
    assert "--set split.kind=auto takes what the column Split says to validate" in out
    out = plan(100, *own, "--set", "split.kind=stratified", **by)
    assert "80 rows to train, 20 to validate" in out
    note = (
        "note: the column Split (30 val, 70 train) is not read, since the space asks for another "
    )
    assert note in out
    out = plan(100, "--study", "t", "--space", "own.yaml", "--set", "split.val_rows=10", **by)
    assert "90 rows to train, 10 to validate" in out and note in out
    out = plan(
        100, "--study", "s", "--space", "own.yaml", "--set", "split.val_rows=10", "--strict",
        status=2, **by,
    )  # fmt: skip
    assert "as --strict asks:" in out and "the column Split (30 val, 70 train) is not read" in out


def test_rare_classes_from_the_command_line(plan: Plan) -> None:
    rest = {"column": lambda row: "val" if row < 30 else "train", "rare": 3}
    out = plan(100, "--study", "greedy", **rest)
    assert (
        "note: 1 class on no row to train on (rare) is kept, and counts as missed wherever" in out
    )
    assert ", rare 1\n" in out and "4 classes" in out
    Path("greedy.yaml").write_text(
        (Path(hpo.__file__).parents[1] / "search_spaces" / "greedy.yaml").read_text()
    )
    drop = ["--set", "split.rare_classes=drop"]
    out = plan(100, "--study", "d", "--space", "greedy.yaml", *drop, **rest)
    assert "3 classes" in out and "rare 1" not in out.partition("split column")[0]
    assert (
        "note: 1 class on no row to train on (rare) is left out; 1 rows lose a label by it, 0 "
        "their only one" in out
    )
    error = ["--set", "split.rare_classes=error", "--set", "split.min_rows_per_class=2"]
    out = plan(100, "--study", "e", "--space", "greedy.yaml", *error, **rest, status=2)
    assert "class 'rare' is on 0 rows to train on, but must be on 2 at least" in out


@pytest.mark.parametrize(
    "former",
    [TailSplit(kind="tail", val_rows=5000), StratifiedSplit(kind="stratified", val_fraction=0.2)],
)
def test_studies_go_on_with_the_split_that_was_the_default(plan: Plan, former: SplitSpec) -> None:
    by = {"column": lambda row: "val" if row < 3000 else "train"}
    own = ["--study", "old"]
    settings = [f"split={former.model_dump_json(exclude_defaults=True)}"]
    Path("search_spaces").mkdir()
    shipped = Path(hpo.__file__).parents[1] / "search_spaces" / "greedy.yaml"
    Path("search_spaces/old.yaml").write_text(shipped.read_text())
    rows = "500 rows to train, 5,000 to" if former.kind == "tail" else "4,400 rows to train, 1,100"
    assert rows in plan(5500, *own, "--set", *settings, **by)
    assert rows in plan(5500, *own, **by)  # the same command without a word on the split
    url = "sqlite:///studies.db"
    assert kept_split(url, "old", hpo.load_space(Path("search_spaces/old.yaml")).split) == former
    out = plan(5500, *own, "--set", "split.val_rows=10", status=2, **by)
    assert "The study 'old' in sqlite:///studies.db is a different one" in out
    auto = hpo.load_space(Path("search_spaces/old.yaml")).split
    assert kept_split(url, "another", auto) is auto
    assert kept_split("sqlite:///none.db", "old", auto) is auto
    assert not Path("none.db").exists()
