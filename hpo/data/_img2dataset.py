"""What img2dataset downloaded: folders or archives of images, with a Parquet file for each.

``--output_format files`` writes ``00000/000000003.jpg``, ``webdataset`` writes ``00000.tar``, and
``parquet`` puts the images into the Parquet file itself. Without the Parquet files, folders and
archives are read as those of webdataset are.
https://github.com/rom1504/img2dataset#output-format-choice
"""

import re
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.data._arrow import read_arrow
from hpo.data._images import IMAGE_SUFFIXES
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.data._webdataset import ITS_OWN, images_of, missing_shards
from hpo.notes import Note

__all__ = ["is_img2dataset", "is_shard", "read_img2dataset"]

_SHARD = re.compile(r"\d{5,}")


def is_img2dataset(files: Sequence[Path]) -> bool:
    """Say whether a folder with these files is an output folder of img2dataset."""
    return any(is_shard(path) for path in files)


def is_shard(path: Path) -> bool:
    """Say whether a file is the Parquet file of a shard."""
    return path.suffix == ".parquet" and _SHARD.fullmatch(path.stem) is not None


def read_img2dataset(
    shards: Sequence[Path], name: str, problems: Problems, unpack: Path | None = None
) -> Table | None:
    """Read the rows of an output folder; those that weren't downloaded are left out.

    Args:
        shards: The Parquet files, each beside the folder or the archive of its images.
        name: What the table is called in messages.
        problems: Takes what is wrong.
        unpack: Where to write images that stand in an archive or in the Parquet file; None leaves
            them.
    """
    columns: dict[Any, list[Any]] = {}
    failed = rows = 0
    for shard in shards:
        table = read_arrow([shard], shard.name, problems, unpack)
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
        inside = next((s[1:] for s in IMAGE_SUFFIXES if s[1:] in table.columns), None)
        found = {
            column: [cells[index] for index in kept]
            for column, cells in table.columns.items()
            if column not in ITS_OWN and column != inside
        }
        keys = [str(table.columns["key"][index]) for index in kept]
        if inside is not None:
            found["image_path"] = [table.columns[inside][index] for index in kept]
        else:
            found["image_path"] = _images(shard, keys, problems, unpack)
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
    notes = missing_shards(shards)
    if failed:
        notes.append(
            Note(f"{name}: {failed:,} of {rows:,} rows are left out, which weren't downloaded")
        )
    return Table(name, every, notes=tuple(notes))


def _images(shard: Path, keys: Sequence[str], problems: Problems, unpack: Path | None) -> list[Any]:
    """Return the images of a shard's rows: paths in its folder, or images of its archive."""
    folder, archive = shard.with_suffix(""), shard.with_suffix(".tar")
    if folder.is_dir() or not archive.is_file():
        return [_path(folder, key) for key in keys]
    try:
        there = images_of(archive, unpack)
    except (OSError, tarfile.TarError) as error:
        problems.add(f"{archive.name} can't be read: {error}")
        return [""] * len(keys)
    problems.add(
        f"{archive.name} has no image '{key}', but {shard.name} says that it was downloaded"
        for key in keys
        if key not in there
    )
    return [there.get(key, "") for key in keys]


def _path(folder: Path, key: str) -> str:
    """Return the path of an image, from the output folder."""
    for suffix in IMAGE_SUFFIXES:
        if (folder / f"{key}{suffix}").is_file():
            return f"{folder.name}/{key}{suffix}"
    return f"{folder.name}/{key}.jpg"
