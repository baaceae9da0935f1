"""Settings from outside (``--set``, ``hpo.yaml``, ``settings=``): where they go in a file."""

import inspect
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from hpo.data import SPLIT_KINDS
from hpo.errors import did_you_mean, shown
from hpo.models import (
    CHOICES,
    field_names,
    is_trained_as_one,
    is_value_name,
    owner_of,
    typed_value,
)
from hpo.search._checks import models_in
from hpo.search._problem import Problem
from hpo.search._registry import PRUNERS, SAMPLERS
from hpo.search._space import SEARCHES, Space
from hpo.search._values import Place

__all__ = [
    "fits_split",
    "leave_out_other_kinds",
    "place_of",
    "put_setting",
    "spelled",
    "unused_settings",
]

#: Keys of the split that all kinds have.
_OF_ALL_KINDS = ("kind", "min_rows_per_class", "rare_classes")
#: Those that mean the same of a stratified split and of an automatic one.
_DRAWN = ("val_fraction", "test_fraction", "seed")
#: Keys of what a parameter is drawn from that go with ``choices``, and that go with a range.
_OF_CHOICES = ("choices", "when")
_OF_RANGE = ("low", "high", "log", "step", "when")


def place_of(key: str) -> Place:
    """Return the place that a setting is about: a name of the configuration is a fixed value."""
    choice, dot, _ = key.partition(".")
    of_config = is_value_name(key) or (
        dot == "." and any(choice in registry for registry in CHOICES.values())
    )
    if of_config:
        return ("fixed", key)
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def spelled(key: str, value: Any) -> str:
    """Return a setting as it may be written."""
    return f"{key}={value if isinstance(value, str) else shown(value)}"


def leave_out_other_kinds(
    raw: dict[str, Any], settings: Sequence[tuple[str, Any]]
) -> Collection[str] | None:
    """Leave out what a file says of other kinds than the ones that settings ask for.

    What the settings themselves say stays.

    Args:
        raw: What the file holds; changed.
        settings: By key.

    Returns:
        The keys of the split that a suggested setting may give; None for any.
    """
    asked = dict(settings)
    search = raw.get("search")
    if isinstance(search, dict):
        _leave_out_of_search(search, asked)
    return _leave_out_of_split(raw, asked)


def fits_split(key: str, split_keys: Collection[str] | None) -> bool:
    """Tell whether a suggested setting has a meaning in the file."""
    part, dot, name = key.partition(".")
    return part != "split" or not dot or split_keys is None or name in split_keys


def put_setting(raw: dict[str, Any], place: Place, value: Any) -> Problem | None:
    """Put a value into what a file holds; return what is wrong with its place, if anything is."""
    if place[0] not in (*Space.model_fields, *Space.shorthands):
        return _unknown(place)
    inner: Any = raw
    models: Sequence[type[BaseModel]] = [Space]
    for depth, key in enumerate(place):
        if isinstance(inner, list) and not (isinstance(key, int) and key < len(inner)):
            rule = f"must be the number of one of {len(inner)}, from 0 on"
            return Problem(place, f"{key} is a place in a list, but {rule}")
        if depth == len(place) - 1:
            inner[key] = value
            break
        listed = isinstance(inner, list)
        below = inner[key] if listed else inner.get(key)
        if not isinstance(below, dict | list):
            # what the file leaves out has a default, of which a setting changes a part
            below = inner[key] = _default_of(models, key)
        models = _models_of(models, key, below)
        inner = below
    return None


def unused_settings(space: Space, settings: Sequence[tuple[str, Any, str]]) -> list[str]:
    """Say which settings have no effect, since the search varies what they fix.

    Args:
        space: With them.
        settings: As key, value and where it comes from.
    """
    notes = []
    for key, value, origin in {item[0]: item for item in settings}.values():
        field = key.removeprefix("fixed.")
        if not is_value_name(field) or value is None:
            continue
        nothing = f"{origin} {spelled(key, value)} has no effect"
        owner = owner_of(field)
        if owner is not None:
            taken, choice = owner[0], owner[1].name
            if choice not in (getattr(space.fixed, taken), *space.search.values_of(taken)):
                notes.append(f"{nothing}: no {taken} is {choice}")
                continue
        fusions = (space.fixed.fusion, *space.search.values_of("fusion"))
        if field == "modality_dropout" and not any(map(is_trained_as_one, fusions)):
            notes.append(f"{nothing}: no fusion is trained as one")
            continue
        if not space.search.uses_fixed(field, typed_value(field, value)):
            notes.append(
                f"{nothing} on what the study tries, since {field} is searched; a setting of "
                "search.… changes what is searched"
            )
    return notes


