"""A study in Optuna's storage."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.storages import BaseStorage, get_storage

__all__ = [
    "IDENTITY",
    "FoundStudy",
    "OptunaStudy",
    "all_studies",
    "find_study",
    "identify",
    "open_study",
]

#: System attribute of a study that hpo made: what tells it from any other one of its name.
IDENTITY = "hpo:identity"
#: User attributes that every study of hpo's has, those of its first versions included.
_ABOUT = ("space", "metric", "seeds", "data")


@dataclasses.dataclass(frozen=True)
class FoundStudy:
    """What Optuna's storage has of a study, whoever made it.

    Attributes:
        name: Its name.
        id: The storage's id of it, which another study may have had before.
        directions: ``minimize`` or ``maximize`` for each objective.
        attributes: What users see.
        identity: What ``identify`` gave it; a copy that Optuna made of it has the same.
    """

    name: str
    id: int
    directions: tuple[str, ...]
    attributes: Mapping[str, Any]
    identity: str | None

    @property
    def made_by_hpo(self) -> bool:
        """Whether it is a study of hpo's, or a copy of one."""
        return self.identity is not None or all(key in self.attributes for key in _ABOUT)


def find_study(storage: BaseStorage, name: str) -> FoundStudy | None:
    """Return the study of a name, as it is in the storage now; None if there is none."""
    try:
        study_id = storage.get_study_id_from_name(name)
        return FoundStudy(
            name,
            study_id,
            tuple(d.name.lower() for d in storage.get_study_directions(study_id)),
            storage.get_study_user_attrs(study_id),
            storage.get_study_system_attrs(study_id).get(IDENTITY),
        )
    except KeyError:
        return None


def all_studies(storage: BaseStorage) -> list[FoundStudy]:
    """Return all studies of a storage, by name."""
    names = sorted(study.study_name for study in storage.get_all_studies())
    found = [find_study(storage, name) for name in names]
    return [study for study in found if study is not None]


def identify(storage: BaseStorage, study_id: int, identity: str) -> None:
    """Give a study the identity that the ledger has of it."""
    storage.set_study_system_attr(study_id, IDENTITY, identity)


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
    create: bool = True,
) -> OptunaStudy:
    """Open a study that maximizes, or create it if there is none.

    Args:
        storage: As it was opened; a database is read through Optuna's cache from here on.
        name: Its name.
        pruner: Judges its trials in this process; never stored.
        two_objectives: Whether it minimizes a second objective.
        create: Whether to create it.

    Raises:
        KeyError: There is none, and it isn't to be created.
    """
    cached = get_storage(storage)
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # of its line about a new study
    try:
        if create:
            study = optuna.create_study(
                storage=cached,
                study_name=name,
                directions=["maximize", "minimize"] if two_objectives else ["maximize"],
                load_if_exists=True,
                pruner=pruner,
            )
        else:
            study = optuna.load_study(study_name=name, storage=cached, pruner=pruner)
    finally:
        optuna.logging.set_verbosity(verbosity)
    return OptunaStudy(study, cached, cached.get_study_id_from_name(name), storage)
