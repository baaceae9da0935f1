"""``hpo serve`` as a process: in a real browser, over a socket, to its end."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from serve_samples import CLASSES, picture, write_model

from hpo.serve.__main__ import main

pytestmark = pytest.mark.browser

DROP = """
([target, content]) => {
  const bytes = Uint8Array.from(atob(content), one => one.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "a.png", {type: "image/png"}));
  for (const kind of ["dragenter", "dragover", "drop"])
    document.querySelector(target).dispatchEvent(
      new DragEvent(kind, {dataTransfer: data, bubbles: true, cancelable: true}));
}
"""


class Server:
    """A server of a model, on a port that was free."""

    def __init__(self, model: Path, cache: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        command = [sys.executable, "-m", "hpo", "serve", "--model", str(model)]
        command += ["--port", str(self.port), "--cache", str(cache), *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.url = f"http://127.0.0.1:{self.port}"

    def end(self, kind: signal.Signals) -> tuple[str, str]:
        self.process.send_signal(kind)
        return self.process.communicate(timeout=60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    for fusion in ("sum", "text"):
        write_model(folder / fusion, folder / "cache", fusion)
    return folder


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[Server]:
    server = Server(place / "sum", place / "cache")
    yield server
    server.process.kill()
    server.process.communicate()


def test_it_says_where_it_is_and_answers(server: Server, place: Path) -> None:
    assert server.line == f"serving {place / 'sum'} at {server.url} (reads image and caption)\n"
    answer = httpx.post(
        f"{server.url}/predict", files={"image": picture()}, data={"caption": "a dog"}
    )
    assert set(answer.json()["rows"][0]["probabilities"]) == set(CLASSES)
    # What is too large is answered although it was not read to its end.
    large = httpx.post(f"{server.url}/predict", files={"image": b"\0" * 40_000_000})
    assert (large.status_code, large.json()) == (413, {"error": "The request has more than 32 MB"})


def page_of(browser: Any, server: Server) -> tuple[Any, list[str]]:
    """A page, and what it asks for and complains of."""
    page = browser.new_page(viewport={"width": 900, "height": 900})
    seen: list[str] = []
    page.on("request", lambda one: seen.append(one.url))
    page.on("console", lambda one: seen.append(f"{one.type}: {one.text}"))
    page.on("pageerror", lambda one: seen.append(f"error: {one}"))
    page.goto(server.url)
    page.wait_for_selector("#ask:not([hidden])")
    return page, seen


def test_a_picture_is_dropped_on_the_page(browser: Any, server: Server) -> None:
    import base64

    page, seen = page_of(browser, server)
    page.fill("#caption", "two cats on a red sofa")
    page.evaluate(DROP, ["#drop", base64.b64encode(picture()).decode()])
    page.wait_for_selector("#found:not([hidden])")
    answer = httpx.post(
        f"{server.url}/predict",
        files={"image": picture()},
        data={"caption": "two cats on a red sofa"},
    ).json()["rows"][0]
    shown = page.eval_on_selector_all(
        "#found tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    expected = sorted(answer["probabilities"].items(), key=lambda item: -item[1])
    assert [row[0] for row in shown] == [name for name, _ in expected]  # markup is shown as text
    assert [float(row[1]) for row in shown] == pytest.approx([x for _, x in expected], abs=2e-3)
    labels = ", ".join(answer["labels"])
    assert page.inner_text("#said") == (f"Labels: {labels}" if labels else "No label")
    assert page.is_visible("#shown") and not page.is_visible("#hint")
    assert page.evaluate("document.querySelector('#shown').naturalWidth") == 80
    if folder := os.environ.get("HPO_PICTURES"):
        page.screenshot(path=Path(folder) / "serve.png")
    # A file that is none, by way of the button.
    bad = {"name": "a.png", "mimeType": "image/png", "buffer": b"no picture"}
    page.set_input_files("#file", bad)
    page.wait_for_selector("#said.error")
    assert page.inner_text("#said").startswith("The image of row 0 is not an image")
    ours = [one for one in seen if one.startswith(("http", "error"))]
    assert all(one.startswith((server.url, "error: Failed to load")) for one in ours), seen
    page.close()


def test_a_model_of_captions_has_no_place_for_pictures(browser: Any, place: Path) -> None:
    server = Server(place / "text", place / "cache")
    try:
        page, _ = page_of(browser, server)
        assert not page.is_visible("#drop")
        page.fill("#caption", "a dog")
        page.click("#ask")
        page.wait_for_selector("#found:not([hidden])")
        page.close()
    finally:
        server.end(signal.SIGINT)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_cleanly(place: Path, kind: signal.Signals) -> None:
    server = Server(place / "sum", place / "cache")
    assert httpx.get(f"{server.url}/health").json()["status"] == "ok"
    out, err = server.end(kind)
    assert (out, err, server.process.returncode) == ("stopped\n", "", 130)


def test_elsewhere_than_on_loopback(place: Path) -> None:
    server = Server(place / "sum", place / "cache", "--host", "0.0.0.0")
    assert f"at http://0.0.0.0:{server.port} " in server.line
    answer = httpx.get(f"{server.url}/health", headers={"host": "machine.example"})
    assert answer.status_code == 200
    _, err = server.end(signal.SIGINT)
    assert err == (
        "warning: --host 0.0.0.0: whoever reaches this machine can use the model and its "
        "processors; there is no authentication and no encryption\n"
    )


def test_what_it_refuses(
    place: Path, server: Server, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = ["--model", str(place / "sum"), "--cache", str(place / "cache")]
    for arguments, said in (
        ([*model, "--port", "70000"], "--port is 70000, but must be at most 65535"),
        ([*model, "--port", str(server.port)], "can't listen there: "),
        ([*model, "--host", "no.such.host.invalid"], "--host no.such.host.invalid --port 8000: "),
        (["--model", str(tmp_path), "--port", "1024"], "is no model folder"),
        ([*model, "--encoder", str(tmp_path), "--port", "1024"], "can't be used"),
    ):
        assert main(arguments) == 2
        assert re.search(re.escape(said), capsys.readouterr().err)


def test_without_the_extra(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["--model", str(place / "sum")]) == 2
    assert "pip install 'hpo[serve]'" in capsys.readouterr().err
