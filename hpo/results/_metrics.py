"""``metrics.json``: what a study found, in numbers."""

from collections.abc import Sequence
from typing import Any

from hpo.search import Task
from hpo.study import StoredStudy

__all__ = ["study_metrics"]


def study_metrics(study: StoredStudy, tasks: Sequence[Task], best: Task) -> dict[str, Any]:
    """Return the results of a study, JSON-ready.

    Args:
        study: The study.
        tasks: Its tasks.
        best: The one among them whose configuration is the best.
    """
    assert best.outcome is not None and best.config is not None
    outcome = best.outcome
    cost = study.encoder_cost(best.config.encoder)
    return {
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
            **({} if cost is None else cost._asdict()),
        },
        "stages": [
            {
                "name": table.name,
                "candidates": [
                    {
                        "candidate": row.label,
                        "value": row.value,
                        "std": row.std,
                        "note": row.note,
                        **({} if row.cost is None else row.cost._asdict()),
                    }
                    for row in table.rows
                ],
            }
            for table in study.tables(list(tasks))
        ],
    }
