"""What passes by itself is waited for, everything else is raised."""

import errno
import logging
from collections.abc import Callable

import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import DBAPIError, IntegrityError, InterfaceError, OperationalError

from hpo.service import Patience
from hpo.service import _patience as module


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time goes by without waiting; the list has each wait."""
    now, found = [0.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds
        found.append(seconds)

    monkeypatch.setattr(module.time, "sleep", sleep)
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return found


def failing(errors: list[BaseException]) -> Callable[[], str]:
    """An action that raises these one after the other and then succeeds."""

    def action() -> str:
        if errors:
            raise errors.pop(0)
        return "done"

    return action


def operational(text: str = "server closed the connection\nmore") -> OperationalError:
    return OperationalError("SELECT 1", {}, Exception(text))


def inside_optuna(cause: BaseException) -> StorageInternalError:
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    return error


def disconnected() -> DBAPIError:
    return DBAPIError("SELECT 1", {}, Exception("gone"), connection_invalidated=True)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (operational(), "The store can't be reached (server closed the connection)"),
        (operational(""), "The store can't be reached (no connection)"),
        (InterfaceError("x", {}, Exception("closed")), "The store can't be reached (closed)"),
        (disconnected(), "The store can't be reached (gone)"),
        (inside_optuna(operational("away")), "The store can't be reached (away)"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "The disk is full (/x/y)"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "The disk is full (Disk quota exceeded)"),
    ],
)
def test_what_passes_is_tried_again_and_said(
    error: Exception, reason: str, waits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    assert Patience()(failing([error, error])) == "done"
    assert [record.getMessage() for record in caplog.records] == [
        f"{reason}; trying again in 0.2 s.",
        f"{reason}; trying again in 0.4 s.",
        "Going on.",
    ]


@pytest.mark.parametrize(
    "error",
    [
        ValueError("wrong"),
        KeyError("key"),
        IntegrityError("INSERT", {}, Exception("duplicate")),
        DBAPIError("SELECT 1", {}, Exception("syntax")),
        StorageInternalError("no cause"),
        inside_optuna(IntegrityError("INSERT", {}, Exception("duplicate"))),
        OSError(errno.EACCES, "Permission denied"),
        FileNotFoundError(errno.ENOENT, "No such file"),
    ],
)
def test_every_other_error_is_raised_at_once(error: Exception, waits: list[float]) -> None:
    with pytest.raises(type(error)) as caught:
        Patience()(failing([error]))
    assert caught.value is error
    assert waits == []


def test_waits_grow_up_to_ten_seconds(waits: list[float], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    Patience()(failing([operational() for _ in range(9)]))
    said = [record.getMessage().rpartition(" in ")[2] for record in caplog.records[:-1]]
    assert said == [
        f"{seconds:.1f} s." for seconds in (0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0)
    ]
    assert sum(waits) == pytest.approx(42.6, abs=1.0)


def test_waiting_ends_when_the_poll_raises(waits: list[float]) -> None:
    polls = []

    def poll() -> None:
        polls.append(None)
        if len(polls) == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Patience(poll)(failing([operational() for _ in range(100)]))
    assert len(waits) == 4
