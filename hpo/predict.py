"""``python -m hpo.predict --model DIR --data DIR``: label rows with a trained model.

The model's folder is all that is needed: no study and no storage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo._options import add_plugin_option, guarded, positive
from hpo.errors import InputError

if TYPE_CHECKING:
    from hpo.data import Rows
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
        "--missing",
        type=lambda text: tuple(name.strip() for name in text.split(",")),
        default=(),
        metavar="A,B,…",
        help="modalities that rows may lack, such as image: no image file, an empty caption, or a "
        "row of NaN in --features; they are predicted from what they have",
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
    from hpo.features import (
        ConsoleProgress,
        extract_present,
        read_embeddings,
        reads_images,
        rows_of_nan,
    )
    from hpo.launch import resolve_devices
    from hpo.results import count_lacking, encoder_of, write_predictions, write_probabilities
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
        skip_bad_images=arguments.skip_bad_images or reads_images(arguments.missing),
    )
    inputs: Mapping[str, Any]
    bad: Mapping[int, str] = {}
    counts: Mapping[str, int] = {}
    widths = {name: model.widths[name] for name in model.modalities}
    if encoder is None:
        inputs = read_embeddings(
            arguments.features, table, len(rows), widths, may_lack=arguments.missing
        )
        if arguments.missing:
            lacking = {name: rows_of_nan(array) for name, array in inputs.items()}
            counts = count_lacking(model, lacking, rows.place)
    else:
        lacking = {
            name: _lacking(rows, name) if name in arguments.missing else np.zeros(len(rows), bool)
            for name in widths
        }
        counts = count_lacking(model, lacking, rows.place)
        with ConsoleProgress() as progress:
            inputs, bad = extract_present(
                rows,
                encoder.name,
                arguments.cache,
                widths,
                lacking,
                device=device,
                skip_bad_images=arguments.skip_bad_images,
                progress=progress,
            )
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
    for name, number in counts.items():
        print(f"lacking {name}: {number:,} row{'' if number == 1 else 's'}, predicted without it")
    if bad:
        names = ", ".join(rows.ids[index] for index in list(bad)[:_NAMED])
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        print(f"left without labels, as their image can't be read: {len(bad)} ({names}{more})")
    for path in (arguments.out, arguments.probabilities):
        if path is not None:
            print(f"  {path}")
    return 0


def _lacking(rows: "Rows", modality: str) -> NDArray[np.bool_]:
    """Return which rows have no image file, or an empty caption."""
    from hpo.features import reads_images

    if reads_images([modality]):
        return np.array([not path.is_file() for path in rows.images or ()], dtype=bool)
    return np.array([not caption.strip() for caption in rows.captions], dtype=bool)


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
    for name in arguments.missing:
        if name not in model.modalities or len(model.modalities) == 1:
            problems.append(
                f"--missing is {name}, but must be of several modalities that the model reads; it "
                f"reads {', '.join(model.modalities)}"
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
