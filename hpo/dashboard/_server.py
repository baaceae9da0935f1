"""optuna-dashboard on a storage, with the notes and plots of its studies kept current."""

import contextlib
import io
import logging
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, TextIO, cast
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from optuna.storages import BaseStorage, get_storage

from hpo.dashboard._board import Board
from hpo.dashboard._lean import LeanStorage
from hpo.errors import InputError
from hpo.queue import first_patience
from hpo.study import Store, StoredStudy, study_names
from hpo.trials import all_studies, passing_reason

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["serving"]

_log = logging.getLogger(__name__)
_EVERY_S = 15.0
#: What the page asks for to show a study.
_STUDY = re.compile(r"/api/studies/\d+/?")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the page asks for everything every few seconds."""

    def get_stderr(self) -> TextIO:
        """Return where a request's errors go."""
        return _Errors()


class _Errors(io.StringIO):
    """Standard error, without the traceback of each request while the store is away."""

    def write(self, text: str) -> int:
        if not _away():
            sys.stderr.write(text)
        return len(text)


def _unless_away(record: logging.LogRecord) -> bool:
    """Leave out what is logged of a request while the store is away; ``_refresh`` says that."""
    return not _away()


def _away() -> bool:
    """Tell whether the exception that is being handled is that the store is away."""
    error = sys.exc_info()[1]
    return error is not None and passing_reason(error) is not None


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
    store = first_patience(wait)(lambda: Store.open(url))
    artifacts.mkdir(parents=True, exist_ok=True)
    storage = get_storage(store.storage)  # which keeps finished trials in memory
    try:
        server = make_server(
            host, port, _app(storage, artifacts), server_class=_Server, handler_class=_Handler
        )
    except (OSError, OverflowError) as error:
        raise InputError(f"--port {port}: nothing can listen on {host}:{port}: {error}") from None
    ended = threading.Event()
    threading.Thread(target=_refresh, args=(url, storage, ended), daemon=True).start()
    requests = logging.getLogger("optuna_dashboard._bottle_util")
    requests.addFilter(_unless_away)
    try:
        yield server
    finally:
        requests.removeFilter(_unless_away)
        ended.set()
        server.server_close()


def _app(storage: BaseStorage, artifacts: Path) -> "WSGIApplication":
    """Return optuna-dashboard, which gets lean trials where it shows all of a study."""
    from optuna.artifacts import FileSystemArtifactStore
    from optuna_dashboard import wsgi

    files = FileSystemArtifactStore(artifacts)
    whole = wsgi(storage, artifact_store=files)
    # the rest needs all of a trial: it renames studies, for one, by copying their trials
    lean = wsgi(cast(BaseStorage, LeanStorage(storage)), artifact_store=files)

    def app(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        shows = environ["REQUEST_METHOD"] == "GET" and _STUDY.fullmatch(environ["PATH_INFO"])
        answer: Iterable[bytes] = (lean if shows else whole)(environ, start_response)
        return answer

    return app


def _refresh(url: str, storage: BaseStorage, ended: threading.Event) -> None:
    """Keep what all studies show current: one that nobody works on may have none of it yet."""
    with contextlib.suppress(Exception):  # the page reads them then, and says what is wrong
        for study in all_studies(storage):
            storage.get_all_trials(study.id, deepcopy=False)
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