def _default_of(models: Sequence[type[BaseModel]], key: str | int) -> dict[str, Any]:
    """Return what a key means that a file leaves out."""
    for model in models:
        if key in model.model_fields:
            default = model.model_fields[str(key)].get_default()
            if isinstance(default, BaseModel):
                return default.model_dump(exclude_unset=True)
    return {}


def _models_of(
    models: Sequence[type[BaseModel]], key: str | int, below: Any
) -> list[type[BaseModel]]:
    """Return the models that what stands under a key may be of."""
    kind = below.get("kind") if isinstance(below, dict) else None
    if models == [Space] and key == "search":
        return [SEARCHES[kind][0]] if isinstance(kind, str) and kind in SEARCHES else []
    fields = [model.model_fields[str(key)] for model in models if key in model.model_fields]
    return [one for field in fields for one in models_in(field.annotation)]


def _unknown(place: Place) -> Problem:
    """Say that there is no such key; one that stands elsewhere, or is misspelt, is suggested."""
    key, near = place[0], str(place[0]).casefold()
    top = [*Space.model_fields, *Space.shorthands]
    names = [*field_names(), *top]
    deeper = {name.casefold(): path for name, path in _deeper()}
    hint = f" (did you mean '{deeper[near]}'?)" if near in deeper else did_you_mean(key, names)
    return Problem(
        place,
        f"unknown key '{key}'{hint}; allowed: {', '.join(top)}, and the values of a configuration: "
        f"{', '.join(field_names())}",
    )


def _deeper() -> Iterator[tuple[str, str]]:
    """Yield the keys of sections of a file, and the path of each."""
    for kind, _ in SEARCHES.values():
        yield from ((key, f"search.{key}") for key in kind.model_fields)
    for section, field in Space.model_fields.items():
        for model in models_in(field.annotation):
            if section not in ("fixed", "search"):
                yield from ((key, f"{section}.{key}") for key in model.model_fields)


def _leave_out_of_split(raw: dict[str, Any], asked: Mapping[str, Any]) -> Collection[str] | None:
    split = raw.get("split")
    if not isinstance(split, dict):
        return None
    kind = split.get("kind")
    for key, value in asked.items():
        if key in ("split", "split.kind"):
            kind = value.get("kind") if isinstance(value, dict) else value
    if kind == split.get("kind") or not isinstance(kind, str) or kind not in SPLIT_KINDS:
        return {*split, *_OF_ALL_KINDS}
    drawn = {kind, split.get("kind")} <= {"auto", "stratified"}
    kept = (*_OF_ALL_KINDS, *(_DRAWN if drawn else ()))
    raw["split"] = {key: value for key, value in split.items() if key in kept} | {"kind": kind}
    return SPLIT_KINDS[kind].model_fields


def _leave_out_of_search(search: dict[str, Any], asked: Mapping[str, Any]) -> None:
    kind = asked.get("search.kind")
    if isinstance(kind, str) and kind in SEARCHES and kind != search.get("kind"):
        model = SEARCHES[kind][0]
        _keep(search, model.model_fields.keys() - ({"pruner"} if model.stops_trials else set()))
    for part, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        component, name = search.get(part), asked.get(f"search.{part}.name")
        if isinstance(name, str) and name in known and isinstance(component, dict):
            if name != component.get("name"):
                _keep(component, {"name", *inspect.signature(known[name]).parameters})
        elif isinstance(component, str):
            search[part] = {"name": component}
    params = search.get("params")
    for field, domain in (params if isinstance(params, dict) else {}).items():
        given = {key for key in asked if key.startswith(f"search.params.{field}.")}
        keys = {key.removeprefix(f"search.params.{field}.") for key in given}
        if isinstance(domain, dict) and keys & {"choices"}:
            _keep(domain, _OF_CHOICES)
        elif isinstance(domain, dict) and keys & {"low", "high"}:
            _keep(domain, _OF_RANGE)


def _keep(mapping: dict[str, Any], keys: Collection[str]) -> None:
    for key in [key for key in mapping if key not in keys]:
        del mapping[key]
