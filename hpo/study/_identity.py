"""Whose a study in Optuna's storage is, and what became of one that is gone.

Users delete, rename and copy studies with Optuna's own tools, which know nothing of the ledger. So
both have an identity, and what the ledger says counts only for the study that has the same one.
"""

import dataclasses
import logging
import time
import uuid
from collections.abc import Mapping, Sequence

from optuna.storages import BaseStorage

from hpo.errors import InputError, did_you_mean
from hpo.queue import Ledger, StudyRow, open_ledger, open_storage
from hpo.search import TaskState
from hpo.trials import FoundStudy, all_studies, close_storage, find_study, identify, redact

__all__ = ["Store", "StudyGoneError"]

_log = logging.getLogger(__name__)

#: How often, and how many seconds apart, a study is looked at that another process may be making.
_LOOKS, _LOOK_S = 10, 0.2
#: Workers whose heartbeat is younger than this many seconds may still be at work,
_ALIVE_S = 10.0
#: and see in this time that their study is gone.
_NOTICED_S = 5.0
_ANOTHER = "Give hpo's another name (--study NAME --space FILE), or use another --storage."


class StudyGoneError(InputError):
    """A study was deleted, or renamed, while it was worked on.

    Args:
        name: The study's name.
        url: The storage URL.
    """

    def __init__(self, name: str, url: str) -> None:
        super().__init__(
            f"The study '{name}' was deleted from {redact(url)}, or renamed there, while it was "
            f"worked on; so the work on it has ended. `hpo run --study {name}` begins it anew, and "
            "finds what was trained in the run store."
        )


