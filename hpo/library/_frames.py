"""What is known of a study's trials and of its winner, as DataFrames."""

import math
from typing import TYPE_CHECKING, Any

from hpo._kinds import check_kinds
from hpo.errors import InputError, did_you_mean
from hpo.features import load_bundle
from hpo.launch import resolve_devices
from hpo.library._model import Model
from hpo.results import Floor, class_rows
from hpo.search import COSTS, Task, front_of
from hpo.study import StoredStudy

if TYPE_CHECKING:
    import pandas as pd

    from hpo.results import Judgement, UntouchedScores

__all__ = ["class_frame", "front_frame", "leaderboard_frame", "without_frame"]


def leaderboard_frame(stored: StoredStudy, floor: Floor | None) -> "pd.DataFrame":
    """Return the table of ``Study.leaderboard``, with a floor's scores if there is one."""
    import pandas as pd

    finished = [task for task in stored.tasks() if task.outcome is not None]
    ranked = sorted(finished, key=_value, reverse=True)
    board = pd.DataFrame(
        [{"rank": rank, **_row(stored, task)} for rank, task in enumerate(ranked, start=1)]
    )
    if floor is None:
        return board
    metric = stored.space.metric
    if any(metric not in line.validation for line in floor.lines):
        raise InputError(
            f"The metric of the study is {metric}, but the floor has "
            f"{', '.join(floor.lines[0].validation)} only; leave floor=True out."
        )
    beaten = [{"score": line.validation[metric].value, "floor": line.name} for line in floor.lines]
    both = pd.concat([board, pd.DataFrame(beaten)], ignore_index=True)
    return both.sort_values("score", ascending=False, kind="stable", ignore_index=True)


def front_frame(stored: StoredStudy, against: str | None) -> "pd.DataFrame":
    """Return the table of ``Study.front``."""
    import pandas as pd

    chosen = against or stored.space.against or "model_mb"
    if chosen not in COSTS:
        raise InputError(
            f"against is {chosen!r}, but must be one of: {', '.join(COSTS)}"
            f"{did_you_mean(chosen, list(COSTS))}"
        )
    return pd.DataFrame([_row(stored, task) for task in front_of(stored.tasks(), chosen)])


def class_frame(
    stored: StoredStudy, best: Task, model: Model | None, device: str
) -> "pd.DataFrame":
    """Return the table of ``Study.class_scores``."""
    import pandas as pd

    from hpo.results import by_class

    return pd.DataFrame(class_rows(by_class(*_scored(stored, best, model, device))))


def without_frame(
    stored: StoredStudy, best: Task, model: Model | None, device: str
) -> "pd.DataFrame":
    """Return the table of ``Study.scores_without``."""
    import pandas as pd

    from hpo.results import without_modalities

    found = without_modalities(*_scored(stored, best, model, device))
    rows = [
        {"part": part, "without": name, **scores}
        for name, parts in found.items()
        for part, scores in parts.items()
    ]
    return pd.DataFrame(rows)


def _scored(
    stored: StoredStudy, best: Task, model: Model | None, device: str
) -> "tuple[Judgement, UntouchedScores | None]":
    from hpo.results import decide, judge, scores_on_test

    check_kinds(model=(model, (Model, type(None)), "a model, such as refit() returns"))
    if model is not None and model.trained.origin.get("bundle") != stored.definition.bundle_key:
        raise InputError(
            "model is of other rows than the study's, or of rows divided otherwise, so that its "
            "test part may be what it was trained on; give what refit() of this study returned."
        )
    (device,) = resolve_devices(device)[:1]
    decision = decide(stored, best, device)
    judgement = None
    if decision is not None:
        judgement = judge(
            stored, best, stored.tasks(), device, decision.thresholds, trainer=decision.trainer
        )
    if judgement is None:
        raise InputError(
            f"The run store {stored.definition.run_store} has no weights of the best trial of "
            f"'{stored.name}' any more; run the study again under another name to have them."
        )
    if model is None:
        return judgement, None
    return judgement, scores_on_test(model.trained, load_bundle(stored.definition.bundle), device)


def _row(stored: StoredStudy, task: Task) -> dict[str, Any]:
    """Return what the tables of trials have of a finished one."""
    assert task.outcome is not None and task.config is not None
    params = stored.strategy.params(task.config)
    cost = stored.encoder_cost(params.get("encoder"))
    return {
        "score": task.outcome.value,
        "std": task.outcome.std,
        "trial": task.trial,
        **params,
        **({} if cost is None else cost._asdict()),
        "steps": task.outcome.steps,
        "epochs_trained": task.outcome.epochs_trained,
        "model_mb": task.outcome.model_mb,
        "latency_ms": task.outcome.latency_ms,
        "pruned": task.outcome.pruned or "",
    }


def _value(task: Task) -> float:
    """Return what a finished task is ranked by; a value that is no number comes last."""
    assert task.outcome is not None
    return -math.inf if math.isnan(task.outcome.value) else task.outcome.value
