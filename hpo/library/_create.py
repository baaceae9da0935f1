"""How studies are made, and found again."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo._kinds import check_kinds
from hpo._recommended import RECOMMENDED
from hpo.features import Bundle, Data
from hpo.launch import resolve_devices, resolve_precision
from hpo.library._checks import check_positive, check_wait, warn_of
from hpo.library._spaces import space_of
from hpo.library._study import Study
from hpo.search import Space, space_for_sources, unused_settings
from hpo.study import Definition, StoredStudy, check_warm_start, kept_split, plugins_of
from hpo.training import METRICS, Arithmetic

__all__ = ["create_study", "define_study", "load_study", "open_study"]

_log = logging.getLogger(__name__)


def create_study(
    data: Data,
    space: str | Path | Mapping[str, Any] | Space = RECOMMENDED,
    *,
    name: str | None = None,
    storage: str = "sqlite:///studies.db",
    settings: Mapping[str, Any] | None = None,
    warm_start: str | None = None,
    threads: int = 1,
    precision: str | None = None,
    compiler: str = "off",
    checkpoint_every: int = 50,
    run_store_gb: float = 20.0,
    wait_for_store: float | None = None,
) -> Study:
    """Create a study, or open it if the storage has it already.

        >>> study = hpo.create_study(hpo.load_data("demo"))
        >>> study.optimize(workers=2)
        >>> study.best_config

    Args:
        data: What ``load_data`` returned.
        space: The name of a space that comes with hpo or is in ``search_spaces/`` (``best``,
            ``greedy``, ``tpe``), the path of a YAML file, what such a file holds as a dictionary,
            or a ``Space``.
        name: By default that of the space.
        storage: ``sqlite:///FILE``, ``postgresql+psycopg://…`` or ``grpc://HOST:PORT``.
        settings: Overrides, such as ``{"dropout": 0.6, "seeds": 1, "scale.width": 0.25}``.
        warm_start: Name of a study in the same storage, whose best configurations a new study
            tries first, as far as they fit.
        threads: Of each worker on a CPU.
        precision: Of training steps: ``float32``, ``tf32``, ``bf16``, or ``auto`` for bf16 where
            the devices of this machine compute with it natively; by default what the space says.
        compiler: Of training steps: ``off`` or a mode of ``torch.compile``.
        checkpoint_every: At most so many epochs are lost when a worker is killed.
        run_store_gb: Limit of the weights and states that are kept, in 10⁹ bytes.
        wait_for_store: Seconds for which a storage that is away is waited for, now and by whatever
            is done with the study; 0 not to wait. By default a minute now, and later without end.

    Raises:
        InputError: The space is wrong, the storage is no good, or it has another study of this
            name; all problems are listed.
    """
    check_kinds(
        data=(data, (Data,), "what hpo.load_data returns"),
        space=(
            space,
            (str, Path, Mapping, Space),
            "the name of a space, the path of a YAML file, a dictionary or an hpo.Space",
        ),
        storage=(storage, (str,), "a URL, such as 'sqlite:///studies.db'"),
        name=(name, (str, type(None)), "text"),
        settings=(settings, (Mapping, type(None)), "a dictionary, such as {'dropout': 0.6}"),
    )
    Arithmetic(threads, compiler=compiler).check()
    check_wait(wait_for_store)
    check_positive(checkpoint_every=checkpoint_every, run_store_gb=run_store_gb)
    given = [(str(key), value, "settings") for key, value in (settings or {}).items()]
    suggested = [(key, value, "hpo.yaml") for key, value in data.settings.items()]
    read = space_of(space, given, suggested, data.modalities, data.sources or None)
    read = space_for_sources(read, data.sources)
    asked = read.precision if precision is None else precision
    devices = resolve_devices("auto") if asked == "auto" else ()
    arithmetic = Arithmetic(threads, resolve_precision(asked, devices), compiler)
    read = read.model_copy(update={"precision": asked})
    by_name = isinstance(space, str) and not space.endswith((".yaml", ".yml"))
    if name is None:
        name = str(space) if by_name else read.name
    split = kept_split(storage, name, read.split, wait_for_store)
    division = data.divide(split, read.train_rows)
    warn_of(division.notes)
    unused = unused_settings(read, [*suggested, *given])
    for note in (*unused, *read.notes(len(division.split["train"]))):
        _log.warning("%s", note)
    study = open_study(
        data,
        read.model_copy(update={"split": division.spec}),
        data.bundle_of(division),
        name,
        storage,
        arithmetic=arithmetic,
        checkpoint_every=int(checkpoint_every),
        run_store_gb=float(run_store_gb),
        wait=wait_for_store,
        check=lambda _: check_warm_start(storage, warm_start, wait_for_store),
    )
    if warm_start is not None:
        for line in study.start_from(warm_start):
            _log.warning("%s", line)
    return study


def open_study(
    data: Data,
    space: Space,
    bundle: Bundle,
    name: str,
    storage: str,
    *,
    arithmetic: Arithmetic,
    checkpoint_every: int,
    run_store_gb: float,
    wait: float | None = None,
    check: Callable[[Definition], object] = lambda _: None,
) -> Study:
    """Create or open a study of a space that was read and data that was divided.

    ``check`` says what else is wrong before anything is stored.

    Raises:
        InputError: The storage is no good, or it has another study of this name; or see ``check``.
    """
    definition = define_study(
        data,
        space,
        bundle,
        arithmetic=arithmetic,
        checkpoint_every=checkpoint_every,
        run_store_gb=run_store_gb,
    )
    check(definition)
    return Study(StoredStudy.create(storage, name, definition, wait), bundle)


def define_study(
    data: Data,
    space: Space,
    bundle: Bundle,
    *,
    arithmetic: Arithmetic,
    checkpoint_every: int,
    run_store_gb: float,
) -> Definition:
    """Return what a study of a space that was read and data that was divided is."""
    return Definition(
        space=space,
        cache=str(data.cache),
        bundle_key=bundle.key,
        modalities=data.modalities,
        train_rows=len(bundle.split["train"]),
        threads=arithmetic.threads,
        checkpoint_every=checkpoint_every,
        dataset=data.description,
        run_store_gb=run_store_gb,
        precision=arithmetic.precision,
        compiler=arithmetic.compiler,
        metrics=tuple(METRICS),
        plugins=plugins_of(space),
        widths=data.widths,
        sources={
            name: {m: int(array.shape[1]) for m, array in one.train.items()}
            for name, one in data.named.items()
        },
        classes=len(bundle.classes),
    )


def load_study(
    name: str,
    storage: str = "sqlite:///studies.db",
    *,
    cache: str | Path | None = None,
    wait_for_store: float | None = None,
) -> Study:
    """Open a study that exists.

    Args:
        name: Its name.
        storage: See ``create_study``.
        cache: Where its features and runs are; by default in the working folder or that of the
            database file, if they are there, or else where they were when it was made.
        wait_for_store: See ``create_study``.

    Raises:
        InputError: There is no such storage or study.
    """
    check_kinds(
        name=(name, (str,), "the name of a study"),
        storage=(storage, (str,), "a URL, such as 'sqlite:///studies.db'"),
    )
    check_wait(wait_for_store)
    folder = None if cache is None else Path(cache)
    return Study(StoredStudy.join(storage, name, folder, wait=wait_for_store))
