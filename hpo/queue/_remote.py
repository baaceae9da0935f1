"""One process that holds the connections to a database, for many workers: Optuna's gRPC proxy.

``hpo proxy`` serves Optuna's storage, as ``optuna.storages.run_grpc_proxy_server`` does, and on the
same port the ledger, whose calls travel as JSON. Workers use ``--storage grpc://HOST:PORT``.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import optuna
from optuna.storages import GrpcStorageProxy
from optuna.storages._grpc.server import make_server
from sqlalchemy.exc import DBAPIError

from hpo.service._ledger import Ledger
from hpo.service._storage import open_database
from hpo.service._tables import Fenced, NewTask, NewTrial, StudyRow, Task

__all__ = ["RemoteLedger", "connect", "serve"]

_METHOD = "/hpo.Ledger/Call"
_THREADS = 32
_MESSAGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
_TYPES = {cls.__name__: cls for cls in (NewTask, NewTrial, StudyRow, Task)}


def serve(url: str, host: str, port: int) -> grpc.Server:
    """Start serving a database; the caller waits for the server's termination.

    Args:
        url: SQLite or PostgreSQL.
        host: Address to listen on. There is no authentication: keep it inside your network.
        port: Port to listen on.

    Raises:
        InputError: The database can't be opened.
        RuntimeError: The port is taken.
    """
    database = open_database(url)
    storage = optuna.storages.get_storage(database)
    server = make_server(storage, host, port, ThreadPoolExecutor(_THREADS))
    server.add_generic_rpc_handlers((_Handler(Ledger(url)),))
    server.start()
    return server


def connect(url: str) -> GrpcStorageProxy:
    """Return Optuna's client for ``grpc://HOST:PORT``.

    Raises:
        ConnectionError: Nobody answers there within 10 seconds.
    """
    host, port = _address(url)
    proxy = GrpcStorageProxy(host=host, port=port)
    proxy.wait_server_ready(timeout=10)
    return proxy


class RemoteLedger(Ledger):
    """The ledger behind a proxy; what each call does and raises is said in ``Ledger``.

    Args:
        url: ``grpc://HOST:PORT``.
    """

    def __init__(self, url: str) -> None:
        host, port = _address(url)
        self._channel = grpc.insecure_channel(f"{host}:{port}", options=_MESSAGE)
        self._remote = self._channel.unary_unary(_METHOD)

    def close(self) -> None:
        self._channel.close()

    def define(self, study: str, definition: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = self._call("define", study, definition)
        return result

    def limit(self, study: str, timeout: float | None, max_tasks: int | None) -> None:
        self._call("limit", study, timeout, max_tasks)

    def study(self, study: str) -> StudyRow | None:
        row: StudyRow | None = self._call("study", study)
        return row

    def studies(self) -> list[str]:
        return list(self._call("studies"))

    def open_tasks(self, study: str, tasks: Sequence[NewTask]) -> int:
        return int(self._call("open_tasks", study, list(tasks)))

    def tasks(self, study: str) -> list[Task]:
        return list(self._call("tasks", study))

    def counts(self, study: str) -> dict[str, int]:
        return dict(self._call("counts", study))

    def claim(self, study: str, owner: str, grace: float) -> Task | None:
        task: Task | None = self._call("claim", study, owner, grace)
        return task

    def heartbeat(self, study: str, task: Task, progress: dict[str, Any] | None) -> None:
        self._call("heartbeat", study, task, progress)

    def begin(self, study: str, task: Task, trial: NewTrial) -> tuple[int, int] | None:
        begun = self._call("begin", study, task, trial)
        return None if begun is None else (begun[0], begun[1])

    def attach(self, study: str, task: Task, trial: int) -> None:
        self._call("attach", study, task, trial)

    def append(
        self, trial_id: int, values: Sequence[tuple[int, float]], attributes: Mapping[str, Any]
    ) -> bool:
        return bool(self._call("append", trial_id, values, dict(attributes)))

    def complete(
        self,
        study: str,
        task: Task,
        trial_id: int,
        outcome: dict[str, Any],
        attributes: Mapping[str, Any],
        values: Sequence[tuple[int, float]],
    ) -> None:
        self._call("complete", study, task, trial_id, outcome, dict(attributes), values)

    def release(self, study: str, task: Task) -> None:
        self._call("release", study, task)

    def fail(self, study: str, task: Task, reason: str) -> bool:
        return bool(self._call("fail", study, task, reason))

    def _call(self, name: str, *arguments: Any) -> Any:
        request = json.dumps({"call": name, "arguments": _encode(arguments)}).encode()
        try:
            answer = self._remote(request, timeout=60)
        except grpc.RpcError as error:
            if error.code() == grpc.StatusCode.ABORTED:
                raise Fenced(error.details()) from None
            raise
        return _decode(json.loads(answer))


#: What may be called from outside: that which the client can call.
_CALLS = {name for name in vars(RemoteLedger) if not name.startswith("_")} - {"close"}


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers the calls of ``RemoteLedger``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != _METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        message = json.loads(request)
        name, arguments = message["call"], _decode(message["arguments"])
        try:
            if name in _CALLS:
                result = getattr(self._ledger, name)(*arguments)
            else:
                context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The ledger has no call {name!r}.")
        except Fenced as error:
            context.abort(grpc.StatusCode.ABORTED, str(error))
        except DBAPIError as error:
            # what the client waits for, as it would for a database of its own
            context.abort(grpc.StatusCode.UNAVAILABLE, f"the database: {error.orig}")
        return json.dumps(_encode(result)).encode()


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("grpc://").partition(":")
    return host, int(port)


def _encode(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"__type__": type(value).__name__, **fields}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return [_decode(item) for item in value]
    if isinstance(value, dict) and "__type__" in value:
        fields = {name: _decode(item) for name, item in value.items() if name != "__type__"}
        if "runs" in fields:
            fields["runs"] = tuple(fields["runs"])
        return _TYPES[value["__type__"]](**fields)
    return value
