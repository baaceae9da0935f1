"""Command-line options that several commands share, and what every command does at its edge."""

import argparse
import contextlib
import errno
import logging
import math
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hpo._duration import seconds_of
from hpo._output import plain, steady_output
from hpo._parser import Parser, VerbParser, scrubbed
from hpo.errors import DivergedError, InputError

__all__ = [
    "DEFAULT_STORAGE",
    "FAILED_TASKS",
    "LAST_PORT",
    "MOST_THREADS",
    "NO_CANDIDATE",
    "Parser",
    "VerbParser",
    "add_cache_option",
    "add_memory_option",
    "add_model_options",
    "add_plugin_option",
    "add_storage_option",
    "add_study_cache_option",
    "add_study_options",
    "add_timing_options",
    "add_wait_option",
    "duration",
    "ending",
    "guarded",
    "model_files",
    "port_number",
    "positive",
    "whole_number",
]

DEFAULT_STORAGE = "sqlite:///studies.db"
#: Exit status where a study can't go on: all candidates of a stage failed.
NO_CANDIDATE = 4
LAST_PORT = 65535
#: Threads of a process, or processes; more is a mistake that takes a machine down.
MOST_THREADS = 4096
#: No number of a command is larger: a system's clocks can't wait for more seconds than these.
_MOST = 10**9
#: The study is complete, but some of its tasks failed.
FAILED_TASKS = 5


def add_study_options(
    parser: argparse.ArgumentParser,
    *,
    cache: bool,
    default: str | None = None,
    required: bool = True,
) -> None:
    """Add ``--study``, ``--storage`` and ``--plugin``, and for a study that exists ``--cache``.

    Args:
        parser: The command's.
        cache: Whether the study exists.
        default: The study without ``--study``; by default it must be given.
        required: Whether it must be, where there is no default.
    """
    parser.add_argument(
        "--study",
        required=required and default is None,
        default=default,
        metavar="NAME",
        help="name of the study" + (f" (default: {default})" if default else ""),
    )
    add_storage_option(parser)
    add_plugin_option(parser)
    if cache:
        add_study_cache_option(parser)


def add_study_cache_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache`` for a study that exists."""
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where this machine sees the study's features and runs (default: .hpo here or beside "
        "the database file if it has them, else as in the study)",
    )


def add_cache_option(
    parser: argparse.ArgumentParser, kept: str = "stored embeddings, bundles and training runs"
) -> None:
    """Add ``--cache`` for what is kept on this machine.

    Args:
        parser: The command's.
        kept: What the command looks for there.
    """
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help=f"folder of {kept} (default: %(default)s)",
    )


def add_storage_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--storage``."""
    parser.add_argument(
        "--storage",
        default=os.environ.get("HPO_STORAGE", DEFAULT_STORAGE),
        metavar="URL",
        help=f"sqlite:///FILE or postgresql+psycopg://… (default: $HPO_STORAGE, {DEFAULT_STORAGE})",
    )
    add_wait_option(parser)


def add_wait_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--wait-for-store``."""
    parser.add_argument(
        "--wait-for-store",
        type=_seconds_or_none,
        metavar="TIME",
        help="how long a storage that is away is waited for, such as 30, 10m or 0 (default: a "
        "minute where it was not reached before, and from then on without end)",
    )


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--model``, and ``--encoder`` for the encoders that it was trained with."""
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="DIR",
        help="model folder, such as runs/NAME/model",
    )
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
        help="where the model's encoder is on this machine (default: where it was in training)",
    )


def model_files(folder: Path) -> list[Path]:
    """Return the files of a model's folder that are read."""
    return [folder / name for name in ("config.json", "model.safetensors")]


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
        seconds = seconds_of(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if seconds > _MOST:
        raise argparse.ArgumentTypeError(f"is {text}, but must be at most {_MOST:,} seconds")
    return seconds


def _seconds_or_none(text: str) -> float:
    with contextlib.suppress(ValueError):
        if float(text.strip().rstrip("smh")) == 0:
            return 0.0
    return duration(text)


def positive(kind: type[int] | type[float], most: int = _MOST) -> Callable[[str], int | float]:
    """Return an argument type: a number above 0, and at most ``most``."""

    def parse(text: str) -> int | float:
        try:
            value = whole_number(text) if kind is int else float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f"is {text}, but must be a finite number")
        if not value > 0:
            raise argparse.ArgumentTypeError(f"is {text}, but must be above 0")
        if value > most:
            raise argparse.ArgumentTypeError(f"is {text}, but must be at most {most:,}")
        return value

    return parse


