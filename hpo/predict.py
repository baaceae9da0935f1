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
    from numpy.typing import NDArray

    from hpo.data import Rows
    from hpo.features import Encoder
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
    add(
        "--features",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="folder with embeddings of the rows; for a model that reads several sources one for "
        "each, by its name",
    )
    add(
        "--encoder",
        action="append",
        default=[],
        metavar="[NAME=]PATH",
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
    from hpo.features import reads_images
    from hpo.launch import resolve_devices
    from hpo.results import (
        encoders_of,
        inputs_of,
        source_widths,
        write_predictions,
        write_probabilities,
    )
    from hpo.study import load_plugins
    from hpo.training import Arithmetic, TrainedModel, open_device

    load_plugins(arguments.plugin)
    model = TrainedModel.load(arguments.model)
    folders, places = _by_source(arguments, model)
    # More devices than one have nothing to do for a head that takes seconds for a million rows.
    device = resolve_devices(arguments.devices)[0]
    called = f"The model {arguments.model}"
    encoders = encoders_of(model, called, places, arguments.cache, without=folders)
    folder = Path(arguments.data)
    if arguments.data == "demo":
        folder = arguments.cache / "demo"
        make_demo(folder)
    table = "test.csv" if (folder / "test.csv").exists() else "train.csv"

    widths = source_widths(model)
    with_images = any(reads_images(widths[source]) for source in encoders)
    rows = load_rows(
        folder,
        images="exist" if with_images else "ignore",
        skip_bad_images=arguments.skip_bad_images,
    )
    arrays = _read(folders, table, len(rows), widths)
    encoded, bad = _encode(rows, encoders, widths, device, arguments)
    kept = [index for index in range(len(rows)) if index not in bad]
    if bad:
        arrays = {
            source: {modality: array[kept] for modality, array in those.items()}
            for source, those in arrays.items()
        }
    probabilities = model.probabilities(
        inputs_of(model, {**arrays, **encoded}), open_device(device, Arithmetic(arguments.threads))
    )
    if bad:
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


def _by_source(
    arguments: argparse.Namespace, model: "TrainedModel"
) -> tuple[dict[str, Path], dict[str, str]]:
    """Return the folder of embeddings, or else the place of the encoder, of the model's sources.

    Options that don't go together or with the model are refused, all at once.
    """
    from hpo.features import named_values
    from hpo.results import values_by_source

    problems = []
    by_source: dict[str, dict[str, str]] = {}
    for flag, given in (("--features", arguments.features), ("--encoder", arguments.encoder)):
        try:
            values = named_values(given, flag, "NAME=PATH")
            by_source[flag] = values_by_source(values, model, flag, "NAME=PATH")
        except InputError as error:
            by_source[flag] = {}
            problems += error.problems
    folders, places = by_source["--features"], by_source["--encoder"]
    if folders.keys() & places.keys():
        problems.append("--features takes embeddings that exist, so it can't go with --encoder")
    infos = {part.name: part.info for parts in model.parts.values() for part in parts}
    imported = [name for name, info in infos.items() if info.source != "open_clip"]
    lacking = [name for name in imported if name not in folders]
    if lacking and not problems:
        flags = " ".join(f"--features {name}=DIR" for name in lacking if name)
        named = f" called {', '.join(lacking)}" if flags else ""
        problems.append(
            f"The model {arguments.model} was trained on imported embeddings{named}, so only "
            f"{flags or '--features'} can tell what it is to read."
        )
    for name in ("out", "probabilities"):
        path = getattr(arguments, name)
        if path is not None and path.is_dir():
            problems.append(f"--{name} {path} is a folder, but must be a file")
    if arguments.probabilities == arguments.out:
        problems.append(f"--out and --probabilities are both {arguments.out}, but must differ")
    if problems:
        raise InputError(problems)
    return {source: Path(folder) for source, folder in folders.items()}, places


def _read(
    folders: Mapping[str, Path], table: str, rows: int, widths: Mapping[str, Mapping[str, int]]
) -> "dict[str, dict[str, NDArray[Any]]]":
    """Return the embeddings that exist, by source and modality."""
    from hpo.features import read_embeddings

    return {
        source: read_embeddings(folder, table, rows, widths[source])
        for source, folder in folders.items()
    }


def _encode(
    rows: "Rows",
    encoders: "Mapping[str, Encoder]",
    widths: Mapping[str, Mapping[str, int]],
    device: str,
    arguments: argparse.Namespace,
) -> "tuple[dict[str, Mapping[str, NDArray[Any]]], Mapping[int, str]]":
    """Encode rows with each encoder.

    Returns:
        The embeddings by source and modality, of the rows that could be encoded; and what is wrong
        with the others, by their index.
    """
    from hpo.features import ConsoleProgress, Encoding, encode_all

    if not encoders:
        return {}, {}
    with ConsoleProgress() as progress:
        found, bad = encode_all(
            {"train": rows},
            {source: encoder.name for source, encoder in encoders.items()},
            {source: tuple(widths[source]) for source in encoders},
            Encoding(arguments.cache, device, arguments.skip_bad_images, progress),
        )
    return {source: one.train for source, one in found.items()}, bad.get("train", {})


if __name__ == "__main__":
    sys.exit(main())
