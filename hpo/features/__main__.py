"""``python -m hpo.features``: encode a data folder, or import embeddings that exist already."""

import argparse
import sys
from collections.abc import Sequence

from hpo._data_arguments import add_source_options, data_options
from hpo._options import Parser, guarded
from hpo._writable import check_folder
from hpo.features import folder_defaults, prepare_data

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m hpo.features",
        description="Encode a data folder, or import embeddings that exist already.",
        allow_abbrev=False,
    )
    add_source_options(parser)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu, cuda:0, … (default: %(default)s)"
    )
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    check_folder(arguments.cache, "--cache")
    options = data_options(arguments, arguments.device)
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
