"""JSON in the columns of the ledger, with a checksum as its last entry."""

import json
import zlib
from collections.abc import Mapping
from typing import Any

from hpo.json_files import parse_json
from hpo.trials import damage

__all__ = ["seal", "unseal"]

_NAME = "crc32"
_BEFORE, _AFTER = f'"{_NAME}": "', '"}'
_DIGITS = 8


def seal(record: Mapping[str, Any]) -> str:
    """Return a record as JSON with a checksum of its text."""
    text = json.dumps(record)[:-1] + (", " if record else "")
    return f"{text}{_BEFORE}{zlib.crc32(text.encode()):0{_DIGITS}x}{_AFTER}"


def unseal(text: str, what: str) -> dict[str, Any]:
    """Return the record that ``seal`` was given; that of an earlier version has no checksum.

    The text itself is checked, so that this takes no longer than reading it does.

    Args:
        text: As it is stored.
        what: It is, for the message.

    Raises:
        InputError: It isn't what was written.
    """
    end = len(text) - len(_AFTER) - _DIGITS
    start = end - len(_BEFORE)
    is_sealed = start > 0 and text[start:end] == _BEFORE
    if is_sealed and f"{zlib.crc32(text[:start].encode()):0{_DIGITS}x}" != text[end:-2]:
        raise damage(what)
    try:
        record: dict[str, Any] = parse_json(text)
    except ValueError:
        raise damage(what) from None
    if not isinstance(record, dict) or (_NAME in record) != is_sealed:
        raise damage(what)
    if not is_sealed and any(map(_was_the_name, record)):
        raise damage(what)
    record.pop(_NAME, None)
    return record


def _was_the_name(key: str) -> bool:
    """Tell whether a key is that of the checksum but for one letter."""
    return len(key) == len(_NAME) and sum(a != b for a, b in zip(key, _NAME, strict=True)) == 1
