"""Images that stand in a table themselves, as bytes: written into files, which encoders read."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from hpo.files import temporary_beside

__all__ = ["EmbeddedImage", "embedded_image"]


@dataclass(frozen=True)
class EmbeddedImage:
    """An image that stood in a table.

    Attributes:
        name: The path that stood beside it; empty if there was none.
        file: Where it was written; None if it wasn't.
        empty: Whether there were no bytes.
    """

    name: str
    file: Path | None
    empty: bool


def embedded_image(cell: Mapping[str, Any], unpack: Path | None) -> EmbeddedImage:
    """Return the image of a cell ``{"bytes": …, "path": …}``, as ``datasets`` has them.

    Args:
        cell: The cell; without bytes its path names a file.
        unpack: Where to write the image, under its SHA-256; None leaves it.

    Raises:
        OSError: It can't be written.
        TypeError: The cell isn't of that kind.
    """
    content, path = cell["bytes"], cell.get("path") or ""
    if not isinstance(content, bytes | None) or not isinstance(path, str):
        raise TypeError("an image must be bytes with a path")
    if content is None or unpack is None:
        return EmbeddedImage(path, None, content is None)
    key = hashlib.sha256(content).hexdigest()
    file = unpack / key[:2] / f"{key}{PurePath(path).suffix.lower() or '.image'}"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        written = temporary_beside(file)
        written.write_bytes(content)
        written.replace(file)
    return EmbeddedImage(path, file, False)
