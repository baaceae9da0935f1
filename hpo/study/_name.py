"""What a study may be called."""

from hpo.errors import InputError

__all__ = ["check_name"]

_LONGEST = 200


def check_name(name: str) -> None:
    """Check the name of a study that is to be made.

    Raises:
        InputError: It is empty or too long, or has characters that can't be shown or stored.
    """
    rule = ""
    if not name.strip():
        rule = "is empty"
    elif len(name) > _LONGEST:
        rule = f"has {len(name)}"
    elif not name.isprintable():
        bad = next(character for character in name if not character.isprintable())
        rule = f"has {bad!r}, which isn't one"
    if rule:
        shown = name if len(name) <= 40 else f"{name[:39]}…"
        raise InputError(
            f"The name of a study must have 1 to {_LONGEST} printable characters, but {shown!r} "
            f"{rule}."
        )
