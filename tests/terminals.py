"""A pseudo-terminal, and what a person would see on it."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_UNFINISHED = re.compile(r"\x1b(\[[0-9;?]*)?$")
_ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Terminal:
    """What stands on a terminal after it was written to; knows what rich uses, without colours.

    Args:
        columns: Its width.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.lines: list[list[str]] = [[]]
        self.row = self.column = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def write(self, written: bytes) -> None:
        """Write to it; what is cut within a character or a sequence is completed by the next."""
        text = self._rest + self._decoder.decode(written)
        unfinished = _UNFINISHED.search(text)
        self._rest = unfinished[0] if unfinished else ""
        text = text[: len(text) - len(self._rest)]
        position = 0
        while position < len(text):
            found = _ESCAPE.match(text, position)
            if found:
                self._control(found[1], found[2])
                position = found.end()
                continue
            self._put(text[position])
            position += 1

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._down()
        elif character >= " ":
            if self.column >= self.columns:
                self.column = 0
                self._down()
            line = self.lines[self.row]
            line.extend(" " * (self.column + 1 - len(line)))
            line[self.column] = character
            self.column += 1

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append([])

    def _control(self, argument: str, kind: str) -> None:
        if kind == "A":
            self.row = max(self.row - int(argument or 1), 0)
        elif kind == "K":
            self.lines[self.row] = []
        elif kind not in "mhl":
            raise AssertionError(f"unknown: {argument}{kind}")

    @property
    def text(self) -> str:
        """All of it, with what has been scrolled away."""
        return "\n".join("".join(line).rstrip() for line in self.lines).rstrip()


def run_in_terminal(
    command: Sequence[str],
    folder: Path,
    columns: int,
    rows: int = 40,
    *,
    environment: Mapping[str, str] | None = None,
    seen: Callable[[str, "Resize"], None] = lambda screen, resize: None,
    timeout: float = 240.0,
) -> tuple[int, str, str]:
    """Run a command on a terminal.

    Args:
        command: What to run.
        folder: Where.
        columns: Width of the terminal.
        rows: Its height.
        environment: Beyond the present one.
        seen: Is shown what stands there, again and again, and may change its size.
        timeout: Kill it after so many seconds.

    Returns:
        Its exit status, everything that was ever written, and what stands there at the end.
    """
    controller, other = pty.openpty()

    def resize(columns: int, rows: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(controller, termios.TIOCSWINSZ, size)
        terminal.columns = columns

    terminal = Terminal(columns)
    resize(columns, rows)
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env={**_without_size(os.environ), "TERM": "xterm-256color", **(environment or {})},
    )
    os.close(other)
    written = b""
    end = time.monotonic() + timeout
    with contextlib.suppress(OSError):  # it was closed
        while time.monotonic() < end:
            if not select.select([controller], [], [], 1.0)[0]:
                continue
            piece = os.read(controller, 65536)
            if not piece:
                break
            written += piece
            terminal.write(piece)
            seen(terminal.text, resize)
    os.close(controller)
    try:
        status = process.wait(max(end - time.monotonic(), 1.0))
    finally:
        process.kill()
    return status, written.decode(errors="replace"), terminal.text


def _without_size(environment: Mapping[str, str]) -> dict[str, str]:
    """Leave out what programs would believe rather than the terminal; pytest-xdist sets it."""
    return {name: x for name, x in environment.items() if name not in ("COLUMNS", "LINES")}


Resize = Callable[[int, int], None]
