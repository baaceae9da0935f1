"""Optuna's gRPC server, with calls of ours on the same port."""

import logging
import os
import socket
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from optuna.storages import BaseStorage, run_grpc_proxy_server

__all__ = ["storage_server"]

_log = logging.getLogger(__name__)
_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


def storage_server(
    storage: BaseStorage,
    host: str,
    port: int,
    threads: int,
    handlers: Sequence[grpc.GenericRpcHandler],
) -> grpc.Server:
    """Return a server, not started, that serves a storage to ``optuna.storages.GrpcStorageProxy``.

    Optuna has a public function for that, but it doesn't give its server away. Where the private
    one that does is not there, ours takes all calls and passes Optuna's on to the public one's,
    which then listens on a port of its own that can only be reached from this machine, as long
    as the process lives.

    Args:
        storage: Any but a proxy.
        host: Address to listen on.
        port: Port to listen on.
        threads: Calls that are answered at the same time.
        handlers: Of further calls.

    Raises:
        RuntimeError: The port is taken.
    """
    _check_free(host, port)
    server = _optunas_own(storage, host, port, threads)
    if server is None:
        handlers = [*handlers, _Forwarder(_serve_inside(storage, threads))]
        server = grpc.server(ThreadPoolExecutor(threads), options=_UNLIMITED)
        server.add_insecure_port(f"{host}:{port}")
    server.add_generic_rpc_handlers(tuple(handlers))
    return server


def _check_free(host: str, port: int) -> None:
    """Check that nobody listens on a port.

    gRPC would share it, on Linux, with another server that does, and each would get some calls.

    Raises:
        RuntimeError: Somebody does, or there is no such address.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            # what the last server's connections leave behind for a minute is no server
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, os.name == "posix")
            probe.bind(address)
            probe.listen()
    except OSError as error:
        raise RuntimeError(error.strerror or str(error)) from None


def _optunas_own(storage: BaseStorage, host: str, port: int, threads: int) -> grpc.Server | None:
    try:
        from optuna.storages._grpc.server import make_server

        return make_server(storage, host, port, ThreadPoolExecutor(threads))
    except (ImportError, TypeError) as error:
        _log.warning("Optuna's gRPC server is not as it is known here (%s).", error)
        return None


def _serve_inside(storage: BaseStorage, threads: int) -> grpc.Channel:
    """Start Optuna's public server in a thread; return the way to it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threading.Thread(
        target=run_grpc_proxy_server,
        args=(storage,),
        kwargs={"host": "127.0.0.1", "port": port, "thread_pool": ThreadPoolExecutor(threads)},
        daemon=True,
        name="optuna",
    ).start()
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=_UNLIMITED)


class _Forwarder(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Passes every call on as it came, and back what comes of it."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        inner = self._channel.unary_unary(details.method)

        def answer(request: bytes, context: grpc.ServicerContext) -> Any:
            try:
                return inner(request, wait_for_ready=True)
            except grpc.RpcError as error:
                context.abort(error.code(), error.details())

        return grpc.unary_unary_rpc_method_handler(answer)
