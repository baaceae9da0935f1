"""Printing that never ends what is being done."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["plain", "steady_output"]

#: Characters that terminals obey, and those that change the direction of a text.
_OBEYED = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_ALL = re.compile(rf"{_OBEYED}|\r(?!\n)")
#: Colours and moves of the cursor, which rich prints, or such a character.
_OTHERS = re.compile(rf"(\x1b\[[0-9;?]*[A-Za-z])|{_OBEYED}")


def plain(text: str) -> str:
    """Return a text whose characters that a terminal would obey are written by their codes.

    Names and paths come from outside, and may hold anything.
    """
    return _ALL.sub(_code, text)


def _code(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


@contextlib.contextmanager
def steady_output() -> Iterator[None]:
    """Let nothing that is printed meanwhile raise an error, and give the streams back.

    A log on a full disk, a pipe that nobody reads any more, a terminal that lacks a character: what
    can't be printed is left out, or written by its code. The work goes on.
    """
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
        # Nothing is drawn elsewhere, so what looks like it comes from outside.
        self._draws = "FORCE_COLOR" in os.environ
        with contextlib.suppress(ValueError):  # of one that was closed
            self._draws |= stream.isatty()

    def write(self, text: str) -> int:
        """Write a text as far as that is possible; return its length.

        What would make a terminal do anything but draw is written by its code.
        """
        try:
            self._stream.write(_OTHERS.sub(self._safe, text))
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):  # a ValueError of one that was closed
            pass
        return len(text)

    def _safe(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return _code(found)
        return found[0] if self._draws else plain(found[0])

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
