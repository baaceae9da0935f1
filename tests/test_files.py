"""What differs between systems: it works on each, or is left out where that does no harm."""

import errno
import os
from pathlib import Path

import pytest

from hpo import files
from hpo._machine import usable_cores
from hpo.files import atomic_write, sync, write_json


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