def whole_number(text: str) -> int:
    """Return a whole number, an argument type; 1e3 is one, as it is in a space.

    Raises:
        argparse.ArgumentTypeError: It is none.
    """
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(number)


def port_number(text: str) -> int:
    """Return a port to listen on, an argument type: 0 for any that is free."""
    port = whole_number(text)
    if not 0 <= port <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"is {port}, but must be from 0 to {LAST_PORT}")
    return port


def guarded(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None) -> int:
    """Run a command; print in one sentence what ended it before its end.

    Returns:
        The exit status: what ``main`` returns, 2 for bad input, 6 for a store that is away, 1 for a
        file that can't be read or written, a refit that diverged, and whatever was not foreseen,
        whose traceback is kept in a file, and 130 after Ctrl-C.
    """
    with steady_output(), _reporting(), warnings.catch_warnings():
        # What Pillow warns of on standard error is said of the image, if it comes to anything.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        try:
            return main(argv)
        except (Exception, KeyboardInterrupt) as error:
            status, said = ending(error)
            said = plain(said)
            if isinstance(error, KeyboardInterrupt):
                print(said, file=sys.stderr)
            elif _is_foreseen(error):
                print(f"error: {said}", file=sys.stderr)
            else:
                print(
                    f"error: {main.__module__} met with something unforeseen: {said}\nThe "
                    f"traceback is in {_keep_traceback()}. Nothing that was stored is lost; the "
                    "same command goes on once the cause is gone.",
                    file=sys.stderr,
                )
            return status


def ending(error: BaseException) -> tuple[int, str]:
    """Return the exit status of a command that an error ended, and the error in one sentence."""
    if isinstance(error, InputError):
        return error.status, str(error)
    if isinstance(error, KeyboardInterrupt):
        return 130, "stopped; run the same command again to continue"
    if isinstance(error, DivergedError):
        return 1, str(error)
    if isinstance(error, UnicodeEncodeError):
        text = repr(error.object[max(error.start - 20, 0) : error.end + 20])
        return 2, f"{text} has bytes that are no text in UTF-8, so it can't be used here."
    if isinstance(error, OSError):
        named = f"'{error.filename}': " if error.filename else ""
        more = "; allow more (ulimit -n)" if error.errno == errno.EMFILE else ""
        return 1, f"{named}{error.strerror or error}{more}"
    if (away := _trouble_of_store(error)) is not None:
        return away.status, str(away)
    (first, *_) = str(error).strip().splitlines() or [""]
    return 1, f"{type(error).__name__}: {scrubbed(first)}"


def _is_foreseen(error: Exception) -> bool:
    known = isinstance(error, InputError | DivergedError | OSError | UnicodeEncodeError)
    return known or _trouble_of_store(error) is not None


def _trouble_of_store(error: BaseException) -> InputError | None:
    """Return what is to be said of an error that comes from a store and was waited for nowhere."""
    if "sqlalchemy" not in sys.modules:
        return None  # no store was opened
    from hpo.trials import (
        StoreAwayError,
        StoreUnfitError,
        is_of_storage,
        lasting_reason,
        passing_reason,
    )

    reason = passing_reason(error)
    if reason is not None:
        return StoreAwayError(reason)
    reason = lasting_reason(error)
    if isinstance(error, KeyError) and is_of_storage(error):  # Optuna's, of a row that isn't there
        reason = "rows that belong together are not all there; restore it from a backup"
    return None if reason is None else StoreUnfitError(f"The store refuses: {reason}.")


def _keep_traceback() -> str:
    """Write the traceback of the present exception to a file; return its path."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="hpo-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            file.write(scrubbed(traceback.format_exc()))
        return file.name
    except OSError:
        traceback.print_exc()
        return "the lines above"


class _Plain(logging.Formatter):
    """Formats lines in which a terminal has nothing to obey."""

    def format(self, record: logging.LogRecord) -> str:
        return plain(super().format(record))


@contextlib.contextmanager
def _reporting() -> Iterator[None]:
    """Send the package's warnings to standard error, with the time, while a command runs."""
    log = logging.getLogger("hpo")
    if any(isinstance(handler.formatter, _Plain) for handler in log.handlers):
        yield  # a command that was called by another
        return
    handler = logging.StreamHandler()
    handler.setFormatter(_Plain("%(asctime)s %(message)s", datefmt="%H:%M:%S"))
    log.addHandler(handler)
    # A library that logs by ``logging.info`` gives the root logger a handler, for the same lines.
    propagated, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = propagated
        log.removeHandler(handler)
