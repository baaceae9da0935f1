"""Errors that a user can mend: each names the thing, the value received and the rule."""

from collections.abc import Sequence
from difflib import get_close_matches

__all__ = ["DivergedError", "InputError", "did_you_mean"]


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
    near = get_close_matches(str(word), [str(choice) for choice in choices], n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""
