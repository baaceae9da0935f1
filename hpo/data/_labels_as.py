"""How a column of labels is written, where the owner of the data says it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpo.errors import InputError, did_you_mean
from hpo.files import regular
from hpo.json_files import parse_json

__all__ = ["SEPARATORS", "WAYS", "LabelsAs", "check_classes", "classes_argument"]

#: Ways to separate labels, and the mark of each; None for blanks.
SEPARATORS: dict[str, str | None] = {
    "blanks": None,
    "commas": ",",
    "semicolons": ";",
    "bars": "|",
}
_COUNTED = re.compile(r"(\d+)[\s:,]+\D")  # 0 cat, in the file of a detector
_LISTS = (".txt", ".csv", ".tsv", ".json", ".names", ".yaml", ".list")  # files of class names
#: All ways to write labels that can be asked for, and what a cell is then.
WAYS: dict[str, str] = {
    "auto": "what can be read without doubt",
    "one": "one name, which may have blanks in it",
    **{name: f"names separated by {name}" for name in SEPARATORS},
    "list": "a list in JSON's or Python's spelling",
    "multi-hot": "a vector of zeros and ones, one for each class",
}


@dataclass(frozen=True)
class LabelsAs:
    """How labels are to be read.

    Attributes:
        way: One of ``WAYS``. With any but ``auto`` and ``multi-hot`` each piece is a class as it
            is written, whatever it looks like.
        classes: All class names, in the order that they get; None takes those that occur.
        no_label: What a cell says that has no label, such as ``nan``; an empty one never has any.
    """

    way: str = "auto"
    classes: tuple[str, ...] | None = None
    no_label: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        way: str | None,
        classes: Sequence[Any] | None,
        no_label: str | Sequence[str] | None,
    ) -> "LabelsAs":
        """Return the wishes of a user, checked.

        Args:
            way: One of ``WAYS``; None for ``auto``.
            classes: The class names; None for those that occur.
            no_label: One word or several; None for none.

        Raises:
            InputError: There is no such way, or a class name is empty or there twice.
        """
        problems = []
        if way is not None and way not in WAYS:
            problems.append(
                f"labels are to be read as '{way}'{did_you_mean(way, list(WAYS))}, but must be one "
                f"of: {', '.join(WAYS)}"
            )
        names = None if classes is None else tuple(str(name) for name in classes)
        if names is not None:
            problems += check_classes(names)
            if not names:
                problems.append("the list of classes is empty, but must have one at least")
        if problems:
            raise InputError(problems)
        several = isinstance(no_label, list | tuple | set | frozenset)
        words = () if no_label is None else tuple(no_label) if several else (no_label,)
        return cls(way or "auto", names, tuple(str(word).strip() for word in words))


def check_classes(classes: Sequence[str]) -> list[str]:
    """Say which class names are empty or there twice."""
    problems = []
    for name in dict.fromkeys(classes):
        if not str(name).strip():
            problems.append("a class has an empty name")
        elif (times := list(classes).count(name)) > 1:
            problems.append(f"the class '{name}' is there {times} times")
    return problems


def classes_argument(text: str) -> tuple[str, ...]:
    """Return the class names of ``--classes``: a file with one a line or a list, or ``A,B,C``.

    Raises:
        InputError: The file can't be read, or has more than names.
    """
    path = Path(text)
    if not path.is_file():
        if path.suffix.lower() in _LISTS and "," not in text:
            raise InputError(f"--classes {text}: there is no such file")
        return tuple(name.strip() for name in text.split(","))
    try:
        content = regular(path).read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--classes {text}: the file can't be read: {error}") from None
    lines = [line.strip() for line in content.splitlines() if line.strip()]
    if content.startswith(("[", "{")):
        lines = _listed(content)
    elif len(lines) == 1 and "," in lines[0]:
        lines = [name.strip() for name in lines[0].split(",")]
    numbers = [found[1] if (found := _COUNTED.match(line)) else "" for line in lines]
    counted = numbers == [str(number) for number in range(len(lines))]
    if not lines or counted or lines[0].startswith(("- ", '"', "'")):
        there = f"but begins with '{content[:40].splitlines()[0]}'" if content else "but is empty"
        raise InputError(
            f"--classes {text}: the file must have one name a line, as rows have it, or a list of "
            f"them in JSON, {there}"
        )
    return tuple(lines)


def _listed(content: str) -> list[str]:
    """Return the names of a list in JSON; none if it is no list of texts."""
    try:
        names = parse_json(content)
    except ValueError:
        return []
    texts = isinstance(names, list) and all(isinstance(name, str) for name in names)
    return names if texts else []
