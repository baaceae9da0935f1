"""What the tables of a data folder are called, and what is said of files that are none of them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hpo.data._images import IMAGE_SUFFIXES
from hpo.notes import Note

__all__ = [
    "BESIDE_IMAGES",
    "FORMATS",
    "NAMES",
    "Format",
    "Part",
    "is_table",
    "other_tables",
    "what_lies_below",
]

Part = Literal["train", "val", "test"]
Format = Literal["csv", "json", "jsonl", "parquet", "arrow", "img2dataset", "webdataset"]

FORMATS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
}
"""The formats of tables by their suffixes; earlier ones go before later ones."""
NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test",),
}
"""The names of the tables of each part; earlier ones go before later ones."""
BESIDE_IMAGES = ("metadata", "_classes")
"""What a table beside its images is called: by ``datasets``, and by Roboflow."""
# What programs leave in a folder beside its tables.
_NOT_TABLES = (
    *("dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"),
    "predictions.csv",
)
_STATS = "_stats.json"  # what img2dataset says of a shard
#: Words in the name of a table that may be one of a part.
_PARTS = frozenset(
    (
        *("train", "training", "val", "valid", "validation", "validate", "dev", "test", "testing"),
        *("eval", "evaluation", "holdout", "heldout", "trainval", "minival"),
    )
)
#: Names of embeddings that may lie here, and of what names their rows.
_OF_EMBEDDINGS = re.compile(r"(test_)?((image|text)|((image|text)_)?(ids|names|keys))(_test)?")
_SHOWN = 3


def is_table(path: Path) -> bool:
    """Say whether a file may be a table by its name."""
    return (
        path.suffix.lower() in FORMATS
        and path.name not in _NOT_TABLES
        and not path.name.endswith(_STATS)
        and path.is_file()
    )


def other_tables(files: Sequence[Path]) -> list[Note]:
    """Tell of tables whose names are those of no part, so that they aren't read."""
    known = {name for names in NAMES.values() for name in names}
    names = [
        path.name
        for path in files
        if is_table(path)
        and path.stem.lower() not in known
        and not _OF_EMBEDDINGS.fullmatch(path.stem.lower())
    ]
    perhaps = [name for name in names if not _PARTS.isdisjoint(re.split("[^a-z]+", name.lower()))]
    others = [name for name in names if name not in perhaps]
    notes = [
        Note(
            f"{name} isn't read, but may be of a part; put its rows into the table of the part "
            "(train, val or test), or move it away"
        )
        for name in perhaps
    ]
    if others:
        shown = ", ".join(others[:_SHOWN])
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        notes.append(
            Note(f"{shown}{more}: not read as a table, as no part is called so", doubtful=False)
        )
    return notes


def what_lies_below(folder: Path) -> str:
    """Return what folders have in place of a table, to go on after "there is no file train.csv"."""
    coco = [*folder.glob("instances_*.json"), *folder.glob("*/instances_*.json")]
    if coco:
        return (
            f", but '{min(coco).relative_to(folder)}'; hpo coco makes a data folder of COCO's "
            "annotations"
        )
    for depth in ("*/*", "*/*/*"):
        tables = sorted(path for path in folder.glob(depth) if is_table(path))
        if tables:
            more = f" (and {len(tables) - 1} more)" if len(tables) > 1 else ""
            return (
                f", but '{tables[0].relative_to(folder)}'{more}; move it up, beside the folders of "
                "the images, or give the folder that it is in"
            )
    images = sorted(path for path in folder.glob("**/*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        return ", nor another table"
    return (
        f", nor another table, but {len(images):,} images; write a table with the columns image "
        f"(such as {images[0].relative_to(folder)}) and labels; names of folders aren't read as "
        "labels"
    )
