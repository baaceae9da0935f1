"""Whether a large study can still be watched: status, report, notes and plots, the browser.

    python -m benchmarks.watching
    python -m benchmarks.watching --trials 500

A study gets so many finished trials with curves, put into its store directly. Printed are the
seconds of the commands, imports and all, of writing notes and plots for the first time and when
nothing has changed, the processor time of the live view, and the seconds until the page of ``hpo
dashboard`` and that of the plain ``optuna-dashboard`` show a plot in headless Chromium, if
Playwright and a Chromium are installed.
"""

import argparse
import contextlib
import io
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console

import hpo
from benchmarks._filled import fill
from hpo.dashboard import Board
from hpo.dashboard._server import serving
from hpo.events import StudyWatch
from hpo.study import StoredStudy
from hpo.watch import Picture, View

_EPOCHS = 300
_NAME = "large"


def main() -> None:
    """Fill a study and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=5000, metavar="N")
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        study = _study(folder, trials)
        place = ["--study", _NAME, "--storage", study.url, "--cache", str(folder / ".hpo")]
        print(f"{trials:,} trials of {_EPOCHS} epochs, SQLite; seconds\n")
        print(f"hpo status                    {_command('status', *place):6.2f}")
        report = _command("report", *place, "--out", str(folder / "report"))
        print(f"hpo report                    {report:6.2f}")
        print(f"notes and plots, first        {_timed(Board(study).write):6.2f}")
        print(f"notes and plots, unchanged    {_timed(Board(study).write):6.2f}")
        first, later, frame = _live(study)
        print(f"live view, first look         {first:6.2f}")
        print(f"live view, a later look       {later:6.4f}")
        print(f"live view, a drawing          {frame:6.4f}")
        for name, served in (("hpo dashboard", _ours), ("optuna-dashboard", _plain)):
            with served(study.url, folder) as port:
                page = _page(port)
            said = "no browser" if page is None else f"{page:6.2f}"
            print(f"{name + ' shows a plot':29} {said}")


def _study(folder: Path, trials: int) -> StoredStudy:
    rng = np.random.default_rng(0)
    labels = (rng.random((60, 3)) < 0.5).astype(np.uint8)
    array = rng.normal(size=(60, 8)).astype(np.float32)
    data = hpo.load_data(
        features={"image": array, "text": array}, labels=labels, cache=folder / ".hpo"
    )
    space = {
        "name": _NAME,
        "seeds": 1,
        "split": {"kind": "tail", "val_rows": 20},
        "fixed": {"epochs": _EPOCHS, "hidden": [4], "fusion": "concat"},
        "search": {
            "kind": "optuna",
            "trials": trials,
            "params": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}},
        },
    }
    url = f"sqlite:///{folder / 'studies.db'}"
    stored = hpo.create_study(data, space=space, storage=url, name=_NAME).stored
    fill(stored._base._source, trials, _EPOCHS)
    return StoredStudy.join(url, _NAME, folder / ".hpo")


def _command(*arguments: str) -> float:
    command = [sys.executable, "-m", "hpo", *arguments]
    return _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))


def _timed(do: Callable[[], object]) -> float:
    began = time.monotonic()
    do()
    return time.monotonic() - began


def _live(study: StoredStudy) -> tuple[float, float, float]:
    """Return the processor seconds of two looks at all tasks, and of a drawing."""
    picture = Picture()
    watch, tasks = StudyWatch(study, picture), study.tasks()
    watch.begin()
    console = Console(file=io.StringIO(), width=120, height=40, force_terminal=True)
    looks = [_processor(lambda: watch.update(tasks)) for _ in range(5)]
    frames = [_processor(lambda: console.print(View(picture))) for _ in range(9)]
    return looks[0], min(looks[1:]), min(frames)


def _processor(do: Callable[[], object]) -> float:
    began = time.process_time()
    do()
    return time.process_time() - began


@contextmanager
def _ours(url: str, folder: Path) -> Iterator[int]:
    """Serve the pages as ``hpo dashboard`` does; return the port."""
    with serving(url, "127.0.0.1", 0, folder / "artifacts") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def _plain(url: str, _folder: Path) -> Iterator[int]:
    """Serve the pages by the command of optuna-dashboard; return the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    command = [str(Path(sys.executable).parent / "optuna-dashboard"), url, "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_open(port)
        yield port
    finally:
        server.terminate()
        server.wait()


def _until_open(port: int) -> None:
    for _ in range(600):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing listens on port {port}")


def _page(port: int) -> float | None:
    """Return the seconds until the study's page shows one of our plots; None without a browser."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return None
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        seconds = []
        for _ in range(2):  # the server reads the storage at the first request
            began = time.monotonic()
            page.goto(f"http://127.0.0.1:{port}/dashboard/studies/1")
            page.wait_for_selector("[id='user-defined-plot:best-so-far'] svg", timeout=120_000)
            seconds.append(time.monotonic() - began)
        browser.close()
    return seconds[-1]


if __name__ == "__main__":
    main()
