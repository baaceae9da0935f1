"""``python -m hpo.data.coco``: make a data folder from COCO's annotation files."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import Parser, guarded
from hpo.data._coco import convert_coco

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    summary = convert_coco(
        arguments.instances,
        arguments.captions,
        arguments.out,
        categories=arguments.categories,
        label_as=arguments.label_as,
        only_labelled=arguments.only_labelled,
        images=arguments.images,
        test_captions=arguments.test_captions,
        test_images=arguments.test_images,
        place="copy" if arguments.copy else "link",
    )
    print(f"{arguments.out}: {summary.train_rows} training rows ({summary.without_label} without a")
    print(f"label), {summary.test_rows} test rows, {summary.without_caption} without a caption,")
    print(f"{len(summary.classes)} classes, {summary.images} images placed")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hpo coco", description="Make a data folder from the annotation files of COCO."
    )
    add = parser.add_argument
    add("instances", type=Path, help="instances_*.json")
    add("captions", type=Path, help="captions_*.json of the same images")
    add("out", type=Path, help="the data folder to write")
    add(
        "--categories",
        type=lambda text: [part.strip() for part in text.split(",") if part.strip()],
        metavar="A,B,…",
        help="names or ids of the categories to keep, separated by commas (default: all)",
    )
    add("--label-as", choices=("name", "id"), default="name", help="how labels are written")
    add("--only-labelled", action="store_true", help="leave out images without any category")
    add("--images", type=Path, metavar="DIR", help="folder of the images, linked into OUT/data")
    add("--test-captions", type=Path, metavar="FILE", help="captions_*.json to make test.csv from")
    add("--test-images", type=Path, metavar="DIR", help="their folder (default: --images)")
    add("--copy", action="store_true", help="copy the images instead of linking them")
    return parser


if __name__ == "__main__":
    sys.exit(main())
