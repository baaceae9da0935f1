"""Optuna's storage, opened so that many processes on one machine or several can share it."""

import datetime
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import Engine, event, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    OperationalError,
    ProgrammingError,
    SQLAlchemyError,
)

from hpo.errors import InputError, did_you_mean

__all__ = [
    "append_values",
    "check_exists",
    "check_url",
    "engine_arguments",
    "finish_trial",
    "is_proxy",
    "open_database",
    "open_storage",
    "redact",
    "reporting_failure",
    "tune_sqlite",
]

T = TypeVar("T")
_BUSY_TIMEOUT_S = 60
_NETWORK_FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "lustre", "ceph"}


def redact(url: str) -> str:
    """Return a storage URL without its password, for logs, errors and attributes."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        scheme, separator, _ = url.partition("://")
        return scheme + "://…" if separator else "…"
    if "password" in parsed.query:
        parsed = parsed.update_query_dict({"password": "hidden"})
    elif parsed.password is None:
        return url  # as it was written
    return parsed.render_as_string(hide_password=True)


def check_url(url: str) -> URL:
    """Check a storage URL.

    Raises:
        InputError: It is no URL, names a database that isn't supported, its driver is missing, or
            it is SQLite on a network file system, whose locks can't be trusted.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise InputError(
            "--storage is no database URL; it must look like sqlite:///studies.db or "
            "postgresql+psycopg://user:password@host/name."
        ) from None
    shown = redact(url)
    backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql", "grpc"):
        hint = did_you_mean(backend, ["sqlite", "postgresql", "grpc"])
        raise InputError(f"--storage {shown}: must be sqlite, postgresql or grpc{hint}.")
    if backend == "grpc":
        try:
            import grpc  # noqa: F401
        except ImportError:
            raise InputError(
                f"--storage {shown}: the driver is missing; pip install 'hpo[grpc]'."
            ) from None
        if not parsed.host or not parsed.port:
            raise InputError(f"--storage {shown}: must be grpc://HOST:PORT.")
        return parsed
    if backend == "postgresql":
        try:
            import psycopg  # noqa: F401
        except ImportError:
            raise InputError(
                f"--storage {shown}: the driver is missing; pip install 'hpo[postgres]'."
            ) from None
        return parsed.set(drivername="postgresql+psycopg")
    if not parsed.database or parsed.database == ":memory:":
        raise InputError(f"--storage {shown}: must name a file, since workers are processes.")
    folder = Path(parsed.database).absolute().parent
    if not folder.is_dir():
        raise InputError(f"--storage {shown}: the folder {folder} doesn't exist.")
    kind = _file_system(folder)
    if kind in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"--storage {shown}: SQLite on a network file system ({kind}) loses data, since its "
            "locks don't hold there; use a local file or PostgreSQL."
        )
    return parsed


def check_exists(url: str) -> None:
    """Check that a storage which is to be read is there, so that none is made by a typing error.

    Raises:
        InputError: It is a SQLite file that doesn't exist; or see ``check_url``.
    """
    parsed = check_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        raise InputError(f"--storage {redact(url)}: there is no such file.")


def open_storage(url: str) -> BaseStorage:
    """Open Optuna's storage, a database or a proxy in front of one; once in each process.

    Raises:
        InputError: See ``check_url``; or it can't be opened.
    """
    if not is_proxy(url):
        return open_database(url)
    check_url(url)
    from hpo.service._proxy import connect

    try:
        return connect(url)
    except ConnectionError:
        raise InputError(f"--storage {redact(url)}: no proxy answers there.") from None


def is_proxy(url: str) -> bool:
    """Tell whether a storage URL names a proxy, ``grpc://HOST:PORT``."""
    return url.startswith("grpc://")


def open_database(url: str) -> RDBStorage:
    """Open Optuna's storage in a database.

    Raises:
        InputError: See ``check_url``; or the database can't be opened or made.
    """
    parsed = check_url(url)
    # Optuna warns that its SQLite may lock up; what it warns of is dealt with here.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with reporting_failure(url):
        storage = retry_creation(
            lambda: RDBStorage(
                parsed.render_as_string(hide_password=False),
                engine_kwargs=engine_arguments(parsed),
            )
        )
    tune_sqlite(storage.engine)
    return storage


