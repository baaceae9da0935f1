"""What is known of a study's winner beyond its scores, as DataFrames."""

from typing import TYPE_CHECKING

from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.launch import resolve_devices
from hpo.library._model import Model
from hpo.results import class_rows
from hpo.search import Task
from hpo.study import StoredStudy

if TYPE_CHECKING:
    import pandas as pd

    from hpo.results import Judgement, UntouchedScores

__all__ = ["class_frame", "without_frame"]


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
