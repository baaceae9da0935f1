"""One process that holds the connections to a database, for many workers: Optuna's gRPC proxy.

``hpo proxy`` serves Optuna's storage, as ``optuna.storages.run_grpc_proxy_server`` does, and on the
same port the ledger, whose calls travel as JSON. Workers use ``--storage grpc://HOST:PORT``.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import grpc
from optuna.storages import get_storage
from sqlalchemy.exc import DBAPIError

from hpo.errors import InputError
from hpo.queue._contract import Ledger
from hpo.queue._remote import ERRORS
from hpo.queue._sql import SqlLedger
from hpo.queue._wire import METHOD, from_bytes, to_bytes
from hpo.trials import open_database, passing_reason, storage_server

__all__ = ["serve"]

_THREADS = 32
#: What may be called from outside.
_CALLS = Ledger.__abstractmethods__ - {"close"}


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
    storage = get_storage(open_database(url))
    server = storage_server(storage, host, port, _THREADS, [_Handler(SqlLedger(url))])
    server.start()
    return server


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Answers the calls of ``RemoteLedger``."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        if details.method != METHOD:
            return None
        return grpc.unary_unary_rpc_method_handler(self._answer)

    def _answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        try:
            name, *arguments = from_bytes(request)
        except (TypeError, ValueError) as error:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The call can't be read: {error}")
        if name not in _CALLS:
            context.abort(grpc.StatusCode.UNIMPLEMENTED, f"The ledger has no call {name!r}.")
        try:
            result = getattr(self._ledger, name)
            if callable(result):  # writes_trials is there to be read
                _check_takes(name, result, arguments, context)
                result = result(*arguments)
        except tuple(ERRORS) as error:
            context.abort(ERRORS[type(error)], str(error.args[0]))
        except InputError as error:  # what is stored is damaged
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except DBAPIError as error:
            # what passes the client waits for, as it would for a database of its own
            passes = passing_reason(error) is not None
            code = grpc.StatusCode.UNAVAILABLE if passes else grpc.StatusCode.FAILED_PRECONDITION
            context.abort(code, f"the database: {error.orig}")
        return to_bytes(result)


def _check_takes(
    name: str, call: Callable[..., Any], arguments: Sequence[Any], context: grpc.ServicerContext
) -> None:
    try:
        inspect.signature(call).bind(*arguments)
    except TypeError as error:
        said = f"The ledger's call {name!r} is another one here: {error}"
        context.abort(grpc.StatusCode.UNIMPLEMENTED, said)
