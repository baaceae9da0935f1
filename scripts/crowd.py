"""Eight workers with trials of a few milliseconds on one SQLite file, the dashboard polling.

    python scripts/crowd.py --seconds 120

At the end nobody may have printed a warning or an error, every request of the dashboard must have
been answered, every task must be done, and every trial must have its value and its curve.
"""

import argparse
import re
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import optuna_dashboard
from chaos import create_study, crew_of, violations
from optuna.trial import TrialState

from hpo.queue import open_storage
from hpo.search import Space, TaskState
from hpo.study import StoredStudy

__all__ = ["crowd", "main"]

_MANY = 100_000


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Leave every request unmentioned."""


class _Poller(threading.Thread):
    """The dashboard's page, as a browser keeps asking for it."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        application = optuna_dashboard.wsgi(open_storage(url))
        self._server = WSGIServer(("127.0.0.1", 0), _Quiet)
        self._server.set_app(application)
        self._ended = threading.Event()
        self.answers = 0
        self.errors: list[str] = []
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def run(self) -> None:
        """Poll until ``stop``."""
        base = f"http://127.0.0.1:{self._server.server_port}/api/studies"
        after = 0
        while not self._ended.wait(0.5):
            for address in (base, f"{base}/1?after={after}"):
                try:
                    with urllib.request.urlopen(address, timeout=60) as answer:
                        text = answer.read().decode()
                except OSError as error:
                    self.errors.append(f"{address}: {error}")
                    continue
                self.answers += 1
                numbers = [int(found) for found in re.findall(r'"number": ?(\d+)', text)]
                # The page asks for the trials behind those it has, less the unfinished ones.
                after = max([after, *(number - 16 for number in numbers)])

    def stop(self) -> None:
        """End the polling and the server."""
        self._ended.set()
        self.join()
        self._server.shutdown()


def crowd(folder: Path, seconds: float, workers: int = 8) -> tuple[int, list[str]]:
    """Run it below ``folder``; return the trials finished and what was wrong."""
    url = f"sqlite:///{folder / 'studies.db'}"
    space = Space.model_validate(
        {
            "name": "crowd",
            "seeds": 1,
            "fixed": {"hidden": [4], "epochs": 2, "batch_size": 1000, "fusion": "text"},
            "search": {
                "kind": "optuna",
                "trials": _MANY,
                "sampler": {"name": "RandomSampler"},
                "params": {"lr": {"low": 1e-4, "high": 1e-1, "log": True}},
            },
        }
    )
    study = create_study(url, "crowd", space, folder)
    tasks = min(_MANY, int(seconds * 200))  # more than can be done in the time
    study.ledger.limit("crowd", None, tasks)
    log = folder / "log"
    poller = _Poller(url)
    poller.start()
    with crew_of(study, log, "--heartbeat", "2", "--grace", "20") as crew:
        crew.start(workers)
        while not study.counts()[TaskState.DONE]:
            time.sleep(0.2)  # they are still importing
        study.ledger.limit("crowd", seconds, tasks)
        codes = crew.wait(seconds + 60)
    poller.stop()
    found = [f"a worker ended with {code}" for code in codes if code not in (0, 3)]
    found += [f"the log has: {line}" for line in log.read_text().splitlines()]
    found += poller.errors + ([] if poller.answers else ["the dashboard was never answered"])
    return _check(study, found)


def _check(study: StoredStudy, found: list[str]) -> tuple[int, list[str]]:
    tasks = study.tasks()
    done = {task.trial for task in tasks if task.state is TaskState.DONE}
    started = [task for task in tasks if task.state is not TaskState.OPEN or task.token]
    # What is open or waiting at the end of the time is as it should be.
    found += [text for text in violations(study) if not text.endswith((" is open", " is WAITING"))]
    ended = {
        trial.number: trial
        for trial in study.optuna.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    }
    found += [
        f"trial {number} has no value or no curve"
        for number in done
        if ended[number or 0].value is None or len(ended[number or 0].intermediate_values) != 2
    ]
    if not done or len(done) < len(started) - 8:
        found.append(f"{len(started)} tasks were started, but {len(done)} are done")
    return len(done), found


def main() -> int:
    """Run the command; return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--workers", type=int, default=8)
    arguments = parser.parse_args()
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done, found = crowd(Path(folder), arguments.seconds, arguments.workers)
    took = time.monotonic() - start
    print(f"{done} trials of {arguments.workers} workers in {took:.0f} s")
    for text in found[:20]:
        print(f"  {text}")
    print("FAIL" if found else "PASS")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
