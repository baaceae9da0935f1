"""Find the image files of a data folder; the encoder finds out whether they are whole."""

import os
import re
import shlex
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Literal
from urllib.parse import unquote

from hpo.notes import Note

__all__ = [
    "IMAGE_SUFFIXES",
    "ImageMode",
    "Pictures",
    "embeddings_beside",
    "find_images",
    "images_in",
    "url_fault",
]

ImageMode = Literal["exist", "ignore"]

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"),
    *(".jfif", ".avif", ".ppm"),
)
_FOLDERS = ("data", "images", ".")
_PART_FOLDERS = {
    "train": ("train",),
    "val": ("val", "valid", "validation", "dev", "train"),
    "test": ("test",),
}
#: What images begin with that stand in a text as base64: with their kind, as JPEG, as PNG.
_INLINE = ("data:image/", "/9j/4", "iVBORw0KGgo")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclass(frozen=True)
class Pictures:
    """The images of rows.

    Attributes:
        paths: The path of each row's image.
        faults: What is wrong with it, for the rows where something is; their path can't be read.
        notes: How images were found whose place isn't what their row says.
    """

    paths: tuple[Path, ...]
    faults: dict[int, str]
    notes: tuple[Note, ...] = ()


def embeddings_beside(root: Path) -> list[str]:
    """Say how to read the embeddings in a data folder whose images are missing, if it has any."""
    for path in sorted(one for one in root.iterdir() if one.is_dir()):
        if any(path.glob("*.npy")) or any(path.glob("*.npz")):
            return [
                f"{path.name}/ has arrays; --features {shlex.quote(str(path))} reads them as "
                "embeddings, in place of the images"
            ]
    return []


def find_images(
    root: Path,
    ids: Sequence[str],
    *,
    part: str = "train",
    base: Path | None = None,
    table: str = "train.csv",
) -> Pictures:
    """Find the image of each row.

    It is looked for in the folders of the rows' part, such as ``train/`` or ``images/train/``, and
    then in ``data/``, ``images/`` and the folder itself, in this order. A name without the suffix
    of an image gets the one that a file has. A name that is nowhere there, with its folders if it
    has some, is looked for in all folders, where one file alone may have it.

    No image is opened: a damaged one is found when it is encoded, which reads it anyway.

    Args:
        root: The data folder.
        ids: What each row says: a path relative to one of these folders.
        part: ``train``, ``val`` or ``test``.
        base: A folder that goes before all others, such as the one that the table is in.
        table: What the rows are called in notes.
    """
    finder = _Finder(root, part, base)
    paths: list[Path] = []
    faults: dict[int, str] = {}
    for index, image_id in enumerate(ids):
        path, fault = finder.find(image_id)
        paths.append(path)
        if fault:
            faults[index] = fault
    return Pictures(tuple(paths), faults, tuple(finder.notes(table)))


def url_fault(name: str) -> str:
    """Say why a URL can't be an image, or return an empty text if it isn't one."""
    if name.startswith(_INLINE):
        return f"'{name[:40]}…' is an image as text, but images must be files; write it into one"
    if not _URL.match(name):
        return ""
    return (
        f"'{name}' is a URL, but images must be files; download them with img2dataset, whose "
        "output folder can be read as it is"
    )