@contextmanager
def reporting_failure(url: str) -> Iterator[None]:
    """Say in words that a database can't be opened.

    Raises:
        InputError: In place of the driver's error, without the password.
    """
    try:
        yield
    except (SQLAlchemyError, ImportError) as error:
        raise InputError(
            f"--storage {redact(url)}: can't be opened: {_first_line(error)}"
        ) from None


def retry_creation(create: Callable[[], T]) -> T:
    """Make tables, again if another process is making the same ones at the same time."""
    for _ in range(10):
        try:
            return create()
        except (ProgrammingError, IntegrityError, OperationalError) as error:
            if "exist" not in str(error) and "unique" not in str(error).lower():
                raise
            time.sleep(0.1)
    return create()


def engine_arguments(url: URL) -> dict[str, Any]:
    """Return the engine's arguments: a long busy timeout, or checked connections."""
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2}


def tune_sqlite(engine: Engine) -> None:
    """Switch SQLite to write-ahead logging: readers, such as the dashboard, never block a writer.

    With ``synchronous=NORMAL`` a commit costs no disk flush; after a power cut the database is
    whole and the last moments may be missing, which resuming makes good.
    """
    if engine.dialect.name != "sqlite":
        return

    def pragmas(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={_BUSY_TIMEOUT_S * 1000}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    event.listen(engine, "connect", pragmas)
    engine.dispose()


def append_values(storage: RDBStorage, trial_id: int, values: Mapping[int, float]) -> bool:
    """Add intermediate values of a running trial in one transaction.

    Optuna's own call takes a transaction each, which is longer than an epoch of a small head.
    Steps that are there already are left alone, as Optuna does.

    Args:
        storage: The database; behind a proxy, ``RemoteLedger.append_values`` ends here.
        trial_id: Optuna's id, not the number.
        values: By step; NaN becomes a gap in the curve.

    Returns:
        False if the trial isn't running any more, and nothing was written.
    """
    table = models.TrialIntermediateValueModel.__table__
    trials = models.TrialModel.__table__
    rows = [
        dict(
            zip(
                ("intermediate_value", "intermediate_value_type"),
                models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(
                    value if math.isfinite(value) else math.nan
                ),
                strict=True,
            ),
            trial_id=trial_id,
            step=step,
        )
        for step, value in values.items()
    ]
    insert = postgresql.insert if storage.engine.dialect.name == "postgresql" else sqlite.insert
    with storage.engine.begin() as connection:
        running = connection.execute(
            select(trials.c.state).where(trials.c.trial_id == trial_id).with_for_update()
        ).scalar_one_or_none()
        if running != TrialState.RUNNING:
            return False
        if rows:
            connection.execute(insert(table).values(rows).on_conflict_do_nothing())
    return True


def finish_trial(
    storage: RDBStorage,
    trial_id: int,
    state: TrialState,
    value: float,
    attributes: Mapping[str, Any],
) -> bool:
    """Finish a trial with its value and user attributes in one transaction, all or nothing.

    Args:
        storage: The database; behind a proxy, ``RemoteLedger.finish_trial`` ends here.
        trial_id: Optuna's id, not the number.
        state: COMPLETE or PRUNED.
        value: The objective.
        attributes: JSON-ready values by key.

    Returns:
        False if the trial was finished already, and nothing was written.
    """
    trials = models.TrialModel.__table__
    stored, kind = models.TrialValueModel.value_to_stored_repr(value)
    rows = [
        {"trial_id": trial_id, "key": key, "value_json": json.dumps(item)}
        for key, item in attributes.items()
    ]
    insert = postgresql.insert if storage.engine.dialect.name == "postgresql" else sqlite.insert
    unfinished = trials.c.state.in_((TrialState.RUNNING, TrialState.WAITING))
    with storage.engine.begin() as connection:
        finished = connection.execute(
            update(trials)
            .where(trials.c.trial_id == trial_id, unfinished)
            .values(state=state, datetime_complete=datetime.datetime.now())
        )
        if finished.rowcount != 1:
            return False
        connection.execute(
            insert(models.TrialValueModel.__table__).values(
                trial_id=trial_id, objective=0, value=stored, value_type=kind
            )
        )
        connection.execute(insert(models.TrialUserAttributeModel.__table__).values(rows))
    return True


def _file_system(folder: Path) -> str:
    """Return the type of the file system that holds ``folder``; empty where that is not known."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    best, kind = -1, ""
    for line in mounts.read_text().splitlines():
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if folder.is_relative_to(point) and len(point) > best:
            best, kind = len(point), name
    return kind


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
