"""What is refused or warned of before anything is started, in one place for all of the library."""

import logging
import numbers
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpo.errors import InputError
from hpo.notes import Note
from hpo.study import StoredStudy
from hpo.training import check_fits

__all__ = [
    "check_importable",
    "check_memory",
    "check_positive",
    "check_wait",
    "warn_of",
]

_log = logging.getLogger(__name__)
#: Models up to this size, in 10⁶ bytes, fit wherever PyTorch does.
_SMALL_MB = 100.0
#: Arguments that are whole numbers.
_WHOLE = ("workers", "trials", "epochs", "checkpoint_every", "seeds", "threads")


def check_importable(stored: StoredStudy, plugins: Sequence[str]) -> None:
    """Refuse to start processes that would lack what was registered in this one."""
    named = {Path(plugin).stem if plugin.endswith(".py") else plugin for plugin in plugins}
    lacking = [plugin for plugin in stored.definition.plugins if plugin.module not in named]
    if lacking:
        listed = ", ".join(f"{plugin.kind} '{plugin.name}'" for plugin in lacking)
        modules = sorted({plugin.module for plugin in lacking} - {"__main__"})
        way = f"plugins={modules!r}" if modules else "plugins=['your_module.py']"
        raise InputError(
            f"Worker processes don't have what was registered here: {listed}. Put it into a module "
            f"and pass {way}, or use workers=1, which works in this process."
        )


def check_memory(stored: StoredStudy, device: str) -> None:
    """Refuse to start a study on this machine if not even its smallest model fits into its memory.

    Raises:
        InputError: It doesn't.
    """
    found = stored.strategy.sizes.smallest()
    if found is None or found[0] <= _SMALL_MB:
        return
    dimensions = stored.definition.dimensions
    assert dimensions is not None  # sizes are known
    config = found[1]
    check_fits(config, dimensions.widths_of(config), dimensions.classes, device)


def check_positive(**given: float | None) -> None:
    """Refuse arguments that are given and no number above 0; all problems are listed."""
    problems = [
        f"{name} is {value!r}, but must be {rule}."
        for name, value in given.items()
        if value is not None and (rule := _broken_rule(name, value))
    ]
    if problems:
        raise InputError(problems)


def check_wait(seconds: float | None) -> None:
    """Refuse a time to wait for a store that is none; 0 is one."""
    if seconds is not None and not (_is_number(seconds) and seconds >= 0):
        raise InputError(
            f"wait_for_store is {seconds!r}, but must be a number of seconds, 0 or above."
        )


def _broken_rule(name: str, value: object) -> str:
    """Return what an argument must be, if it isn't."""
    if not _is_number(value):
        return "a whole number above 0" if name in _WHOLE else "a number above 0"
    assert isinstance(value, numbers.Real)
    if name in _WHOLE and not isinstance(value, numbers.Integral):
        return "a whole number above 0"
    return "" if float(value) > 0 else "above 0"


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def warn_of(notes: Iterable[Note]) -> None:
    """Log what is doubtful about data, as ``load_data`` does."""
    for note in notes:
        if note.doubtful:
            _log.warning("%s", note)
