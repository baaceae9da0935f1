"""Makes one call of the file system or of the database fail, once, in this process."""

import builtins
import contextlib
import dataclasses
import errno
import io
import os
import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from sqlalchemy.engine.default import DefaultDialect

__all__ = ["Fault", "Injector", "Point"]

#: What each kind of call may fail with. A store fails before it has done anything; ``answer`` is a
#: commit that is done, of which nobody hears.
ERRORS: dict[str, tuple[int, ...]] = {
    "open": (errno.EIO, errno.ESTALE, errno.EACCES),
    "create": (errno.ENOSPC, errno.EACCES, errno.EIO),
    "write": (errno.ENOSPC, errno.EIO),
    "fsync": (errno.EIO, errno.ENOSPC),
    "rename": (errno.EACCES, errno.EIO, errno.ESTALE),
    "store": (0,),
    "answer": (0,),
}
_TEMPORARY = re.compile(r"\.([\w.-]+?)\.[a-z0-9_]{8}(\.tmp)")
_KEY = re.compile(r"[0-9a-f]{16,64}")
_WRITING = re.compile(r"[wxa+]")


@dataclasses.dataclass(frozen=True, order=True)
class Point:
    """A call that may fail: the ``nth`` of its kind on one file or with one statement."""

    kind: str
    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.kind} {self.what} #{self.nth}"


@dataclasses.dataclass(frozen=True)
class Fault:
    """A point, and what its call fails with (``errno``; 0 for a lost connection)."""

    point: Point
    error: int

    def __str__(self) -> str:
        name = errno.errorcode.get(self.error, "lost connection")
        return f"{self.point}: {name}"


class Injector:
    """Counts the calls on what is below a folder, and lets one of them fail.

    Args:
        folder: Calls on other files are left alone, and so is SQLite's own file.
        fault: What fails; None to count alone.
    """

    def __init__(self, folder: Path, fault: Fault | None = None) -> None:
        self.seen: Counter[tuple[str, str]] = Counter()
        self.happened = False
        self._folder = str(folder.resolve())
        self._fault = fault
        self._lock = threading.Lock()

    @property
    def points(self) -> list[Point]:
        """All calls that were made, sorted."""
        return sorted(Point(*key, n) for key, count in self.seen.items() for n in range(count))

    def meet(self, kind: str, what: str) -> int | None:
        """Note a call; return what it is to fail with, None if it isn't."""
        with self._lock:
            nth = self.seen[kind, what]
            self.seen[kind, what] += 1
            if self._fault is None or self.happened:
                return None
            if self._fault.point != Point(kind, what, nth):
                return None
            self.happened = True
            return self._fault.error

    def check(self, kind: str, path: Any) -> None:
        """Note a call on a file; raise what it is to fail with."""
        name = self._name(path)
        if name is None:
            return
        error = self.meet(kind, name)
        if error is not None:
            raise OSError(error, os.strerror(error), str(path))

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Watch over all calls of this process until the end of the block."""
        with contextlib.ExitStack() as stack:
            for target, name, made in (
                (builtins, "open", self._open),
                (io, "open", self._open),
                (os, "open", self._os_open),
                (os, "fsync", self._fsync),
                (os, "replace", self._rename),
                (os, "rename", self._rename),
                (DefaultDialect, "do_execute", self._execute),
                (DefaultDialect, "do_executemany", self._execute),
                (DefaultDialect, "do_commit", self._commit),
            ):
                real = getattr(target, name)
                stack.enter_context(mock.patch.object(target, name, made(real)))
            yield

    def _name(self, path: Any) -> str | None:
        """Return a file's place below the folder, the same in each run; None if it isn't there."""
        if isinstance(path, int):
            try:
                path = str(Path(f"/proc/self/fd/{path}").readlink())
            except OSError:
                return None
        try:
            text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - pathlib would come back here
        except TypeError:
            return None
        if not text.startswith(self._folder + os.sep) or ".db" in text:
            return None
        inside = _TEMPORARY.sub(r"\1\2", text[len(self._folder) + 1 :])
        return _KEY.sub("KEY", inside)

    def _open(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opened(file: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            writing = bool(_WRITING.search(mode))
            if not isinstance(file, int):
                self.check("create" if writing else "open", file)
            stream = real(file, mode, *args, **kwargs)
            if writing and self._name(file) is not None:
                return _Written(stream, file, self)
            return stream

        return opened

    def _os_open(self, real: Callable[..., int]) -> Callable[..., int]:
        def opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            writing = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            self.check("create" if writing else "open", path)
            return real(path, flags, *args, **kwargs)

        return opened

    def _fsync(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def synced(descriptor: Any) -> None:
            number = descriptor if isinstance(descriptor, int) else descriptor.fileno()
            self.check("fsync", number)
            real(descriptor)

        return synced

    def _rename(self, real: Callable[..., None]) -> Callable[..., None]:
        def renamed(source: Any, target: Any, **kwargs: Any) -> None:
            self.check("rename", target)
            real(source, target, **kwargs)

        return renamed

    def _execute(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def executed(dialect: Any, cursor: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
            said = " ".join(statement.split())[:70]
            if self.meet("store", said) is not None:
                raise _lost()
            return real(dialect, cursor, statement, *args, **kwargs)

        return executed

    def _commit(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def committed(dialect: Any, connection: Any) -> Any:
            result = real(dialect, connection)
            if self.meet("answer", "COMMIT") is not None:
                raise _lost()
            return result

        return committed


def _lost() -> sqlite3.OperationalError:
    """Return what SQLite raises where the disk has a hiccup."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR"
    return error


class _Written:
    """A file that is written, each call of ``write`` being one that may fail."""

    def __init__(self, stream: Any, file: Any, injector: Injector) -> None:
        self._stream = stream
        self._file = file
        self._injector = injector

    def write(self, content: Any) -> Any:
        self._injector.check("write", self._file)
        return self._stream.write(content)

    def __enter__(self) -> "_Written":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __iter__(self) -> Iterator[Any]:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
