"""Errors of a search-space file: where they are, what the rule is, which word was meant."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from hpo.errors import did_you_mean, shown
from hpo.features import Sources, check_choice
from hpo.models import (
    CHOICES,
    field_names,
    is_value_name,
    option_names,
    rule_in_words,
    typed_value,
)
from hpo.search._arguments import check_arguments
from hpo.search._problem import Problem
from hpo.search._registry import PRUNERS, SAMPLERS
from hpo.search._values import Place

__all__ = [
    "check_component",
    "check_config_name",
    "check_config_value",
    "explain",
    "locate",
    "models_in",
]

#: What a mapping may be, behind the rule that it must be one.
_EXAMPLES = {
    "Range": ", {choices: […]} or {low: …, high: …}",
    "Component": ", such as {name: …}",
    "Thresholds": ", such as {metrics: [micro_f1]}",
    "Ensemble": ", such as {members: 5}",
    "Budget": ", such as {time_limit: 10m}",
}


def locate(node: yaml.Node) -> dict[Place, int]:
    """Return the line of each place in a YAML document."""
    lines: dict[Place, int] = {}

    def walk(node: yaml.Node, place: Place, line: int) -> None:
        lines[place] = line
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                walk(value, (*place, key.value), key.start_mark.line + 1)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                walk(value, (*place, index), value.start_mark.line + 1)

    walk(node, (), node.start_mark.line + 1)
    return lines


def check_config_name(place: Place, field: str) -> list[Problem]:
    """Check that there is such a configuration field, or parameter of a choice."""
    if is_value_name(field):
        return []
    known = [*field_names(), *(option_names() if "." in str(field) else ())]
    hint = did_you_mean(field, known)
    return [Problem(place, f"unknown parameter '{field}'{hint}; allowed: {', '.join(known)}")]


def check_config_value(
    place: Place, field: str, value: Any, modalities: Sequence[str], sources: Sources
) -> list[Problem]:
    """Check one value of a configuration field.

    A fusion may be the name of a modality. An encoder must be among the sources where those are
    known.
    """
    known = [*modalities, *CHOICES["fusion"]]
    if field == "fusion" and isinstance(value, str) and value not in known:
        near = next((name for name in modalities if name.startswith(f"{value}_")), None)
        hint = did_you_mean(value, known) if near is None else f"; if '{near}' is it, rename that"
        rule = f"must be one of: {', '.join(known)}{hint}"
        return [Problem(place, f"{field} is {value!r}, but {rule}")]
    try:
        typed = typed_value(field, value)
    except ValidationError as error:
        first = error.errors()[0]
        return [Problem(place, f"{field} is {shown(value)}, but {_rule(first, value)}")]
    chooses = field == "encoder" and typed is not None and bool(sources)
    fault = check_choice(typed, sources) if chooses else ""
    return [Problem(place, f"{field} is {value!r}, but {fault}")] if fault else []


def check_component(place: Place, kind: str, value: Any) -> list[Problem]:
    """Check name and arguments of a sampler or pruner; other shapes are left to the schema."""
    if isinstance(value, str):
        value = {"name": value}
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return []
    registry: Mapping[str, Any] = SAMPLERS if kind == "sampler" else PRUNERS
    name = value["name"]
    if name not in registry:
        allowed = ", ".join(registry)
        hint = did_you_mean(name, list(registry))
        return [Problem((*place, "name"), f"unknown {kind} '{name}'{hint}; allowed: {allowed}")]
    taken = {"self", "seed", "wrapped_pruner"}
    parameters = inspect.signature(registry[name]).parameters
    known = [parameter for parameter in parameters if parameter not in taken]
    if "wrapped_pruner" in parameters:
        known.append("wrapped")
    problems = [
        Problem(
            (*place, key),
            f"unknown argument '{key}' of {name}{did_you_mean(key, known)}; "
            f"allowed: {', '.join(known)}",
        )
        for key in value
        if key not in ("name", *known)
    ]
    if "wrapped" in value:
        problems += check_component((*place, "wrapped"), kind, value["wrapped"])
    return problems or check_arguments(place, registry[name], value)


def explain(model: type[BaseModel], raw: Mapping[str, Any]) -> list[Problem]:
    """Validate ``raw`` and return the problems in words."""
    try:
        model.model_validate(raw)
    except ValidationError as error:
        errors = error.errors()
        places = [details["loc"] for details in errors]
        return [
            Problem(place, _message(model, details, place))
            for details in errors
            for place in [_place(raw, _location(details))]
            # A list is too short when nothing is left of it but what has faults itself.
            if details["type"] != "too_short" or not _is_inside(details["loc"], places)
        ]
    return []


def _is_inside(place: Place, places: Sequence[Place]) -> bool:
    """Tell whether one of the places is inside of a place."""
    return any(other != place and other[: len(place)] == place for other in places)


def _location(details: Any) -> Place:
    """Return pydantic's location; a wrong tag of a union stands at its ``kind``."""
    loc = tuple(details["loc"])
    if details["type"] == "union_tag_invalid":
        return (*loc, "kind")
    # What isn't even a mapping has the tag of the domain that it was taken for.
    return loc[:-1] if details.get("ctx", {}).get("class_name") in ("Range", "Choices") else loc


