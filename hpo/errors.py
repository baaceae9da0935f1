"""Errors that a user can mend: each names the thing, the value received and the rule."""

import datetime
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

__all__ = ["DivergedError", "InputError", "did_you_mean", "shown"]

#: Letters from which on a beginning is taken for the one name that has it.
_LEAST_BEGINNING = 3


class InputError(ValueError):
    """Input that breaks one or more rules; all problems found are listed together.

    Args:
        problems: One message or several; each names the thing, the value and the rule.
        title: A line put above the list, such as the file that was read.

    Attributes:
        status: The exit status of a command that it ends.
    """

    status = 2

    def __init__(self, problems: str | Sequence[str], title: str | None = None) -> None:
        found = [problems] if isinstance(problems, str) else problems
        self.problems = list(dict.fromkeys(found))  # two parts may meet with the same one
        self.title = title
        lines = self.problems
        if title is not None:
            lines = [title, *(f"  {problem}" for problem in self.problems)]
        super().__init__("\n".join(lines))


class DivergedError(RuntimeError):
    """A training run came to a loss that is no number, where its model was needed."""


def did_you_mean(word: object, choices: Sequence[object]) -> str:
    """Return `` (did you mean 'x'?)`` for the choice nearest to ``word``, or an empty string."""
    written = str(word).casefold()
    known = {str(choice).casefold(): str(choice) for choice in choices}
    begun = [choice for choice in known if choice.startswith(written)]
    whole = begun if len(begun) == 1 and len(written) >= _LEAST_BEGINNING else []
    near = whole or get_close_matches(written, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{known[near[0]]}'?)" if near else ""


def shown(value: object) -> str:
    """Return a value for a message, as YAML has it: null, true, and dates as they are written."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, datetime.date):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {shown(one)}' for key, one in value.items())}}}"
    return repr(value)
