"""The report's page in a real browser: whole on a light and a dark screen, and on paper."""

import io
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from hpo.report import finish_study
from hpo.study import StoredStudy

pytestmark = pytest.mark.browser

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
#: Pictures that the browser couldn't show, and whether the page is wider than its window.
BROKEN = "Array.from(document.images).filter(image => !image.naturalWidth).length"
TOO_WIDE = "document.documentElement.scrollWidth > window.innerWidth"


@pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium")
def test_the_page_is_whole(finished: StoredStudy, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    finish_study(finished, Console(file=io.StringIO()), tmp_path, "cpu", refit=False)
    url = (tmp_path / "report/index.html").as_uri()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        backgrounds = {}
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            page.goto(url)
            assert page.evaluate("document.images.length") == 4
            assert page.evaluate(BROKEN) == 0
            assert not page.evaluate(TOO_WIDE)
            color = "getComputedStyle(document.body).backgroundColor"
            backgrounds[scheme] = page.evaluate(color)
        assert backgrounds["light"] != backgrounds["dark"]
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate(color) == backgrounds["light"]
        assert page.pdf(format="A4").startswith(b"%PDF")
        headings = page.locator("h2").all_inner_texts()
        browser.close()
    assert [one for one in asked if not one.startswith("data:")] == [url, url]
    assert [name for name in ("The winner", "Reliability", "Cost") if name in headings] == [
        "The winner",
        "Reliability",
        "Cost",
    ]
