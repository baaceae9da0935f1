"""Samples as webdataset has them: files that differ by their suffix alone, in a tar or a folder.

``000000003.jpg``, ``000000003.txt`` and ``000000003.json`` are one sample: its image, its caption,
and other fields by name. ``.cls`` has the number of its class. img2dataset writes such archives and
folders, and many data sets on the hub are such archives.
https://github.com/webdataset/webdataset#the-webdataset-format
"""

import re
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from hpo.data._embedded import EmbeddedImage, embedded_image
from hpo.data._images import IMAGE_SUFFIXES
from hpo.data._problems import Problems
from hpo.data._table import Table
from hpo.files import regular
from hpo.json_files import parse_json
from hpo.notes import Note

__all__ = ["ITS_OWN", "images_of", "missing_shards", "read_samples", "sample_names"]

ITS_OWN = frozenset(
    {
        *("url", "key", "status", "error_message", "width", "height", "original_width"),
        *("original_height", "exif", "sha256", "md5"),
    }
)
"""Fields that img2dataset writes by itself; others are those that it was told to keep."""

_IMAGE, _CAPTION, _CLASS = "image_path", "caption", "label"
_NUMBER = re.compile(r"\d+$")
_SHOWN = 3
_END = 1024  # bytes of zeros with which an archive ends

#: A sample's key, the suffix of one of its files, and what reads that.
_File = tuple[str, str, Callable[[], bytes]]


def sample_names(shards: Sequence[Path]) -> list[str]:
    """Return the columns of the first sample; none if it can't be read."""
    found: dict[str, Any] = {}
    first = None
    try:
        for key, suffix, read in _files(shards[0]):
            if first not in (None, key):
                break
            first = key
            found |= _fields(suffix, read, key, Path(), None)
    except (OSError, ValueError, tarfile.TarError):
        return []
    return list(found)


def read_samples(
    shards: Sequence[Path], name: str, problems: Problems, unpack: Path | None = None
) -> Table | None:
    """Read the samples of archives or folders, one a row.

    Args:
        shards: The archives, or the folders, in order.
        name: What they are called in messages.
        problems: Takes what is wrong.
        unpack: Where to write images that stand in an archive; None leaves them.
    """
    samples: dict[str, dict[str, Any]] = {}
    others: Counter[str] = Counter()
    notes = [*missing_shards(shards)]
    for shard in shards:
        try:
            for key, suffix, read in _files(shard):
                fields = samples.setdefault(f"{shard.stem}/{key}", {})
                found = _fields(suffix, read, key, shard, unpack)
                others.update([] if found else [suffix])
                if _IMAGE in fields and _IMAGE in found:
                    problems.add(f"{shard.name}: the sample '{key}' has two images")
                # a caption stands in a file of its own and among the other fields
                fields |= {n: v for n, v in found.items() if n == _IMAGE or n not in fields}
        except (OSError, ValueError, tarfile.TarError) as error:
            problems.add(f"{shard.name} can't be read: {error}")
            return None
        if shard.suffix == ".tar" and not _ends(shard):
            notes.append(Note(f"{shard.name} has no end as an archive has; was it cut off?"))
    rows = [fields for fields in samples.values() if fields]
    names = dict.fromkeys(field for fields in rows for field in fields)
    if not rows:
        problems.add(
            f"{name} has no samples: none of its files ends in .jpg, .txt, .json or .cls after the "
            "first dot in its name"
        )
        return None
    lacking = [key for key, fields in samples.items() if _IMAGE in names and _IMAGE not in fields]
    problems.add(f"{name}: the sample '{key}' has no image, but others have" for key in lacking)
    columns = {field: tuple(fields.get(field) for fields in rows) for field in names}
    notes += [
        Note(f"{name}: {count:,} of {len(rows):,} samples have no '{field}'")
        for field in names
        if field != _IMAGE and (count := sum(field not in fields for fields in rows))
    ]
    if others:
        kinds = ", ".join(f"{count:,} .{suffix}" for suffix, count in others.most_common(_SHOWN))
        more = ", …" if len(others) > _SHOWN else ""
        notes.append(Note(f"{name}: files that aren't read: {kinds}{more}", doubtful=False))
    return Table(name, columns, notes=tuple(notes))


def missing_shards(shards: Sequence[Path]) -> list[Note]:
    """Tell of numbers that are left out between those of shards, such as 1 between 0 and 2."""
    numbers: dict[str, set[int]] = {}
    for shard in shards:
        if match := _NUMBER.search(shard.stem):
            numbers.setdefault(shard.stem[: match.start()], set()).add(int(match[0]))
    notes = []
    for before, there in numbers.items():
        lacking = sorted(set(range(min(there), max(there))) - there)
        if lacking and len(there) > 1:
            which = ", ".join(map(str, lacking[:_SHOWN])) + (", …" if len(lacking) > _SHOWN else "")
            notes.append(
                Note(
                    f"the shards {before}{min(there)} to {before}{max(there)} are there, but not "
                    f"{len(lacking):,} of them ({which})"
                )
            )
    return notes


def images_of(shard: Path, unpack: Path | None) -> dict[str, EmbeddedImage]:
    """Return the images of an archive by their samples' keys.

    Args:
        shard: The archive.
        unpack: Where to write them; None leaves them.

    Raises:
        OSError: It can't be read, or an image can't be written.
        tarfile.TarError: It is damaged.
    """
    return {
        key: _fields(suffix, read, key, shard, unpack)[_IMAGE]
        for key, suffix, read in _files(shard)
        if f".{suffix}" in IMAGE_SUFFIXES
    }


def _files(shard: Path) -> Iterator[_File]:
    """Yield the files of the samples of an archive or a folder."""
    if shard.is_dir():
        for path in sorted(shard.iterdir()):
            if path.is_file() and not path.name.startswith("."):
                key, _, suffix = path.name.partition(".")
                yield key, suffix.lower(), path.read_bytes
        return
    with tarfile.open(regular(shard), "r:") as archive:
        for member in archive:
            place = PurePosixPath(member.name)
            if not member.isfile() or place.name.startswith("."):
                continue
            if member.issparse():  # it may be of any size with hardly a byte in the archive
                raise ValueError(f"'{member.name}' is a sparse file")
            key, _, suffix = place.name.partition(".")
            file = archive.extractfile(member)
            assert file is not None  # it is a file
            yield str(place.with_name(key)), suffix.lower(), file.read


def _fields(
    suffix: str, read: Callable[[], bytes], key: str, shard: Path, unpack: Path | None
) -> dict[str, Any]:
    """Return what one file of a sample says, by column; of files of other kinds nothing."""
    if f".{suffix}" in IMAGE_SUFFIXES:
        name = f"{shard.stem}/{key}.{suffix}"
        if shard.is_dir():
            return {_IMAGE: name}
        if unpack is None:
            return {_IMAGE: EmbeddedImage(name, None, False)}
        return {_IMAGE: embedded_image({"bytes": read(), "path": name}, unpack)}
    if suffix in ("txt", "cls"):
        return {_CAPTION if suffix == "txt" else _CLASS: read().decode("utf-8-sig").strip()}
    if suffix == "json":
        content = parse_json(read(), keys_once=True)
        if not isinstance(content, dict):
            raise ValueError(f"{key}.json must be an object")
        return {name: value for name, value in content.items() if name not in ITS_OWN}
    return {}


def _ends(shard: Path) -> bool:
    """Say whether an archive ends with zeros, as whole ones do."""
    with regular(shard).open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _END))
        return not any(file.read())
