"""optuna-dashboard on a storage, with the notes and plots of its studies kept current."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hpo.dashboard._board import Board
from hpo.errors import InputError
from hpo.queue import first_patience
from hpo.study import Store, StoredStudy, study_names

__all__ = ["serving"]

_log = logging.getLogger(__name__)
_EVERY_S = 15.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the page asks for everything every few seconds."""


@contextmanager
def serving(
    url: str, host: str, port: int, artifacts: Path, wait: float | None = None
) -> Iterator[WSGIServer]:
    """Yield a server of optuna-dashboard that is ready, but doesn't answer yet.

    Args:
        url: The storage.
        host: Where to listen.
        port: 0 for any that is free.
        artifacts: Folder of the artifact store; it is made if it isn't there.
        wait: Seconds for which a storage that is away is waited for; None for the default.

    Raises:
        InputError: The storage is no good or isn't there, or the port can't be listened on.
    """
    from optuna.artifacts import FileSystemArtifactStore
    from optuna_dashboard import wsgi

    store = first_patience(wait)(lambda: Store.open(url))
    artifacts.mkdir(parents=True, exist_ok=True)
    app = wsgi(store.storage, artifact_store=FileSystemArtifactStore(artifacts))
    try:
        server = make_server(host, port, app, server_class=_Server, handler_class=_Handler)
    except (OSError, OverflowError) as error:
        raise InputError(f"--port {port}: nothing can listen on {host}:{port}: {error}") from None
    ended = threading.Event()
    threading.Thread(target=_refresh, args=(url, ended), daemon=True).start()
    try:
        yield server
    finally:
        ended.set()
        server.server_close()


def _refresh(url: str, ended: threading.Event) -> None:
    """Keep what all studies show current: one that nobody works on may have none of it yet."""
    boards: dict[str, Board] = {}
    while True:
        try:
            for name in study_names(url):
                if name not in boards:
                    boards[name] = Board(StoredStudy.join(url, name).plain)
                if ended.is_set():
                    return
                boards[name].write()
        except Exception as error:  # such as a study that lacks a plugin; the rest is shown
            _log.warning("Notes and plots are not current: %s", error)
        if ended.wait(_EVERY_S):
            return
