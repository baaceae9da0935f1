"""``hpo run --dry-run``: the whole plan, and nothing is encoded, stored or trained."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from hpo._run_plan import feature_lines, memory_notes, row_lines, scaling_notes
from hpo._run_request import Request
from hpo.data import Dataset, Division, divide
from hpo.features import (
    DEFAULT_ENCODER,
    ENCODED,
    DataOptions,
    FolderDefaults,
    encodable,
    prepare_data,
    read_rows,
    reads_images,
)
from hpo.library import define_study
from hpo.models import Config
from hpo.notes import refuse_doubts
from hpo.search import Board, Space, Task, TaskState
from hpo.study import Definition, look, plugins_of
from hpo.training import METRICS, Arithmetic
from hpo.watch import show_plan

__all__ = ["dry_run"]


@dataclass(frozen=True)
class _Rehearsed:
    """What is known of a study without any work.

    Attributes:
        division: The rows, and how they are divided.
        definition: What the study will be.
        features: Lines about its embeddings.
        notes: Lines about what is doubtful.
        memory: Lines about rows that workers will not hold.
    """

    division: Division
    definition: Definition
    features: list[str]
    notes: list[str]
    memory: list[str]


def dry_run(request: Request, console: Console) -> None:
    """Print the plan of a run.

    Embeddings that exist already are read and checked as a run does, in a folder that is thrown
    away. What is to be encoded is counted alone, so what follows from its embeddings isn't known.

    Args:
        request: What is asked for; the cache of its options is a folder that is thrown away.
        console: Where to print.

    Raises:
        InputError: As the run.
    """
    arguments, encodes = request.arguments, request.options.encodes
    storage, wait = arguments.storage, arguments.wait_for_store
    known = _counted(request) if encodes else _read(request)
    definition, dataset = known.definition, known.division.dataset
    limits = request.limits
    board = look(storage, arguments.study, definition, same_data=encodes, wait=wait)
    added = _added(board, request.check(definition))
    board = replace(board, limit=limits.trials, read=(*board.read, *added))
    strategy, warm_start = definition.capped().strategy(), arguments.warm_start
    test_rows = 0 if dataset.test is None else len(dataset.test)
    folder, defaults = request.options.folder, request.defaults
    about = [
        request.head,
        *row_lines(folder, known.division, test_rows, known.features, defaults),
        *known.notes,
        *([str(limits)] if str(limits) else []),
        *([] if warm_start is None else [f"warm start from {warm_start}, where the study is new"]),
        f"{request.placed} · precision {request.arithmetic.precision}",
        *known.memory,
    ]
    show_plan(console, about, strategy.plan(board), definition.space)
    console.print("Nothing was encoded, stored or trained (--dry-run).")


def _added(board: Board, candidates: Sequence[Config]) -> list[Task]:
    """Return the tasks that candidates of the user's will be, but for those that are there."""
    known = {task.key for task in board.tasks()}
    fresh = {config.key: config for config in candidates if config.key not in known}
    return [Task(-1, 0, key, config, (), TaskState.OPEN) for key, config in fresh.items()]


def _counted(request: Request) -> _Rehearsed:
    """Read the rows, and count what would be encoded."""
    options, space = request.options, request.space
    dataset = read_rows(options)
    division = divide(dataset, space.split, space.train_rows)
    notes = (*dataset.notes, *division.notes)
    if options.strict:
        refuse_doubts(notes)
    space = space.model_copy(update={"split": division.spec})
    modalities = options.modalities or encodable(dataset, options)
    definition = _unencoded(space, division, modalities, request.arithmetic)
    return _Rehearsed(
        division,
        definition,
        _to_encode(options, request.defaults, dataset, request.arguments.cache),
        [f"note: {note}" for note in (*notes, *_notes(request, definition))],
        [],
    )


def _read(request: Request) -> _Rehearsed:
    """Read rows and embeddings."""
    space = request.space
    data = prepare_data(
        request.options,
        request.defaults,
        lambda rows: divide(rows, space.split, space.train_rows),
    )
    division = data.divide(space.split, space.train_rows)
    if request.options.strict:
        refuse_doubts(division.notes)
    space = space.model_copy(update={"split": division.spec})
    bundle = data.bundle_of(division)
    definition = define_study(
        data, space, bundle, arithmetic=request.arithmetic, checkpoint_every=1, run_store_gb=1.0
    )
    more = _notes(request, definition)
    notes = [f"note: {note}" for note in (*data.notes, *division.notes, *more)]
    return _Rehearsed(
        division,
        definition,
        feature_lines(data),
        [*notes, *scaling_notes(data, space)],
        memory_notes(bundle, request.allowed),
    )


def _notes(request: Request, definition: Definition) -> list[str]:
    """Say what of the space and the settings isn't done as it stands there."""
    return [*request.unused, *definition.space.notes(definition.train_rows)]


def _unencoded(
    space: Space,
    division: Division,
    modalities: Sequence[str],
    arithmetic: Arithmetic,
) -> Definition:
    """Return what a study will be, as far as it is known before anything is encoded."""
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
    options: DataOptions, defaults: FolderDefaults, dataset: Dataset, cache: Path
) -> list[str]:
    """Say what would be encoded, and with what."""
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
