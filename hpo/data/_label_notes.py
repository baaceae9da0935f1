"""The classes that were found, for people: how many rows have each, and what looks wrong."""

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from hpo.notes import Note

__all__ = ["class_line", "class_notes"]

_SHOWN = 10  # classes with their counts; of more, the most and the least frequent
_EXAMPLES = 3
_WHOLE = re.compile(r"0*(\d+?)(?:\.0*)?")  # 1, 01 and 1.0
_FORMULA = re.compile(r"[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?[\d.,]+")
# What may separate labels, and stands in names as well.
_JOINTS = ("/", "+", "&", "，", "、", "；", "｜", "<br>")
#: What names that are made of others may have between them.
_BETWEEN = tuple(
    map(re.compile, (r"\s+", r"\s*(?:[^\w\s]|_)+\s*", r"\s+(?:and|or)\s+", r"\s*(?:,|;)\s*"))
)
#: Names that stand for no label now and then, without case, blanks, '_' and '-'.
_NO_LABEL = frozenset(("none", "nil", "nolabel", "nolabels", "unlabeled", "unlabelled", "missing"))
#: A name with a score behind it, as in cat:0.9.
_SCORED = re.compile(r".*[^\d\s.,].*?[:=(\s]\s*\d*[.,]\d+\)?")
#: A name as Python prints it, or in quotes.
_PRINTED = re.compile(
    r"[bBuU]?([\"']).*\1|(?:np|numpy)\.\w+\(.*\)|(?:tensor|ClassLabel)\(.*\)?", re.DOTALL
)
_AS_FLOAT = re.compile(r"\d+\.0")
_JOINT = re.compile(r"(?<=[^\W\d_])[\s_-]+(?=\w)|(?<=\w)[\s_-]+(?=[^\W\d_])")


