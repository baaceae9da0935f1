"""Samples: a data folder or a COCO pair becomes a ``Dataset``, a split becomes row indices."""

from hpo.data._coco import CocoSummary, convert_coco
from hpo.data._dataset import Dataset, Rows, keep_rows, load_dataset, load_rows
from hpo.data._images import ImageMode, check_images
from hpo.data._split import (
    ColumnSplit,
    Split,
    SplitSpec,
    StratifiedSplit,
    TailSplit,
    make_split,
)

__all__ = [
    "CocoSummary",
    "ColumnSplit",
    "Dataset",
    "ImageMode",
    "Rows",
    "Split",
    "SplitSpec",
    "StratifiedSplit",
    "TailSplit",
    "check_images",
    "convert_coco",
    "keep_rows",
    "load_dataset",
    "load_rows",
    "make_split",
]
