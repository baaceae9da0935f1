"""Convert COCO annotation files (instances and captions) into a data folder."""

import csv
import io
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal

from hpo.data._problems import Problems
from hpo.errors import did_you_mean
from hpo.files import atomic_write
from hpo.json_files import read_json

__all__ = ["CocoSummary", "convert_coco"]

_Keys = dict[str, tuple[type, ...]]

# What separates labels or columns, here or in predictions.csv: `traffic light` is written
# `traffic_light`.
_SEPARATORS = re.compile(r"[\s;|,]+")


@dataclass(frozen=True)
class CocoSummary:
    """What a conversion wrote.

    Attributes:
        train_rows: Rows of train.csv.
        test_rows: Rows of test.csv; 0 if none was asked for.
        classes: The label names as they stand in train.csv, in the order of the category ids.
        without_label: Rows of train.csv that have no label.
        without_caption: Rows of both files whose caption is empty, as COCO has none.
        images: Images that lie in ``data/`` now.
    """

    train_rows: int
    test_rows: int
    classes: tuple[str, ...]
    without_label: int
    without_caption: int
    images: int


def convert_coco(
    instances: Path,
    captions: Path,
    out: Path,
    *,
    categories: Sequence[str] | None = None,
    label_as: Literal["name", "id"] = "name",
    only_labelled: bool = False,
    images: Path | None = None,
    test_captions: Path | None = None,
    test_images: Path | None = None,
    place: Literal["link", "copy"] = "link",
) -> CocoSummary:
    """Write ``out/train.csv`` and perhaps ``out/test.csv`` and ``out/data/`` from COCO files.

    A row is an image of ``instances``, in that file's order; its labels are the categories of its
    annotations, crowds included, and its caption is the one with the lowest annotation id.

    Args:
        instances: ``instances_*.json``.
        captions: ``captions_*.json`` of the same images; an image may have none.
        out: The data folder, made if need be; files of the same name are replaced.
        categories: The categories to keep, each by name or id; all for None.
        label_as: Write a label as the category's name, with ``_`` for blanks and separators, or
            as its id.
        only_labelled: Leave out the images that have none of the categories.
        images: The folder that holds the images; None leaves placing them in ``out/data/`` to you.
        test_captions: ``captions_*.json`` of other images, which become test.csv.
        test_images: The folder that holds those; ``images`` for None.
        place: Link the images into ``out/data/`` (symbolic links) or copy them. Where Windows
            doesn't let the user make links, they are copied.

    Raises:
        InputError: A file can't be read or isn't of COCO's form, a category is unknown, an image
            is missing; all that is wrong is listed, and nothing has been written.
    """
    problems = Problems()
    described_as = {"images": _IMAGES, "annotations": _CAPTIONS}
    labelled_as = {"images": _IMAGES, "annotations": _OBJECTS, "categories": _CATEGORIES}
    labelled = _read(instances, labelled_as, problems)
    described = _read(captions, described_as, problems)
    test_described = {}
    if test_captions is not None:
        test_described = _read(test_captions, described_as, problems)
    title = "The COCO files can't be converted:"
    problems.raise_if_any(title)

    names = _label_names(labelled["categories"], categories, label_as, problems)
    files = _file_names(labelled, instances.name, problems)
    if not set(files) & {entry["image_id"] for entry in described["annotations"]}:
        problems.add(f"no image of {instances.name} has a caption in {captions.name}")
    labels = _labels_of(labelled, files, instances.name, problems)
    text = _captions_of(described["annotations"])
    train = []
    for image_id, file in files.items():
        row = [names[category] for category in names if category in labels.get(image_id, ())]
        if row or not only_labelled:
            train.append((file, " ".join(row), text.get(image_id, "")))
    if not any(row[1] for row in train):
        problems.add("no image has any of the categories, but train.csv needs a label")
    test = []
    if test_captions is not None:
        test_files = _file_names(test_described, test_captions.name, problems)
        text = _captions_of(test_described["annotations"])
        test = [(file, text.get(image_id, "")) for image_id, file in test_files.items()]
        both = {row[0] for row in train} & {row[0] for row in test}
        problems.add(
            f"image '{file}' is in the training and the test part" for file in sorted(both)
        )
    moves = _moves((row[0] for row in train), images, out, problems)
    moves |= _moves((row[0] for row in test), test_images or images, out, problems)
    problems.raise_if_any(title)

    for target, source in moves.items():
        _place(source, target, place)
    _write_csv(out / "train.csv", ("ImageID", "Labels", "Caption"), train)
    if test_captions is not None:
        _write_csv(out / "test.csv", ("ImageID", "Caption"), test)
    return CocoSummary(
        train_rows=len(train),
        test_rows=len(test),
        classes=tuple(names.values()),
        without_label=sum(not row[1] for row in train),
        without_caption=sum(not row[-1] for row in [*train, *test]),
        images=len(moves),
    )


_ID = (int, str)
# The keys that each list of a COCO file must have, and the types of their values.
_IMAGES: _Keys = {"id": _ID, "file_name": (str,)}
_CATEGORIES: _Keys = {"id": (int,), "name": (str,)}
_OBJECTS: _Keys = {"image_id": _ID, "category_id": (int,)}
_CAPTIONS: _Keys = {"image_id": _ID, "id": (int,), "caption": (str,)}


