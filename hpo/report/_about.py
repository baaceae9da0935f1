"""All there is to know of one study: what it is, how far, what is best, where its model is."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hpo.queue import redact
from hpo.search import Task
from hpo.study import StoredStudy, status_lines, study_status
from hpo.training import metric_label

__all__ = ["about_lines", "study_about"]


def study_about(study: StoredStudy, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return what a study is and how far, JSON-ready.

    Args:
        study: The study.
        tasks: As they were just read.

    Returns:
        What ``study_status`` returns, and ``storage``, ``space`` (the whole of it), ``metric``,
        ``data`` (what it was made from), ``modalities``, ``train_rows``, ``features`` (their
        folder, and whether it is here), ``trials`` (of Optuna's, by state), ``results`` and
        ``model`` (their folders as far as they are here; None otherwise).
    """
    definition, results = study.definition, study.results
    model = None if results is None else results / "model"
    here = model is not None and (model / "config.json").is_file()
    states = Counter(trial.state.name.lower() for trial in study.trials.all())
    return {
        **study_status(study, tasks),
        "storage": redact(study.url),
        "space": definition.space.model_dump(mode="json"),
        "metric": study.space.metric,
        "data": dict(definition.dataset),
        "modalities": list(definition.modalities),
        "train_rows": definition.train_rows,
        "features": {"folder": str(definition.bundle), "here": definition.bundle.is_dir()},
        "trials": dict(sorted(states.items())),
        "results": str(results) if results is not None and results.is_dir() else None,
        "model": str(model) if here else None,
    }


def about_lines(about: dict[str, Any]) -> list[str]:
    """Return what ``study_about`` found, in words."""
    space, data, trials = about["space"], about["data"], about["trials"]
    features = about["features"]
    count = sum(trials.values())
    states = ", ".join(f"{number} {state}" for state, number in trials.items())
    return [
        *status_lines(about),
        f"space: {space['name']}, {metric_label(about['metric'])}, mean of {space['seeds']} "
        f"seed{'' if space['seeds'] == 1 else 's'}",
        f"data: {data.get('data', 'unknown')}, {about['train_rows']:,} rows to train, "
        f"{' and '.join(about['modalities'])} by {data.get('encoder', 'unknown')}",
        f"features: {features['folder']}{'' if features['here'] else ' (not on this machine)'}",
        f"trials in {about['storage']}: {count}{f' ({states})' if states else ''}",
        f"results: {about['results'] or 'none here; hpo run writes them'}",
        f"model: {about['model'] or 'none here; hpo run ends with it, or study.refit() in Python'}",
    ]
