"""What a study has ended with, and whether that is what an undisturbed one ends with."""

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from hpo.features import load_bundle
from hpo.models import Config
from hpo.search import Decision, Progress, TaskState, Verdict, run_trial
from hpo.study import StoredStudy
from hpo.training import RunStore, Trainer, open_device

__all__ = ["Outcome", "differences_from_alone", "outcome_of", "violations"]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a finished study says, without what may differ: numbers of trials, and who did what.

    Attributes:
        tables: Stage, parameters, value, standard deviation, whether it won, note.
        curves: The reported value of each step, by configuration.
    """

    tables: tuple[tuple[Any, ...], ...]
    curves: dict[str, dict[int, float]]


def outcome_of(study: StoredStudy) -> Outcome:
    """Read the outcome from the store."""
    tables = tuple(
        (table.name, row.label, row.value, row.std, row.winner, row.note)
        for table in study.tables()
        for row in table.rows
    )
    ended = study.optuna.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))
    curves = {str(trial.user_attrs["config"]): trial.intermediate_values for trial in ended}
    return Outcome(tables, curves)


def violations(study: StoredStudy, reference: Outcome | None = None) -> list[str]:
    """Return what is wrong with a study that should be complete.

    Args:
        study: The study.
        reference: The undisturbed outcome to compare with; None to leave that out.
    """
    tasks = study.tasks()
    found = [f"task {t.position} is {t.state.value}" for t in tasks if not t.state.ended]
    trials = study.optuna.get_trials()
    found += [
        f"trial {trial.number} is {trial.state.name}"
        for trial in trials
        if not trial.state.is_finished()
    ]
    ended = [t for t in trials if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    counts = Counter(str(trial.user_attrs["config"]) for trial in ended)
    found += [f"{n} results of {config}" for config, n in counts.items() if n > 1]
    numbers = {trial.number for trial in ended}
    found += [
        f"task {task.position} is done, but its trial {task.trial} isn't"
        for task in tasks
        if task.state is TaskState.DONE and task.trial not in numbers
    ]
    if reference is not None:
        outcome = outcome_of(study)
        if outcome.tables != reference.tables:
            rows = zip(outcome.tables, reference.tables, strict=False)
            first = next((pair for pair in rows if pair[0] != pair[1]), ("shorter", "or longer"))
            found.append(f"the tables differ: {first[0]}, but undisturbed {first[1]}")
        found += [
            f"the curve of {config} is not the undisturbed one"
            for config, curve in reference.curves.items()
            if outcome.curves.get(config) != curve
        ]
    return found


def differences_from_alone(study: StoredStudy, folder: Path) -> list[str]:
    """Return which finished trials differ from their configuration, trained alone and from nothing.

    Args:
        study: The study.
        folder: For the run store of what is trained here.
    """
    trainer = Trainer(
        load_bundle(study.definition.bundle),
        open_device("cpu", study.definition.arithmetic),
        RunStore(folder),
        metrics=study.definition.metrics,
        scored=study.space.scored_epochs(),
    )
    found = []
    for trial in study.optuna.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)):
        last, curve = max(trial.intermediate_values), {}

        def on_step(progress: Progress, last: int = last, curve: Any = curve) -> Verdict:
            curve[progress.step] = progress.value
            ends = progress.step == last < progress.steps
            return Verdict(Decision.PRUNE if ends else Decision.CONTINUE)

        config = Config.from_stored(trial.user_attrs["config"])
        outcome = run_trial(trainer, study.space, config, on_step=on_step)
        assert outcome is not None  # nothing pauses it
        if _with_gaps(curve) != _with_gaps(trial.intermediate_values):
            found.append(f"the curve of trial {trial.number} is not that of its configuration")
        if list(outcome.scores) != trial.user_attrs["scores"] or outcome.value != trial.value:
            found.append(f"the scores of trial {trial.number} are not those of its configuration")
    return found


def _with_gaps(curve: Mapping[int, float]) -> dict[int, float | None]:
    """Return a curve with None for what is no number, so that equal curves compare as equal."""
    return {step: value if math.isfinite(value) else None for step, value in curve.items()}
