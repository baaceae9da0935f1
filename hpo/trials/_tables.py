"""Optuna's tables, without the classes that map their rows to objects.

Those cost more than the database: a value of a curve is an object to them.
"""

from optuna.storages._rdb import models
from sqlalchemy import Table

__all__ = ["PARAMS", "RESULTS", "STEPS", "STUDIES", "SYSTEM", "TRIALS", "USER"]

STUDIES: Table = models.StudyModel.__table__
TRIALS: Table = models.TrialModel.__table__
PARAMS: Table = models.TrialParamModel.__table__
#: The objectives' values, of which a study here has one.
RESULTS: Table = models.TrialValueModel.__table__
#: Intermediate values: the curve.
STEPS: Table = models.TrialIntermediateValueModel.__table__
USER: Table = models.TrialUserAttributeModel.__table__
SYSTEM: Table = models.TrialSystemAttributeModel.__table__
