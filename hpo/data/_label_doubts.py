"""What labels could be that look like something else than names, and how to make it certain."""

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from hpo.notes import Note

__all__ = [
    "BITS",
    "MISSING_WORDS",
    "doubt_about_blanks",
    "doubt_about_digits",
    "doubt_about_missing",
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
        *("nan", "NaN", "NAN", "-nan", "None", "NULL", "null", "Null", "NA", "<NA>", "N/A", "n/a"),
        *("NaT", "\\N", "#N/A", "undefined"),
    }
)
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


def doubt_about_missing(cells: Sequence[str], way: str, place: Place, column: str) -> list[str]:
    """Say which cells may be missing values or a class of that name, and how to say which."""
    found: dict[str, list[int]] = {}
    for index, cell in enumerate(cells):
        if cell in MISSING_WORDS:
            found.setdefault(cell, []).append(index)
    return [
        f"{place(rows[0])}: {column} is '{word}'{_and_more(rows)}, which may be a missing value or "
        f"a class of this name. Say which: --no-label '{word}' for no label, or --labels-as {way} "
        f"for a class (from Python no_label='{word}', labels_as='{way}')"
        for word, rows in found.items()
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
    counts = Counter(word for row in rows for word in set(row))
    pairs = Counter(pair for row in rows for pair in set(itertools.pairwise(row)))
    bound = [
        (number, one, other)
        for (one, other), number in pairs.items()
        if number >= _SURE
        and counts[one] == number
        and one != other
        and not (_is_number(one) or _is_number(other))
    ]
    if not bound:
        return None, None
    inseparable = [found for found in bound if counts[found[2]] == found[0]]
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


def _and_more(rows: Sequence[int]) -> str:
    return f" (and on {len(rows) - 1} more rows)" if len(rows) > 1 else ""


def _is_number(word: str) -> bool:
    return word.removeprefix("-").replace(".", "", 1).isdecimal()
