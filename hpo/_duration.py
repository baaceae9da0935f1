"""Lengths of time as people write them."""

import re

__all__ = ["seconds_of"]

_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smh]?)\s*")


def seconds_of(text: str | float) -> float:
    """Return a length of time in seconds.

    Args:
        text: A number with ``s``, ``m`` or ``h`` behind it, or several such as ``1h30m``; a number
            alone means seconds.

    Raises:
        ValueError: It is nothing like that, or not above 0.
    """
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise ValueError(f"is {text!r}, but must be a time such as 90s, 10m or 1h30m")
    written = str(text).strip()
    parts = _PART.findall(written)
    # a number without a unit stands alone
    whole = "".join(match.group(0) for match in _PART.finditer(written)) == written
    if not parts or not whole or (len(parts) > 1 and any(not unit for _, unit in parts)):
        raise ValueError(f"is {text!r}, but must be a time such as 90s, 10m or 1h30m")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not seconds > 0:
        raise ValueError(f"is {text!r}, but must be above 0")
    return seconds
