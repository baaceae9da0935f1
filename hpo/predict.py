"""``python -m hpo.predict --model DIR --data DIR``: label rows with a trained model.

The model's folder is all that is needed: no study and no storage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo._options import add_plugin_option, guarded, positive
from hpo.errors import InputError

if TYPE_CHECKING:
    from hpo.training import TrainedModel

__all__ = ["main"]

_NAMED = 5


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.predict",
        description="Label rows with a trained model; only the model folder is needed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--model",
        type=Path,
        required=True,
        metavar="DIR",
        help="model folder, such as runs/NAME/model",
    )
    add(
        "--data",
        required=True,
        metavar="DIR|demo",
        help="data folder; the rows are those of test.csv if it is there, else of train.csv",
    )
    add("--features", type=Path, metavar="DIR", help="folder with embeddings of the rows")
    add(
        "--encoder",
        metavar="PATH",
        help="where the model's encoder is on this machine (default: where it was in training)",
    )
    add(
        "--out",
        type=Path,
        default=Path("predictions.csv"),
        metavar="FILE",
        help="file of the predictions (default: %(default)s)",
    )
    add(
        "--probabilities",
        type=Path,
        metavar="FILE",
        help="also write the probabilities there: ImageID and a column per class",
    )
    add(
        "--skip-bad-images",
        action="store_true",
        help="give no labels to rows whose image can't be read, and go on",
    )
    add(
        "--cache",
        type=Path,
        default=Path(".hpo"),
        metavar="DIR",
        help="folder of stored embeddings",
    )
    add("--threads", type=positive(int), default=1, metavar="N", help="on a CPU (default: 1)")
    add("--devices", default="auto", metavar="auto|cpu|cuda:0", help="default: %(default)s")
    add_plugin_option(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.data import load_rows
    from hpo.demo import make_demo
    from hpo.features import ConsoleProgress, extract_features, read_embeddings, reads_images
    from hpo.launch import resolve_devices
    from hpo.results import encoder_of, write_predictions, write_probabilities
    from hpo.study import load_plugins
    from hpo.training import Arithmetic, TrainedModel, open_device

    load_plugins(arguments.plugin)
    model = TrainedModel.load(arguments.model)
    _check_options(arguments, model)
    # More devices than one have nothing to do for a head that takes seconds for a million rows.
    device = resolve_devices(arguments.devices)[0]
    encoder = None
    if arguments.features is None:
        encoder = encoder_of(
            model, f"The model {arguments.model}", arguments.encoder, arguments.cache
        )
    folder = Path(arguments.data)
    if arguments.data == "demo":
        folder = arguments.cache / "demo"
        make_demo(folder)
    table = "test.csv" if (folder / "test.csv").exists() else "train.csv"

    with_images = encoder is not None and reads_images(model.modalities)
    rows = load_rows(
        folder,
        images="exist" if with_images else "ignore",
        skip_bad_images=arguments.skip_bad_images,
    )
    inputs: Mapping[str, Any]
    bad: Mapping[int, str] = {}
    if encoder is None:
        widths = {name: model.widths[name] for name in model.modalities}
        inputs = read_embeddings(arguments.features, table, len(rows), widths)
    else:
        with ConsoleProgress() as progress:
            features = extract_features(
                {"train": rows},
                encoder.name,
                arguments.cache,
                modalities=model.modalities,
                device=device,
                skip_bad_images=arguments.skip_bad_images,
                progress=progress,
            )
        inputs, bad = features.train, features.left_out.get("train", {})
    probabilities = model.probabilities(inputs, open_device(device, Arithmetic(arguments.threads)))
    if bad:
        kept = np.setdiff1d(np.arange(len(rows)), list(bad))
        given = np.full((len(rows), len(model.classes)), np.nan, dtype=np.float32)
        given[kept] = probabilities
        probabilities = given
    write_predictions(arguments.out, rows.ids, probabilities, model.classes, model.thresholds)
    if arguments.probabilities is not None:
        write_probabilities(arguments.probabilities, rows.ids, probabilities, model.classes)

    labelled = len(rows) - len(bad)
    count = f"{labelled:,} row{'' if labelled == 1 else 's'}"
    print(f"predicted {count} of {folder / table}, {len(model.classes)} classes")
    if bad:
        names = ", ".join(rows.ids[index] for index in list(bad)[:_NAMED])
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        print(f"left without labels, as their image can't be read: {len(bad)} ({names}{more})")
    for path in (arguments.out, arguments.probabilities):
        if path is not None:
            print(f"  {path}")
    return 0


def _check_options(arguments: argparse.Namespace, model: "TrainedModel") -> None:
    """Refuse options that don't go together or with the model, all at once."""
    problems = []
    if arguments.features is not None and arguments.encoder is not None:
        problems.append("--features takes embeddings that exist, so it can't go with --encoder")
    if arguments.features is None and model.features["source"] != "open_clip":
        problems.append(
            f"The model {arguments.model} was trained on imported embeddings, so only --features "
            "can tell what it is to read."
        )
    for name in ("out", "probabilities"):
        path = getattr(arguments, name)
        if path is not None and path.is_dir():
            problems.append(f"--{name} {path} is a folder, but must be a file")
    if arguments.probabilities == arguments.out:
        problems.append(f"--out and --probabilities are both {arguments.out}, but must differ")
    if problems:
        raise InputError(problems)


if __name__ == "__main__":
    sys.exit(main())
