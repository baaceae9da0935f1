"""Which parameters of a study matter."""

from collections.abc import Mapping

import optuna
from optuna.trial import TrialState

__all__ = ["importances"]

#: Different values of completed trials below which an importance says nothing.
_FEWEST = 8


def importances(study: optuna.Study) -> Mapping[str, float]:
    """Return the importance of each parameter by PED-ANOVA, the largest first.

    Empty where too few trials are complete, they have different parameters, as those of the stages
    of a greedy study, or they have two values (Watanabe et al. 2023, doi 10.24963/ijcai.2023/488).
    """
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    values = {trial.values[0] for trial in complete}
    if len(values) < _FEWEST or len(study.directions) > 1:
        return {}
    common = set.intersection(*(set(trial.params) for trial in complete))
    varied = [name for name in common if len({str(t.params[name]) for t in complete}) > 1]
    if not varied:
        return {}
    # brings in scikit-learn, which takes a second
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(
        study, evaluator=PedAnovaImportanceEvaluator(), params=sorted(varied)
    )
    return dict(sorted(found.items(), key=lambda one: -one[1]))
