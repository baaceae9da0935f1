"""Which studies a store has, and the end of one: in Optuna, in the ledger, and its artifacts."""

import contextlib
import dataclasses
import re
from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta
from optuna.artifacts.exceptions import ArtifactNotFound
from optuna.storages import BaseStorage

from hpo.errors import InputError, did_you_mean
from hpo.queue import StudyRow, first_patience
from hpo.search import TaskState
from hpo.study._identity import Store
from hpo.trials import (
    FoundStudy,
    all_studies,
    attached_files,
    check_exists,
    damage,
    find_study,
    redact,
)

__all__ = ["Deleted", "StudyLine", "delete_study", "list_studies"]

#: What Optuna and its dashboard call artifacts: UUIDs.
_ARTIFACT = re.compile(r"[0-9A-Za-z_-]+")


@dataclasses.dataclass(frozen=True)
class Deleted:
    """What was deleted with a study.

    Attributes:
        trials: Trials in Optuna's storage.
        tasks: Tasks in the ledger.
        artifacts: Files that were attached to it or its trials, and to nothing else.
    """

    trials: int
    tasks: int
    artifacts: int


@dataclasses.dataclass(frozen=True)
class StudyLine:
    """What there is to know of a study at a glance.

    Attributes:
        name: Its name.
        trials: Trials in Optuna's storage; None if it was deleted there.
        tasks: Tasks in the ledger that have ended, and all; None if the ledger has none of it.
        note: What is special about it; empty where nothing is.
    """

    name: str
    trials: int | None
    tasks: tuple[int, int] | None
    note: str


def list_studies(url: str, wait: float | None = None) -> list[StudyLine]:
    """Return all studies of a store by name, those that hpo didn't make included.

    Args:
        url: The storage URL.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: The storage is no good, or isn't there.
    """
    return first_patience(wait)(lambda: _list(url))


def _list(url: str) -> list[StudyLine]:
    check_exists(url)
    store = Store.open(url)
    found = {study.name: study for study in all_studies(store.storage)}
    lines = []
    for name in sorted({*found, *store.ledger.studies()}):
        study, row = found.get(name), store.ledger.study(name)
        note = ""
        if study is None:
            note = "deleted in Optuna"
        elif row is None or row.identity != study.identity:
            note = "copied or renamed in Optuna" if study.made_by_hpo else "not made by hpo"
        ended = None
        if row is not None:
            counts = store.ledger.counts(name)
            done = sum(count for state, count in counts.items() if state.ended)
            ended = done, sum(counts.values())
            note = note or ("being worked on" if counts[TaskState.CLAIMED] else "")
        trials = None if study is None else store.storage.get_n_trials(study.id)
        lines.append(StudyLine(name, trials, ended, note))
    return lines


def delete_study(
    url: str, name: str, artifacts: Path | None = None, wait: float | None = None
) -> Deleted:
    """Delete a study: Optuna's, what the ledger has of it, and the files attached to it alone.

    Workers that are on it end by themselves. The runs that were trained for it stay in the run
    store, which is shared by all studies. A study that was deleted with Optuna's tools, or copied
    with them, can be deleted as well.

    Args:
        url: The storage URL.
        name: The study's name.
        artifacts: The folder of files that were attached in the dashboard; None to leave them.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: There is no such study, or it isn't hpo's.
    """
    return first_patience(wait)(_Deletion(url, name, artifacts).go_on)


