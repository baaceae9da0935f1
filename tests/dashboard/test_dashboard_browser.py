"""What a person sees of a study in optuna-dashboard, in a real browser."""

import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from hpo.dashboard import ARTIFACTS, publish
from hpo.dashboard._server import serving
from hpo.report import finish_study
from hpo.study import StoredStudy

pytestmark = pytest.mark.browser

#: Milliseconds until something has to be there, on a busy machine.
PATIENCE = 60_000


@pytest.fixture(scope="module")
def base(finished: StoredStudy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a finished study whose results were written."""
    out = tmp_path_factory.mktemp("out")
    finish_study(finished, Console(file=io.StringIO()), out, "cpu", refit=True)
    publish(finished, out, "cpu")
    artifacts = Path(finished.definition.cache) / ARTIFACTS
    with serving(finished.url, "127.0.0.1", 0, artifacts) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/dashboard/studies/1"
        server.shutdown()


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    page = browser.new_page(viewport={"width": 1400, "height": 1200})
    page.set_default_timeout(PATIENCE)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    page.close()
    assert not errors


def test_the_note_is_the_study_s(page: Any, base: str, finished: StoredStudy) -> None:
    page.goto(f"{base}/note")
    page.wait_for_selector("h1:text-is('small')")
    best = finished.best()
    assert best is not None and best.outcome is not None
    shown = page.inner_text("main")
    assert f"Best: trial {best.trial}, {best.outcome.value:.3f} ± {best.outcome.std:.3f}" in shown
    assert "Configurations: 7 done, complete" in shown
    cells = page.eval_on_selector_all("td", "cells => cells.map(cell => cell.innerText)")
    assert {"fusion", "fusion concat", "rate"} <= set(cells)


def test_the_plots_are_drawn(page: Any, base: str) -> None:
    page.goto(base)
    titles = {
        "best-so-far": "The best so far",
        "curves-1": "fusion",
        "curves-2": "rate",
        "fusions": "The best trial of each fusion",
        "f1-by-class": "F1 by class on the validation rows",
        "loss-by-batch-size-and-lr": "Validation loss by batch size and learning rate",
    }
    for name, title in titles.items():
        plot = f"[id='user-defined-plot:{name}']"
        page.wait_for_selector(f"{plot} .main-svg")
        assert page.text_content(f"{plot} .gtitle") == title
        assert page.query_selector_all(f"{plot} .trace")
    # a curve for each fusion, and the band of its seeds
    assert (
        len(page.query_selector_all("[id='user-defined-plot:curves-1'] .scatterlayer .trace")) == 4
    )
    names = page.eval_on_selector_all(
        "[id='user-defined-plot:f1-by-class'] .ytick text", "all => all.map(one => one.textContent)"
    )
    assert sorted(names) == ["<c>", "a*b", "d"]  # as text, whatever they look like


def test_a_trial_has_its_files_and_says_why_it_ended(
    page: Any, base: str, finished: StoredStudy
) -> None:
    best = finished.best()
    assert best is not None
    page.goto(f"{base}/trials?numbers={best.trial}")
    for name in ("config.json", "curve.csv", "validation.csv"):
        page.wait_for_selector(f"p:text-is('{name}')")
    with page.expect_download() as download:
        page.click("a[download='curve.csv']")
    lines = Path(download.value.path()).read_text().splitlines()
    assert lines[0].startswith("step,seed,train_loss,val_loss,micro_f1")
    assert len(lines) == 1 + 6 * 2  # epochs and seeds
    pruned = next(task for task in finished.tasks() if task.outcome and task.outcome.pruned)
    page.goto(f"{base}/trials?numbers={pruned.trial}")
    page.wait_for_selector("strong:text-is('Pruned')")
    assert "diverged" in page.inner_text("p:has(strong:text-is('Pruned'))")
