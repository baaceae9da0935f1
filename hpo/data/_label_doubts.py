"""What labels could be that look like something else than names, and how to make it certain."""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence

from hpo.notes import Note

__all__ = [
    "BITS",
    "MISSING_WORDS",
    "doubt_about_bits",
    "doubt_about_blanks",
    "doubt_about_commas",
    "doubt_about_digits",
    "doubt_about_joining",
    "doubt_about_missing",
    "doubt_about_numbers",
    "doubt_about_vectors",
    "vector_length",
]

Place = Callable[[int], str]

#: How programs write 0 and 1.
BITS: dict[str, int] = {
    **dict.fromkeys(("0", "0.0", "0.", "False", "false", "FALSE"), 0),
    **dict.fromkeys(("1", "1.0", "1.", "True", "true", "TRUE"), 1),
}
#: What programs write where there is no value.
MISSING_WORDS = frozenset(
    {
        *("nan", "NaN", "NAN", "-nan", "None", "NULL", "null", "Null", "NA"),
        *("<NA>", "N/A", "n/a", "NaT", "\\N", "#N/A", "undefined", "?", "-", "--", "---"),
        *("#REF!", "#NAME?", "#VALUE!", "#DIV/0!", "#NUM!", "#NULL!"),
    }
)
#: How people write no and yes otherwise, in lower case; each row stands for one way.
_OTHER_BITS = (
    *(("-1", "1"), ("-1", "0", "1"), ("no", "yes"), ("n", "y"), ("f", "t"), ("-1.0", "1.0")),
    *(("-1.0", "0.0", "1.0"), ("-", "+"), ("-", "x"), ("false", "true")),
)
_FRACTION = re.compile(r"[-+]?\d*[.,]\d*[1-9]\d*(?:[eE][-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?")
#: What people write between two labels, in lower case.
_JOINING = frozenset(("and", "or", "und", "et", "&", "+", "/", "-", "–", "->", "::", ":"))
_SURE = 3  # rows on which two words must stand together to be taken for one name


