"""Samples: a data folder or a DataFrame becomes a ``Dataset``, a split becomes row indices."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.data._columns import KINDS as COLUMN_KINDS
from hpo.data._columns import parse_columns
from hpo.data._split_spec import (
    SPLIT_KINDS,
    AutoSplit,
    ColumnSplit,
    ConcreteSplit,
    SplitSpec,
    StratifiedSplit,
    TailSplit,
    settle_split,
)

if TYPE_CHECKING:
    from hpo.data._arrays import dataset_of_arrays
    from hpo.data._coco import CocoSummary, convert_coco
    from hpo.data._dataset import Dataset, TableUsed, keep_rows
    from hpo.data._division import Division, divide, split_line
    from hpo.data._folder import kinds_there, load_dataset, load_rows
    from hpo.data._frame import dataset_of_frame
    from hpo.data._images import IMAGE_SUFFIXES, ImageMode, find_images, url_fault
    from hpo.data._label_notes import class_line
    from hpo.data._labels_as import WAYS, LabelsAs, classes_argument
    from hpo.data._parts import CaptionRule, ReadOptions
    from hpo.data._problems import Problems
    from hpo.data._rows import Rows, join_rows, take_rows
    from hpo.data._sources import table_files
    from hpo.data._split import Split, make_split
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_arrays": ("dataset_of_arrays",),
            "_coco": (
                "CocoSummary",
                "convert_coco",
            ),
            "_dataset": (
                "Dataset",
                "TableUsed",
                "keep_rows",
            ),
            "_division": (
                "Division",
                "divide",
                "split_line",
            ),
            "_folder": (
                "kinds_there",
                "load_dataset",
                "load_rows",
            ),
            "_frame": ("dataset_of_frame",),
            "_images": (
                "IMAGE_SUFFIXES",
                "ImageMode",
                "find_images",
                "url_fault",
            ),
            "_label_notes": ("class_line",),
            "_labels_as": (
                "WAYS",
                "LabelsAs",
                "classes_argument",
            ),
            "_parts": (
                "CaptionRule",
                "ReadOptions",
            ),
            "_problems": ("Problems",),
            "_rows": (
                "Rows",
                "join_rows",
                "take_rows",
            ),
            "_sources": ("table_files",),
            "_split": (
                "Split",
                "make_split",
            ),
        },
    )

__all__ = [
    "COLUMN_KINDS",
    "IMAGE_SUFFIXES",
    "SPLIT_KINDS",
    "WAYS",
    "AutoSplit",
    "CaptionRule",
    "CocoSummary",
    "ColumnSplit",
    "ConcreteSplit",
    "Dataset",
    "Division",
    "ImageMode",
    "LabelsAs",
    "Problems",
    "ReadOptions",
    "Rows",
    "Split",
    "SplitSpec",
    "StratifiedSplit",
    "TableUsed",
    "TailSplit",
    "class_line",
    "classes_argument",
    "convert_coco",
    "dataset_of_arrays",
    "dataset_of_frame",
    "divide",
    "find_images",
    "join_rows",
    "keep_rows",
    "kinds_there",
    "load_dataset",
    "load_rows",
    "make_split",
    "parse_columns",
    "settle_split",
    "split_line",
    "table_files",
    "take_rows",
    "url_fault",
]
