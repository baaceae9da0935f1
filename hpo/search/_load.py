"""Reading a search-space file: everything that is wrong is found before any work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from hpo.errors import InputError
from hpo.models import Config
from hpo.search._checks import (
    Problem,
    check_component,
    check_config_value,
    explain,
    locate,
)
from hpo.search._space import Space

__all__ = ["load_space", "parse_setting"]


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` of ``--set``; the value is YAML.

    Raises:
        InputError: There is no ``=``, or the value is no YAML.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise InputError(f"--set {text}: must be key=value, such as dropout=0.6.")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise InputError(f"--set {text}: the value is not YAML: {error}") from None


def load_space(
    path: Path,
    settings: Sequence[tuple[str, Any, str]] = (),
    defaults: Sequence[tuple[str, Any, str]] = (),
) -> Space:
    """Read and check a search space.

    Args:
        path: A YAML file.
        defaults: Settings that a data folder suggests, applied before ``settings``. One of the
            split is left out if the file asks for another kind of split.
        settings: Overrides as (key, value, where it comes from). A key is the name of a
            configuration field (``dropout``), which means its fixed value, or a path in the file
            (``split.val_rows``).

    Raises:
        InputError: One or more problems, each with file, line, and the nearest right word.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"The search space {path} can't be read: {error.strerror}.") from None
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    if node is None or not isinstance(raw, dict):
        raise InputError(f"{path}: a search space must be a mapping with name and search.")
    lines, problems = locate(node)
    origins: dict[tuple[str | int, ...], str] = {}
    suggested = [item for item in defaults if _fits(raw, item[0])]
    for key, value, origin in (*suggested, *settings):
        field = key in Config.model_fields
        place = ("fixed", key) if field else tuple(key.split("."))
        _put(raw, place, value)
        for length in range(1, len(place) + 1):
            if length == len(place) or place[:length] not in lines:
                origins[place[:length]] = f"{origin} {key}={value}"
    problems += _check_fields(raw)
    # The schema checks the same values again; what was said of a place already is not repeated.
    said = {problem.place for problem in problems}
    problems += [
        problem
        for problem in explain(Space, raw)
        if not any(problem.place[: len(place)] == place for place in said)
    ]
    if problems:
        raise InputError([problem.at(path, lines, origins) for problem in problems])
    return Space.from_json(raw)


def _check_fields(raw: Mapping[str, Any]) -> list[Problem]:
    """Check names and values of configuration fields wherever they stand, and components."""
    problems: list[Problem] = []

    def mapping(value: Any) -> Mapping[str, Any]:
        return value if isinstance(value, dict) else {}

    def fields(place: tuple[str | int, ...], values: Any, *, many: bool) -> None:
        for field, value in mapping(values).items():
            if field not in Config.model_fields:
                problems.extend(check_config_value((*place, field), field, value))
                continue
            items = value if many else [value]
            if many and not isinstance(value, list):
                problems.append(Problem((*place, field), f"{field} must be a list of values"))
                continue
            for index, item in enumerate(items):
                where = (*place, field, index) if many else (*place, field)
                problems.extend(check_config_value(where, field, item))

    fields(("fixed",), raw.get("fixed"), many=False)
    search = mapping(raw.get("search"))
    for kind in ("sampler", "pruner"):
        problems.extend(check_component(("search", kind), kind, search.get(kind)))
    if search.get("kind") == "greedy" and isinstance(search.get("stages"), list):
        for index, stage in enumerate(search["stages"]):
            place = ("search", "stages", index)
            fields((*place, "fixed"), mapping(stage).get("fixed"), many=False)
            fields((*place, "params"), mapping(stage).get("params"), many=True)
    if search.get("kind") == "optuna":
        for field, domain in mapping(search.get("params")).items():
            domain_place = ("search", "params", field)
            for key in ("low", "high"):
                if key in mapping(domain):
                    problems.extend(check_config_value((*domain_place, key), field, domain[key]))
            choices = mapping(domain).get("choices")
            if isinstance(choices, list):
                for index, item in enumerate(choices):
                    problems.extend(
                        check_config_value((*domain_place, "choices", index), field, item)
                    )
            elif field not in Config.model_fields:
                problems.extend(check_config_value(domain_place, field, None))
    return problems


def _fits(raw: Mapping[str, Any], key: str) -> bool:
    """Tell whether a suggested setting has a meaning in the file."""
    split = raw.get("split")
    return not (key.startswith("split.") and isinstance(split, dict)) or (
        key.removeprefix("split.") in split
    )


def _put(raw: dict[str, Any], place: Sequence[str], value: Any) -> None:
    for key in place[:-1]:
        inner = raw.get(key)
        if not isinstance(inner, dict):
            # what the file leaves out has a default, of which a setting changes a part
            whole = Space.model_fields.get(key)
            default = whole.get_default() if whole is not None else None
            inner = raw[key] = default.model_dump() if isinstance(default, BaseModel) else {}
        raw = inner
    raw[place[-1]] = value
