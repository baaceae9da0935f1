"""Reading a search-space file: everything that is wrong is found before any work."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import InputError, did_you_mean, shown
from hpo.features import ENCODED, Sources
from hpo.models import is_number
from hpo.search._checks import (
    check_component,
    check_config_name,
    check_config_value,
    explain,
    locate,
)
from hpo.search._named import space_path
from hpo.search._problem import Problem
from hpo.search._settings import fits_split, leave_out_other_kinds, place_of, put_setting, spelled
from hpo.search._space import SEARCHES, Space
from hpo.search._values import Given, Place
from hpo.yaml_files import parse_yaml, read_yaml

__all__ = ["load_space", "parse_candidate", "parse_setting"]


def parse_setting(text: str) -> tuple[str, Any]:
    """Split ``key=value`` of ``--set``; the value is YAML.

    Raises:
        InputError: There is no ``=``, or the value is no YAML.
    """
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise InputError(f"--set {text}: must be key=value, such as dropout=0.6.")
    try:
        return key.strip(), parse_yaml(value)[1]
    except ValueError as error:
        raise InputError(f"--set {text}: the value is not YAML: {error}") from None


def parse_candidate(text: str) -> dict[str, Any]:
    """Return the values of ``--add name=value,name=value``; each value is YAML.

    Raises:
        InputError: A part has no ``=`` or its value is no YAML, or a name stands twice.
    """
    values: dict[str, Any] = {}
    for part in _parts(text):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        if not sign or not name or name in values:
            raise InputError(
                f"--add {text}: must be name=value,name=value with each name once, such as "
                "lr=0.002,dropout=0.6."
            )
        try:
            values[name] = parse_yaml(value)[1]
        except ValueError as error:
            raise InputError(f"--add {text}: the value of {name} is not YAML: {error}") from None
    return values


def _parts(text: str) -> list[str]:
    """Split a text at the commas that are in no list and no mapping."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[{") - (letter in "]}")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def load_space(
    source: Path | str | Mapping[str, Any],
    settings: Sequence[tuple[str, Any, str]] = (),
    defaults: Sequence[tuple[str, Any, str]] = (),
    modalities: Sequence[str] = tuple(ENCODED),
    sources: Sources | None = None,
) -> Space:
    """Read and check a search space.

    Args:
        source: A YAML file, its path as text, the name of a space, or what a file would hold.
        defaults: Settings that a data folder suggests, applied before ``settings``. One of the
            split is left out if another kind of split is asked for.
        settings: Overrides as (key, value, where it comes from). A key is the name of a
            configuration field (``dropout``), which means its fixed value, or a path in the file
            (``split.val_rows``).
        modalities: The names that a fusion may have beside the registered ones.
        sources: The modalities of each source of embeddings that an encoder may name; None for any.

    Raises:
        InputError: One or more problems, each with file, line, and the nearest right word.
    """
    if isinstance(source, Path | str):
        raw, lines = _read(source if isinstance(source, Path) else space_path(source))
    else:
        raw, lines = copy.deepcopy(dict(source)), {}
    origins: dict[Place, str] = {}
    problems: list[Problem] = []
    split_keys = leave_out_other_kinds(raw, [item[:2] for item in (*defaults, *settings)])
    suggested = [item for item in defaults if fits_split(item[0], split_keys)]
    for key, value, origin in (*suggested, *settings):
        place = place_of(key)
        fault = put_setting(raw, place, value)
        problems += [] if fault is None else [fault]
        for length in range(1, len(place) + 1):
            if length == len(place) or place[:length] not in lines:
                origins[place[:length]] = f"{origin} {spelled(key, value)}"
    problems += _check_fields(raw, modalities, sources or {})
    # The schema checks the same values again; what was said of a place already is not repeated.
    said = [problem.place for problem in problems]
    problems += [
        problem
        for problem in _explain_space(raw)
        if not any(_covers(place, problem.place) for place in said)
    ]
    if problems:
        name = source if isinstance(source, Path | str) else "The search space"
        raise InputError([problem.at(name, lines, origins) for problem in problems])
    return Space.model_validate(raw)


def _read(path: Path) -> tuple[dict[str, Any], dict[Place, int]]:
    """Return what a file holds, and the line of each place in it."""
    node, raw = read_yaml(path)
    if node is None or not isinstance(raw, dict):
        raise InputError(f"{path}: a search space must be a mapping with name and search.")
    return raw, locate(node)


def _check_fields(
    raw: Mapping[str, Any], modalities: Sequence[str], sources: Sources
) -> list[Problem]:
    """Check names and values of configuration fields wherever they stand, and components."""
    fixed = _mapping(raw.get("fixed"))
    given = [Given(("fixed", field), field, value, False) for field, value in fixed.items()]
    search = _mapping(raw.get("search"))
    kind = search.get("kind")
    if isinstance(kind, str) and kind in SEARCHES:
        parts = SEARCHES[kind][0].given(search)
        given += [part._replace(place=("search", *part.place)) for part in parts]
    problems = [
        problem
        for part in ("sampler", "pruner")
        for problem in check_component(("search", part), part, search.get(part))
    ]
    for place, field, value, many in given:
        faults = check_config_name(place, field)
        if not faults and many and not isinstance(value, list | tuple):
            faults = [Problem(place, f"{field} is {shown(value)}, but must be a list of values")]
        if not faults and place[-1] in ("low", "high") and not is_number(field):
            faults = [Problem(place, f"{field} is no number, so it has choices and no {place[-1]}")]
        if not faults:
            items = enumerate(value) if many else [(None, value)]
            for index, item in items:
                where = place if index is None else (*place, index)
                faults += check_config_value(where, field, item, modalities, sources)
        problems += [fault for fault in faults if fault not in problems]
    return problems


def _explain_space(raw: Mapping[str, Any]) -> list[Problem]:
    """Return what the schema has to say; of the search, what that of its kind has to say."""
    search = raw.get("search")
    problems = explain(Space, raw)
    if not isinstance(search, dict):
        return problems
    problems = [problem for problem in problems if problem.place[:1] != ("search",)]
    kind = search.get("kind")
    if "kind" not in search:
        return [*problems, Problem(("search",), "'kind' is missing in search")]
    if not isinstance(kind, str) or kind not in SEARCHES:
        known = list(SEARCHES)
        rule = f"must be one of: {', '.join(known)}{did_you_mean(kind, known)}"
        shown = f"'{kind}'" if isinstance(kind, str) else repr(kind)
        return [*problems, Problem(("search", "kind"), f"kind is {shown}, but {rule}")]
    return problems + [
        Problem(("search", *problem.place), problem.message)
        for problem in explain(SEARCHES[kind][0], search)
    ]


def _covers(said: Place, place: Place) -> bool:
    """Tell whether what was said of one place is all that the schema has to say of another."""
    above = place[-1:] in (("params",), ("fixed",)) and said[: len(place)] == place
    return above or place[: len(said)] == said


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
