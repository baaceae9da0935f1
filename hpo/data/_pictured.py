"""The images of the rows of a data folder, and which rows have the same names or images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpo.data._embedded import EmbeddedImage
from hpo.data._images import find_images, images_in
from hpo.data._parts import TablePart
from hpo.data._problems import Problems
from hpo.data._read_table import ReadTable
from hpo.data._rows import Rows, check_ids
from hpo.notes import Note

__all__ = ["Pictured", "check_names", "images_without_rows", "same_images", "with_images"]


@dataclass(frozen=True)
class Pictured:
    """A part whose images were looked for.

    Attributes:
        rows: With the paths of images, if these were asked for.
        faults: What is wrong with the images of some rows.
        notes: How images were found.
    """

    rows: Rows
    faults: Mapping[int, str]
    notes: tuple[Note, ...] = ()


def with_images(folder: Path, table: ReadTable, wanted: bool) -> Pictured:
    """Find the images of a part, or leave them if they aren't wanted."""
    part = table.part
    if not wanted or part.pictures is None:
        return Pictured(part.rows, {})
    names = [one.name if isinstance(one, EmbeddedImage) else one for one in part.pictures]
    kept = {
        row: one.file
        for row, one in enumerate(part.pictures)
        if isinstance(one, EmbeddedImage) and one.file is not None
    }
    others = [row for row in range(len(names)) if row not in kept]
    found = find_images(
        folder,
        [names[row] for row in others],
        part=table.source.part,
        base=table.source.base,
        table=table.source.name,
    )
    paths = {**kept, **dict(zip(others, found.paths, strict=True))}
    faults = {
        others[index]: f"{part.rows.place(others[index])}: {fault}"
        for index, fault in found.faults.items()
    }
    rows = replace(part.rows, images=tuple(paths[row] for row in range(len(names))))
    return Pictured(rows, faults, found.notes)


def check_names(
    folder: Path, tables: Sequence[ReadTable], found: Sequence[Pictured], problems: Problems
) -> list[Note]:
    """Say which names are empty, or stand for several rows of labelled ones or of those to predict.

    A name may stand in both if its images are two files.
    """
    labelled = [one for one in tables if one.source.part != "test"]
    count = len(labelled)
    empty, twice = check_ids([one.part.rows for one in labelled])
    if len(tables) > count:
        more = check_ids([tables[count].part.rows])
        empty, twice = [*empty, *more[0]], [*twice, *more[1]]
    problems.add(empty)
    problems.add(twice)
    if twice:
        problems.add(_several_labels([one.part for one in labelled]))
    if len(tables) == count or not (tables[0].part.named and tables[count].part.named):
        return []
    test = tables[count]
    labelled_names = set().union(*(one.part.rows.ids for one in labelled))
    ids = test.part.rows.ids
    both = [row for row, name in enumerate(ids) if name in labelled_names and name.strip()]
    if not both:
        return []
    names = [ids[row] for row in both]
    first = {
        name: (number, row)
        for number, one in reversed([*enumerate(labelled)])
        for row, name in reversed([*enumerate(one.part.rows.ids)])
    }
    here = _paths_of(folder, test, found[count], both)
    there = [
        _paths_of(folder, labelled[number], found[number], [row])[0]
        for number, row in map(first.__getitem__, names)
    ]
    same = [
        f"{test.part.rows.place(row)}: ImageID '{name}' is on "
        f"{labelled[first[name][0]].part.rows.place(first[name][1])} already"
        for row, name, path, other in zip(both, names, here, there, strict=True)
        if path is None or other is None or path == other or path.samefile(other)
    ]
    problems.add(same)
    if same:
        return []
    return [
        Note(
            f"{len(both):,} ImageIDs are in {test.source.name} and in another table; their images "
            "are different files",
            doubtful=False,
        )
    ]


def _several_labels(parts: Sequence[TablePart]) -> list[str]:
    """Say how many pictures of a table have other labels on each of several rows."""
    found = []
    for part in parts:
        labels: dict[str, set[str]] = {}
        for name, cell in zip(part.rows.ids, part.labels or (), strict=False):
            labels.setdefault(name, set()).add(repr(cell))
        several = sum(len(cells) > 1 for cells in labels.values())
        if several:
            pictures = "1 picture has" if several == 1 else f"{several:,} pictures have"
            found.append(
                f"{part.rows.source}: {pictures} different labels on several rows; write all "
                "labels of a picture on one row, with ';' between them"
            )
    return found


def same_images(tables: Sequence[ReadTable], found: Sequence[Pictured]) -> list[Note]:
    """Say which rows have the image of another row, under another name or another id.

    The rows of a picture's captions are one picture.
    """
    pictures: dict[Path, set[tuple[int, int]]] = {}
    first: dict[Path, str] = {}
    for number, (one, pictured) in enumerate(zip(tables, found, strict=True)):
        for row, path in enumerate(pictured.rows.images or ()):
            if row not in pictured.faults:
                picture = one.groups[row] if one.groups else row
                pictures.setdefault(path, set()).add((number, picture))
                first.setdefault(path, pictured.rows.place(row))
    twice = [path for path, those in pictures.items() if len(those) > 1]
    if not twice:
        return []
    said = "1 image file is" if len(twice) == 1 else f"{len(twice):,} image files are"
    said += " on several rows"
    also = "" if len(twice) == 1 else " among them"
    return [
        Note(
            f"{said}, '{twice[0].name}'{also} (first on {first[twice[0]]}); rows of one picture "
            "may come into different parts of a split"
        )
    ]


def images_without_rows(folder: Path, found: Sequence[Pictured]) -> list[Note]:
    """Tell of images in folders of rows to predict where no table has such rows."""
    used = {path for one in found for path in one.rows.images or ()}
    notes = []
    for place in (folder / "test", folder / "images" / "test", folder / "data" / "test"):
        left = [path for path in images_in(place) if path not in used]
        if left:
            name = place.relative_to(folder)
            said = f"{name}/ has {len(left):,} images, but no table has rows to predict"
            notes.append(Note(f"{said}; `hpo predict --images` labels them", doubtful=False))
    return notes


def _paths_of(
    folder: Path, table: ReadTable, pictured: Pictured, rows: Sequence[int]
) -> list[Path | None]:
    """Return the image files of some rows, None where there is none."""
    if pictured.rows.images is not None:
        paths = pictured.rows.images
        return [None if row in pictured.faults else paths[row] for row in rows]
    if table.part.pictures is None:
        return [None] * len(rows)
    pictures = [table.part.pictures[row] for row in rows]
    names = [one.name if isinstance(one, EmbeddedImage) else one for one in pictures]
    found = find_images(folder, names, part=table.source.part, base=table.source.base)
    return [None if row in found.faults else path for row, path in enumerate(found.paths)]
