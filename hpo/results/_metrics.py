"""``metrics.json``: what a study found, in numbers."""

from collections.abc import Sequence
from typing import Any

from hpo.search import FRONT, Task, front_of
from hpo.study import StoredStudy, concerns

__all__ = ["study_metrics"]


def study_metrics(study: StoredStudy, tasks: Sequence[Task], best: Task) -> dict[str, Any]:
    """Return the results of a study, JSON-ready, with what is to be said first as ``concerns``.

    Args:
        study: The study.
        tasks: Its tasks.
        best: The one among them whose configuration is the best.
    """
    assert best.outcome is not None and best.config is not None
    outcome = best.outcome
    cost = study.encoder_cost(best.config.encoder)
    said = concerns(study, tasks)
    return {
        **({"concerns": said} if said else {}),
        "study": study.name,
        "metric": study.space.metric,
        "data": dict(study.definition.dataset),
        "best": {
            "trial": best.trial,
            "config": best.config.model_dump(mode="json"),
            "value": outcome.value,
            "std": outcome.std,
            "scores": list(outcome.scores),
            "metrics": dict(outcome.metrics),
            "model_mb": outcome.model_mb,
            "latency_ms": outcome.latency_ms,
            **({} if cost is None else cost._asdict()),
        },
        **_front(study, tasks),
        "stages": [
            {
                "name": table.name,
                "candidates": [
                    {
                        "candidate": row.label,
                        "value": row.value,
                        "std": row.std,
                        "note": row.note,
                        **({} if row.encoder_cost is None else row.encoder_cost._asdict()),
                    }
                    for row in table.rows
                ],
            }
            for table in study.tables(list(tasks))
            if table.key != FRONT
        ],
    }


def _front(study: StoredStudy, tasks: Sequence[Task]) -> dict[str, Any]:
    """Return the front of a study with two objectives, the cheapest first."""
    if study.space.against is None:
        return {}
    front = [
        {
            "trial": task.trial,
            "value": task.outcome.value,
            "std": task.outcome.std,
            "model_mb": task.outcome.model_mb,
            "latency_ms": task.outcome.latency_ms,
            "config": task.config.model_dump(mode="json"),
        }
        for task in front_of(tasks, study.space.against)
        if task.outcome is not None and task.config is not None
    ]
    return {"against": study.space.against, "front": front}
