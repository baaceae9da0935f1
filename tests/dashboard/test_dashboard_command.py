"""``hpo dashboard``: optuna-dashboard on a storage, over HTTP."""

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from hpo.dashboard import ARTIFACTS, attach_files
from hpo.dashboard.__main__ import main
from hpo.dashboard._server import serving
from hpo.study import StoredStudy

pytestmark = pytest.mark.slow


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def test_the_page_has_note_plots_and_files(finished: StoredStudy, folder: Path) -> None:
    attach_files(finished, finished.tasks())
    with serving(finished.url, "127.0.0.1", 0, folder / ".hpo" / ARTIFACTS) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        try:
            deadline = time.monotonic() + 60
            while True:  # the first refresh takes a moment
                study = json.loads(fetch(f"{base}/api/studies/1?after=0"))
                if len(study["plotly_graph_objects"]) >= 6 or time.monotonic() > deadline:
                    break
                time.sleep(0.2)
            best = finished.best()
            assert best is not None
            assert study["note"]["body"].startswith("# small\n")
            trial = next(t for t in study["trials"] if t["number"] == best.trial)
            files = {one["filename"]: one["artifact_id"] for one in trial["artifacts"]}
            assert files.keys() == {"config.json", "curve.csv", "validation.csv"}
            path = f"/artifacts/1/{trial['trial_id']}/{files['curve.csv']}"
            assert fetch(base + path).startswith(b"step,seed,train_loss,val_loss,micro_f1")
        finally:
            server.shutdown()


def test_it_says_where_it_is_and_that_it_has_no_lock(finished: StoredStudy, folder: Path) -> None:
    command = [sys.executable, "-m", "hpo", "dashboard", "--storage", finished.url]
    with subprocess.Popen(
        [*command, "--host", "0.0.0.0", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline().startswith("http://0.0.0.0:")
        process.send_signal(2)
        assert process.wait(60) == 0
        assert "the dashboard has no authentication" in process.stderr.read()


def test_requests_while_the_store_is_away_have_no_traceback(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(storage=url, study_name="s")
    monkeypatch.setattr("hpo.dashboard._server._refresh", lambda *_: None)
    away: list[Exception] = []

    def failing(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            if away:
                raise away[0]
            return real(*given)

        return call

    for name in ("get_all_studies", "get_study_system_attrs"):
        monkeypatch.setattr(RDBStorage, name, failing(getattr(RDBStorage, name)))
    with serving(url, "127.0.0.1", 0, tmp_path / "files") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}"
        pages = [f"{base}/api/studies", f"{base}/artifacts/1/a"]
        try:
            assert b'"s"' in fetch(pages[0])
            capfd.readouterr()
            caplog.clear()
            away.append(OperationalError("", {}, Exception("terminating connection")))
            for page in pages:
                with pytest.raises(urllib.error.HTTPError, match="500"):
                    fetch(page)
            assert capfd.readouterr().err + caplog.text == ""
            away[:] = [ValueError("wrong")]
            for page in pages:
                with pytest.raises(urllib.error.HTTPError, match="500"):
                    fetch(page)
            assert "Exception: wrong" in caplog.text
            assert "ValueError: wrong" in capfd.readouterr().err
            away.clear()
            assert b'"s"' in fetch(pages[0])
        finally:
            server.shutdown()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "argument --port: is 70000, but must be from 0 to 65535"),
        (["--port", "http"], "argument --port: 'http' is not a whole number"),
        (["--storage", "sqlite:///no.db"], "there is no such file."),
        (["--host", "nowhere.invalid", "--port", "0"], "nothing can listen on nowhere.invalid:0: "),
    ],
)
def test_bad_input(
    finished: StoredStudy,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(folder)
    try:
        status = main(["--storage", finished.url, *arguments])
    except SystemExit as error:
        status = error.code  # type: ignore[assignment]
    assert status == 2
    assert message in capsys.readouterr().err
