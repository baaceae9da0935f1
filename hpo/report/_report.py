"""The report folder of a study, finished or not: tables, trials, figures and a page of them all."""

import collections
import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.report._curves import CurveReader
from hpo.report._errors import ERROR_FILES, error_tables
from hpo.report._figures import draw_stage, plain_text, save_figure
from hpo.report._floor import floor_table, with_floor
from hpo.report._front import draw_front
from hpo.report._page import write_page
from hpo.report._result_tables import result_tables, write_classes
from hpo.report._table_files import write_tables, write_trials
from hpo.results import stored_floor
from hpo.search import FRONT, Task, format_params
from hpo.study import StoredStudy, concerns
from hpo.training import metric_label

__all__ = ["write_report"]

_log = logging.getLogger(__name__)
_LONGEST_NAME = 80


def write_report(
    study: StoredStudy,
    tasks: Sequence[Task],
    folder: Path,
    results: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write everything that is known of a study; what is there already is written anew.

    Only reads the study, so that it may be called while workers are at it.

    Args:
        study: The study.
        tasks: Its tasks, as they were just read.
        folder: Gets ``trials.csv``, ``tables.md``, ``tables.csv``, ``figures/NN_STAGE.png`` for
            each stage with a curve, and ``index.html``; ``classes.csv`` with results.
        results: What ``metrics.json`` has of the winner, if the study has come so far.

    Returns:
        The files, in the order in which they were written.

    Raises:
        NoCandidateError: All candidates of a stage failed; ``trials.csv`` is written, which says
            why.
        OSError: The folder can't be written.
    """
    trials = study.trials.all()
    write_trials(study, trials, folder / "trials.csv")
    floor = stored_floor(study)
    decided = study.tables(list(tasks))
    tables = with_floor(decided, floor, study.space.metric)
    shown = tables if floor is None else [*tables, floor_table(floor)]
    further = [*result_tables(results or {}), *(error_tables(folder) if results else [])]
    said = concerns(study, tasks)
    write_tables(study, shown, folder, further, said)
    paths = [folder / name for name in ("trials.csv", "tables.md", "tables.csv")]
    if results and results.get("classes"):
        paths.append(folder / "classes.csv")
        write_classes(results, paths[-1])
    if results:  # they are written when the winner is judged
        paths += [folder / name for name in ERROR_FILES if (folder / name).is_file()]
    files = [path.name for path in paths]
    reader = CurveReader(study, trials)
    figures: dict[int, str] = {}
    for index, table in enumerate(decided):
        name = f"figures/{index + 1:02d}_{_file_name(table.key)}.png"
        try:
            with plain_text():
                on_front = table.key == FRONT
                figure = draw_front(study, tasks) if on_front else draw_stage(reader.read(table))
                if figure is None:
                    continue
                save_figure(figure, folder / name)
        except Exception as error:  # the numbers and the other figures are there all the same
            _log.warning("The figure of '%s' can't be drawn: %s", table.key, error)
            continue
        figures[index] = name
        paths.append(folder / name)
    write_page(
        folder / "index.html",
        f"Study {study.name}",
        _facts(study, tasks),
        shown,
        metric_label(study.space.metric),
        figures,
        files,
        further,
        said,
    )
    return [*paths, folder / "index.html"]


def _facts(study: StoredStudy, tasks: Sequence[Task]) -> dict[str, str]:
    states = collections.Counter(task.state.value for task in tasks)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    dataset = study.definition.dataset
    facts = {
        "data": f"{dataset.get('data', '')}, features {dataset.get('encoder', '')}",
        "metric": f"{study.space.metric} at the last epoch, mean ± standard deviation over "
        f"{study.space.seeds} seed{'s' if study.space.seeds > 1 else ''}"
        f"{', in percent' if metric_label(study.space.metric).endswith('(%)') else ''}",
        "configurations": counted or "none yet",
    }
    best = study.best(list(tasks))
    if best is None or best.config is None or best.outcome is None:
        return {**facts, "best": "not decided yet"}
    shown = format_params(study.strategy.params(best.config))
    score = f"{best.outcome.value:.3f} ± {best.outcome.std:.3f}"
    return {**facts, "best": f"trial {best.trial}: {score} ({shown})"}


def _file_name(name: str) -> str:
    """Return a stage's name in letters, digits and underscores that any file system takes."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST_NAME] or "stage"
