"""What ``hpo.yaml`` in a data folder says: how the folder is read, and settings of the space."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError, did_you_mean
from hpo.features._long_captions import LONG_CAPTIONS, LongCaptions

if TYPE_CHECKING:
    from hpo.data import CaptionRule, LabelsAs

__all__ = ["FolderDefaults", "read_folder_defaults"]

_FILE = "hpo.yaml"
_CALLED_OTHERWISE = ("hpo.yml", "hpo.json")


@dataclass(frozen=True)
class FolderDefaults:
    """What ``hpo.yaml`` in a data folder says; the command line goes before it.

    Attributes:
        encoder: The encoder, or None.
        settings: Overrides of the search space.
        columns: Which columns of the tables are what; empty where nothing is said.
        captions: What several captions of a picture mean, or None.
        labels_as: How to read the labels, or None.
        modalities: Which modalities to take, or None.
        long_captions: What is done to captions longer than the encoder's context, or None.
        said: All of it that is about reading the folder, by its key, for people.
    """

    encoder: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Any] = field(default_factory=dict)
    captions: "CaptionRule | None" = None
    labels_as: "LabelsAs | None" = None
    modalities: tuple[str, ...] | None = None
    long_captions: LongCaptions | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


def read_folder_defaults(folder: Path) -> FolderDefaults:
    """Read ``hpo.yaml`` of a data folder, if there is one.

    Raises:
        InputError: It is no mapping of the keys that it may have, or a value isn't as it must be;
            all of it is listed.
    """
    path = folder / _FILE
    if not path.exists():
        others = [folder / name for name in _CALLED_OTHERWISE if (folder / name).exists()]
        if others:
            raise InputError(f"{others[0]}: isn't read, but must be called {_FILE}; rename it")
        return FolderDefaults()
    from hpo.data import LabelsAs
    from hpo.yaml_files import read_yaml

    _, content = read_yaml(path)
    raw = content or {}
    if not isinstance(raw, dict):
        raise InputError(f"{path}: must be a mapping of {', '.join(_RULES)}.")
    problems = [
        f"{path}: unknown key '{key}'{did_you_mean(key, list(_RULES))}; allowed: "
        f"{', '.join(_RULES)}"
        for key in raw
        if key not in _RULES
    ]
    values = {
        key: raw[key]
        for key in _RULES
        if key in raw and (raw[key] is not None or key == "no_label")
    }
    for key, value in values.items():
        follows, rule = _RULES[key]
        if not follows(value):
            problems.append(f"{path}: {key} is {value!r}, but must be {rule}")
    if problems:
        raise InputError(problems)
    try:
        labels_as = LabelsAs.of(
            values.get("labels_as"), values.get("classes"), values.get("no_label")
        )
    except InputError as error:
        raise InputError([f"{path}: {problem}" for problem in error.problems]) from None
    modalities = values.get("modalities")
    return FolderDefaults(
        encoder=values.get("encoder"),
        settings=values.get("set", {}),
        columns=values.get("columns", {}),
        captions=values.get("captions"),
        labels_as=labels_as,
        modalities=None if modalities is None else tuple(modalities),
        long_captions=values.get("long_captions"),
        said={key: value for key, value in values.items() if key not in ("encoder", "set")},
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_text_or_texts(value: object) -> bool:
    return _is_text(value) or _are_texts(value)


def _are_names(value: object) -> bool:
    """Say whether a value is a list of class names, which may be numbers, but not yes and no."""
    return isinstance(value, list) and all(
        isinstance(one, str | int) and not isinstance(one, bool) for one in value
    )


def _are_settings(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value))


def _are_columns(value: object) -> bool:
    from hpo.data import COLUMN_KINDS

    return isinstance(value, dict) and all(
        key in COLUMN_KINDS and _is_text_or_texts(name) for key, name in value.items()
    )


#: For each key whether a value can be its, and what it must be, as the end of a sentence.
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "encoder": (lambda value: _is_text(value) and bool(str(value).strip()), "a name"),
    "set": (_are_settings, "a mapping, such as scale.width: 0.25"),
    "columns": (_are_columns, "a mapping, such as {image: path, labels: [cat, dog]}"),
    "captions": (lambda value: value in ("mean", "first", "each"), "mean, first or each"),
    "labels_as": (_is_text, "a way to write labels, such as blanks"),
    "classes": (_are_names, "a list of names, yes and no in quotes"),
    "no_label": (_is_text_or_texts, "a word or a list of words, null in quotes"),
    "modalities": (_are_texts, "a list of names, such as [image, text]"),
    "long_captions": (lambda value: value in LONG_CAPTIONS, ", ".join(LONG_CAPTIONS)),
}
