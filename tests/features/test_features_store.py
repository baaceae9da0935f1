"""The pieces of the store: chunks, folders that appear whole, the progress lines."""

import errno
import io
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from safetensors import safe_open
from safetensors.numpy import save

from hpo.features import ConsoleProgress
from hpo.features._chunks import ChunkStore
from hpo.features._folder import build_folder, discard_folder


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_chunks_of_two_writers(tmp_path: Path) -> None:
    one, two = ChunkStore(tmp_path, "a"), ChunkStore(tmp_path, "a")
    rows = np.arange(12, dtype=np.float16).reshape(6, 2)
    one.append([key(0), key(1), key(2)], rows[:3])
    two.append([key(3), key(4)], rows[3:5])
    two.append([key(5)], rows[5:])
    store = ChunkStore(tmp_path, "a")
    assert len(store) == 6 and store.width() == 2
    assert key(4) in store and key(4) not in one and key(6) not in store
    out = np.zeros((5, 2), np.float16)
    store.gather([key(5), key(0), key(3), key(0), key(1)], out)
    np.testing.assert_array_equal(out, rows[[5, 0, 3, 0, 1]])
    assert {k: tuple(row) for k, row in store.items()} == {
        key(i): tuple(row) for i, row in enumerate(rows)
    }


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_damaged_chunk_counts_as_missing(damage: str, tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, "a")
    store.append([key(0)], np.ones((1, 2), np.float16))
    store.append([key(1)], np.ones((1, 2), np.float16))
    path = sorted(tmp_path.iterdir())[0]
    content = path.read_bytes()
    flipped = content[:-1] + bytes([content[-1] ^ 1])
    path.write_bytes({"cut": content[:-1], "flip": flipped, "empty": b""}[damage])
    assert len(ChunkStore(tmp_path, "a")) == 1
    assert not path.exists()


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / ".a.tmp", tmp_path / ".b.tmp"
    old_folder = tmp_path / ".c.tmp"
    old_folder.mkdir()
    for path in (old, new):
        path.touch()
    for path in (old, old_folder):
        os.utime(path, (time.time() - 100_000,) * 2)
    ChunkStore(tmp_path, "a")
    assert list(tmp_path.iterdir()) == [new]


def test_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fail_half_way() -> None:
        with build_folder(target) as building:
            (building / "half").touch()
            raise KeyError("half way")

    with pytest.raises(KeyError, match="half way"):
        fail_half_way()
    assert not list(tmp_path.iterdir())
    with build_folder(target) as building:
        (building / "file").write_text("mine")
        assert not target.exists()
        with build_folder(target) as faster:
            (faster / "file").write_text("faster")
    assert (target / "file").read_text() == "faster"
    discard_folder(target)
    discard_folder(target)
    assert not list(tmp_path.iterdir())


def test_progress_on_a_file_is_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("hpo.features._progress.time.monotonic", lambda: 100.0 + now[0])
    output = io.StringIO()
    with ConsoleProgress(Console(file=output)) as progress:
        for seconds, done in ((0, 0), (1, 10), (5, 50), (6, 60), (10, 100), (40, 400)):
            now[0] = float(seconds)
            progress("encoding images", done, 400)
    assert output.getvalue().splitlines() == [
        "encoding images: 0 of 400",
        "encoding images: 50 of 400, 10.0/s, 0:00:35 left",
        "encoding images: 100 of 400, 10.0/s, 0:00:30 left",
        "encoding images: 400 of 400, 10.0/s",
    ]


def test_progress_on_a_terminal_is_a_bar() -> None:
    output = io.StringIO()
    with ConsoleProgress(Console(file=output, force_terminal=True, width=100)) as progress:
        progress("encoding images", 0, 40)
        progress("encoding images", 40, 40)
    assert "encoding images" in output.getvalue() and "40/40" in output.getvalue()


def test_importing_is_fast() -> None:
    code = (
        "import sys, hpo.features, hpo.features.__main__\n"
        "print([m for m in ('torch', 'open_clip', 'sklearn', 'PIL') if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_a_chunk_that_can_not_be_read_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network file system has its hiccups, which say nothing of what is stored."""
    ChunkStore(tmp_path, "a").append([key(0)], np.ones((1, 2), np.float16))
    (path,) = tmp_path.iterdir()
    real, failing = Path.open, [2]

    def stale(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path and failing[0]:
            failing[0] -= 1
            raise OSError(errno.ESTALE, "Stale file handle", str(self))
        return real(self, *args, **kwargs)

    monkeypatch.setattr("hpo.files.time.sleep", lambda _: None)
    monkeypatch.setattr(Path, "open", stale)
    assert len(ChunkStore(tmp_path, "a")) == 1
    failing[0] = 100
    with pytest.raises(OSError, match="Stale file handle"):
        ChunkStore(tmp_path, "a")
    failing[0] = 0
    assert len(ChunkStore(tmp_path, "a")) == 1


def test_a_chunk_of_another_type_is_damaged(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, "a")
    store.append([key(0)], np.ones((1, 2), np.float16))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes().replace(b'"F16"', b'"I16"'))
    assert len(ChunkStore(tmp_path, "a")) == 0


def test_a_chunk_of_another_folder_is_damaged(tmp_path: Path) -> None:
    """Such as the embeddings of another encoder, which have the same keys."""
    mine, theirs = (ChunkStore(tmp_path / name, name) for name in ("mine", "theirs"))
    for store in (mine, theirs):
        store.append([key(0)], np.ones((1, 2), np.float16))
    (path,) = (tmp_path / "theirs").iterdir()
    path.replace(tmp_path / "mine" / path.name)
    assert len(ChunkStore(tmp_path / "mine", "mine")) == 0


def test_a_chunk_of_an_earlier_version_does_not_say_of_what_it_is(tmp_path: Path) -> None:
    store = ChunkStore(tmp_path, "a")
    store.append([key(0)], np.ones((1, 2), np.float16))
    (path,) = tmp_path.iterdir()
    with safe_open(path, framework="numpy") as file:
        rows = {name: file.get_tensor(name) for name in ("keys", "rows")}
        said = file.metadata()
    assert said.pop("of") == "a"
    path.write_bytes(save(rows, said))
    assert len(ChunkStore(tmp_path, "b")) == 1
