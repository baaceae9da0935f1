"""``python -m hpo.features``: encode a data folder, or import embeddings that exist already."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError
from hpo.features import (
    DEFAULT_ENCODER,
    DEMO_ENCODER,
    ConsoleProgress,
    Features,
    extract_features,
    import_features,
    known_images,
)

if TYPE_CHECKING:
    from hpo.data import Dataset

__all__ = ["main"]

_DEMO_DATA = "demo"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; ``argv`` is what follows its name, None for the process's own.

    Returns:
        The exit status: 0, or 2 if the input has problems, which are written to standard error.
    """
    arguments = _parser().parse_args(argv)
    try:
        dataset, features = _run(arguments)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    folder = arguments.cache / "features" / features.key
    print(f"features: {folder}")
    if dataset.skipped:
        print(f"left out: {len(dataset.skipped)} rows whose image is missing or damaged")
    for modality, train in features.train.items():
        line = f"{modality}: {len(train)} labelled and {len(features.test[modality])} test rows"
        line += f", {train.shape[1]} wide"
        counts = features.counts.get(modality)
        if counts is not None:
            line += f"; {counts.encoded} items encoded, {counts.reused} reused"
        print(line)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.features", description=__doc__, allow_abbrev=False
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DIR",
        help="the data folder, or 'demo' for the demo data set",
    )
    parser.add_argument(
        "--encoder",
        metavar="MODEL/PRETRAINED",
        help="open_clip's names, a local checkpoint's folder, MODEL/WEIGHTS-FILE, or 'demo' "
        f"(default: {DEFAULT_ENCODER}; for the demo data set: {DEMO_ENCODER})",
    )
    parser.add_argument(
        "--features",
        type=Path,
        metavar="DIR",
        help="import embeddings from this folder; images are not needed",
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
        help="leave out rows whose image is missing or damaged",
    )
    return parser


def _run(arguments: argparse.Namespace) -> tuple["Dataset", Features]:
    from hpo.data import load_dataset, make_demo

    store: Path = arguments.cache
    if arguments.features is not None and arguments.encoder is not None:
        raise InputError("--features imports embeddings, so it can't go with --encoder")
    is_demo = arguments.data == _DEMO_DATA
    folder = store / "demo" if is_demo else Path(arguments.data)
    if is_demo:
        make_demo(folder)
    if arguments.features is not None:
        dataset = load_dataset(folder, images="ignore")
        test = dataset.test
        features = import_features(
            arguments.features,
            len(dataset.train),
            len(test) if test is not None else 0,
            store,
            ids=dataset.train.ids,
            test_ids=test.ids if test is not None else (),
        )
        return dataset, features
    encoder = arguments.encoder or (DEMO_ENCODER if is_demo else DEFAULT_ENCODER)
    dataset = load_dataset(
        folder, known_good=known_images(store), skip_bad_images=arguments.skip_bad_images
    )
    with ConsoleProgress() as progress:
        features = extract_features(
            dataset, encoder, store, device=_device(arguments.device), progress=progress
        )
    return dataset, features


def _device(name: str) -> str:
    if name != "auto":
        return name
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


if __name__ == "__main__":
    sys.exit(main())
