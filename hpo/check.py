"""``hpo check``: what is stored, and whether it is whole."""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from hpo._options import Parser, add_cache_option, add_wait_option, guarded
from hpo.errors import InputError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status: 1 if something is damaged."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo check",
        description="Read everything that is stored and say what is whole.",
        allow_abbrev=False,
    )
    add_cache_option(parser)
    parser.add_argument(
        "--model",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="a model folder; may be given several times",
    )
    parser.add_argument(
        "--storage", metavar="URL", help="a storage, whose studies are read (default: none)"
    )
    add_wait_option(parser)
    arguments = parser.parse_args(argv)
    asked = arguments.cache != parser.get_default("cache")
    alone = not arguments.model and arguments.storage is None
    if not arguments.cache.is_dir() and (asked or alone):
        raise InputError(f"--cache {arguments.cache}: there is no such folder.")
    if arguments.storage is not None:
        from hpo.trials import check_exists

        check_exists(arguments.storage)

    damaged = 0
    for what, found in _parts(
        arguments.cache, arguments.model, arguments.storage, arguments.wait_for_store
    ):
        count, faults = 0, []
        for fault in found():
            count += 1
            faults += [] if fault is None else [fault]
        damaged += len(faults)
        print(f"{what}: {count - len(faults)} whole, {len(faults)} damaged")
        for fault in faults:
            print("  " + fault.replace("\n", "\n  "))
    return 1 if damaged else 0


_Checks = Callable[[], Iterator[str | None]]


def _parts(
    cache: Path, models: Sequence[Path], storage: str | None, wait: float | None
) -> Iterator[tuple[str, _Checks]]:
    """Yield what there is to check: its name, and what says of each piece what is wrong."""
    if cache.is_dir():
        yield "features", lambda: _folders(cache / "features", _load_features)
        yield "bundles", lambda: _folders(cache / "bundles", _load_bundle)
        yield "run files", lambda: _runs(cache / "runs")
    if models:
        loads = [functools.partial(_load_model, folder) for folder in models]
        yield "models", lambda: map(_fault_of, loads)
    if storage is not None:
        yield "studies", lambda: _studies(storage, wait)


def _folders(parent: Path, load: Callable[[Path], object]) -> Iterator[str | None]:
    folders = sorted(parent.iterdir()) if parent.is_dir() else []
    for folder in folders:
        if folder.is_dir() and not folder.name.startswith("."):
            yield _fault_of(functools.partial(load, folder))


def _fault_of(load: Callable[[], object], raised: tuple[type[InputError], ...] = ()) -> str | None:
    """Return what is wrong with something; of errors that say nothing of it, raise ``raised``."""
    try:
        load()
    except raised:
        raise
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"can't be read, so nothing is known of it: {error}"
    return None


def _load_features(folder: Path) -> object:
    from hpo.features import load_features

    return load_features(folder)


def _load_bundle(folder: Path) -> object:
    from hpo.features import load_bundle

    return load_bundle(folder)


def _load_model(folder: Path) -> object:
    from hpo.training import TrainedModel

    return TrainedModel.load(folder)


def _runs(folder: Path) -> Iterator[str | None]:
    from hpo.training import RunStore, check_store

    store = RunStore(folder)
    damaged = check_store(store)
    files = sum(1 + len(store.files(address)) for address in store.addresses())
    yield from [None] * (files - len(damaged))
    for damage in damaged:
        name = (
            "run.json" if damage.file is None else f"epoch {damage.file.epoch} {damage.file.kind}"
        )
        yield f"{folder / damage.address} {name}; it is made again when it is needed"


def _read_study(storage: str, wait: float | None, name: str) -> object:
    from hpo.study import StoredStudy

    study = StoredStudy.join(storage, name, wait=wait)
    return study.tasks(), study.pauses(), study.trials.all()


def _studies(storage: str, wait: float | None) -> Iterator[str | None]:
    from hpo.queue import StoreAwayError, first_patience, open_ledger

    for name in first_patience(wait)(lambda: open_ledger(storage).studies()):
        read = functools.partial(_read_study, storage, wait, name)
        yield _fault_of(read, (StoreAwayError,))


if __name__ == "__main__":
    sys.exit(main())
