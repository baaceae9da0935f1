"""Find the image files of a data folder; the encoder finds out whether they are whole."""

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Literal

__all__ = ["ImageMode", "find_images"]

ImageMode = Literal["exist", "ignore"]

_FOLDERS = ("data", "images", ".")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def find_images(root: Path, ids: Sequence[str]) -> tuple[list[Path], dict[int, str]]:
    """Find the image of each row in ``data/``, ``images/`` or the folder itself, in this order.

    No image is opened: a damaged one is found when it is encoded, which reads it anyway.

    Args:
        root: The data folder.
        ids: The ImageID of each row, a path relative to one of the three folders.

    Returns:
        The path of each row's image, and what is wrong with it for the rows where something is;
        their path can't be read.
    """
    folders = [root / name for name in _FOLDERS if (root / name).is_dir()]
    paths: list[Path] = []
    faults: dict[int, str] = {}
    for index, image_id in enumerate(ids):
        path, fault = _find(root, folders, image_id)
        paths.append(path)
        if fault:
            faults[index] = fault
    return paths, faults


def _find(root: Path, folders: Sequence[Path], image_id: str) -> tuple[Path, str]:
    relative = PurePath(image_id)
    if not image_id or relative.is_absolute() or ".." in relative.parts or "\0" in image_id:
        return root, f"ImageID '{image_id}' must be a file's path inside the data folder"
    for folder in folders:
        path = folder / relative
        if path.is_file():
            return path, ""
    fault = f"image '{image_id}' is not in data/, images/ or the data folder itself"
    if not relative.suffix:
        for suffix in _SUFFIXES:
            if any((folder / f"{image_id}{suffix}").is_file() for folder in folders):
                fault += f" (did you mean '{image_id}{suffix}'?)"
                break
    return root / relative, fault
