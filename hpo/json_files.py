"""JSON that comes from outside, read so that everything wrong with it is a ``ValueError``."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hpo.files import regular

__all__ = ["parse_json", "read_json"]


def parse_json(text: str | bytes, pairs: Callable[[Any], Any] | None = None) -> Any:
    """Return the value of a text.

    Args:
        text: The text, or its bytes in UTF-8.
        pairs: Makes what stands for an object, of its pairs of key and value.

    Raises:
        ValueError: It is no JSON, or nested too deeply.
    """
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path) -> Any:
    """Return the value in a file in UTF-8, with or without a byte order mark.

    Raises:
        OSError: It can't be read, or is no regular file.
        ValueError: It is no JSON, or nested too deeply.
    """
    return parse_json(regular(path).read_text(encoding="utf-8-sig"))