def _read(path: Path, lists: dict[str, _Keys], problems: Problems) -> dict[str, Any]:
    """Return a COCO file that has the ``lists``, and in them the keys and types given for each."""
    try:
        content = read_json(path)
    except OSError as error:
        problems.add(f"'{path}' can't be read: {error.strerror}")
        return {}
    except ValueError as error:
        problems.add(f"'{path}' is not JSON: {error}")
        return {}
    if not isinstance(content, dict):
        problems.add(f"'{path}' must hold a JSON object, not a {type(content).__name__}")
        return {}
    for name, keys in lists.items():
        entries = content.get(name)
        if not isinstance(entries, list):
            problems.add(f"'{path}' has no list '{name}'{did_you_mean(name, list(content))}")
            continue
        wanted = ", ".join(
            f"{key} ({' or '.join(kind.__name__ for kind in kinds)})" for key, kinds in keys.items()
        )
        problems.add(
            f"'{path}': {name}[{index}] must be an object with {wanted}"
            for index, entry in enumerate(entries)
            if not _fits(entry, keys)
        )
    return content


def _fits(entry: Any, keys: _Keys) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(key), kinds) for key, kinds in keys.items()
    )


def _label_names(
    entries: Sequence[dict[str, Any]],
    wanted: Sequence[str] | None,
    label_as: Literal["name", "id"],
    problems: Problems,
) -> dict[int, str]:
    """Return the label of each category that is kept, by category id in ascending order."""
    by_key = {str(entry["id"]): entry for entry in entries}
    by_key |= {str(entry["name"]): entry for entry in entries}
    unknown = [key for key in wanted or () if key not in by_key]
    problems.add(
        f"category '{key}' is not in the instances file{did_you_mean(key, list(by_key))}"
        for key in unknown
    )
    keys = by_key if wanted is None else [key for key in wanted if key in by_key]
    kept = {by_key[key]["id"]: by_key[key] for key in keys}
    names = {}
    for category in sorted(kept):
        name = _SEPARATORS.sub("_", str(kept[category]["name"]).strip())
        names[category] = str(category) if label_as == "id" else name
        if list(names.values()).count(names[category]) > 1:
            problems.add(f"two categories are called '{name}'; use the label ids instead")
    return names


def _file_names(content: dict[str, Any], name: str, problems: Problems) -> dict[Any, str]:
    """Return the file name of each image by its id, in the file's order."""
    files: dict[Any, str] = {}
    seen: set[str] = set()
    faults = []
    for entry in content["images"]:
        file = str(entry["file_name"])
        path = PurePath(file)
        if not file or path.is_absolute() or ".." in path.parts:
            faults.append(f"{name}: file_name '{file}' must be a path inside the images folder")
        elif entry["id"] in files or file in seen:
            faults.append(f"{name}: image '{file}' (id {entry['id']}) is listed twice")
        files[entry["id"]] = file
        seen.add(file)
    problems.add(faults)
    return files


def _labels_of(
    content: dict[str, Any], files: dict[Any, str], name: str, problems: Problems
) -> dict[Any, set[int]]:
    """Return the categories of each image by its id."""
    labels: dict[Any, set[int]] = {}
    for entry in content["annotations"]:
        labels.setdefault(entry["image_id"], set()).add(entry["category_id"])
    problems.add(
        f"{name}: an annotation has the image_id {image_id}, which is not among the images"
        for image_id in labels
        if image_id not in files
    )
    known = {entry["id"] for entry in content["categories"]}
    problems.add(
        f"{name}: an annotation has the category_id {category}, which is not among the categories"
        for category in sorted(set().union(*labels.values()) - known)
    )
    return labels


def _captions_of(annotations: Iterable[dict[str, Any]]) -> dict[Any, str]:
    """Return the caption with the lowest annotation id of each image, by the image's id."""
    first: dict[Any, dict[str, Any]] = {}
    for entry in annotations:
        known = first.setdefault(entry["image_id"], entry)
        if entry["id"] < known["id"]:
            first[entry["image_id"]] = entry
    return {image_id: str(entry["caption"]) for image_id, entry in first.items()}


def _moves(
    files: Iterable[str], images: Path | None, out: Path, problems: Problems
) -> dict[Path, Path]:
    """Return where each image comes from, by the place where it goes; none without a folder."""
    if images is None:
        return {}
    if not images.is_dir():
        problems.add(f"the images folder '{images}' is not a folder")
        return {}
    moves = {out / "data" / file: (images / file).resolve() for file in files}
    problems.add(
        f"image '{source.name}' is not in '{images}'"
        for source in moves.values()
        if not source.is_file()
    )
    return moves


def _place(source: Path, target: Path, how: Literal["link", "copy"]) -> None:
    """Put an image where the data folder wants it; what an earlier conversion put is replaced."""
    if target.resolve() == source and not (how == "copy" and target.is_symlink()):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if how == "link":
        try:
            target.symlink_to(source)
            return
        except OSError:
            if os.name != "nt":  # Windows lets only some users make links
                raise
    shutil.copyfile(source, target)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    text = io.StringIO(newline="")
    # All fields in quotes: whatever line break a caption holds, it stays inside one record.
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