def vector_length(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the length of rows that look like vectors of zeros and ones; None if they don't.

    All rows that have anything must be equally long, with 0 and 1 only, and one at least must not
    be what ids in ascending order could be.
    """
    filled = [row for row in rows if row]
    lengths = {len(row) for row in filled}
    if len(lengths) != 1 or lengths == {1} or any(p not in BITS for row in filled for p in row):
        return None
    ascend = all(
        all(BITS[one] < BITS[other] for one, other in itertools.pairwise(row)) for row in filled
    )
    return None if ascend else lengths.pop()


def doubt_about_vectors(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> str:
    """Say that rows may be vectors or names, and how to say which.

    Args:
        cells: What stands there, for an example.
        rows: The pieces of each.
        way: How they would be read as names.
        place: Says where a row is.
        column: What the cells are called.
    """
    first = next(index for index, row in enumerate(rows) if row)
    length = len(rows[first])
    names = " and ".join(f"'{name}'" for name in sorted({p for row in rows for p in row}))
    return (
        f"{column} looks like vectors of {length} zeros and ones (such as {cells[first]}, "
        f"{place(first)}), but could also be the classes {names}. Say which: --classes A,B,C with "
        f"the {length} names of a vector, or --labels-as multi-hot for the names 0 to "
        f"{length - 1}; or --labels-as {way} for the classes {names} (from Python classes=[…], "
        f"labels_as='…')"
    )


def doubt_about_digits(cells: Sequence[str], place: Place, column: str) -> str | None:
    """Say that cells such as 011 may be vectors or names; None if there is no doubt."""
    filled = {index: cell for index, cell in enumerate(cells) if cell}
    lengths = {len(cell) for cell in filled.values()}
    if len(lengths) != 1 or lengths == {1} or any(set(c) - {"0", "1"} for c in filled.values()):
        return None
    # Without a leading zero anywhere they'd be vectors with the first class on every row.
    first = next((index for index, cell in filled.items() if cell.startswith("0")), None)
    if first is None:
        return None
    return (
        f"{column} looks like vectors of {lengths.pop()} zeros and ones without blanks (such as "
        f"{cells[first]}, {place(first)}), but could also be {len(set(filled.values()))} classes "
        "with such names. Say which: --classes A,B,C with the names of a vector, or --labels-as "
        "multi-hot for the names 0, 1, …; or --labels-as one for classes with such names (from "
        "Python classes=[…], labels_as='…')"
    )


def doubt_about_bits(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> str | None:
    """Say that rows look like vectors of yes and no that isn't written as 1 and 0.

    Such are ``1 -1 1`` and ``yes no``: equally long rows with nothing but such words. None if they
    aren't that.
    """
    lengths = {len(row) for row in rows if row}
    if len(lengths) != 1 or lengths == {1}:
        return None
    words = {piece.lower() for row in rows for piece in row}
    if not any(words <= set(way) for way in _OTHER_BITS):
        return None
    if words <= {"0", "1"} or len(words) < 2:
        return None  # vectors of 0 and 1, or one class
    names = " and ".join(f"'{word}'" for word in sorted(words))
    first = next(index for index, row in enumerate(rows) if row)
    return (
        f"{column} looks like vectors of {lengths.pop()} values, {names} (such as "
        f"{cells[first]}, {place(first)}), but a vector must have 0 and 1 alone; write "
        f"these, or say --labels-as {way} if {names} are classes (from Python labels_as='{way}')"
    )


def doubt_about_numbers(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> tuple[str | None, Note | None]:
    """Look for probabilities or scores in the place of labels.

    Returns:
        What must be said first, if rows are equally long vectors of numbers with a fraction; or
        else what should be known, if all labels are numbers and some have a fraction.
    """
    pieces = {piece for row in rows for piece in row}
    fractions = {piece for piece in pieces if _FRACTION.fullmatch(piece)}
    if not fractions or not all(map(_NUMBER.fullmatch, pieces)):
        return None, None
    first = next(index for index, row in enumerate(rows) if not fractions.isdisjoint(row))
    lengths = {len(row) for row in rows if row}
    shown = f"{cells[first]}, {place(first)}"
    if len(lengths) == 1 and lengths != {1}:
        return (
            f"{column} looks like vectors of {lengths.pop()} probabilities or scores (such as "
            f"{shown}), which are no labels; write 1 for those that count and 0 for the others, or "
            f"say --labels-as {way} if these numbers are names of classes (from Python "
            f"labels_as='{way}')"
        ), None
    return None, Note(
        f"the classes are numbers with a fraction ({shown}); if they are scores or probabilities, "
        "they are no labels"
    )


def doubt_about_missing(
    cells: Sequence[str], rows: Sequence[Sequence[str]], way: str, place: Place, column: str
) -> list[str]:
    """Say which labels may be missing values or a class of that name, and how to say which."""
    found: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        for word in MISSING_WORDS.intersection(row):
            found.setdefault(word, []).append(index)
    return [
        f"{place(places[0])}: {column} {_says(cells[places[0]], word)}{_and_more(places)}, which "
        f"may be a missing value or a class of this name. Say which: --no-label '{word}' for no "
        f"label, or --labels-as {way} for a class (from Python no_label='{word}', "
        f"labels_as='{way}')"
        for word, places in sorted(found.items())
    ]


def doubt_about_blanks(
    rows: Sequence[Sequence[str]], place: Place, column: str
) -> tuple[str | None, Note | None]:
    """Look for names that blanks may have cut in two, as in ``dark blue``.

    Two words that are never apart, one right behind the other, are one name, or two classes that
    no row tells apart. A word that never stands without another one behind it may be the first of
    a name. Numbers are ids.

    Returns:
        What must be said first; or else what should be known.
    """
    bound, inseparable = _bound(rows)
    if not bound:
        return None, None
    number, one, other = max(inseparable or bound, key=lambda found: found[0])
    first = next(i for i, row in enumerate(rows) if (one, other) in itertools.pairwise(row))
    ways = (
        "--labels-as one if each row has one name, --labels-as blanks if blanks separate them; "
        "names with blanks beside others need ';' or '|' between them"
    )
    if inseparable:
        return (
            f"'{one}' and '{other}' stand together on {number} rows of {column} and never apart "
            f"(first on {place(first)}), so '{one} {other}' may be one name or two classes. Say "
            f"which: {ways} (from Python labels_as='…')"
        ), None
    return None, Note(
        f"'{one}' never stands without '{other}' behind it ({number} rows), so '{one} {other}' may "
        f"be one name; it was read as two classes. {ways}"
    )


def doubt_about_joining(rows: Sequence[Sequence[str]]) -> Note | None:
    """Tell of words such as ``and`` and ``&`` that stand between labels alone; None of none."""
    found = {piece for row in rows for piece in row if piece.lower() in _JOINING}
    found -= {row[k] for row in rows if row for k in (0, -1)}
    if not found:
        return None
    word = min(found)
    return Note(
        f"'{word}' stands between other labels alone, so it may join them; it was read as a class. "
        "Take it out, or put ';' between all names if it belongs to one"
    )


def doubt_about_commas(rows: Sequence[Sequence[str]]) -> Note | None:
    """Tell of names that commas may have cut in two, as in ``Portrait, oil``; None of none.

    Two that are never apart, one right behind the other, may be one name.
    """
    _, inseparable = _bound(rows)
    if not inseparable:
        return None
    number, one, other = max(inseparable, key=lambda found: found[0])
    return Note(
        f"'{one}' and '{other}' stand together on {number} rows and never apart, so '{one}, "
        f"{other}' may be one name; it was read as two classes. --labels-as one if each row has "
        "one name, --labels-as commas if commas separate them (from Python labels_as='…')"
    )


def _bound(
    rows: Sequence[Sequence[str]],
) -> tuple[list[tuple[int, str, str]], list[tuple[int, str, str]]]:
    """Return pairs whose first never stands without the second, and those that are never apart."""
    counts = Counter(word for row in rows for word in set(row))
    pairs = Counter(pair for row in rows for pair in dict.fromkeys(itertools.pairwise(row)))
    bound = [
        (number, one, other)
        for (one, other), number in pairs.items()
        if number >= _SURE
        and counts[one] == number
        and one != other
        and not (_is_number(one) or _is_number(other))
    ]
    return bound, [found for found in bound if counts[found[2]] == found[0]]


def _says(cell: str, word: str) -> str:
    return f"is '{word}'" if cell == word else f"has '{word}' in '{cell}'"


def _and_more(rows: Sequence[int]) -> str:
    return f" (and on {len(rows) - 1} more rows)" if len(rows) > 1 else ""


def _is_number(word: str) -> bool:
    return word.removeprefix("-").replace(".", "", 1).isdecimal()
