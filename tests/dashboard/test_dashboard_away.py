"""A page whose storage is away says so in one sentence, and goes on when it is back."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage
from sqlalchemy.exc import OperationalError

from hpo.dashboard._server import serving


def test_a_request_while_the_store_is_away(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    url = f"sqlite:///{tmp_path / 's.db'}"
    optuna.create_study(study_name="plain", storage=url)
    away = threading.Event()
    real = RDBStorage.get_all_studies

    def studies(self: RDBStorage) -> Any:
        if away.is_set():
            raise OperationalError("SELECT", {}, Exception("the database system is starting up"))
        return real(self)

    monkeypatch.setattr(RDBStorage, "get_all_studies", studies)
    with serving(url, "127.0.0.1", 0, tmp_path / "artifacts") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            page = f"http://127.0.0.1:{server.server_port}/api/studies"
            away.set()
            capfd.readouterr()
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(page)
            said = "The store can't be reached (the database system is starting up)."
            assert caught.value.code == 503
            assert json.loads(caught.value.read()) == {"reason": said}
            assert f"/api/studies has no answer: {said}" in caplog.messages
            assert "Traceback" not in capfd.readouterr().err
            away.clear()
            with urllib.request.urlopen(page) as answer:
                names = [one["study_name"] for one in json.load(answer)["study_summaries"]]
            assert names == ["plain"]
        finally:
            server.shutdown()