def class_line(classes: Sequence[str], labels: np.ndarray) -> str:
    """Return the classes with their rows, for one line.

    Args:
        classes: The K class names.
        labels: uint8 [N, K].
    """
    counts = labels.sum(axis=0, dtype=np.int64)
    if len(classes) <= _SHOWN:
        return ", ".join(f"{name} {int(n):,}" for name, n in zip(classes, counts, strict=True))
    order = np.argsort(-counts, kind="stable").tolist()
    head, tail = order[: _SHOWN // 2], order[-_SHOWN // 2 :]
    most, least = (
        ", ".join(f"{classes[k]} {int(counts[k]):,}" for k in part) for part in (head, tail)
    )
    return f"{most}, … {least}"


def class_notes(classes: Sequence[str], labels: np.ndarray) -> list[Note]:
    """Say what looks wrong with the classes.

    Args:
        classes: The K class names.
        labels: uint8 [N, K], 1 where the row has the class.
    """
    rows = len(labels)
    if not rows or not len(classes):
        return []
    notes = []
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_without_case(name), []).append(name)
    groups = [names for names in alike.values() if len(names) > 1]
    if groups:
        shown = "; ".join(", ".join(f"'{n}'" for n in names) for names in groups[:_EXAMPLES])
        more = f" and {len(groups) - _EXAMPLES} more groups" if len(groups) > _EXAMPLES else ""
        notes.append(
            Note(
                f"classes differ only by case, blanks, '_', '-' or zeros: {shown}{more}; each is a "
                "class of its own. Write them alike if they are one"
            )
        )
    known = set(classes)
    joints = {mark: joined for mark in _JOINTS if (joined := _joined_by(mark, classes))}
    told = {name for joined in joints.values() for name in joined}
    made = {
        name: words
        for name in classes
        if name not in told and (words := _names_that_are_classes(name, known))
    }
    if made:
        name, words = next(iter(made.items()))
        also = f" (and {len(made) - 1} such classes more)" if len(made) > 1 else ""
        notes.append(
            Note(
                f"the class '{name}'{also} is made of the classes {words}; if it is no name, see "
                "whether one separator stands on all rows (--labels-as, from Python labels_as='…')"
            )
        )
    for mark, joined in joints.items():
        also = f" (and {len(joined) - 1} such classes more)" if len(joined) > 1 else ""
        notes.append(
            Note(
                f"the class '{joined[0]}'{also} has parts that other classes have as well; if "
                f"'{mark}' separates labels, put ';' in its place"
            )
        )
    none = [name for name in classes if _without_case(name) in _NO_LABEL]
    if none:
        notes.append(
            Note(
                f"the class '{none[0]}' may stand for no label; --no-label '{none[0]}' reads it so "
                f"(from Python no_label='{none[0]}')"
            )
        )
    if len(classes) > 1 and all(_SCORED.fullmatch(name) for name in classes):
        notes.append(
            Note(
                f"the classes end in a number with a fraction ('{classes[0]}', …); if that is a "
                "score, it belongs to no name; write the names alone, of those that count"
            )
        )
    printed = [name for name in classes if _PRINTED.fullmatch(name)]
    if printed:
        also = f" (and {len(printed) - 1} more)" if len(printed) > 1 else ""
        notes.append(
            Note(
                f"the class {printed[0]}{also} is called as Python prints a value, quotes and all; "
                "write the bare name if it isn't meant so"
            )
        )
    if all(_AS_FLOAT.fullmatch(name) for name in classes):
        notes.append(
            Note(
                f"the classes are whole numbers with '.0' ('{classes[0]}', …), as pandas writes "
                "them beside missing values; each is called so"
            )
        )
    if len(classes) > rows:
        notes.append(
            Note(
                f"there are more classes ({len(classes):,}) than rows ({rows:,}); if these are no "
                "labels, or have another separator, say so (--labels-as, from Python labels_as='…')"
            )
        )
    counts = labels.sum(axis=0, dtype=np.int64)
    if _is_of_digits(classes):
        notes.append(
            Note(
                f"the classes have only the digits 0 and 1 ({', '.join(classes[:_EXAMPLES])}, …); "
                "if they were vectors whose leading zeros are lost, write them with blanks between "
                "the digits and give --classes"
            )
        )
    every = [classes[k] for k in np.flatnonzero(counts == rows).tolist()]
    also = f" (and {len(every) - 1} more)" if len(every) > 1 else ""
    if every and rows > 1:
        notes.append(
            Note(
                f"the class '{every[0]}'{also} is on every row, so there is nothing to learn of it"
            )
        )
    run = [name for name in classes if _FORMULA.match(name) and not _NUMBER.fullmatch(name)]
    if run:
        also = f" (and {len(run) - 1} more)" if len(run) > 1 else ""
        notes.append(
            Note(
                f"the class '{run[0]}'{also} begins with =, +, - or @, so a spreadsheet takes it "
                "for a formula and runs it; open predictions.csv and tables.csv there as text",
                doubtful=False,
            )
        )
    without = int((~labels.any(axis=1)).sum())
    if without:
        notes.append(Note(f"{without:,} of {rows:,} rows have no label", doubtful=False))
    return notes


def _names_that_are_classes(name: str, classes: Collection[str]) -> str:
    """Return the parts of a name, if there are several and all are classes; else an empty text."""
    if _NUMBER.fullmatch(name):
        return ""
    for between in _BETWEEN:
        parts = between.split(name)
        if len(parts) > 1 and all(part in classes for part in parts):
            return " and ".join(f"'{part}'" for part in dict.fromkeys(parts))
    return ""


def _joined_by(mark: str, classes: Sequence[str]) -> list[str]:
    """Return the classes with a mark in them all of whose parts other classes have, too."""
    parts = {name: name.split(mark) for name in classes if mark in name.strip(mark)}
    counts = Counter(part for name in classes for part in parts.get(name, [name]))
    return [name for name, of in parts.items() if all(part and counts[part] > 1 for part in of)]


def _without_case(name: str) -> str:
    """Return what is left of a name without what people write differently by accident."""
    text = "".join(
        c for c in unicodedata.normalize("NFKC", name).casefold() if unicodedata.category(c) != "Cf"
    )
    number = _WHOLE.fullmatch(text.strip())
    return number[1] if number else _JOINT.sub("", text.strip())


def _is_of_digits(classes: Sequence[str]) -> bool:
    """Say whether names look like numbers that vectors of zeros and ones became."""
    return (
        len(classes) > 2
        and all(not set(name) - {"0", "1"} for name in classes)
        and (max(map(len, classes)) > 2)
    )
