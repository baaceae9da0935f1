"""Names of rows as text, from whatever a file or a program has them in."""

import re
from collections.abc import Sequence
from typing import Any

__all__ = ["NAMING", "name_texts"]

NAMING = re.compile(r"(image_?|img_?|row_?)?(id|name|key|path|file|file_?name|caption)s?")
"""What a file or an array is called that names rows, in lower case."""


def name_texts(values: Sequence[Any]) -> list[str] | None:
    """Return names as text; an empty one where there is none.

    Whole numbers may be floats, which pandas makes of them beside missing values.

    Returns:
        None if something can't be a name, or if there is no name at all.
    """
    texts = []
    for value in values:
        text = _text(value)
        if text is None:
            return None
        texts.append(text)
    return texts if any(texts) else None


def _text(value: Any) -> str | None:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else "" if value != value else None
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return None