def _place(raw: Any, loc: Place) -> Place:
    """Drop the tags of unions that pydantic puts into a location, which the file doesn't have."""
    place: list[str | int] = []
    for index, part in enumerate(loc):
        inside = (
            part in raw if isinstance(raw, dict) else isinstance(raw, list) and part != len(raw)
        )
        if inside and isinstance(part, int) != isinstance(raw, dict):
            raw = raw[part]
        elif index < len(loc) - 1:
            continue
        place.append(part)
    return tuple(place)


def _message(model: type[BaseModel], details: Any, place: Place) -> str:
    loc, name = details["loc"], place[-1] if place else ""
    if details["type"] == "invalid_key":
        return f"the key {shown(details['input'])} must be a name"
    if isinstance(name, int):
        name = f"{place[-2]}.{name}"
    if details["type"] == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        return f"unknown key '{name}'{did_you_mean(name, known)}; allowed: {', '.join(known)}"
    if details["type"] == "union_tag_not_found":
        return f"'kind' is missing in {name}"
    if details["type"] == "missing":
        return f"'{name}' is missing"
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    if details["type"] == "union_tag_invalid":
        expected = [tag.strip(" '") for tag in details["ctx"]["expected_tags"].split(",")]
        tag = details["input"]["kind"]
        return (
            f"kind is {shown(tag)}, but must be one of: {', '.join(expected)}"
            f"{did_you_mean(tag, expected)}"
        )
    return f"{name} is {shown(details['input'])}, but {_rule(details, details['input'])}"


def _rule(details: Any, value: Any) -> str:
    if details["type"] == "literal_error":
        expected = details["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", ")
        return f"must be one of: {', '.join(expected)}{did_you_mean(value, expected)}"
    example = _EXAMPLES.get(details.get("ctx", {}).get("class_name", ""), "")
    return rule_in_words(details) + example


def _keys_at(model: type[BaseModel], loc: Place) -> list[str]:
    """Return the keys that are allowed at ``loc``, which has the tags of unions in it."""
    models = [model]
    for part in loc:
        tagged = [one for one in models if part in _tags_of(one)] if len(models) > 1 else []
        owners = [owner for owner in models if part in owner.model_fields]
        if tagged:
            models = tagged
        elif owners:
            models = models_in(owners[0].model_fields[str(part)].annotation)
    shorthands = [key for member in models for key in getattr(member, "shorthands", ())]
    return [key for member in models for key in member.model_fields] + shorthands


def _tags_of(model: type[BaseModel]) -> tuple[Any, ...]:
    kind = model.model_fields.get("kind")
    return (model.__name__.lower(), *(get_args(kind.annotation) if kind else ()))


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in models_in(inner)]
