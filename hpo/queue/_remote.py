"""The ledger behind a proxy."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from optuna.storages import GrpcStorageProxy

from hpo.queue._contract import Fenced, Ledger, PositionTakenError, StudyRow
from hpo.queue._wire import METHOD, UNLIMITED, from_bytes, to_bytes
from hpo.search import NewTask, Progress, Task, TaskState, TrialOutcome
from hpo.trials import NewTrial, StoreUnfitError, TrialEnd, storage_client

__all__ = ["ERRORS", "RemoteLedger", "connect"]

#: Seconds after which a call is given up: the proxy hangs, or the way to it is cut.
_TIMEOUT_S = 20.0
#: Likewise for calls that carry all tasks of a study, which may be tens of thousands.
_BULK_TIMEOUT_S = 120.0
_BULK = ("open_tasks", "tasks", "pauses", "delete", "rename")
_TASKS_AT_ONCE = 1000
#: Seconds in which a connection is made.
_CONNECT_S = 10.0
#: How the errors of the contract travel.
ERRORS: dict[type[Exception], grpc.StatusCode] = {
    Fenced: grpc.StatusCode.ABORTED,
    PositionTakenError: grpc.StatusCode.ALREADY_EXISTS,
    KeyError: grpc.StatusCode.NOT_FOUND,
}


def connect(url: str) -> GrpcStorageProxy:
    """Return Optuna's client for ``grpc://HOST:PORT``.

    Raises:
        ConnectionError: Nobody answers there within 10 seconds.
    """
    host, port = _address(url)
    proxy = storage_client(host, port, _TIMEOUT_S, _BULK_TIMEOUT_S)
    proxy.wait_server_ready(timeout=_CONNECT_S)
    return proxy


class RemoteLedger(Ledger):
    """The ledger behind a proxy; what each call does and raises is said in ``Ledger``.

    Args:
        url: ``grpc://HOST:PORT``.
    """

    def __init__(self, url: str) -> None:
        host, port = _address(url)
        self._address = f"{host}:{port}"
        self._channel = grpc.insecure_channel(self._address, options=UNLIMITED)
        self._remote = self._channel.unary_unary(METHOD)

    @functools.cached_property
    def writes_trials(self) -> bool:
        return bool(self._call("writes_trials"))

    def close(self) -> None:
        self._channel.close()

    def define(self, study: str, definition: Mapping[str, Any]) -> Mapping[str, Any]:
        result: Mapping[str, Any] = self._call("define", study, definition)
        return result

    def limit(
        self,
        study: str,
        timeout: float | None,
        max_tasks: int | None,
        epochs: int | None = None,
    ) -> None:
        self._call("limit", study, timeout, max_tasks, epochs)

    def ration(self, study: str, timeout: float | None, epochs: int | None) -> None:
        self._call("ration", study, timeout, epochs)

    def allot(
        self, study: str, revision: int, allotted: int, positions: Sequence[int] = ()
    ) -> bool:
        return bool(self._call("allot", study, revision, allotted, positions))

    def stop(self, study: str, reason: str) -> None:
        self._call("stop", study, reason)

    def study(self, study: str) -> StudyRow | None:
        row: StudyRow | None = self._call("study", study)
        return row

    def studies(self) -> list[str]:
        return list(self._call("studies"))

    def identify(self, study: str, identity: str) -> str | None:
        found: str | None = self._call("identify", study, identity)
        return found

    def rename(self, study: str, name: str) -> bool:
        return bool(self._call("rename", study, name))

    def delete(self, study: str, identity: str | None = None) -> None:
        self._call("delete", study, identity)

    def open_tasks(self, study: str, tasks: Sequence[NewTask]) -> int:
        # Optuna's server takes 4 MB at once; who opens the same tasks again opens the rest
        return sum(
            int(self._call("open_tasks", study, tasks[start : start + _TASKS_AT_ONCE]))
            for start in range(0, len(tasks), _TASKS_AT_ONCE)
        )

    def tasks(self, study: str) -> list[Task]:
        return list(self._call("tasks", study))

    def counts(self, study: str, added: bool = False) -> dict[TaskState, int]:
        return dict(self._call("counts", study, added))

    def claim(self, study: str, owner: str, grace: float) -> Task | None:
        task: Task | None = self._call("claim", study, owner, grace)
        return task

    def heartbeat(self, study: str, task: Task, progress: Progress | None) -> None:
        self._call("heartbeat", study, task, progress)

    def settle(self, study: str, task: Task) -> bool:
        return bool(self._call("settle", study, task))

    def attach(self, study: str, task: Task, trial: int) -> None:
        self._call("attach", study, task, trial)

    def release(self, study: str, task: Task) -> None:
        self._call("release", study, task)

    def pause(self, study: str, task: Task, progress: Progress) -> None:
        self._call("pause", study, task, progress)

    def resume(self, study: str, positions: Sequence[int], ending: str | None = None) -> int:
        return int(self._call("resume", study, positions, ending))

    def retry(self, study: str) -> int:
        return int(self._call("retry", study))

    def pauses(self, study: str) -> dict[int, tuple[Progress, ...]]:
        return dict(self._call("pauses", study))

    def fail(self, study: str, task: Task, reason: str) -> bool:
        return bool(self._call("fail", study, task, reason))

    def complete(
        self, study: str, task: Task, outcome: TrialOutcome, trial: TrialEnd | None = None
    ) -> None:
        self._call("complete", study, task, outcome, trial)

    def begin(self, study: str, task: Task, trial: NewTrial) -> tuple[int, int] | None:
        begun = self._call("begin", study, task, trial)
        return None if begun is None else (begun[0], begun[1])

    def append(
        self, trial_id: int, values: Sequence[tuple[int, float]], noted: Mapping[str, Any]
    ) -> bool:
        return bool(self._call("append", trial_id, values, noted))

    def _call(self, name: str, *arguments: Any) -> Any:
        try:
            limit = _BULK_TIMEOUT_S if name in _BULK else _TIMEOUT_S
            answer = self._remote(to_bytes([name, *arguments]), timeout=limit)
        except grpc.RpcError as error:
            for kind, code in ERRORS.items():
                if error.code() == code:
                    raise kind(error.details()) from None
            raise
        try:
            return from_bytes(answer)
        except ValueError as error:
            raise StoreUnfitError(
                f"The proxy at {self._address} is of another version of hpo "
                f"({error}). Run the same version wherever this study is worked on."
            ) from error


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("grpc://").partition(":")
    return host, int(port)
