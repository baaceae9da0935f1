"""What can't be printed ends nothing."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from rich.live import Live
from rich.table import Table
from rich.text import Text

from hpo._output import plain, steady_output
from hpo.watch import SharedConsole

PRINTS = """
import sys
from hpo._output import steady_output
with steady_output():
    for number in range(3000):
        print("line", number, "τ→")
    print("done", file=sys.stderr)
sys.exit(7)
"""


def test_a_character_that_a_terminal_lacks_is_written_by_its_code(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    with steady_output():
        print("F1 → 83 ± 1")
    assert raw.getvalue() == "F1 \\u2192 83 ± 1\n".encode("latin-1")


def test_the_streams_are_given_back() -> None:
    before = sys.stdout, sys.stderr

    def fail() -> None:
        with steady_output():
            assert sys.stdout is not before[0]
            raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        fail()
    assert (sys.stdout, sys.stderr) == before


def test_a_pipe_that_nobody_reads() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PRINTS], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == "done\n"
    assert process.wait(60) == 7


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
def test_a_log_on_a_full_disk() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-c", PRINTS], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (7, "done\n")


CLOSED = """
import os, sys
from hpo._output import steady_output
with steady_output():
    print("line")
    print("line", file=sys.stderr)
    print(os.open("file", os.O_CREAT | os.O_WRONLY), sys.stdin.read(), file=open("numbers", "w"))
    sys.stdout.close()
    print("line")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such shell")
def test_streams_that_are_closed(tmp_path: Path) -> None:
    """What is opened next doesn't get their numbers, to which libraries print."""
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -c '{CLOSED}' <&- >&- 2>&-"], cwd=tmp_path
    )
    assert done.returncode == 0
    number, *_ = (tmp_path / "numbers").read_text().split()
    assert int(number) > 2
    assert (tmp_path / "file").read_bytes() == b""


TITLE = "\x1b]0;a title\x07"


def test_a_terminal_obeys_nothing_that_comes_from_outside(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plain(f"a\tb\r\n{TITLE}\x1b[2J\u202e\rπ") == (
        "a\tb\r\n\\x1b]0;a title\\x07\\x1b[2J\\u202e\\rπ"
    )
    monkeypatch.setenv("FORCE_COLOR", "1")  # as a terminal has it
    harmless = "\\x1b]0;a title\\x07\\x1b[1mbold\\x1b[0m\n"
    with steady_output(), steady_output():  # a command that another one calls
        print(f"{TITLE}\x1b[1mbold\x1b[0m")
    assert capsys.readouterr().out == harmless


@pytest.mark.parametrize("redirected", [False, True])
@pytest.mark.parametrize(
    "mark", ["\x1b[31m", "\x1b[2J", "\x1b]0;t\x07", "\x9b2J", "\u202e", "\u2066"]
)
def test_what_is_drawn_has_no_texts_that_a_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, mark: str, redirected: bool
) -> None:
    """Tables, titles and lines, and what is printed beside them; rich's own colours stay."""
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    name = f"a{mark}b"
    with steady_output():
        console = SharedConsole(markup=False, force_terminal=True, width=100)
        table = Table(name, title=name)
        table.add_row(name, Text(name), style="bold")
        with Live(table, console=console, redirect_stdout=redirected, auto_refresh=False):
            console.print(name, [name], highlight=False)
            if not redirected or mark != "\x1b[31m":  # which rich takes for a style, and ends
                print(name)
    drawn = shown.getvalue()
    assert "\x1b[1m" in drawn and "\x1b[?25l" in drawn  # bold, and no cursor
    assert mark not in drawn
    assert drawn.count(mark[:3].encode("unicode_escape").decode()) >= 3
