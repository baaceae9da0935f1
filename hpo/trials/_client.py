"""Optuna's client of a gRPC proxy, with calls that end."""

import logging
import warnings
from typing import Any

from optuna.exceptions import ExperimentalWarning
from optuna.storages import GrpcStorageProxy

__all__ = ["storage_client"]

_log = logging.getLogger(__name__)
#: The call that carries all trials of a study.
_BULK = "GetTrials"


def storage_client(host: str, port: int, seconds: float, bulk_seconds: float) -> GrpcStorageProxy:
    """Return a client whose calls fail where the proxy hangs, as those of Optuna's don't.

    Calls of the private object that it makes them with get a deadline. Where that isn't as it is
    known here, a warning says so, and a proxy that hangs is waited for without a word.

    Args:
        host: Of the proxy.
        port: Likewise.
        seconds: After which a call fails with gRPC's status DEADLINE_EXCEEDED.
        bulk_seconds: Likewise for the call that reads trials.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        client = GrpcStorageProxy(host=host, port=port)
    private: Any = client
    stub, cache = getattr(client, "_stub", None), getattr(client, "_cache", None)
    if not hasattr(stub, _BULK) or getattr(cache, "grpc_client", None) is not stub:
        _log.warning("Optuna's client of a proxy is not as it is known here; its calls don't end.")
        return client
    private._stub = private._cache.grpc_client = _WithDeadlines(stub, seconds, bulk_seconds)
    return client


class _WithDeadlines:
    """Optuna's stub, each of whose calls has a deadline."""

    def __init__(self, stub: Any, seconds: float, bulk_seconds: float) -> None:
        self._stub = stub
        self._seconds = seconds
        self._bulk_seconds = bulk_seconds

    def __getattr__(self, name: str) -> Any:
        remote = getattr(self._stub, name)
        seconds = self._bulk_seconds if name == _BULK else self._seconds
        return lambda request: remote(request, timeout=seconds)
