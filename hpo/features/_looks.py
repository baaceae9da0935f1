"""What pictures are besides 8-bit pixels, remembered by their content, and said in the plan.

Such pictures have another content key than their bytes alone where more is done to them, see
``seen_key``, so that embeddings of all others stay as they are stored.
"""

from collections.abc import Iterable, Mapping
from enum import IntFlag
from pathlib import Path

import numpy as np

from hpo.features._chunks import ChunkStore, ChunkWriter
from hpo.features._hashes import hash_bytes
from hpo.notes import Note

__all__ = ["Look", "Looks", "look_notes", "seen_key"]

_VERSION = b"seen as by a viewer, 1\0"


class Look(IntFlag):
    """What the header of an image file says."""

    PLAIN = 0
    TURNED = 1
    DEEP = 2
    CLEAR = 4
    MOVING = 8
    CMYK = 16


_CHANGED = Look.TURNED | Look.DEEP | Look.CLEAR


class Looks:
    """The looks of image files by their content, remembered in the cache.

    Args:
        store: The folder of the cache.
    """

    def __init__(self, store: Path) -> None:
        chunks = ChunkStore(store / "image_looks", "image_looks")
        self._values = {content: Look(int(row[0])) for content, row in chunks.items()}
        self._writer = ChunkWriter(chunks)

    def known(self, content: bytes) -> Look | None:
        """Return the look of a file with this hash; None if it was never opened."""
        return self._values.get(content)

    def remember(self, content: bytes, look: Look) -> None:
        """Keep the look of a file with this hash."""
        if content not in self._values:
            self._values[content] = look
            self._writer.add([content], np.array([[look]], dtype=np.uint8))

    def flush(self) -> None:
        """Store what is remembered since the last time."""
        self._writer.flush()


def seen_key(content: bytes, look: Look) -> bytes:
    """Return the key of a picture: the hash of its bytes, or another one where more is done."""
    changed = look & _CHANGED
    return hash_bytes(_VERSION + bytes([changed]) + content) if changed else content


_SAID = {
    Look.TURNED: ("{} turned as the EXIF orientation says", False),
    Look.DEEP: ("{} scaled to 8 bits a pixel, of 16 bits from 0 to 65535", True),
    Look.CLEAR: ("{} laid over white, as they have transparency", False),
    Look.MOVING: ("{} animated or of several pages, and only the first one is read", True),
    Look.CMYK: ("{} converted from CMYK without a colour profile", True),
}


def look_notes(looks: Mapping[Path, Look], paths: Iterable[Path]) -> list[Note]:
    """Say how many images something is done to, one line for each kind.

    Args:
        looks: The looks of all files.
        paths: The file of each row.
    """
    notes = []
    rows = [path for path in paths if looks.get(path)]
    for look, (text, doubtful) in _SAID.items():
        those = [path for path in rows if looks[path] & look]
        if those:
            count = f"{len(those):,} image{' is' if len(those) == 1 else 's are'}"
            example = "" if len(those) == 1 else "such as "
            notes.append(Note(f"{text.format(count)} ({example}'{those[0].name}')", doubtful))
    return notes
