"""JSON that comes from outside, read so that everything wrong with it is a ``ValueError``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.files import regular

__all__ = ["RepeatedKeyError", "parse_json", "read_json"]


class RepeatedKeyError(ValueError):
    """An object has a key twice, of which Python's reader would take the last one."""


def parse_json(text: str | bytes, *, keys_once: bool = False) -> Any:
    """Return the value of a text.

    Args:
        text: The text, or its bytes in UTF-8.
        keys_once: Whether to refuse objects in which a key stands twice, which Python's reader
            takes longer for; to be set where somebody else wrote it.

    Raises:
        RepeatedKeyError: A key stands twice.
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=_object if keys_once else None)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """Return the value in a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: It can't be read, or is no regular file.
        ValueError: It is no JSON, or nested too deeply.
    """
    return parse_json(regular(path).read_text(encoding="utf-8-sig"))


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise RepeatedKeyError(f"an object has the key '{twice[:80]}' twice")
    return found