def _found(
    url: str, store: Store, name: str, artifacts: Path | None
) -> tuple[FoundStudy | None, StudyRow | None]:
    """Return what both sides have of a study that may be deleted.

    Raises:
        InputError: There is none, or it isn't hpo's, or the artifacts have no folder.
    """
    found, row = find_study(store.storage, name), store.ledger.study(name)
    if found is None and row is None:
        names = sorted({*store.names(), *store.ledger.studies()})
        known = f"it has: {', '.join(names)}" if names else "it has none"
        raise InputError(
            f"{name}: {redact(url)} has no such study{did_you_mean(name, names)}; {known}."
        )
    if found is not None and not found.made_by_hpo and (row is None or row.identity is not None):
        left = "" if row is None else " (it has the name of one that was deleted)"
        raise InputError(
            f"{name}: hpo didn't make this study in {redact(url)}{left}. Optuna deletes it: "
            f"optuna delete-study --study-name {name} --storage '{redact(url)}'"
        )
    if artifacts is not None and not artifacts.is_dir():
        raise InputError(f"--artifact-dir {artifacts}: there is no such folder.")
    return found, row


@dataclasses.dataclass(frozen=True)
class _Doomed:
    """A study that is to be deleted, as it was found."""

    found: FoundStudy | None
    row: StudyRow | None
    trials: int
    tasks: int
    artifacts: set[str]


class _Deletion:
    """A deletion, which goes on where the store went away in the middle of it.

    What is to be deleted is known from the first try on: a later one may find less of it, or a new
    study of the same name.

    Args:
        url: The storage URL.
        name: The study's name.
        artifacts: See ``delete_study``.
    """

    def __init__(self, url: str, name: str, artifacts: Path | None) -> None:
        self._url = url
        self._name = name
        self._folder = artifacts
        self._doomed: _Doomed | None = None
        self._removed = 0

    def go_on(self) -> Deleted:
        """Delete what is still there of it."""
        check_exists(self._url)
        with contextlib.closing(Store.open(self._url)) as store:
            self._doomed = doomed = self._doomed or self._look(store)
            # In this order: if it is cut off here, what is left is a study deleted in Optuna.
            if _is_same(find_study(store.storage, self._name), doomed.found):
                optuna.delete_study(study_name=self._name, storage=store.storage)
            if self._folder is not None:
                self._removed += _remove(self._folder, doomed.artifacts)
            if doomed.row is not None:
                store.ledger.delete(self._name, doomed.row.identity)
        return Deleted(doomed.trials, doomed.tasks, self._removed)

    def _look(self, store: Store) -> _Doomed:
        name = self._name
        found, row = _found(self._url, store, name, self._folder)
        trials = 0 if found is None else store.storage.get_n_trials(found.id)
        tasks = sum(store.ledger.counts(name).values())
        alone = found is not None and self._folder is not None
        return _Doomed(
            found, row, trials, tasks, _own_artifacts(store.storage, name) if alone else set()
        )


def _is_same(now: FoundStudy | None, before: FoundStudy | None) -> bool:
    """Tell whether a study is still the one that it was; ids are given out again."""
    if now is None or before is None:
        return False
    return (now.id, now.identity) == (before.id, before.identity)


def _own_artifacts(storage: BaseStorage, name: str) -> set[str]:
    """Return the ids of artifacts that are attached to one study and not to a copy of it."""
    attached: dict[str, set[str]] = {}
    for found in all_studies(storage):
        study = optuna.load_study(study_name=found.name, storage=storage)
        try:
            metas = get_all_artifact_meta(study)
            for trial in study.get_trials(deepcopy=False):
                metas += get_all_artifact_meta(trial, storage=storage)
            attributes = storage.get_study_system_attrs(found.id)
            ids = {str(meta.artifact_id) for meta in metas} | attached_files(attributes)
        except (TypeError, ValueError, LookupError):
            raise damage(f"what it has of files of the study '{found.name}'") from None
        attached[found.name] = ids
    return attached.pop(name).difference(*attached.values())


def _remove(folder: Path, artifacts: set[str]) -> int:
    """Remove the files of artifacts; return how many there were.

    A study that came from elsewhere may have anything for an id, paths to other files among it.
    """
    store, removed = FileSystemArtifactStore(str(folder)), 0
    for artifact in filter(_ARTIFACT.fullmatch, artifacts):
        with contextlib.suppress(ArtifactNotFound):
            store.remove(artifact)
            removed += 1
    return removed
