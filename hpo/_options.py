"""Command-line options that several commands share, and what every command does at its edge."""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hpo._duration import seconds_of
from hpo._output import steady_output
from hpo.errors import InputError

__all__ = [
    "DEFAULT_STORAGE",
    "NO_CANDIDATE",
    "add_cache_option",
    "add_memory_option",
    "add_plugin_option",
    "add_storage_option",
    "add_study_options",
    "add_timing_options",
    "duration",
    "guarded",
    "positive",
]

DEFAULT_STORAGE = "sqlite:///studies.db"
#: Exit status where a study can't go on: all candidates of a stage failed.
NO_CANDIDATE = 4


def add_study_options(
    parser: argparse.ArgumentParser, *, cache: bool, default: str | None = None
) -> None:
    """Add ``--study``, ``--storage`` and ``--plugin``, and for a study that exists ``--cache``.

    Args:
        parser: The command's.
        cache: Whether the study exists.
        default: The study without ``--study``; by default it must be given.
    """
    parser.add_argument(
        "--study",
        required=default is None,
        default=default,
        metavar="NAME",
        help="name of the study" + (f" (default: {default})" if default else ""),
    )
    add_storage_option(parser)
    add_plugin_option(parser)
    if cache:
        parser.add_argument(
            "--cache",
            type=Path,
            metavar="DIR",
            help="where this machine sees the study's features and runs (default: .hpo here or "
            "beside the database file if it has them, else as in the study)",
        )


def add_cache_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache`` for what is kept on this machine."""
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help="folder of stored embeddings, bundles and training runs (default: %(default)s)",
    )


def add_storage_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--storage``."""
    parser.add_argument(
        "--storage",
        default=os.environ.get("HPO_STORAGE", DEFAULT_STORAGE),
        metavar="URL",
        help=f"sqlite:///FILE or postgresql+psycopg://… (default: $HPO_STORAGE, {DEFAULT_STORAGE})",
    )


def add_plugin_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin``."""
    parser.add_argument(
        "--plugin",
        action="append",
        default=[],
        metavar="MODULE|FILE.py",
        help="import a module with losses, heads, fusions or metrics of your own; may be given "
        "several times",
    )


def add_memory_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--memory-gb``."""
    parser.add_argument(
        "--memory-gb",
        type=positive(float),
        metavar="GB",
        help="read the rows from the mapped files, batch by batch, where a worker's copy of them "
        "as float32 would take more, in 10^9 bytes (default: half of the free memory, or of a "
        "GPU's, divided by the workers)",
    )


def add_timing_options(parser: argparse.ArgumentParser) -> None:
    """Add what decides when a worker is taken for dead, or a run for stuck."""
    parser.add_argument(
        "--heartbeat", type=positive(float), default=2.0, metavar="SECONDS", help=argparse.SUPPRESS
    )
    parser.add_argument(
        "--grace",
        type=positive(float),
        default=20.0,
        metavar="SECONDS",
        help="a worker that is silent for this long is taken for dead (default: %(default)g)",
    )
    parser.add_argument(
        "--stall-timeout",
        type=positive(float),
        default=600.0,
        metavar="SECONDS",
        help="a trial without progress for this long is ended as failed (default: %(default)g)",
    )


def duration(text: str) -> float:
    """Return the seconds of a length of time; an argument type."""
    try:
        return seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """Return an argument type: a number above 0."""

    def parse(text: str) -> int | float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not {'a whole number' if kind is int else 'a number'}"
            ) from None
        if not value > 0:
            raise argparse.ArgumentTypeError(f"is {text}, but must be above 0")
        return value

    return parse


def guarded(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a command; print in one sentence what ended it before its end.

    Returns:
        The exit status: what ``main`` returns, 2 for bad input, 1 for anything else that was not
        foreseen, whose traceback is kept in a file, and 130 after Ctrl-C.
    """
    with steady_output(), _reporting():
        try:
            return main(argv)
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("stopped; run the same command again to continue", file=sys.stderr)
            return 130
        except OSError as error:
            named = f"'{error.filename}': " if error.filename else ""
            print(f"error: {named}{error.strerror or error}", file=sys.stderr)
            return 1
        except Exception as error:
            (first, *_) = str(error).strip().splitlines() or [""]
            print(
                f"error: {main.__module__} met with something unforeseen: {type(error).__name__}: "
                f"{first}\nThe traceback is in {_keep_traceback()}. Nothing that was stored is "
                "lost; the same command goes on once the cause is gone.",
                file=sys.stderr,
            )
            return 1


def _keep_traceback() -> str:
    """Write the traceback of the present exception to a file; return its path."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="hpo-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(traceback.format_exc())
        return file.name
    except OSError:
        traceback.print_exc()
        return "the lines above"


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    """Send the package's warnings to standard error, with the time, while a command runs."""
    log = logging.getLogger("hpo")
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
