"""The demo: a data folder that the program renders itself, so that a first study needs no data.

3,600 labelled and 600 unlabelled rows of a picture, a caption and the labels among 18 classes, in
the layout of a real data folder, with the shape of a real problem: one class on three quarters of
the rows, the rarest on well under one percent, 1.6 labels a row; almost a fifth of the objects
hidden in the picture, a third left out of the caption, so that neither modality is enough alone
(see `hpo.demo._scenes`). It goes with the encoder in ``hpo/features/demo_clip/``, which was
trained on other scenes of the same kind by ``scripts/train_demo_encoder.py``.
"""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from hpo.demo._scenes import Scene, make_scene
from hpo.errors import InputError
from hpo.files import sweep, temporary_beside
from hpo.json_files import read_json

__all__ = ["DEMO_DEFAULTS", "DEMO_TEST_ROWS", "DEMO_TRAIN_ROWS", "demo_scene", "make_demo"]

DEMO_TRAIN_ROWS = 3600
DEMO_TEST_ROWS = 600

# A data folder's own defaults: the search spaces are written for 25,000 training rows of width
# 768, this data has 3,000 of width 64. A hundred epochs of the starting head (width 256, full
# batch, learning rate 0.001) take 2 s on a core and give a micro-F1 of 78 on the pictures, 73 on
# the captions, 82 on both; two hundred give 81, 77, 85.
DEMO_DEFAULTS = """\
# Defaults of this data folder; what the command line says goes before them.
encoder: demo
set:
  split.val_rows: 600
  scale.width: 0.125
  scale.epochs: 0.4
  scale.batch: 0.12
"""

_VERSION = 1  # of the rows; one more whenever the same row comes out differently
_SEED = 5329
_QUALITY = 90  # of the JPEG files
_STAMP = "demo.json"
_DEFAULTS = "hpo.yaml"


def make_demo(folder: Path) -> Path:
    """Write the demo's data folder, unless it is there already, and return ``folder``.

    The folder holds ``train.csv`` (``ImageID,Labels,Caption``), ``test.csv`` (``ImageID,Caption``),
    ``images/`` with JPEG files of 64 x 64 px, ``hpo.yaml`` (`DEMO_DEFAULTS`) and ``demo.json``, the
    stamp by which a whole demo of this version is known. It is built beside its place and renamed,
    so it is there as a whole or not at all; several processes may call this at the same time. Files
    of an older version, or of a demo that lost some, are all replaced. Every call with the same
    versions of numpy and pillow writes the same bytes.

    Args:
        folder: Where to put it: absent, empty, or a demo.

    Raises:
        InputError: ``folder`` is a file, or holds files that the demo didn't write.
        OSError: The disk is full or the place can't be written.
    """
    if _is_whole(folder):
        return folder
    _check_place(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    workshop = temporary_beside(folder)
    workshop.mkdir()
    try:
        _write_folder(workshop / "new")
        if folder.exists() and not _is_whole(folder):
            folder.rename(workshop / "old")
        try:
            (workshop / "new").rename(folder)
        except OSError:
            if not _is_whole(folder):  # else another process was faster, with the same bytes
                raise
    finally:
        shutil.rmtree(workshop)
    return folder


def demo_scene(row: int) -> Scene:
    """Return row ``row`` of the demo; the test rows follow the labelled ones."""
    return make_scene(np.random.default_rng([_SEED, row]))


def _write_folder(folder: Path) -> None:
    images = folder / "images"
    images.mkdir(parents=True)
    tables: dict[str, list[list[str]]] = {
        "train.csv": [["ImageID", "Labels", "Caption"]],
        "test.csv": [["ImageID", "Caption"]],
    }
    for row in range(DEMO_TRAIN_ROWS + DEMO_TEST_ROWS):
        scene = demo_scene(row)
        name = _image_name(row)
        Image.fromarray(scene.pixels).save(images / name, quality=_QUALITY)
        if row < DEMO_TRAIN_ROWS:
            tables["train.csv"].append([name, " ".join(scene.labels), scene.caption])
        else:
            tables["test.csv"].append([name, scene.caption])
    for name, lines in tables.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(lines)
        (folder / name).write_bytes(text.getvalue().encode())  # the same line breaks everywhere
    (folder / _DEFAULTS).write_bytes(DEMO_DEFAULTS.encode())
    stamp = {"version": _VERSION, "bytes": _total_bytes(folder)}
    (folder / _STAMP).write_text(json.dumps(stamp) + "\n", encoding="utf-8")


def _is_whole(folder: Path) -> bool:
    """Say whether every file of this version is in ``folder``.

    Sizes are compared too: the files are not synced, and after a power cut some may be empty. Those
    of ``hpo.yaml`` aren't, as users may change it.
    """
    try:
        stamp = read_json(folder / _STAMP)
        whole = {"version": _VERSION, "bytes": _total_bytes(folder)}
        return bool(stamp == whole) and (folder / _DEFAULTS).is_file()
    except (OSError, ValueError):
        return False


def _check_place(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise InputError(f"The demo's folder {folder} is a file, but must be a folder or absent.")
    ours = {folder / name for name in (*_names(), _DEFAULTS, _STAMP)}
    foreign = sorted(path for path in folder.rglob("*") if path.is_file() and path not in ours)
    if foreign:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise InputError(
            f"The demo's folder {folder} holds files that the demo didn't write ({foreign[0].name}"
            f"{more}), but must be absent, empty or a demo."
        )


def _total_bytes(folder: Path) -> int:
    """Return the size of the tables and images; raises FileNotFoundError where one is missing."""
    return sum((folder / name).stat().st_size for name in _names())


def _names() -> list[str]:
    rows = range(DEMO_TRAIN_ROWS + DEMO_TEST_ROWS)
    return ["train.csv", "test.csv", *(f"images/{_image_name(row)}" for row in rows)]


def _image_name(row: int) -> str:
    return f"{row}.jpg"
