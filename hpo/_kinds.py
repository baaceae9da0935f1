"""Arguments that are of another kind than they must be."""

from hpo.errors import InputError

__all__ = ["check_kinds"]


def check_kinds(**given: tuple[object, tuple[type, ...], str]) -> None:
    """Refuse arguments of other kinds than they must be; all problems are listed.

    Args:
        given: By name the value, what it may be, and that in words.

    Raises:
        InputError: Some are.
    """
    problems = [
        f"{name} is {_shown(value)}, but must be {rule}."
        for name, (value, kinds, rule) in given.items()
        if not isinstance(value, kinds)
    ]
    if problems:
        raise InputError(problems)


def _shown(value: object) -> str:
    """Return a value for a message, or what it is where it may be long."""
    plain = isinstance(value, str | int | float | list | tuple | None)
    return repr(value) if plain else f"a {type(value).__name__}"
