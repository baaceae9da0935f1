"""``hpo run --dry-run``: the whole plan, and nothing is encoded, stored or trained."""

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._run_plan import feature_lines, memory_notes, row_lines, scaling_notes

if TYPE_CHECKING:
    from rich.console import Console

    from hpo.data import Dataset, Division
    from hpo.features import DataOptions, FolderDefaults
    from hpo.library import Limits
    from hpo.search import Space
    from hpo.study import Definition
    from hpo.training import Arithmetic

__all__ = ["dry_run", "rehearsed"]


def rehearsed(options: "DataOptions", stack: contextlib.ExitStack) -> "DataOptions":
    """Return options that leave the cache alone: what is made goes into a folder that is removed.

    Args:
        options: Those of the run.
        stack: Removes it.
    """
    from hpo.features import DEMO_DATA

    there = options.folder / "train.csv"  # of the demo, if it was rendered before
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="hpo-dry-run-"))
    data = str(options.folder) if options.data == DEMO_DATA and there.exists() else options.data
    return replace(options, data=data, cache=Path(folder))


def dry_run(
    options: "DataOptions",
    defaults: "FolderDefaults",
    space: "Space",
    arithmetic: "Arithmetic",
    *,
    study: str,
    storage: str,
    real_cache: Path,
    allowed: Sequence[float],
    head: str,
    placed: str,
    limits: "Limits",
    candidates: Sequence[Mapping[str, Any]],
    warm_start: str | None,
    wait: float | None,
    console: "Console",
) -> None:
    """Print the plan of a run.

    Embeddings that exist already are read and checked as a run does, in a folder that is thrown
    away. What is to be encoded is counted alone, so what follows from its embeddings isn't known.

    Args:
        options: Where the data comes from; its cache is a folder that will be thrown away.
        defaults: What the data folder says.
        space: What is searched.
        arithmetic: How workers compute.
        study: The study's name.
        storage: The storage URL.
        real_cache: The cache of the run that this is a rehearsal of.
        allowed: What each worker may hold of the rows, in 10⁹ bytes.
        head: The first line of the plan.
        placed: Where workers will be.
        limits: What may end the study.
        candidates: What is to be tried first.
        warm_start: A study whose best configurations are.
        wait: Seconds for which a store that is away is waited for.
        console: Where to print.

    Raises:
        InputError: As the run.
    """
    from hpo.data import divide
    from hpo.errors import InputError, did_you_mean
    from hpo.features import encodable, prepare_data, read_rows
    from hpo.library import define_study
    from hpo.notes import refuse_doubts
    from hpo.study import look, study_names
    from hpo.trials import redact
    from hpo.watch import show_plan

    if options.encodes:
        dataset = read_rows(options)
        division = divide(dataset, space.split, space.train_rows)
        if options.strict:
            refuse_doubts((*dataset.notes, *division.notes))
        space = space.model_copy(update={"split": division.spec})
        modalities = options.modalities or encodable(dataset, options)
        definition = _unencoded(space, division, modalities, arithmetic)
        features = _to_encode(options, defaults, dataset, real_cache)
        notes, memory = [f"note: {note}" for note in (*dataset.notes, *division.notes)], []
    else:
        data = prepare_data(
            options, defaults, lambda rows: divide(rows, space.split, space.train_rows)
        )
        division = data.divide(space.split, space.train_rows)
        if options.strict:
            refuse_doubts(division.notes)
        space = space.model_copy(update={"split": division.spec})
        bundle = data.bundle_of(division)
        dataset = data.dataset
        definition = define_study(
            data, space, bundle, arithmetic=arithmetic, checkpoint_every=1, run_store_gb=1.0
        )
        features = feature_lines(data)
        notes = [
            *(f"note: {note}" for note in (*data.notes, *division.notes)),
            *scaling_notes(data, space),
        ]
        memory = memory_notes(bundle, allowed)
    board = look(storage, study, definition, same_data=options.encodes, wait=wait)
    limits.trial_epochs(definition)  # says what is wrong
    strategy = definition.capped().strategy()
    for values in candidates:
        strategy.point(values)  # likewise
    if warm_start is not None and warm_start not in (names := study_names(storage, wait)):
        raise InputError(
            f"--warm-start {warm_start}: {redact(storage)} has no such study"
            f"{did_you_mean(warm_start, names)}."
        )
    test_rows = 0 if dataset.test is None else len(dataset.test)
    about = [
        head,
        *row_lines(options.folder, division, test_rows, features, defaults),
        *notes,
        *([str(limits)] if str(limits) else []),
        *([] if warm_start is None else [f"warm start from {warm_start}, where the study is new"]),
        placed,
        *memory,
    ]
    show_plan(console, about, strategy.plan(board), definition.space)
    console.print("Nothing was encoded, stored or trained (--dry-run).")


def _unencoded(
    space: "Space",
    division: "Division",
    modalities: Sequence[str],
    arithmetic: "Arithmetic",
) -> "Definition":
    """Return what a study will be, as far as it is known before anything is encoded."""
    from hpo.study import Definition, plugins_of
    from hpo.training import METRICS

    return Definition(
        space=space,
        cache="",
        bundle_key="",
        modalities=tuple(modalities),
        train_rows=len(division.split["train"]),
        threads=arithmetic.threads,
        checkpoint_every=1,
        dataset={},
        precision=arithmetic.precision,
        compiler=arithmetic.compiler,
        metrics=tuple(METRICS),
        plugins=plugins_of(space),
        classes=len(division.dataset.classes),
    )


def _to_encode(
    options: "DataOptions", defaults: "FolderDefaults", dataset: "Dataset", cache: Path
) -> list[str]:
    """Say what would be encoded, and with what."""
    from hpo.features import DEFAULT_ENCODER, ENCODED, encodable, reads_images

    asked = options.encoder or defaults.encoder or DEFAULT_ENCODER
    encoders = [asked] if isinstance(asked, str) else list(asked.values())
    names = [name for name in options.modalities or encodable(dataset, options) if name in ENCODED]
    parts = [dataset.train, *([] if dataset.test is None else [dataset.test])]
    items = []
    if reads_images(names):
        paths = {path for part in parts for path in part.images or ()}
        items.append(f"{len(paths):,} images")
    if any(ENCODED[name].reads == "captions" for name in names):
        captions = {caption for part in parts for caption in part.captions}
        captions |= {caption for part in parts for several in part.further for caption in several}
        items.append(f"{len(captions):,} captions")
    what = " and ".join(items)
    return [
        f"features {encoder} · to encode: {what}, but for those that {cache} has already"
        for encoder in encoders
    ]
