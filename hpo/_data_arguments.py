"""The options of a command about where data comes from, and how it is read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from hpo._options import add_cache_option

if TYPE_CHECKING:
    from hpo.data import LabelsAs
    from hpo.features import DataOptions

__all__ = ["add_reading_options", "add_row_options", "add_source_options", "data_options"]


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--columns`` and ``--captions``, which say how a data folder's tables are read."""
    parser.add_argument(
        "--columns",
        metavar="KIND=NAME,…",
        help="which columns of the tables are what, such as image=path,caption=text,labels=tags or "
        "labels=cat,dog,bird (columns of zeros and ones; * for all others); the kinds are image, "
        "caption, labels, split and id (default: what hpo.yaml says, else by names that are "
        "unmistakable)",
    )
    parser.add_argument(
        "--captions",
        choices=("mean", "first", "each"),
        help="what several captions of a picture mean: the mean of their embeddings, the first "
        "alone, or a row for each",
    )


def add_row_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how labelled rows are read, and which of them are left out or refused."""
    add = parser.add_argument
    add_reading_options(parser)
    add(
        "--labels-as",
        metavar="WAY",
        help="how labels are written, where that is in doubt: one (name), blanks, commas, "
        "semicolons or bars (between names), list (JSON's or Python's), or multi-hot (zeros and "
        "ones)",
    )
    add(
        "--classes",
        metavar="A,B,…|FILE",
        help="all class names in order, or a file with one a line (default: those that occur)",
    )
    add(
        "--no-label",
        action="append",
        metavar="WORD",
        help="what Labels says of a row that has none, such as nan; may be given several times",
    )
    add(
        "--features",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="embeddings that exist already, NAME.npy for each modality; several, each with a "
        "name, are chosen among",
    )
    add(
        "--modalities",
        type=lambda text: tuple(name.strip() for name in text.split(",") if name.strip()),
        metavar="A,B,…",
        help="embeddings to use, such as image,text (default: all that are there)",
    )
    add(
        "--skip-bad-images",
        action="store_true",
        help="leave out rows whose image is missing or damaged, or that --features haven't got",
    )
    add(
        "--skip-test", action="store_true", help="leave the rows to predict alone, such as test.csv"
    )
    add(
        "--strict",
        action="store_true",
        help="refuse data that isn't read without doubt, instead of a note",
    )
    add_cache_option(parser)


def add_source_options(parser: argparse.ArgumentParser, default: str | None = None) -> None:
    """Add what says where data comes from, and how it is read and encoded.

    Args:
        parser: The command's.
        default: The data without ``--data``; by default it must be given.
    """
    parser.add_argument(
        "--data",
        required=default is None,
        default=default,
        metavar="DIR|demo",
        help="data folder, or the demo" + (f" (default: {default})" if default else ""),
    )
    add_row_options(parser)
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="[NAME=]MODEL/PRETRAINED",
        help="open_clip's names, a local checkpoint's folder, MODEL/WEIGHTS-FILE, or demo; several "
        "are chosen among (default: those that the space names, else that of hpo.yaml, else "
        "ViT-L-14/openai)",
    )
    parser.add_argument(
        "--long-captions",
        choices=("truncate", "mean", "refuse"),
        help="what is done to captions longer than the encoder's context: cut off, read in parts "
        "whose embeddings are averaged, or refused; a model does the same to what it predicts "
        "(default: truncate)",
    )


def data_options(arguments: argparse.Namespace, device: str) -> "DataOptions":
    """Return what ``add_row_options``, and perhaps ``add_source_options``, were given.

    Args:
        arguments: What the command line says.
        device: Where to encode.

    Raises:
        InputError: Options can't be read, or don't go together.
    """
    from hpo.data import parse_columns
    from hpo.features import DataOptions, asked_sources

    features, encoder = asked_sources(arguments.features, getattr(arguments, "encoder", []))
    return DataOptions(
        data=arguments.data,
        features=features,
        encoder=encoder,
        cache=Path(arguments.cache).absolute(),
        device=device,
        skip_bad_images=arguments.skip_bad_images,
        modalities=arguments.modalities,
        strict=arguments.strict,
        columns={} if arguments.columns is None else parse_columns(arguments.columns),
        captions=arguments.captions,
        labels_as=_asked_labels(arguments),
        long_captions=getattr(arguments, "long_captions", None),
        skip_test=arguments.skip_test,
    )


def _asked_labels(arguments: argparse.Namespace) -> "LabelsAs":
    """Return how labels are to be read.

    Raises:
        InputError: There is no such way, or the classes are none.
    """
    from hpo.data import LabelsAs, classes_argument

    classes = None if arguments.classes is None else classes_argument(arguments.classes)
    return LabelsAs.of(arguments.labels_as, classes, arguments.no_label)
