"""The report folder of a study, finished or not: tables, trials, figures and a page of them all."""

import collections
import csv
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from hpo.report._cost import cost_table
from hpo.report._curves import CurveReader
from hpo.report._data_files import write_data
from hpo.report._errors import ERROR_FILES, error_tables
from hpo.report._floor import floor_table, with_floor
from hpo.report._markdown import write_markdown
from hpo.report._page import write_page
from hpo.report._paper import best_pipeline, place_of, starting_values, uncovered, varied
from hpo.report._pictures import Pictures
from hpo.report._reliability import RELIABILITY_FILE, draw_reliability, reliability_table
from hpo.report._result_lines import verdict_lines
from hpo.report._result_tables import (
    pruned_table,
    result_tables,
    scores_table,
    trial_intervals,
    write_classes,
)
from hpo.report._row_files import ROW_FILES, changed_files
from hpo.report._sections import ResultTable, Section
from hpo.report._table_files import stage_table, write_scores, write_trials
from hpo.results import stored_floor
from hpo.search import Task, format_params, format_score
from hpo.study import StoredStudy, concerns
from hpo.training import metric_label

__all__ = ["write_report"]

T = TypeVar("T")
_log = logging.getLogger(__name__)


def write_report(
    study: StoredStudy,
    tasks: Sequence[Task],
    folder: Path,
    results: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write everything that is known of a study; what is there already is written anew.

    Only reads the study, so that it may be called while workers are at it. The same state of a
    study gives the same bytes.

    Args:
        study: The study.
        tasks: Its tasks, as they were just read.
        folder: Gets ``trials.csv``, ``tables.csv`` with all scores, ``tables/NAME.csv`` and
            ``tables/NAME.json`` of every table, ``figures/``, and all of it as ``tables.md`` and
            as ``index.html``; ``classes.csv`` with results.
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
    decided = study.tables(list(tasks))
    floor = stored_floor(study)
    tables = with_floor(decided, floor, study.space.metric)
    metric = metric_label(study.space.metric)
    best = study.best(list(tasks))

    files = [folder / "trials.csv", folder / "tables.csv"]
    write_scores(tables if floor is None else [*tables, floor_table(floor)], files[-1])
    if results and results.get("classes"):
        files.append(folder / "classes.csv")
        write_classes(results, files[-1])
    changed: set[str] = set()
    if results:  # they are written when the winner is judged
        changed = changed_files(folder, results.get("report_files", {}))
        paths = [folder / name for name in ROW_FILES if name not in changed]
        files += [path for path in paths if path.is_file()]

    intervals = trial_intervals(results or {}, study.space.metric)
    pictures = Pictures(folder)
    reader = CurveReader(study, trials)
    stages = [
        Section(
            table.name,
            stage_table(shown, metric, intervals),
            pictures.of_table(index, table, study, tasks, partial(reader.read, table)),
            aside=str(place_of(table) or ""),
        )
        for index, (table, shown) in enumerate(zip(decided, tables, strict=True))
    ]
    mistakes: list[ResultTable] = []
    if results:
        mistakes = _read(partial(error_tables, folder, changed), mistakes, ERROR_FILES[0])
    pruned = pruned_table(tasks)
    further = [
        *([] if pruned is None else [pruned]),
        *([] if floor is None else [stage_table(floor_table(floor), metric)]),
        *result_tables(results or {}),
        *mistakes,
    ]
    shows_bins = bool(results) and RELIABILITY_FILE not in changed
    bins = _read(partial(reliability_table, folder), None, RELIABILITY_FILE) if shows_bins else None
    missing = uncovered(study, decided, best)
    found = (
        starting_values(study),
        varied(study),
        *stages,
        best_pipeline(study, best),
        _winner(results or {}),
        *(Section(table.name, table) for table in further),
        *([] if bins is None else [_reliability(bins, pictures)]),
        Section("Cost", cost_table(study, tasks, trials, results)),
        Section("Tables and figures of the paper", text=tuple(missing)) if missing else None,
    )
    sections = [section for section in found if section is not None]

    said, facts, title = concerns(study, tasks), _facts(study, tasks), f"Study {study.name}"
    data = write_data(folder / "tables", sections)
    write_markdown(folder / "tables.md", title, facts, sections, said)
    files.append(folder / "tables.md")
    links = [*(path.name for path in files), "tables/"]
    write_page(folder / "index.html", title, facts, sections, links, said)
    return [*files, *data, *pictures.paths, folder / "index.html"]


def _read(read: Callable[[], T], nothing: T, name: str) -> T:
    """Return what a file of single rows has; earlier versions kept no checksums of these."""
    try:
        return read()
    except (ValueError, LookupError, TypeError, csv.Error) as error:
        _log.warning("%s can't be read, so the report leaves it out: %s", name, error)
        return nothing


def _winner(results: Mapping[str, Any]) -> Section | None:
    """Return the winner's scores with intervals, who is tied with it, and what became of it."""
    table = scores_table(results)
    if table is None:
        return None
    return Section(table.name, table, text=tuple(verdict_lines(results)))


def _reliability(bins: ResultTable, pictures: Pictures) -> Section:
    """Return the reliability diagram, with its numbers."""
    drawn = pictures.drawn(
        "reliability",
        lambda: draw_reliability(bins),
        "Reliability diagram",
        "Dots on the diagonal are right as often as they say; larger ones are of more predictions",
    )
    return Section(bins.name, bins, drawn)


def _facts(study: StoredStudy, tasks: Sequence[Task]) -> dict[str, str]:
    states = collections.Counter(task.state.value for task in tasks)
    counted = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    dataset, seeds = study.definition.dataset, study.space.seeds
    facts = {
        "data": f"{dataset.get('data', '')}, features {dataset.get('encoder', '')}",
        "metric": f"{study.space.metric} at the last epoch, "
        f"{'one seed' if seeds == 1 else f'mean ± standard deviation over {seeds} seeds'}"
        f"{', in percent' if metric_label(study.space.metric).endswith('(%)') else ''}",
        "configurations": counted or "none yet",
    }
    best = study.best(list(tasks))
    if best is None or best.config is None or best.outcome is None:
        return {**facts, "best": "not decided yet"}
    shown = format_params(study.strategy.params(best.config))
    score = format_score(best.outcome.value, best.outcome.std)
    return {**facts, "best": f"trial {best.trial}: {score} ({shown})"}
