"""What can't be printed ends nothing."""

import io
import subprocess
import sys
from pathlib import Path

import pytest

from hpo._output import plain, steady_output

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
    with steady_output():
        print(f"{TITLE}\x1b[1mbold\x1b[0m")  # nothing is drawn in a file
    assert capsys.readouterr().out == "\\x1b]0;a title\\x07\\x1b[1mbold\\x1b[0m\n"
    monkeypatch.setenv("FORCE_COLOR", "1")
    with steady_output():
        print(f"{TITLE}\x1b[1mbold\x1b[0m")
    assert capsys.readouterr().out == "\\x1b]0;a title\\x07\x1b[1mbold\x1b[0m\n"
