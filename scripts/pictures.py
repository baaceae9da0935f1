"""Pictures for the README: the terminal, the dashboard and the report of a real run.

    make pictures
    python scripts/pictures.py --folder DIR     # keeps the run there, and takes one that is there

Runs a study on the demo data in a terminal of its own, and then looks at what it left with a
headless Chromium (Playwright). Each picture has 200 kB at most.
"""

import argparse
import contextlib
import fcntl
import io
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from rich.ansi import AnsiDecoder
from rich.console import Console

from hpo.dashboard import ARTIFACTS
from hpo.dashboard._server import serving

_STUDY = "greedy"
_COLUMNS, _ROWS = 100, 40
#: The picture of the terminal shows it when so much of the run's time has passed.
_MOMENT = 0.6
_MOST_BYTES = 200_000
_CONTROL = re.compile(r"\x1b\[([0-9;?]*)([A-Za-ln-z])")
#: As rich's own, without the font that it has from the network.
_SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: monospace; font-size: {char_height}px;
  line-height: {line_height}px; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main() -> None:
    """Take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/pictures"), metavar="DIR")
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        help="where to run, or where it was run, of which the terminal can't be seen any more",
    )
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = arguments.folder
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        if not (folder / "runs" / _STUDY / "report").is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            (out / "terminal.svg").write_text(_terminal(_run(folder)), encoding="utf-8")
        browser = stack.enter_context(_browser())
        _keep(_dashboard(browser, folder), out / "dashboard.png")
        _keep(_report(browser, folder), out / "report.png")
    for path in sorted(out.iterdir()):
        size = path.stat().st_size
        print(f"{path.name:16} {size:8,} bytes")
        if size > _MOST_BYTES:
            raise SystemExit(f"{path} has more than {_MOST_BYTES:,} bytes.")


def _run(folder: Path) -> list[tuple[float, list[str]]]:
    """Run the study in a terminal; return what stood there, with the time, whenever it changed."""
    controller, other = pty.openpty()
    fcntl.ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "hpo", "run", "--study", _STUDY],
        cwd=folder,
        stdin=other,
        stdout=other,
        stderr=other,
        start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )
    os.close(other)
    screen, seen, rest = _Screen(), [], b""
    with contextlib.suppress(OSError):  # closed, as the process has ended
        while True:
            if not select.select([controller], [], [], 0.2)[0]:
                if rest:  # nothing more comes for now, so that a frame is whole
                    screen.write(rest.decode(errors="replace"))
                    seen.append((time.monotonic(), screen.last(_ROWS)))
                    rest = b""
                continue
            piece = os.read(controller, 65536)
            if not piece:
                break
            rest += piece
    os.close(controller)
    if process.wait() != 0:
        raise SystemExit("The run ended with an error:\n" + "\n".join(screen.last(_ROWS)))
    return seen


class _Screen:
    """The lines of a terminal with their colours, each written from its first column on."""

    def __init__(self) -> None:
        self._lines = [""]
        self._row = 0

    def write(self, text: str) -> None:
        position = 0
        while position < len(text):
            found = _CONTROL.match(text, position)
            if found is not None:
                self._control(found[1], found[2])
                position = found.end()
                continue
            character = text[position]
            if character == "\n":
                self._row += 1
                if self._row == len(self._lines):
                    self._lines.append("")
            elif character == "\r":
                if text[position + 1 : position + 2] != "\n":
                    self._lines[self._row] = ""
            else:
                self._lines[self._row] += character
            position += 1

    def _control(self, argument: str, kind: str) -> None:
        if kind == "A":
            self._row = max(self._row - int(argument or 1), 0)
            self._lines[self._row] = ""
        elif kind == "K":
            self._lines[self._row] = ""

    def last(self, rows: int) -> list[str]:
        """Return the lowest lines that anything is on."""
        lines = list(self._lines)
        while lines and not lines[-1].strip():
            lines.pop()
        return lines[-rows:]


def _terminal(seen: list[tuple[float, list[str]]]) -> str:
    """Return a picture of the terminal in the middle of the run."""
    begin, end = seen[0][0], seen[-1][0]
    moment = begin + _MOMENT * (end - begin)
    lines = next(lines for when, lines in seen if when >= moment)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    for line in AnsiDecoder().decode("\n".join(lines)):
        console.print(line, no_wrap=True, overflow="crop", crop=True)
    return console.export_svg(title=f"hpo run --study {_STUDY}", code_format=_SVG)


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        # without a browser of the machine's own, Playwright's
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


def _dashboard(browser: Any, folder: Path) -> bytes:
    """Return a picture of the study's own plots in optuna-dashboard."""
    url = f"sqlite:///{folder / 'studies.db'}"
    with serving(url, "127.0.0.1", 0, folder / ".hpo" / ARTIFACTS) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport={"width": 1300, "height": 4000})
        page.goto(f"http://127.0.0.1:{server.server_port}/dashboard/studies/1")
        plot = page.wait_for_selector(
            "[id='user-defined-plot:curves-2'] .main-svg", timeout=120_000
        )
        page.wait_for_timeout(3000)  # it is animated
        # the row of plots that it is in, and the next one
        clip = {"x": 62, "y": plot.bounding_box()["y"] - 20, "width": 1238, "height": 960}
        picture: bytes = page.screenshot(clip=clip, full_page=True)
        page.close()
        server.shutdown()
    return picture


def _report(browser: Any, folder: Path) -> bytes:
    """Return a picture of one stage in the report."""
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.goto((folder / "runs" / _STUDY / "report" / "index.html").absolute().as_uri())
    page.eval_on_selector("h2:has-text('fusion')", "heading => heading.scrollIntoView()")
    page.wait_for_timeout(500)
    picture: bytes = page.screenshot()
    page.close()
    return picture


def _keep(picture: bytes, path: Path) -> None:
    """Write a picture in few colours, which is enough for lines and text."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    image.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
