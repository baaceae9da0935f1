"""What a study shows in optuna-dashboard beyond its trials: notes, plots and files."""

import json
import mimetypes
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.artifacts import FileSystemArtifactStore

from hpo.files import content_key, regular
from hpo.trials._study import OptunaStudy

__all__ = ["Shown", "attached_files"]

#: System attribute of a study: a hash of each note and plot that it shows, by name.
_HASHES = "hpo:shown"
_NOTE = "note"
#: Where optuna-dashboard looks for files of trials among the system attributes of their study.
_FILES = "dashboard:artifacts:"


class Figure(Protocol):
    """A plot that plotly can draw."""

    def to_json(self) -> str:
        """Return plotly's JSON of it."""


class Shown:
    """Writes what a study shows; what is shown already isn't written again.

    Whatever process wrote it last, an equal note, plot or file is left alone.

    Args:
        source: The study.
    """

    def __init__(self, source: OptunaStudy) -> None:
        self._source = source
        self._attributes: dict[str, Any] = source.storage.get_study_system_attrs(source.id)
        self._hashes: dict[str, str] = dict(self._attributes.get(_HASHES, {}))

    def note(self, body: str) -> bool:
        """Show a study's note; return whether it was written.

        Args:
            body: Markdown.
        """
        from optuna_dashboard import save_note

        if not self._is_new(_NOTE, body):
            return False
        save_note(self._source.study, body)
        self._remember(_NOTE, body)
        return True

    def plot(self, name: str, figure: Figure) -> bool:
        """Show a plot; return whether it was written.

        Args:
            name: The plot's id, which the plot that it replaces has.
            figure: The plot.
        """
        from optuna_dashboard import save_plotly_graph_object

        text = figure.to_json()
        if not self._is_new(name, text):
            return False
        save_plotly_graph_object(self._source.study, figure, graph_object_id=name)
        self._remember(name, text)
        return True

    def trial_note(self, number: int, body: str) -> bool:
        """Show a note on a trial that has none yet; return whether it was written.

        Args:
            number: The trial's.
            body: Markdown.
        """
        from optuna_dashboard import save_note

        trial_id = self._trial_id(number)
        key = f"dashboard:{trial_id}:note_ver"  # where optuna-dashboard counts a note's versions
        if key in self._attributes:
            return False
        save_note(optuna.trial.Trial(self._source.study, trial_id), body)
        self._attributes[key] = 1
        return True

    def files(self, number: int, folder: Path) -> set[str]:
        """Return the names of the files that ``attach`` gave a trial and that are there.

        Args:
            number: The trial's.
            folder: The artifact store.
        """
        prefix = f"{_FILES}{self._trial_id(number)}:"
        found = [text for key, text in self._attributes.items() if key.startswith(prefix)]
        metas = [meta for meta in map(json.loads, found) if meta is not None]
        return {meta["filename"] for meta in metas if (folder / meta["artifact_id"]).exists()}

    def attach(self, number: int, path: Path, folder: Path) -> None:
        """Show a file on a trial, which may have ended.

        Optuna attaches files to trials that run. optuna-dashboard also shows those that stand with
        the study.

        Args:
            number: The trial's.
            path: The file, which is copied.
            folder: The artifact store; it is made if it isn't there.
        """
        folder.mkdir(parents=True, exist_ok=True)
        artifact = str(uuid.uuid4())
        with regular(path).open("rb") as content:
            FileSystemArtifactStore(folder).write(artifact, content)
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        meta = {"artifact_id": artifact, "filename": path.name, "mimetype": kind, "encoding": None}
        self._set(f"{_FILES}{self._trial_id(number)}:{artifact}", json.dumps(meta))

    def _trial_id(self, number: int) -> int:
        storage, study = self._source.storage, self._source.id
        return storage.get_trial_id_from_study_id_trial_number(study, number)

    def _is_new(self, name: str, content: str) -> bool:
        return self._hashes.get(name) != _hash(content)

    def _remember(self, name: str, content: str) -> None:
        self._hashes[name] = _hash(content)
        self._set(_HASHES, dict(self._hashes))

    def _set(self, key: str, value: Any) -> None:
        self._source.storage.set_study_system_attr(self._source.id, key, value)
        self._attributes[key] = value


def attached_files(attributes: Mapping[str, Any]) -> set[str]:
    """Return the ids of the files that ``Shown.attach`` gave to trials.

    Args:
        attributes: The study's system attributes.
    """
    texts = [text for key, text in attributes.items() if key.startswith(_FILES)]
    return {str(meta["artifact_id"]) for meta in map(json.loads, texts) if meta is not None}


def _hash(content: str) -> str:
    return content_key({"content": content})
