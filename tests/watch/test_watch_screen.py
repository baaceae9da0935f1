"""What is printed of a run: plain lines, or a live view above which all else stands."""

import io
import logging
import re
import sys
import time

import pytest
from terminals import Terminal
from watch_samples import begun, ended, in_progress

from hpo.events import Encoding, Event, Finished, Waiting
from hpo.watch import Screen, SharedConsole


def printed(events: list[Event]) -> str:
    """What stands in a file."""
    file = io.StringIO()
    with Screen(SharedConsole(file=file, width=120)) as screen:
        for event in events:
            screen(event)
    return file.getvalue()


def test_lines_in_a_file() -> None:
    text = printed(
        [*in_progress(), ended(3, 50.0, "median at step 5"), ended(4, None, "no memory")]
    )
    assert text.splitlines()[0] == "study small · space small"
    assert re.search(r"^fusion +2 +0 +40 +40$", text, re.MULTILINE)
    assert text.splitlines()[-3:] == [
        "trial 0  fusion  61.250 ± 0.500",
        "trial 3  fusion  50.000 ± 0.500  median at step 5",
        "trial 4  fusion  failed: no memory",
    ]
    assert "\x1b" not in text


def test_a_trial_of_an_earlier_command_is_no_line() -> None:
    import dataclasses

    assert "trial 0" not in printed([*begun(), dataclasses.replace(ended(0, 1.0), earlier=True)])


def test_on_a_terminal_a_live_view_that_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.StringIO()
    monkeypatch.setenv("TERM", "xterm")
    console = SharedConsole(file=file, width=100, height=30, force_terminal=True, no_color=True)
    terminal = Terminal(100)
    with Screen(console) as screen:
        for event in in_progress():
            screen(event)
        console.print("a table")
        end = time.monotonic() + 20
        while "epoch 7/20" not in file.getvalue() and time.monotonic() < end:
            time.sleep(0.05)  # it is drawn four times a second
        terminal.write(file.getvalue().replace("\n", "\r\n").encode())
        assert "epoch 7/20" in terminal.text and "a table" in terminal.text
        screen(Finished(0))
    left = Terminal(100)
    left.write(file.getvalue().replace("\n", "\r\n").encode())
    assert left.text.endswith("\na table")
    assert "epoch 7/20" not in left.text


def test_what_is_logged_meanwhile_stands_above(monkeypatch: pytest.MonkeyPatch) -> None:
    class Both(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = Both()
    monkeypatch.setattr(sys, "stdout", file)
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("TERM", "xterm")
    log = logging.getLogger("hpo")
    handler = logging.StreamHandler()
    log.addHandler(handler)
    try:
        with Screen(SharedConsole(width=100, height=30)) as screen:
            for event in in_progress():
                screen(event)
            log.warning("The database is locked.")
            screen(Waiting("the database is locked"))
        log.warning("It is over.")
    finally:
        log.removeHandler(handler)
    terminal = Terminal(100)
    terminal.write(file.getvalue().replace("\n", "\r\n").encode())
    assert terminal.text.splitlines()[-2:] == ["The database is locked.", "It is over."]


def test_a_terminal_that_can_do_nothing_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    file = io.StringIO()
    with Screen(SharedConsole(file=file, width=100, force_terminal=True)) as screen:
        for event in in_progress():
            screen(event)
    assert "trial 0  fusion  61.250 ± 0.500" in file.getvalue()
    assert "\x1b[2K" not in file.getvalue()


def test_encoding_is_shown_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    file = io.StringIO()
    with Screen(SharedConsole(file=file)) as screen:
        screen(Encoding("encoding images", 1, 2))
        screen(Encoding("encoding images", 2, 2, 1.0))
        for event in begun():
            screen(event)
    assert capsys.readouterr().err.splitlines()[-1].startswith("encoding images: 2 of 2")
    assert "encoding" not in file.getvalue()