class _Finder:
    """Where the images of one part are; counts what is found otherwise than it is written."""

    def __init__(self, root: Path, part: str, base: Path | None) -> None:
        self._root = root
        names = [
            *(place for p in _PART_FOLDERS[part] for place in (p, f"images/{p}", f"data/{p}")),
            *_FOLDERS,
        ]
        found = [(name, root / name) for name in names if (root / name).is_dir()]
        if base is not None and base != root:
            found.insert(0, (base.name, base))
        self._folders = [(path, _files(path)) for _, path in found]
        parts = [f"{name}/" for name, _ in found if name not in _FOLDERS]
        places = ["data/", "images/", "the data folder itself", *parts]
        self._places = ", ".join(places[:-1]) + f" or {places[-1]}"
        self._tree: dict[str, list[Path]] | None = None
        self._alike: dict[str, list[Path]] | None = None
        self._suffixed: dict[str, int] = {}
        self._elsewhere = 0
        self._several: list[str] = []

    def find(self, image_id: str) -> tuple[Path, str]:
        """Return the path of an image, and what is wrong with it or an empty text."""
        relative = PurePath(image_id)
        if fault := url_fault(image_id):
            return self._root, f"ImageID {fault}"
        if relative.is_absolute() and relative.is_relative_to(self._root.absolute()):
            image_id = str(relative.relative_to(self._root.absolute()))
            relative = PurePath(image_id)
        parts = relative.parts + PurePath(image_id.replace("\\", "/")).parts
        if not image_id or relative.is_absolute() or ".." in parts or "\0" in image_id:
            rule = f"ImageID '{image_id}' must be a file's path inside the data folder"
            return self._root, rule + self._nearly(image_id)
        for name in dict.fromkeys((image_id, image_id.replace("\\", "/"))):
            found = self._in_folders(name)
            if found:
                if len(found) > 1:
                    self._several.append(image_id)
                return found[0], ""
        found, suffix = self._with_suffix(image_id)
        if found:
            if len(found) > 1:
                names = " and ".join(f"'{path.name}'" for path in found[:2])
                return self._root / relative, f"image '{image_id}' may be {names}; add the suffix"
            self._suffixed[suffix] = self._suffixed.get(suffix, 0) + 1
            return found[0], ""
        return self._anywhere(image_id, relative)

    def notes(self, table: str) -> list[Note]:
        """Say what was found otherwise than it is written."""
        found = [
            Note(f"{table}: {count:,} images have '{suffix}' after their ImageID", doubtful=False)
            for suffix, count in self._suffixed.items()
        ]
        if self._elsewhere:
            found.append(
                Note(
                    f"{table}: {self._elsewhere:,} images are in other folders than data/ and "
                    "images/, and were found by their path's end, which no other file has",
                    doubtful=False,
                )
            )
        if self._several:
            found.append(
                Note(
                    f"{table}: {len(self._several):,} ImageIDs, such as '{self._several[0]}', are "
                    f"in more than one of {self._places}, and the first is taken; write the folder "
                    "in the ImageID"
                )
            )
        return found

    def _in_folders(self, name: str) -> list[Path]:
        """Return the files of this name in the folders that are looked at."""
        nested = os.sep in name or "/" in name
        found = [
            folder / name
            for folder, files in self._folders
            if (name in files or (nested and _is_file(folder / name)))
        ]
        if not found and not nested:  # where case doesn't matter a list of names doesn't tell
            found = [path for folder, _ in self._folders if _is_file(path := folder / name)][:1]
        return found if any(not path.samefile(found[0]) for path in found[1:]) else found[:1]

    def _with_suffix(self, name: str) -> tuple[list[Path], str]:
        """Return the files whose name goes on with the suffix of an image, and one's suffix."""
        if PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
            return [], ""
        found: list[Path] = []
        suffix = ""
        for ending in IMAGE_SUFFIXES:
            for spelling in (ending, ending.upper()):
                there = self._in_folders(name + spelling)[:1]
                if there and not any(path.samefile(there[0]) for path in found):
                    found += there
                    suffix = spelling
        return found, suffix

    def _anywhere(self, image_id: str, relative: PurePath) -> tuple[Path, str]:
        """Look for a name in all folders."""
        if self._tree is None:
            self._tree = _tree(self._root)
        parts = PurePath(image_id.replace("\\", "/")).parts
        bare = relative.suffix.lower() not in IMAGE_SUFFIXES
        names = [parts[-1] + suffix for suffix in IMAGE_SUFFIXES] if bare else [parts[-1]]
        found = [path for name in names for path in self._tree.get(name, [])]
        above = Path.cwd().parts if not self._root.is_absolute() else ()
        folders = parts[:-1]
        if folders:  # these are written, so the file must be in such
            found = [
                path for path in found if (above + path.parent.parts)[-len(folders) :] == folders
            ]
        if len(found) == 1:
            self._elsewhere += 1
            return found[0], ""
        if found:
            where = " and ".join(f"'{p.relative_to(self._root)}'" for p in found[:2])
            more = f" and {len(found) - 2} more" if len(found) > 2 else ""
            fault = f"image '{image_id}' may be {where}{more}; write the folder in the ImageID"
            return self._root / relative, fault
        fault = f"image '{image_id}' is not in {self._places}"
        return self._root / relative, fault + self._nearly(image_id)

    def _nearly(self, image_id: str) -> str:
        """Return a hint at the one file whose name is nearly that of an image, or an empty text."""
        if self._tree is None:
            self._tree = _tree(self._root)
        if self._alike is None:
            self._alike = {}
            for paths in self._tree.values():
                for path in paths:
                    self._alike.setdefault(_loosely(path.name), []).append(path)
        found = self._alike.get(_loosely(image_id), [])
        if len(found) != 1:
            return ""
        there = unicodedata.normalize("NFC", found[0].name)
        same = there == unicodedata.normalize("NFC", PurePath(image_id).name) and (
            found[0].name != PurePath(image_id).name
        )
        how = ", whose accents are other characters (NFC and NFD)" if same else ""
        return f"; there is '{found[0].relative_to(self._root)}'{how}"


def _loosely(name: str) -> str:
    """Return what is left of a name without what programs and people change in it.

    That are folders, case, the suffix, leading zeros, how accents are written, ``%20`` for a blank,
    quotes and blanks around it, the ``.0`` of a number, and what a URL has after ``?``.
    """
    text = unquote(name.strip(" \t'\"").partition("?")[0]).replace("\\", "/").rpartition("/")[2]
    text = unicodedata.normalize("NFC", text).casefold()
    stem, dot, suffix = text.rpartition(".")
    if dot and (f".{suffix}" in IMAGE_SUFFIXES or (suffix == "0" and stem.isdigit())):
        text = stem
    return text.lstrip("0") or text[:1]


def _is_file(path: Path) -> bool:
    """Say whether there is such a file; a name that no file can have is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _files(folder: Path) -> frozenset[str]:
    """Return the names of the files in a folder."""
    try:
        with os.scandir(folder) as entries:
            return frozenset(entry.name for entry in entries if entry.is_file())
    except OSError:
        return frozenset()


def images_in(folder: Path) -> list[Path]:
    """Return the files of a folder that are images by their names, in order; none without it."""
    return [
        folder / name
        for name in sorted(_files(folder))
        if PurePath(name).suffix.lower() in IMAGE_SUFFIXES
    ]


def _tree(root: Path) -> dict[str, list[Path]]:
    """Return the image files below a folder by their names, hidden folders left out."""
    found: dict[str, list[Path]] = {}
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in files:
            if PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
                found.setdefault(name, []).append(Path(folder, name))
    return found
