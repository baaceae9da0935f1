"""What was done to data, or taken on trust, that its owner should know of."""

from collections.abc import Iterable
from dataclasses import dataclass

from hpo.errors import InputError

__all__ = ["Note", "refuse_doubts"]


@dataclass(frozen=True)
class Note:
    """One line about data that was read, with a count where there is something to count.

    Attributes:
        text: What was done or taken on trust, and how to make it certain.
        doubtful: Whether ``--strict`` refuses it: data was paired, converted, cut or left out, or
            looks as if something else was meant.
    """

    text: str
    doubtful: bool = True

    def __str__(self) -> str:
        return self.text


def refuse_doubts(notes: Iterable[Note]) -> None:
    """Raise an error that lists what is doubtful, which is how ``--strict`` reads data.

    Raises:
        InputError: Something is.
    """
    doubts = [note.text for note in notes if note.doubtful]
    if doubts:
        raise InputError(doubts, "The data is not read without doubt, as --strict asks:")
