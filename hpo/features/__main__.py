"""``python -m hpo.features``: encode a data folder, or import embeddings that exist already."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import (
    add_label_options,
    add_long_captions_option,
    add_reading_options,
    asked_labels,
    guarded,
)
from hpo._writable import check_folder
from hpo.data import parse_columns
from hpo.features import (
    DEFAULT_ENCODER,
    DataOptions,
    asked_sources,
    folder_defaults,
    prepare_data,
)

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.features",
        description="Encode a data folder, or import embeddings that exist already.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="the data folder, or 'demo' for the demo data set",
    )
    add_reading_options(parser)
    add_long_captions_option(parser)
    parser.add_argument(
        "--encoder",
        action="append",
        default=[],
        metavar="[NAME=]MODEL/PRETRAINED",
        help="open_clip's names, a local checkpoint's folder, MODEL/WEIGHTS-FILE, or 'demo'; may "
        "be given several times (default: the one in the data folder's hpo.yaml, else "
        f"{DEFAULT_ENCODER})",
    )
    parser.add_argument(
        "--features",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="import embeddings from this folder, NAME.npy for each modality; images are not "
        "needed; may be given several times, each with a name of its own",
    )
    parser.add_argument(
        "--modalities",
        type=lambda text: tuple(name.strip() for name in text.split(",") if name.strip()),
        metavar="A,B,…",
        help="which to take, such as image,text (default: all that are there)",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help="where features are kept (default: %(default)s)",
    )
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda:0, … (default: %(default)s)"
    )
    parser.add_argument(
        "--skip-bad-images",
        action="store_true",
        help="leave out rows whose image is missing or damaged, or that --features haven't got",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="refuse data that isn't read without doubt, instead of a note",
    )
    add_label_options(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    check_folder(arguments.cache, "--cache")
    folders, encoder = asked_sources(arguments.features, arguments.encoder)
    options = DataOptions(
        data=arguments.data,
        features=folders,
        encoder=encoder,
        cache=arguments.cache,
        device=arguments.device,
        skip_bad_images=arguments.skip_bad_images,
        modalities=arguments.modalities,
        strict=arguments.strict,
        columns={} if arguments.columns is None else parse_columns(arguments.columns),
        captions=arguments.captions,
        long_captions=arguments.long_captions,
        labels_as=asked_labels(arguments),
    )
    data = prepare_data(options, folder_defaults(options))
    sources = {f"{name} ": one for name, one in data.named.items()} or {"": data.features}
    for name, features in sources.items():
        print(f"{name}features: {arguments.cache / 'features' / features.key}")
    if data.dataset.skipped:
        print(f"left out: {len(data.dataset.skipped)} rows without an image or an embedding")
    for name, features in sources.items():
        for modality, train in features.train.items():
            line = f"{name}{modality}: {len(train)} labelled and {len(features.test[modality])} "
            line += f"test rows, {train.shape[1]} wide"
            counts = features.counts.get(modality)
            if counts is not None:
                line += f"; {counts.encoded} items encoded, {counts.reused} reused"
            print(line)
    for note in data.notes:
        print(f"note: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
