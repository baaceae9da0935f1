"""Labels in a list as text."""

import numbers
from collections.abc import Iterable
from typing import Any

import numpy as np

__all__ = ["is_missing", "label_text", "label_texts"]

_NOT_IN_LABELS = (";", "\n", "\r")


def label_texts(values: Iterable[Any]) -> list[str]:
    """Return the labels of a list as text; of a vector of booleans its zeros and ones.

    A list of one missing or empty value is what such a value becomes in a list: no label.

    Raises:
        ValueError: As ``label_text``.
    """
    items = list(values)
    if len(items) == 1 and (items[0] == "" or is_missing(items[0])):
        return []
    if len(items) > 1 and all(isinstance(item, bool | np.bool_) for item in items):
        return [str(int(item)) for item in items]
    return [label_text(item) for item in items]


def is_missing(value: object) -> bool:
    """Say whether a cell has no value: None, NaN or pandas' NA."""
    missing_float = isinstance(value, float) and value != value
    return value is None or missing_float or type(value).__name__ in ("NAType", "NaTType")


def label_text(value: Any) -> str:
    """Return a label in a list as text; a number that is whole is written as an integer.

    Raises:
        ValueError: It can't be a label; the message says why, as the end of a sentence.
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if isinstance(value, str | numbers.Integral) and not isinstance(value, bool | np.bool_):
        text = str(value).strip()
        if text and not any(mark in text for mark in _NOT_IN_LABELS):
            return text
    raise ValueError(
        f"has the label {value!r}, but a label must be an integer or text that is not empty and "
        "has no ';' or line break"
    )
