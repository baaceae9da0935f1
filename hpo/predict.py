"""``python -m hpo.predict --model DIR --data DIR``: label rows, images or captions with a model.

The model's folder is all that is needed: no study and no storage.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo._data_arguments import add_reading_options
from hpo._options import (
    MOST_THREADS,
    Parser,
    add_cache_option,
    add_model_options,
    add_plugin_option,
    guarded,
    model_files,
    positive,
)
from hpo._predict_rows import asked_rows, label_lines
from hpo._writable import check_file, check_folder
from hpo.errors import InputError

if TYPE_CHECKING:
    from hpo.data import Rows
    from hpo.notes import Note
    from hpo.training import TrainedModel

__all__ = ["main"]

_NAMED = 5
# Of files that --out may be expected to write, and doesn't.
_OTHER_FORMATS = (".xlsx", ".xls", ".ods", ".tsv", ".json", ".jsonl", ".parquet", ".npy", ".gz")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m hpo.predict",
        description="Label rows with a trained model; only the model folder is needed.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_model_options(parser)
    add(
        "--data",
        metavar="DIR|demo",
        help="data folder; the rows are those of test.csv if it is there, else of train.csv",
    )
    add(
        "--images",
        nargs="+",
        default=[],
        metavar="FILE|DIR",
        help="images, or folders of images, instead of a data folder; their labels are printed",
    )
    add(
        "--caption",
        action="append",
        default=[],
        metavar="TEXT",
        help="a caption, of an image in the same place if there are images; may be given several "
        "times",
    )
    add_reading_options(parser)
    add(
        "--features",
        action="append",
        default=[],
        metavar="[NAME=]DIR",
        help="folder with embeddings of the rows; for a model that reads several sources one for "
        "each, by its name",
    )
    add(
        "--out",
        type=Path,
        metavar="FILE",
        help="file of the predictions (default: predictions.csv, and none for images and captions "
        "that are named one by one)",
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
        help="give no labels to rows whose image can't be read, or that --features haven't got, "
        "and go on",
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
        "--strict",
        action="store_true",
        help="refuse rows that aren't read without doubt, instead of a note",
    )
    add_cache_option(parser)
    add(
        "--threads",
        type=positive(int, MOST_THREADS),
        default=1,
        metavar="N",
        help="on a CPU (default: 1)",
    )
    add("--devices", default="auto", metavar="auto|cpu|cuda:0", help="default: %(default)s")
    add_plugin_option(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.features import ConsoleProgress, encode_present
    from hpo.launch import resolve_devices
    from hpo.notes import refuse_doubts
    from hpo.results import (
        count_lacking,
        encoders_of,
        inputs_of,
        lacking_of,
        length_notes,
        long_caption_rules,
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
    widths = source_widths(model)
    if encoders:
        check_folder(arguments.cache, "--cache")
    encoded_names = {name for source in encoders for name in widths[source]}
    asked = asked_rows(arguments, encoded_names, model.modalities)
    rows = asked.rows
    out = arguments.out or (Path("predictions.csv") if asked.to_file else None)
    notes = list(asked.notes)
    skip = arguments.skip_bad_images
    data = None if arguments.data is None else Path(arguments.data)
    arrays = _read(folders, rows, widths, asked.missing, notes, data, skip_absent=skip)
    absent = _absent(rows, arrays, {s: tuple(widths[s]) for s in encoders}, asked.missing)
    lacking = lacking_of(model, absent, rows.place)
    counts = count_lacking(model, lacking, rows.place)
    encoded: Mapping[str, Mapping[str, NDArray[Any]]] = {}
    bad: Mapping[int, str] = _without_embedding(arrays, asked.missing) if skip else {}
    if encoders:
        with ConsoleProgress() as progress:
            encoded, bad = encode_present(
                rows,
                {source: encoder.name for source, encoder in encoders.items()},
                arguments.cache,
                widths,
                lacking,
                long_caption_rules(model),
                notes,
                bad,
                device=device,
                skip_bad_images=skip,
                progress=progress,
            )
    kept = np.delete(np.arange(len(rows)), sorted(bad))
    if bad:
        arrays = {
            source: {modality: array[kept] for modality, array in those.items()}
            for source, those in arrays.items()
        }
    inputs = inputs_of(model, {**arrays, **encoded})
    notes += length_notes(model, inputs)
    if arguments.strict:
        refuse_doubts(dict.fromkeys(notes))
    probabilities = model.probabilities(inputs, open_device(device, Arithmetic(arguments.threads)))
    if bad:
        given = np.full((len(rows), len(model.classes)), np.nan, dtype=np.float32)
        given[kept] = probabilities
        probabilities = given
    if out is not None:
        write_predictions(out, rows.ids, probabilities, model.classes, model.thresholds)
    if arguments.probabilities is not None:
        write_probabilities(arguments.probabilities, rows.ids, probabilities, model.classes)

    labelled = len(rows) - len(bad)
    count = f"{labelled:,} row{'' if labelled == 1 else 's'}"
    if not asked.from_table:
        for line in label_lines(rows.ids, probabilities, model.classes, model.thresholds):
            print(line)
    print(f"predicted {count} of {asked.called}, {len(model.classes)} classes")
    for name, number in counts.items():
        print(f"lacking {name}: {number:,} row{'' if number == 1 else 's'}, predicted without it")
    if bad:
        names = ", ".join(rows.ids[index] for index in sorted(bad)[:_NAMED])
        more = f" and {len(bad) - _NAMED} more" if len(bad) > _NAMED else ""
        lack = "it has no embedding" if len(bad) == 1 else "they have no embedding"
        why = lack if folders else "their image can't be read"
        print(f"left without labels, as {why}: {len(bad)} ({names}{more})")
    for note in dict.fromkeys(notes):
        print(f"note: {note}")
    for path in (out, arguments.probabilities):
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
    for name in arguments.missing:
        if name not in model.modalities or len(model.modalities) == 1:
            problems.append(
                f"--missing is {name}, but must be of several modalities that the model reads; it "
                f"reads {', '.join(model.modalities)}"
            )
    read = _read_files(arguments, folders)
    for name in ("out", "probabilities"):
        path = getattr(arguments, name)
        if path is not None:
            try:
                check_file(path, f"--{name}", read)
            except InputError as error:
                problems += error.problems
            if path.suffix.lower() in _OTHER_FORMATS:
                problems.append(f"--{name} is {path}, but is written as CSV; name it so")
    out = arguments.out or Path("predictions.csv")
    if arguments.probabilities is not None and arguments.probabilities.resolve() == out.resolve():
        problems.append(
            f"--out and --probabilities are both {arguments.probabilities}, but must differ"
        )
    if problems:
        raise InputError(problems)
    return {source: Path(folder) for source, folder in folders.items()}, places


def _read_files(arguments: argparse.Namespace, folders: Mapping[str, str]) -> list[Path]:
    """Return files that are read, which mustn't be written to."""
    found = [*model_files(arguments.model), *map(Path, arguments.images)]
    if arguments.data is not None:
        found += [p for kind in ("train", "test") for p in Path(arguments.data).glob(f"{kind}.*")]
    return [*found, *(path for folder in folders.values() for path in Path(folder).glob("*"))]


