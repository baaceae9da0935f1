"""Whether Optuna is as this package knows it, where it uses more than Optuna's public names.

The tables and one method are what the package was written and tested with. Another release of
Optuna may change them without a word. So they are compared before they are used, with a cost of
one short query for each process; where anything differs, Optuna's public calls serve.
"""

import functools
import inspect
import logging
import threading
from typing import Any

import optuna
from sqlalchemy import Connection, UniqueConstraint, text

__all__ = ["REVISION", "knows_names", "knows_optuna"]

_log = logging.getLogger(__name__)

#: The revision of Optuna's tables, as it is stored in them.
REVISION = "v3.2.0.a"
_COLUMNS = {
    "StudyModel": ("study_id", "study_name"),
    "StudyDirectionModel": ("study_direction_id", "study_id", "direction", "objective"),
    "StudyUserAttributeModel": ("study_user_attribute_id", "study_id", "key", "value_json"),
    "StudySystemAttributeModel": ("study_system_attribute_id", "study_id", "key", "value_json"),
    "TrialModel": (
        *("trial_id", "number", "study_id", "state"),
        *("datetime_start", "datetime_complete"),
    ),
    "TrialParamModel": (
        *("param_id", "trial_id", "param_name"),
        *("param_value", "distribution_json"),
    ),
    "TrialValueModel": ("trial_value_id", "trial_id", "objective", "value", "value_type"),
    "TrialIntermediateValueModel": (
        *("trial_intermediate_value_id", "trial_id", "step"),
        *("intermediate_value", "intermediate_value_type"),
    ),
    "TrialUserAttributeModel": ("trial_user_attribute_id", "trial_id", "key", "value_json"),
    "TrialSystemAttributeModel": ("trial_system_attribute_id", "trial_id", "key", "value_json"),
}
#: The keys that decide whether a row is there.
_UNIQUE = {
    "TrialParamModel": {"trial_id", "param_name"},
    "TrialValueModel": {"trial_id", "objective"},
    "TrialIntermediateValueModel": {"trial_id", "step"},
    "TrialUserAttributeModel": {"trial_id", "key"},
    "TrialSystemAttributeModel": {"trial_id", "key"},
}
_PARAMETERS = {
    ("TrialValueModel", "value_to_stored_repr"): ("value",),
    ("TrialIntermediateValueModel", "intermediate_value_to_stored_repr"): ("value",),
}
_GET_TRIALS = ("self", "study_id", "states", "included_trial_ids", "trial_id_greater_than")

_said = threading.Event()


def knows_optuna(connection: Connection) -> bool:
    """Tell whether Optuna's names and the tables of a database are those that are known here.

    The first time that they aren't, a warning says what is not as expected.

    Args:
        connection: To a database in which Optuna's storage was opened before.
    """
    difference = _unknown_name()
    if difference is None:
        revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if revision != REVISION:
            difference = f"its tables are of revision {revision}, not {REVISION}"
    return _say(difference)


def knows_names() -> bool:
    """Tell whether Optuna's names are those that are known here; warns as ``knows_optuna``."""
    return _say(_unknown_name())


def _say(difference: str | None) -> bool:
    if difference is not None and not _said.is_set():
        _said.set()
        _log.warning(
            "Optuna %s is not as this version of hpo knows it (%s); its public calls are used "
            "instead, which take longer.",
            optuna.__version__,
            difference,
        )
    return difference is None


@functools.cache
def _unknown_name() -> str | None:
    """Return what isn't as it is known, in words."""
    try:
        from optuna.storages import RDBStorage
        from optuna.storages._rdb import models
    except ImportError as error:
        return str(error)
    for name, columns in _COLUMNS.items():
        table = getattr(getattr(models, name, None), "__table__", None)
        if table is None:
            return f"it has no table {name}"
        if tuple(sorted(column.name for column in table.columns)) != tuple(sorted(columns)):
            return f"the table {table.name} has other columns"
        keys = [
            {column.name for column in constraint.columns}
            for constraint in table.constraints
            if isinstance(constraint, UniqueConstraint)
        ]
        if name in _UNIQUE and _UNIQUE[name] not in keys:
            return f"the table {table.name} has other keys"
    for (name, method), parameters in _PARAMETERS.items():
        if _parameters(getattr(models, name), method) != parameters:
            return f"{name}.{method} is another one"
    if _parameters(RDBStorage, "_get_trials") != _GET_TRIALS:
        return "RDBStorage._get_trials is another one"
    return None


def _parameters(owner: Any, method: str) -> tuple[str, ...] | None:
    """Return the names of a method's parameters; None if there is none."""
    function = getattr(owner, method, None)
    return None if function is None else tuple(inspect.signature(function).parameters)
