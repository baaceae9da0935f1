"""What differs between systems: it works on each, or is left out where that does no harm."""

import errno
import json
import os
import time
from pathlib import Path

import pytest

from hpo import files
from hpo._machine import usable_cores
from hpo._writable import check_file, check_folder
from hpo.errors import InputError
from hpo.files import (
    IrregularError,
    atomic_write,
    read_again,
    regular,
    sealed,
    sweep,
    sync,
    unsealed,
    write_json,
)


def test_usable_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5, 8}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS and Windows
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


def test_folders_that_can_not_be_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []

    def refuse(_descriptor: int) -> None:
        codes.append(code)
        raise OSError(code, os.strerror(code))

    (tmp_path / "file").touch()
    monkeypatch.setattr(os, "fsync", refuse)
    for code in (errno.EINVAL, errno.ENOTSUP):
        sync(tmp_path)
        with pytest.raises(OSError, match=os.strerror(code)):
            sync(tmp_path / "file")
    code = errno.EIO
    with pytest.raises(OSError, match="Input/output error"):
        sync(tmp_path)
    assert len(codes) == 5


def test_files_are_written_where_nothing_can_be_synced_but_open_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Windows:
        """What `hpo.files` uses of `os`, but a folder can't be opened."""

        name = "nt"
        fdopen, fsync = staticmethod(os.fdopen), staticmethod(os.fsync)

        @staticmethod
        def open(path: Path, flags: int) -> int:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(files, "os", Windows)
    write_json(tmp_path / "a.json", {"a": 1})
    with atomic_write(tmp_path / "b") as file:
        file.write(b"b")
    sync(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "b"]


def test_what_a_file_system_only_has_to_be_asked_again_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files.time, "sleep", lambda _: None)
    errors = [OSError(errno.ESTALE, "Stale file handle"), OSError(errno.EIO, "Input/output error")]

    def read() -> str:
        if errors:
            raise errors.pop(0)
        return "content"

    assert read_again(read) == "content"
    errors += [OSError(errno.EIO, "Input/output error") for _ in range(10)]
    with pytest.raises(OSError, match="Input/output error"):
        read_again(read)
    assert len(errors) == 6
    errors[:] = [PermissionError(errno.EACCES, "Permission denied")] * 2
    with pytest.raises(PermissionError):
        read_again(read)
    assert len(errors) == 1


def test_a_sealed_record_tells_what_was_changed(tmp_path: Path) -> None:
    record = {"a": (1, 2), "b": {"c": 0.1}, 3: None}
    written = sealed(record)
    assert list(written) == ["a", "b", "3", "checksum"]
    write_json(tmp_path / "record.json", written)
    stored = json.loads((tmp_path / "record.json").read_text())
    assert unsealed(stored) == {"a": [1, 2], "b": {"c": 0.1}, "3": None}
    assert unsealed({"a": 1}) == {"a": 1}  # of before there were checksums
    with pytest.raises(ValueError, match="its checksum is wrong"):
        unsealed({**stored, "a": [1, 3]})


def test_what_killed_processes_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    for name in (".a.tmp", ".b.tmp", "c.tmp"):
        (tmp_path / name).touch()
    os.utime(tmp_path / ".a.tmp", (time.time() - 100, time.time() - 100))
    os.utime(tmp_path / "c.tmp", (0, 0))
    sweep(tmp_path, older_than=50)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.tmp", "c.tmp"]
    sweep(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("code", "way_on"),
    [
        (errno.ENOSPC, "No space left on device; make room, or name another place"),
        (errno.EROFS, "Read-only file system; change its rights, or name another place"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_places_are_tried_out(
    code: int, way_on: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(code, os.strerror(code))

    place = tmp_path / "runs" / "study"
    check_folder(place, "--out")
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(InputError) as caught:
        check_folder(place, "--out")
    assert str(caught.value) == f"--out {place} can't be written: {way_on}"
    assert list(tmp_path.iterdir()) == []  # nothing is made or left by that


def test_only_regular_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IrregularError) as caught:
        regular(tmp_path / "pipe")
    assert caught.value.strerror == "it is a named pipe, but must be a regular file"
    with pytest.raises(IrregularError, match="it is a device, but must be a regular file"):
        regular(Path(os.devnull))
    for path in (tmp_path / "absent", tmp_path, Path(__file__)):
        assert regular(path) == path


def test_what_is_written_replaces_no_device(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(IrregularError, match="named pipe"), atomic_write(pipe) as file:
        file.write(b"x")
    assert pipe.is_fifo()
    with pytest.raises(InputError, match=r"--out .*pipe can't be written: it is a named pipe"):
        check_file(pipe, "--out")
    for name in ("-", "/dev/stdout", "/dev/null", "/dev/fd/1"):
        with pytest.raises(InputError, match=f"--out {name}: a file is written, in one piece"):
            check_file(Path(name), "--out")
