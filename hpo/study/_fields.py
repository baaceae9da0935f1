"""What the fields of a definition may be where it is stored, which may be a file that was sent."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo.training import PRECISIONS

__all__ = ["wrong_fields"]

_MODALITY = re.compile(r"[a-z][a-z0-9_]*")


def wrong_fields(raw: Mapping[str, Any]) -> list[str]:
    """Return the names of the fields that no version of hpo wrote so."""
    return [name for name, is_right in _RULES.items() if name in raw and not is_right(raw[name])]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and "\0" not in value


def _is_name(value: object) -> bool:
    """Tell whether a value can be the name of a folder in another one, and nothing else."""
    return isinstance(value, str) and _is_text(value) and Path(value).name == value


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(map(_is_text, value))


def _are_widths(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


#: Those of a plugin are checked where it is looked for.
_RULES: dict[str, Callable[[Any], bool]] = {
    "cache": _is_text,
    "bundle_key": _is_name,
    "modalities": lambda value: _are_texts(value) and all(map(_MODALITY.fullmatch, value)),
    "train_rows": _is_count,
    "threads": _is_count,
    "checkpoint_every": _is_count,
    "dataset": lambda value: isinstance(value, dict),
    "run_store_gb": _is_size,
    "precision": lambda value: value in PRECISIONS,
    "compiler": _is_text,
    "metrics": _are_texts,
    "trainer": lambda value: value is None or isinstance(value, int),
    "widths": lambda value: value is None or _are_widths(value),
    "classes": lambda value: value is None or _is_count(value),
    "sources": lambda value: isinstance(value, dict) and all(map(_are_widths, value.values())),
}
