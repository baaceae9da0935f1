"""What people know labelled rows by: their captions and pictures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from hpo.data import Rows, find_images
from hpo.features import thumbnail

__all__ = ["RowFacts"]

#: Pixels of the longer side of a thumbnail.
_LONGEST = 160


@dataclasses.dataclass(frozen=True)
class RowFacts:
    """The labelled rows of a study, as they were read.

    Attributes:
        rows: In the order of the bundle.
        root: The data folder; None without one.
    """

    rows: Rows
    root: Path | None

    def caption(self, row: int) -> str:
        """Return the caption of a row, perhaps empty."""
        return self.rows.captions[row]

    def thumbnails(self, rows: Sequence[int]) -> dict[int, bytes]:
        """Return small JPEGs of the pictures of some rows, as far as there are any.

        Where the rows were read without their pictures, since nothing was encoded, these are
        looked for in the data folder.
        """
        images = self.rows.images
        if images is not None:
            paths = {row: images[row] for row in rows}
        elif self.root is not None:
            found = find_images(self.root, [self.rows.ids[row] for row in rows])
            paths = {
                row: path
                for place, (row, path) in enumerate(zip(rows, found.paths, strict=True))
                if place not in found.faults
            }
        else:
            return {}
        made = {row: thumbnail(path, _LONGEST) for row, path in paths.items()}
        return {row: content for row, content in made.items() if content is not None}
