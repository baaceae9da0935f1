"""Sources of embeddings as a command is asked for them: one, or several with names."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from hpo.errors import InputError
from hpo.features._choice import source_name_fault

__all__ = ["asked_sources", "named_values"]


def named_values(given: Sequence[str], flag: str, example: str) -> str | dict[str, str] | None:
    """Read what an option was given, once or several times: ``VALUE`` or ``NAME=VALUE``.

    Args:
        given: The values as they stand there.
        flag: The option, for messages.
        example: What a value with a name looks like.

    Returns:
        None without a value; a value that stands alone and has no name; or values by name, where
        one without a name is its own name.

    Raises:
        InputError: A name can't be one, or stands twice.
    """
    pairs = [_name_and_value(text) for text in given]
    if not pairs:
        return None
    if len(pairs) == 1 and not pairs[0][0]:
        return pairs[0][1]
    problems = []
    named: dict[str, str] = {}
    for name, value in ((name or value, value) for name, value in pairs):
        fault = source_name_fault(name)
        if fault:
            problems.append(f"{flag} {value}: {fault}; give it one, as in {flag} {example}")
        elif name in named:
            problems.append(f"{flag}: the name '{name}' stands twice, but must be of one source")
        named[name] = value
    if problems:
        raise InputError(problems)
    return named


def asked_sources(
    features: Sequence[str], encoders: Sequence[str]
) -> tuple[Path | Mapping[str, Path] | None, str | Mapping[str, str] | None]:
    """Return folders of embeddings and encoders as ``DataOptions`` takes them.

    Args:
        features: What ``--features`` was given, once or several times.
        encoders: Likewise ``--encoder``.

    Raises:
        InputError: Several folders have no names, or a name can't be one; all of it is listed.
    """
    problems: list[str] = []
    found: list[str | dict[str, str] | None] = []
    for flag, given, example in (
        ("--features", features, "NAME=DIR"),
        ("--encoder", encoders, "NAME=ENCODER"),
    ):
        try:
            found.append(named_values(given, flag, example))
        except InputError as error:
            found.append(None)
            problems += error.problems
    folders, named = found
    if isinstance(folders, dict):
        problems += [
            f"--features {folder}: has no name to choose it by; give it one, as in "
            f"--features NAME={folder}"
            for name, folder in map(_name_and_value, features)
            if not name
        ]
        if isinstance(named, str):
            named = {named: named}  # it is one of several then
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    if isinstance(folders, dict):
        return {name: Path(folder) for name, folder in folders.items()}, named
    return None if folders is None else Path(folders), named


def _name_and_value(text: str) -> tuple[str, str]:
    """Split ``NAME=VALUE``; a value alone has an empty name."""
    name, sign, value = text.partition("=")
    # A folder may have such a name; a path isn't one of these names.
    bare = Path(text).exists() or not sign or not name or "/" in name
    return ("", text) if bare else (name, value)
