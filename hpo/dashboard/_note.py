"""The notes that people read in optuna-dashboard: on a study, and on trials that ended early."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hpo.report import spent
from hpo.search import FRONT, Task, TaskState, format_params, format_score
from hpo.study import StoredStudy, best_so_far
from hpo.training import metric_label

__all__ = ["study_note", "trial_notes"]

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~])")
_F1 = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "samples_f1": "samples-F1"}
#: Notes on pruned trials: a study of thousands would fill the store with them.
_MOST_PRUNED = 300


def study_note(
    study: StoredStudy,
    tasks: Sequence[Task],
    trials: Sequence[FrozenTrial],
    results: Mapping[str, Any] | None,
) -> str:
    """Return what there is to know of a study, as Markdown.

    It follows from the study's state alone, so that equal states have equal notes.

    Args:
        study: The study.
        tasks: As they were just read.
        trials: Likewise, in Optuna.
        results: What ``metrics.json`` has of the winner, if the study has come so far.
    """
    dataset = study.definition.dataset
    lines = [
        f"# {_plain(study.name)}",
        "",
        f"- **Data**: {_plain(dataset.get('data', ''))}, {study.definition.train_rows:,} rows to "
        f"train, {len(study.definition.modalities)} modalities "
        f"({_plain(', '.join(study.definition.modalities))})",
        f"- **Encoder**: {_plain(dataset.get('encoder', ''))}",
        f"- **Objective**: {metric_label(study.space.metric)} on the validation rows, mean of "
        f"{study.space.seeds} seed{'s' if study.space.seeds > 1 else ''}",
        *_progress(study, tasks, trials),
        "",
        *_best(study, tasks, results),
        *_stages(study, tasks),
        *_failed(tasks),
    ]
    return "\n".join(lines).rstrip() + "\n"


def trial_notes(tasks: Sequence[Task]) -> dict[int, str]:
    """Return a note for each trial that failed or was pruned, by its number, with the reason.

    Of the pruned ones, the latest.
    """
    notes = {
        task.trial: f"**Failed**: {_plain(task.reason or 'no reason is known')}\n"
        for task in tasks
        if task.state is TaskState.FAILED and task.trial is not None
    }
    pruned = [task for task in tasks if task.outcome is not None and task.outcome.pruned]
    for task in pruned[-_MOST_PRUNED:]:
        if task.trial is not None and task.outcome is not None:
            steps = f" after step {task.outcome.steps}" if task.outcome.steps else ""
            notes[task.trial] = f"**Pruned**{steps}: {_plain(task.outcome.pruned or '')}\n"
    return notes


def _progress(
    study: StoredStudy, tasks: Sequence[Task], trials: Sequence[FrozenTrial]
) -> list[str]:
    states = [task.state for task in tasks]
    counted = [
        f"{count} {state.value}"
        for state in (*TaskState,)
        if state is not TaskState.CLAIMED and (count := states.count(state))
    ]
    plan, took = study.plan(), spent(tasks, trials)
    planned = plan.trained * plan.seeds
    # A trial that paused began anew, so its duration in Optuna is that of its last part.
    paused = any(study.pauses().values())
    minutes = "" if paused else f", {took.seconds / 60:,.1f} minutes of workers"
    complete = study.best(list(tasks)) is not None
    left = (
        ""
        if complete
        else f"; the whole plan trains about {planned:,} epochs, all heads of a configuration "
        "counted once"
    )
    return [
        f"- **Configurations**: {', '.join(counted) or 'none yet'}"
        + (", complete" if complete else ""),
        f"- **Spent**: {took.epochs:,} epochs of single runs in trials that have ended{minutes}"
        + left,
    ]


def _best(
    study: StoredStudy, tasks: Sequence[Task], results: Mapping[str, Any] | None
) -> list[str]:
    best = study.best(list(tasks)) or best_so_far(study, list(tasks))
    if best is None or best.config is None or best.outcome is None:
        return ["No trial has ended yet."]
    decided = study.best(list(tasks)) is not None
    score = format_score(best.outcome.value, best.outcome.std)
    lines = [
        f"## {'Best' if decided else 'Best so far'}: trial {best.trial}, {score}",
        "",
        _plain(format_params(study.strategy.params(best.config))),
        "",
    ]
    if not results or results.get("best", {}).get("trial") != best.trial:
        return lines
    rows = [("validation", (results.get("judged") or {}).get("validation_tuned"))]
    rows.append((f"test, {results.get('test_model', '')}", results.get("test")))
    shown = [(name, scores) for name, scores in rows if scores]
    if shown:
        lines += [f"| | {' | '.join(_F1.values())} |", "| --- | ---: | ---: | ---: |"]
        lines += [
            f"| {name} | " + " | ".join(_interval(scores[key]) for key in _F1) + " |"
            for name, scores in shown
        ]
        lines.append("")
    tied = (results.get("judged") or {}).get("tied")
    if tied:
        others = ", ".join(map(str, tied["trials"])) or "none"
        lines.append(f"- **Can't be told from it** (95%): trials {others}")
    if "model" in results:
        model = results["model"]
        lines.append(f"- **Model**: {model['mb']:.2f} MB, trained on {model['rows']:,} rows")
    if "refit_failed" in results:
        lines.append(f"- **No model**: {_plain(results['refit_failed'])}")
    if results.get("folder"):
        lines.append(f"- **Results**: {_plain(results['folder'])}")
    return [*lines, ""]


def _interval(score: Mapping[str, float]) -> str:
    return f"{score['value']:.2f} ({score['low']:.2f} to {score['high']:.2f})"


def _stages(study: StoredStudy, tasks: Sequence[Task]) -> list[str]:
    """Return the winner of each stage; nothing for a study of one table."""
    tables = [table for table in study.tables(list(tasks)) if table.key != FRONT]
    if len(tables) < 2:
        return []
    lines = ["## Stages", "", "| stage | winner | score |", "| --- | --- | ---: |"]
    for table in tables:
        winner = next((row for row in table.rows if row.winner), None)
        if winner is None or winner.value is None:
            done = sum(row.value is not None for row in table.rows)
            lines.append(f"| {_plain(table.name)} | {done} of {len(table.rows)} done | |")
        else:
            score = format_score(winner.value, winner.std)
            lines.append(f"| {_plain(table.name)} | {_plain(winner.label)} | {score} |")
    return [*lines, ""]


def _failed(tasks: Sequence[Task]) -> list[str]:
    failed = [task for task in tasks if task.state is TaskState.FAILED]
    if not failed:
        return []
    lines = ["## Failed", ""]
    lines += [f"- trial {task.trial}: {_plain(task.reason or '')}" for task in failed[:20]]
    return [*lines, *([f"- and {len(failed) - 20} more"] if len(failed) > 20 else []), ""]


def _plain(text: object) -> str:
    """Return text in one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