@dataclasses.dataclass(frozen=True)
class Store:
    """Both sides of a store: Optuna's storage and the ledger.

    Attributes:
        url: The storage URL.
        storage: Optuna's.
        ledger: The queue.
        follows: Whether the ledger is changed to follow what was done with Optuna's tools; or else
            it is only looked what would be.
    """

    url: str
    storage: BaseStorage
    ledger: Ledger
    follows: bool = True

    @staticmethod
    def open(url: str) -> "Store":
        """Open a store; its tables are made, or brought up to date.

        Raises:
            InputError: It is no good; see ``open_storage`` and ``open_ledger``.
        """
        return Store(url, open_storage(url), open_ledger(url))

    def close(self) -> None:
        """Close all connections, so that a SQLite file can be moved."""
        self.ledger.close()
        close_storage(self.storage)

    def names(self) -> list[str]:
        """Return the names of hpo's studies that are in Optuna's storage as well."""
        there = {study.name for study in all_studies(self.storage)}
        return [name for name in self.ledger.studies() if name in there]

    def find(self, name: str, option: str = "--study") -> tuple[FoundStudy, StudyRow]:
        """Return a study of hpo's that exists.

        One that was renamed with Optuna's tools is renamed in the ledger as well.

        Args:
            name: The study's name.
            option: By which the user named it, for messages.

        Raises:
            InputError: There is no such study, or it was deleted, or it isn't hpo's.
        """
        found, row = self._look(name)
        if found is not None:
            if not _belong(found, row):
                row = self._take_over_renamed(found, row, f"{option} {name}")
            assert row is not None  # it belongs to what was found
            return found, row
        if row is not None:
            self._refuse_if_renamed(name, row, f"{option} {name}")
            raise InputError(
                f"{option} {name}: this study was deleted from {redact(self.url)} with Optuna's "
                f"tools. `hpo run --study {name}` begins it anew, and `hpo study delete {name}` "
                "clears what is left of it."
            )
        names = self.names()
        known = f"it has: {', '.join(names)}" if names else "it has none"
        raise InputError(
            f"{option} {name}: {redact(self.url)} has no such study{did_you_mean(name, names)}; "
            f"{known}."
        )

    def make_way(self, name: str, objectives: Mapping[str, str]) -> FoundStudy | None:
        """See to it that a study can be begun under a name, or gone on with.

        What the ledger has of a study that was deleted with Optuna's tools is dropped; one that
        was renamed is renamed in the ledger as well.

        Args:
            name: The study's name.
            objectives: The direction of each, by its name.

        Returns:
            What Optuna has of the study that is gone on with; None if it is to be begun.

        Raises:
            InputError: The name is that of a study that isn't hpo's, or that hpo can't go on with.
        """
        found, row = self._look(name)
        if found is not None:
            same = found.directions == tuple(objectives.values())
            if not (_belong(found, row) or (same and self._is_unborn(found, row))):
                aims = [f"{direction} {of}" for of, direction in objectives.items()]
                self._take_over_renamed(found, row, f"--study {name}", f"hpo's is to {_all(aims)}")
            return found
        if row is not None and (row.identity is not None or self._begun(name)):
            self._refuse_if_renamed(name, row, f"--study {name}")
            self._drop(name, row)
        return None

    def link(self, found: FoundStudy) -> str:
        """Give a study one identity on both sides; return it.

        One that it has is only read, so whoever looks at a study doesn't wait for those that write.

        Raises:
            StudyGoneError: It was deleted in this moment.
        """
        row = self.ledger.study(found.name)
        if row is not None and row.identity is not None and row.identity == found.identity:
            return row.identity
        identity = self.ledger.identify(found.name, uuid.uuid4().hex)
        if identity is None:
            raise StudyGoneError(found.name, self.url)
        if found.identity != identity:
            identify(self.storage, found.id, identity)
        return identity

    def check(self, name: str, study_id: int, identity: str) -> None:
        """Check that a study is still there.

        Args:
            name: The study's name.
            study_id: Optuna's id of it.
            identity: What it had when it was opened.

        Raises:
            StudyGoneError: It isn't, or another one has its name.
        """
        row = self.ledger.study(name)
        try:
            there = self.storage.get_study_id_from_name(name) == study_id
        except KeyError:
            there = False
        if not there or row is None or row.identity != identity:
            raise StudyGoneError(name, self.url)

    def _look(self, name: str) -> tuple[FoundStudy | None, StudyRow | None]:
        """Return what both sides have of a study, when neither is just being written."""
        for _ in range(_LOOKS):
            found, row = find_study(self.storage, name), self.ledger.study(name)
            linking = row is not None and found is not None and found.identity is None
            if not linking or row is None or row.identity is None:
                break
            time.sleep(_LOOK_S)
        return found, row

    def _take_over_renamed(
        self, found: FoundStudy, row: StudyRow | None, what: str, ours: str = "hpo's is another one"
    ) -> StudyRow:
        """Let the ledger's study that Optuna renamed have its new name; return its row.

        Args:
            found: A study of Optuna's that the ledger has no row of.
            row: What the ledger has under its name: of an earlier study that is gone.
            what: The option with the name, for messages.
            ours: What hpo's study of this name is, likewise.

        Raises:
            InputError: It isn't one.
        """
        name, shown = found.name, redact(self.url)
        origin = self._name_in_ledger(found)
        if origin is None:
            if found.made_by_hpo:
                raise InputError(
                    f"{what}: the study in {shown} was copied there by Optuna: its trials can be "
                    "looked at in the dashboard, but its queue isn't in this storage, so hpo can't "
                    f"go on with it. {_ANOTHER} `hpo study delete {name}` deletes the copy."
                )
            raise InputError(
                f"{what}: {shown} has a study of this name that hpo didn't make: it is to "
                f"{_all(found.directions)}, and has {self._trials_of(found)}; {ours}. {_ANOTHER}"
            )
        original = find_study(self.storage, origin)
        if original is not None and original.identity == found.identity:
            raise InputError(
                f"{what}: the study in {shown} is a copy of '{origin}' that Optuna made, which has "
                f"the trials but not the queue, so hpo can't go on with it. Go on with --study "
                f"{origin}; or begin a new study with the best of it: --study NAME --space FILE "
                f"--warm-start {origin}. `hpo study delete {name}` deletes the copy."
            )
        if row is not None:
            self._drop(name, row)
        if self.follows:
            self.ledger.rename(origin, name)
        _log.warning("The study '%s' was renamed to '%s' in Optuna, and goes on so.", origin, name)
        renamed = self.ledger.study(name if self.follows else origin)
        if renamed is None:
            raise StudyGoneError(name, self.url)
        return renamed

    def _name_in_ledger(self, found: FoundStudy) -> str | None:
        """Return the name under which the ledger has a study's identity."""
        if found.identity is None:
            return None
        for name in self.ledger.studies():
            row = self.ledger.study(name)
            if name != found.name and row is not None and row.identity == found.identity:
                return name
        return None

    def _refuse_if_renamed(self, name: str, row: StudyRow, what: str) -> None:
        """Refuse the old name of a study that goes on under a new one.

        Raises:
            InputError: It was renamed.
        """
        for study in all_studies(self.storage):
            if row.identity is not None and study.identity == row.identity:
                raise InputError(
                    f"{what}: the study in {redact(self.url)} was renamed to '{study.name}' in "
                    f"Optuna. Go on with it by --study {study.name}, or begin one under a third "
                    "name (--study NAME --space FILE)."
                )

    def _trials_of(self, found: FoundStudy) -> str:
        """Say how many trials a study has, and of which parameters."""
        trials = self.storage.get_all_trials(found.id, deepcopy=False)
        names = sorted({name for trial in trials for name in trial.params})
        of = f" of {', '.join(names[:5])}{', …' if len(names) > 5 else ''}" if names else ""
        return f"{len(trials)} trial{'' if len(trials) == 1 else 's'}{of}"

    def _is_unborn(self, found: FoundStudy, row: StudyRow | None) -> bool:
        """Tell whether a study is between its halves, by another process or by one that was killed.

        Optuna's has no identity yet, while the rows may have one, and nothing was begun in it.
        """
        if row is None or found.identity is not None:
            return False
        return self.storage.get_n_trials(found.id) == 0 and not self._begun(found.name)

    def _begun(self, name: str) -> bool:
        return any(task.begun for task in self.ledger.tasks(name))

    def _drop(self, name: str, row: StudyRow) -> None:
        """Drop what the ledger has of a study that Optuna has no more."""
        tasks = self.ledger.tasks(name)
        if self.follows:
            self.ledger.delete(name, row.identity)
        _log.warning(
            "The study '%s' was deleted with Optuna's tools; what hpo had of it is dropped, and it "
            "begins anew.",
            name,
        )
        if self.follows and any(_is_alive(t.state, t.age) for t in tasks):
            # Optuna's ids may be given out again, so nobody must write by the old ones any more.
            _log.warning("Its workers are given %g s to notice.", _NOTICED_S)
            time.sleep(_NOTICED_S)


def _belong(found: FoundStudy, row: StudyRow | None) -> bool:
    """Tell whether what Optuna and the ledger have under one name is one study."""
    if row is None:
        return False
    if row.identity is None and found.identity is None:
        return found.made_by_hpo  # by a version without identities
    return row.identity == found.identity


def _is_alive(state: TaskState, age: float | None) -> bool:
    return state is TaskState.CLAIMED and age is not None and age < _ALIVE_S


def _all(aims: Sequence[str]) -> str:
    """Return what a study is to do with its objectives, in words."""
    return " and to ".join(aims)
