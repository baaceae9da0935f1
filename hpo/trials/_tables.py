"""Optuna's tables, without the classes that map their rows to objects.

Those cost more than the database: a value of a curve is an object to them. Imported only where
``knows_optuna`` finds that they are as expected.
"""

from collections.abc import Callable
from typing import Any

from optuna.storages._rdb import models
from sqlalchemy import Table

__all__ = [
    "DIRECTIONS",
    "PARAMS",
    "RESULTS",
    "STEPS",
    "STUDIES",
    "STUDY_SYSTEM",
    "STUDY_USER",
    "SYSTEM",
    "TRIALS",
    "USER",
    "stored_result",
    "stored_step",
]

STUDIES: Table = models.StudyModel.__table__
DIRECTIONS: Table = models.StudyDirectionModel.__table__
STUDY_USER: Table = models.StudyUserAttributeModel.__table__
STUDY_SYSTEM: Table = models.StudySystemAttributeModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
#: The values of the one or two objectives.
RESULTS: Table = models.TrialValueModel.__table__
#: Intermediate values: the curve.
STEPS: Table = models.TrialIntermediateValueModel.__table__
USER: Table = models.TrialUserAttributeModel.__table__
SYSTEM: Table = models.TrialSystemAttributeModel.__table__

#: A value as number (or None) and kind, which the tables keep side by side.
stored_result: Callable[[float], tuple[float | None, Any]] = (
    models.TrialValueModel.value_to_stored_repr
)
stored_step: Callable[[float], tuple[float | None, Any]] = (
    models.TrialIntermediateValueModel.intermediate_value_to_stored_repr
)
