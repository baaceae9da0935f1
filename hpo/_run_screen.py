"""What a run shows: a screen for people, lines for machines, or hardly anything."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.events import Stream

__all__ = ["Shown", "add_screen_options", "shown"]


@dataclass(frozen=True)
class Shown:
    """What is shown of a run.

    Attributes:
        tell: Is told of everything that happens.
        console: Where plain lines go.
        last: Where the lines of the results go.
        live: Whether a terminal is drawn again and again, so that nobody else may write to it.
        machine: Whether standard output is for machines alone.
    """

    tell: "Stream"
    console: "Console"
    last: "Console"
    live: bool
    machine: bool


def add_screen_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--quiet`` and ``--json``."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--quiet", action="store_true", help="print the results alone; errors and warnings as ever"
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="print what happens as lines of JSON, and nothing else on standard output",
    )


@contextlib.contextmanager
def shown(*, quiet: bool, machine: bool) -> Iterator[Shown]:
    """Yield what shows a run; at the end the terminal is as it was.

    Args:
        quiet: Show the results alone.
        machine: Write lines of JSON; whatever else would be printed on standard output goes to
            standard error.
    """
    from rich.console import Console

    from hpo.events import Stream
    from hpo.watch import JsonLines, Screen, SharedConsole

    none = Console(quiet=True)
    if machine:
        lines = JsonLines(sys.stdout)
        with contextlib.redirect_stdout(sys.stderr):
            yield Shown(Stream(lines), none, none, live=False, machine=True)
        return
    console = SharedConsole(width=None if sys.stdout.isatty() else 120, markup=False, emoji=False)
    if quiet:
        yield Shown(Stream(), none, console, live=False, machine=False)
        return
    with Screen(console) as screen:
        yield Shown(Stream(screen), console, console, live=screen.is_live, machine=False)
