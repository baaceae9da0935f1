"""Find the images of a data folder, and decode each to know that it is whole."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePath
from typing import Literal

from PIL import Image, UnidentifiedImageError

__all__ = ["ImageMode", "check_images"]

ImageMode = Literal["verify", "exist", "ignore"]

_FOLDERS = ("data", "images", ".")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")


def check_images(
    root: Path,
    ids: Sequence[str],
    mode: Literal["verify", "exist"],
    known_good: Callable[[Path], bool] | None = None,
) -> tuple[list[Path], dict[int, str]]:
    """Find the image of each row in ``data/``, ``images/`` or the folder itself, in this order.

    Args:
        root: The data folder.
        ids: The ImageID of each row, a path relative to one of the three folders.
        mode: ``verify`` decodes each image; ``exist`` only asks whether the file is there.
        known_good: Says that an image needs no decoding; called from several threads.

    Returns:
        The path of each row's image, and what is wrong with it for the rows where something is.
    """
    folders = [root / name for name in _FOLDERS if (root / name).is_dir()]
    paths: list[Path] = []
    faults: dict[int, str] = {}
    for index, image_id in enumerate(ids):
        path, fault = _find(root, folders, image_id)
        paths.append(path)
        if fault:
            faults[index] = fault
    if mode == "verify":
        found = [index for index in range(len(ids)) if index not in faults]

        def decode(index: int) -> str:
            path = paths[index]
            return "" if known_good is not None and known_good(path) else _decode(path)

        # Pillow gives up the GIL while it decodes; twice the cores hides the waits for the disk.
        with ThreadPoolExecutor(max_workers=2 * _usable_cores()) as pool:
            for index, fault in zip(found, pool.map(decode, found), strict=True):
                if fault:
                    faults[index] = fault
    return paths, dict(sorted(faults.items()))


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


def _decode(path: Path) -> str:
    """Decode the whole image and return what is wrong with it, or an empty text.

    A JPEG is decoded at an eighth of its size, which reads all of its data but skips most of the
    arithmetic; other formats ignore the draft mode.
    """
    name = f"{path.parent.name}/{path.name}"
    try:
        with Image.open(path) as image:
            image.draft("RGB", (1, 1))
            image.load()
    except UnidentifiedImageError:
        return f"image '{name}' is not an image that Pillow can read ({path.stat().st_size} bytes)"
    # Pillow's decoders raise nearly anything on damaged bytes: OSError, SyntaxError, ValueError,
    # struct.error, IndexError, DecompressionBombError.
    except Exception as error:
        return f"image '{name}' can't be decoded: {error}"
    return ""


def _usable_cores() -> int:
    # In a container or under taskset these are fewer than the machine has; not on macOS.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
