"""What is wrong with a search-space file, and where."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from hpo.search._values import Place

__all__ = ["Problem"]


@dataclasses.dataclass(frozen=True)
class Problem:
    """A broken rule at a place in the file, such as ``("search", "stages", 0, "params")``."""

    place: Place
    message: str

    def at(self, path: Path | str, lines: Mapping[Place, int], origins: Mapping[Place, str]) -> str:
        """Return the message behind file and line, or behind the setting that brought it in."""
        for length in range(len(self.place), 0, -1):
            if self.place[:length] in origins:
                return f"{origins[self.place[:length]]}: {self.message}"
        for length in range(len(self.place), -1, -1):
            if self.place[:length] in lines:
                return f"{path}:{lines[self.place[:length]]}: {self.message}"
        return f"{path}: {self.message}"
