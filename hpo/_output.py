"""Printing that never ends what is being done."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import IO, Any, TextIO, cast

__all__ = ["drawn", "plain", "steady_output"]

#: Characters that terminals obey, and those that change the direction of a text.
_OBEYED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_ALL = re.compile(rf"{_OBEYED}|\r(?!\n)")
#: A carriage return stays, since progress bars of other libraries begin their line again with it.
_PRINTED = re.compile(_OBEYED)


def plain(text: str) -> str:
    """Return a text whose characters that a terminal would obey are written by their codes.

    Names and paths come from outside, and may hold anything.
    """
    return _ALL.sub(_code, text)


def drawn(stream: IO[str]) -> IO[str]:
    """Return the stream to draw on, on which colours and moves of the cursor work.

    Args:
        stream: Of ``steady_output``, whose ``write`` lets nothing of that through; or another one,
            which is returned.
    """
    return cast(IO[str], _Drawn(stream)) if isinstance(stream, _Steady) else stream


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


@contextlib.contextmanager
def steady_output() -> Iterator[None]:
    """Let nothing that is printed meanwhile raise an error, and give the streams back.

    A log on a full disk, a pipe that nobody reads any more, a terminal that lacks a character: what
    can't be printed is left out, or written by its code. The work goes on.
    """
    if isinstance(sys.stdout, _Steady):  # a command that was called by another
        yield
        return
    _open_what_is_closed()
    before = sys.stdout, sys.stderr
    streams = [_Steady(stream) for stream in before]
    sys.stdout, sys.stderr = (cast(TextIO, stream) for stream in streams)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for stream in streams:
            stream.end()


def _open_what_is_closed() -> None:
    """Let standard streams that the process was started without lead nowhere.

    Otherwise the next file that is opened, such as a database, gets the number of one of them, and
    what libraries and child processes print ends up in it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            nowhere = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False))


class _Steady:
    """A text stream whose ``write`` and ``flush`` don't raise; everything else is the stream's."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text as far as that is possible; return its length.

        What a terminal would obey is written by its code.
        """
        self.put(_PRINTED.sub(_code, text))
        return len(text)

    def put(self, text: str) -> None:
        """Write a text as it is, as far as that is possible."""
        try:
            self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.put(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):  # a ValueError of one that was closed
            pass

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is kept back, as far as that is possible."""
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def end(self) -> None:
        """Flush; what can't be written then is not tried again when the process ends."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self._stream.fileno())
                os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Drawn:
    """A ``_Steady`` to draw on; everything but ``write`` is the stream's."""

    def __init__(self, steady: _Steady) -> None:
        self._steady = steady

    def write(self, text: str) -> int:
        """Write what is drawn; return its length."""
        self._steady.put(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._steady, name)
