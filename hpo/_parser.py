"""The parser of every command's options, and what it says of those that are wrong."""

import argparse
import re
from collections.abc import Sequence
from typing import Any, NoReturn

from hpo.errors import did_you_mean

__all__ = ["Parser", "VerbParser", "scrubbed"]

_PASSWORD = re.compile(r"(://[^\s/:@]*:|\b\w*password=)[^\s@&'\"]+", re.IGNORECASE)


class Parser(argparse.ArgumentParser):
    """A command's options; what is wrong with them is said without a URL's password."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and what is wrong, with the nearest right word, and end."""
        super().error(scrubbed(message + self._hint(message)))

    def _hint(self, message: str) -> str:
        chosen = re.search(r"invalid choice: '(.*)' \(choose from (.*)\)$", message)
        if chosen is not None:
            return did_you_mean(chosen[1], re.findall(r"'([^']+)'", chosen[2]))
        unknown = re.search(r"unrecognized arguments: (--[\w-]+)", message)
        options = re.findall(r"--[a-z][\w-]*", self.format_usage())
        return "" if unknown is None else did_you_mean(unknown[1], options)


class VerbParser(Parser):
    """The options of a verb of a command, which refuses what it doesn't know itself."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """Parse; argparse would leave what is unknown to the command, with the command's usage."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown


def scrubbed(text: str) -> str:
    """Return a text without the passwords of URLs that may be in it."""
    return _PASSWORD.sub(r"\1***", text)
