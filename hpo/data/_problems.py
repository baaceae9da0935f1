"""All problems of an input, gathered before any work starts and then listed together."""

from collections.abc import Iterable
from typing import NoReturn

from hpo.errors import InputError

__all__ = ["Problems"]

# Lines that are printed at most: enough to see the pattern, few enough to see every kind.
_LIMIT = 20


class Problems:
    """Gathers messages, kind by kind; forty thousand missing images don't hide a duplicate id."""

    def __init__(self) -> None:
        self._kinds: list[list[str]] = []

    def __bool__(self) -> bool:
        return bool(self._kinds)

    def add(self, messages: str | Iterable[str]) -> None:
        """Add one message, or all messages of one kind in the order of their lines."""
        kind = [messages] if isinstance(messages, str) else list(messages)
        if kind:
            self._kinds.append(kind)

    def listed(self) -> list[str]:
        """Return about twenty messages, a fair share a kind; what is left off is counted."""
        lines = []
        left = max(_LIMIT, 3 * len(self._kinds))
        # The small kinds are served first, and leave what they don't need to the large ones.
        shares = {}
        by_size = sorted(range(len(self._kinds)), key=lambda index: len(self._kinds[index]))
        for served, index in enumerate(by_size):
            shares[index] = min(len(self._kinds[index]), left // (len(by_size) - served))
            left -= shares[index]
        for index, kind in enumerate(self._kinds):
            lines += kind[: shares[index]]
            if len(kind) > shares[index]:
                lines.append(f"... and {len(kind) - shares[index]} more like the last one")
        return lines

    def raise_if_any(self, title: str) -> None:
        """Raise an ``InputError`` that lists the messages below ``title``, if there are any."""
        if self:
            self.fail(title)

    def fail(self, title: str) -> NoReturn:
        """Raise an ``InputError`` that lists the messages, of which there is one at least."""
        raise InputError(self.listed(), title)
