"""A study in Optuna's storage."""

import dataclasses

import optuna
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, get_storage

__all__ = ["OptunaStudy", "open_study"]


@dataclasses.dataclass(frozen=True)
class OptunaStudy:
    """A study in Optuna's storage, with what Optuna's own object keeps to itself.

    Attributes:
        study: Optuna's object; its pruner is what trials are judged by.
        storage: Where it is; the one that ``study`` uses, so that both share a cache.
        id: The storage's id of it.
        backend: The storage as it was opened, which ``storage`` may be a cache of.
    """

    study: optuna.Study
    storage: BaseStorage
    id: int
    backend: BaseStorage

    def hold(self, trial_id: int | None) -> None:
        """Spare this process the reading of the running trial that it knows all of, or of none.

        Where the storage can't leave a trial out, it is read like any other.
        """
        if hasattr(self.backend, "held"):
            self.backend.held = trial_id


def open_study(
    storage: BaseStorage,
    name: str,
    pruner: BasePruner | None = None,
    *,
    two_objectives: bool = False,
) -> OptunaStudy:
    """Open a study that maximizes, or create it if there is none.

    Args:
        storage: As it was opened; a database is read through Optuna's cache from here on.
        name: Its name.
        pruner: Judges its trials in this process; never stored.
        two_objectives: Whether it minimizes a second objective.
    """
    cached = get_storage(storage)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # of its line about a new study
    try:
        study = optuna.create_study(
            storage=cached,
            study_name=name,
            directions=["maximize", "minimize"] if two_objectives else ["maximize"],
            load_if_exists=True,
            pruner=pruner,
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    return OptunaStudy(study, cached, cached.get_study_id_from_name(name), storage)