def _read(
    folders: Mapping[str, Path],
    rows: "Rows",
    widths: Mapping[str, Mapping[str, int]],
    missing: Sequence[str],
    notes: "list[Note]",
    data: Path | None,
    *,
    skip_absent: bool,
) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the embeddings that exist, by source and modality; ``notes`` takes what was done."""
    from hpo.features import read_embeddings

    return {
        source: read_embeddings(
            folder,
            rows.source,
            len(rows),
            widths[source],
            missing,
            ids=rows.ids,
            captions=rows.captions,
            averaged=any(rows.further),
            skip_absent=skip_absent,
            notes=notes,
            data=data,
        )
        for source, folder in folders.items()
    }


def _without_embedding(
    arrays: Mapping[str, Mapping[str, NDArray[Any]]], missing: Sequence[str]
) -> dict[int, str]:
    """Return rows that have no embedding of a modality that none may lack, and which it is."""
    from hpo.features import rows_of_nan

    return {
        index: f"it has no {name} embedding"
        for those in arrays.values()
        for name, array in those.items()
        if name not in missing
        for index in np.flatnonzero(rows_of_nan(array)).tolist()
    }


def _absent(
    rows: "Rows",
    arrays: Mapping[str, Mapping[str, NDArray[Any]]],
    encoded: Mapping[str, Sequence[str]],
    missing: Sequence[str],
) -> dict[str, dict[str, NDArray[np.bool_]]]:
    """Return which rows lack what, by source and modality, [N].

    Args:
        rows: The rows.
        arrays: The embeddings that exist.
        encoded: The modalities that the encoder of each other source is to encode.
        missing: The modalities that rows may lack.
    """
    from hpo.features import rows_of_nan

    none = np.zeros(len(rows), dtype=np.bool_)
    exist = {
        source: {name: rows_of_nan(x) if name in missing else none for name, x in those.items()}
        for source, those in arrays.items()
    }
    return exist | {
        source: {name: _lacking(rows, name) if name in missing else none for name in names}
        for source, names in encoded.items()
    }


def _lacking(rows: "Rows", modality: str) -> NDArray[np.bool_]:
    """Return which rows have no image file, or an empty caption."""
    from hpo.features import reads_images

    if reads_images([modality]):
        if rows.images is None:
            return np.ones(len(rows), dtype=bool)
        return np.array([not path.is_file() for path in rows.images], dtype=bool)
    return np.array([not caption.strip() for caption in rows.captions], dtype=bool)


if __name__ == "__main__":
    sys.exit(main())
