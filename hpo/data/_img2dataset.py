"""What img2dataset downloaded: folders of images, and a Parquet file for each of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.data._arrow import read_arrow
from hpo.data._images import IMAGE_SUFFIXES
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.notes import Note

__all__ = ["is_img2dataset", "read_img2dataset", "shards_of"]

_SHARD = re.compile(r"\d{5,}")
# What it writes itself; other columns are those that it was told to keep.
_ITS_OWN = {
    *("url", "key", "status", "error_message", "width", "height", "original_width"),
    *("original_height", "exif", "sha256", "md5"),
}


def is_img2dataset(files: Sequence[Path]) -> bool:
    """Say whether a folder with these files is an output folder of img2dataset."""
    return any(path.suffix == ".parquet" and _SHARD.fullmatch(path.stem) for path in files)


def shards_of(files: Sequence[Path], problems: Problems) -> tuple[Path, ...]:
    """Return the Parquet files of an output folder, whose images must be files.

    Args:
        files: What is in the folder.
        problems: Takes what is wrong.
    """
    shards = [path for path in files if path.suffix == ".parquet" and _SHARD.fullmatch(path.stem)]
    problems.add(
        f"{path.stem}.tar is an archive, but images must be files; give img2dataset "
        f"--output_format files, or unpack it: mkdir {path.stem}; tar -xf {path.stem}.tar -C "
        f"{path.stem}"
        for path in shards
        if not path.with_suffix("").is_dir() and path.with_suffix(".tar").is_file()
    )
    return () if problems else tuple(shards)


def read_img2dataset(shards: Sequence[Path], name: str, problems: Problems) -> Table | None:
    """Read the rows of an output folder; those that weren't downloaded are left out.

    Args:
        shards: The Parquet files, each beside the folder of its images.
        name: What the table is called in messages.
        problems: Takes what is wrong.
    """
    columns: dict[Any, list[Any]] = {}
    failed = rows = 0
    for shard in shards:
        table = read_arrow([shard], shard.name, problems)
        if table is None:
            return None
        if "key" not in table.columns or "status" not in table.columns:
            problems.add(
                f"{shard.name} has no column 'key' or 'status', but img2dataset writes both"
            )
            return None
        kept = [i for i, status in enumerate(table.columns["status"]) if status == "success"]
        failed += len(table) - len(kept)
        rows += len(table)
        found = {
            column: [cells[index] for index in kept]
            for column, cells in table.columns.items()
            if column not in _ITS_OWN
        }
        keys = table.columns["key"]
        found["image_path"] = [_image(shard, str(keys[index])) for index in kept]
        if columns and found.keys() != columns.keys():
            problems.add(
                f"{shard.name} has the columns {list(found)}, but {shards[0].name} has "
                f"{list(columns)}"
            )
            return None
        for column, cells in found.items():
            columns.setdefault(column, []).extend(cells)
    if rows and failed == rows:
        problems.add(f"{name}: none of {rows:,} rows was downloaded")
    every = {column: tuple(cells) for column, cells in columns.items()}
    if all(not caption for caption in every.get("caption", ())):
        every.pop("caption", None)  # it is written without --caption_col, too
    notes = []
    if failed:
        notes.append(
            Note(f"{name}: {failed:,} of {rows:,} rows are left out, which weren't downloaded")
        )
    return Table(name, every, notes=tuple(notes))


def _image(shard: Path, key: str) -> str:
    """Return the path of an image, from the output folder."""
    folder = shard.with_suffix("")
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{key}{suffix}").is_file():
            return f"{shard.stem}/{key}{suffix}"
    return f"{shard.stem}/{key}.jpg"
