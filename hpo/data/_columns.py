"""Which columns of a table are what: by what was said, and else by names that are unmistakable."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hpo.data._problems import Problems
from hpo.errors import InputError, did_you_mean

__all__ = [
    "ALL_OTHERS",
    "KINDS",
    "ROW_KINDS",
    "Columns",
    "as_list",
    "find_columns",
    "listed",
    "parse_columns",
]

# In lower case. Names further down count only where none of those before is there.
_GUESSES: dict[str, tuple[tuple[str, ...], ...]] = {
    "image": (
        (
            *("imageid", "image_id", "image", "image_path", "imagepath"),
            *("file", "filename", "file_name", "filepath", "file_path"),
        ),
        (
            *("images", "img", "img_path", "image_file", "image_name", "picture", "photo", "path"),
            "fname",
        ),
        ("url", "image_url", "img_url"),
    ),
    "caption": (("caption", "text"), ("captions", "sentence", "sentences", "description")),
    "labels": (
        ("labels", "label", "tags"),
        ("classes", "class", "categories", "category", "genres", "genre", "targets"),
    ),
    "split": (("split",), ("subset", "partition")),
    "id": (("id", "image_id", "img_id", "key", "uid"),),
}
KINDS = tuple(_GUESSES)
ROW_KINDS = ("image", "caption", "id")
"""What rows to predict have as well."""
# The names of a data folder's own tables, where other columns never mattered.
_OWN = {"image": "ImageID", "caption": "Caption", "labels": "Labels", "split": "Split"}
_SEVERAL = ("caption", "labels")
_NUMBERED = re.compile(r"(caption|text|sentence)s?[ _-]?\d+")
ALL_OTHERS = "*"


@dataclass(frozen=True)
class Columns:
    """The columns of a table that are used; None where there is none of a kind.

    Attributes:
        image: The path of a row's image, or the image itself; it names the row as well.
        caption: The caption, or a tuple of columns with a caption each.
        labels: The labels, or a tuple of columns of zeros and ones, one a class.
        split: The part that a labelled row belongs to.
        id: What a row is called, where that isn't what the image column says.
    """

    image: Any = None
    caption: Any = None
    labels: Any = None
    split: Any = None
    id: Any = None

    @property
    def name(self) -> Any:
        """The column that names the rows; None where their numbers do."""
        return self.image if self.id is None else self.id


def parse_columns(text: str) -> dict[str, Any]:
    """Read ``image=path,caption=text,labels=cat,dog,split=part``.

    A name without a kind is one more column of the kind before it.

    Raises:
        InputError: It isn't written like that; all that is wrong is listed.
    """
    problems = []
    found: dict[str, list[str]] = {}
    kind = ""
    for entry in text.split(","):
        before, sign, name = entry.partition("=")
        if sign:
            kind = before.strip()
            if kind not in KINDS:
                problems.append(
                    f"--columns: there is no kind '{kind}'{did_you_mean(kind, KINDS)}; the kinds "
                    f"are {', '.join(KINDS)}"
                )
        elif not kind:
            problems.append(
                f"--columns is '{text}', but must be such as image=path,caption=text,labels=tags"
            )
            break
        name = (name if sign else entry).strip()
        if not name:
            problems.append(f"--columns: no column is named for '{kind}'")
        found.setdefault(kind, []).append(name)
    problems += [
        f"--columns: {kind} has {len(names)} columns, but must have one"
        for kind, names in found.items()
        if len(names) > 1 and kind in KINDS and kind not in _SEVERAL
    ]
    if problems:
        raise InputError(problems)
    return {kind: names[0] if len(names) == 1 else names for kind, names in found.items()}


def find_columns(
    names: Sequence[Any],
    given: Mapping[str, Any],
    table: str,
    problems: Problems,
    *,
    kinds: Sequence[str] = KINDS,
    own: bool = False,
    ask: Callable[[str, Any], str] = lambda kind, name: f"columns={{'{kind}': {name!r}}}",
) -> Columns:
    """Say which columns are what.

    Args:
        names: The columns of the table.
        given: What was said: for each kind a column, or several; ``labels`` may be ``*``, which is
            all columns that are nothing else.
        table: What the table is called.
        problems: Takes what is wrong: columns that aren't there, or of which several may be meant.
        kinds: Which kinds to look for.
        own: Whether it is a table of a data folder: the names that those always had go before
            others, and a column such as ``id`` names the rows.
        ask: How to say which column is of a kind.
    """
    problems.add(
        f"columns has the key '{kind}'{did_you_mean(kind, list(KINDS))}, but must have only "
        f"{', '.join(KINDS)}"
        for kind in given
        if kind not in KINDS
    )
    known = {kind: _named(given[kind], names) for kind in kinds if given.get(kind) is not None}
    asked = [name for value in known.values() for name in as_list(value)]
    problems.add(
        f"{table} has no column '{name}'{did_you_mean(name, names)}; its columns are "
        f"{listed(names)}"
        for name in dict.fromkeys(asked)
        if name not in names and name != ALL_OTHERS
    )
    problems.add(
        f"{table} has the column '{name}' {names.count(name)} times; rename one"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    )
    twice = [name for name in dict.fromkeys(asked) if asked.count(name) > 1]
    problems.add(f"{table}: the column '{name}' is given for two things" for name in twice)
    found = {
        kind: tuple(value) if isinstance(value, list | tuple) else value
        for kind, value in known.items()
    }
    for kind in ("image", "caption", "labels", "split"):
        if kind in given or kind not in kinds:
            continue
        if own and _OWN[kind] in names and _OWN[kind] not in asked:
            found[kind] = _OWN[kind]
            continue
        matching = _matching(kind, names, asked)
        if own and kind == "image":
            matching = _without_names(matching)
        if len(matching) > 1:
            problems.add(
                f"{table} has the columns {listed(matching)}, each of which may hold the {kind}; "
                f"say which does with {ask(kind, matching[0])}"
            )
        elif matching:
            found[kind] = matching[0]
        elif kind == "caption" and (several := _numbered(names, asked)):
            found[kind] = several
    if own and "id" not in given and found.get("image") != _OWN["image"]:
        used = [name for value in found.values() for name in as_list(value)]
        matching = _matching("id", names, used)
        if len(matching) == 1:
            found["id"] = matching[0]
    return Columns(**found)


def near_misses(used: Columns, unused: Iterable[Any]) -> dict[str, Any]:
    """Return columns that are nothing, but whose names are nearly those of a kind not found.

    Args:
        used: The columns that were found.
        unused: The others.
    """
    found = {}
    for kind in ("image", "caption", "labels", "split"):
        known = [name for names in _GUESSES[kind] for name in names]
        for name in unused if getattr(used, kind) is None else ():
            if get_close_matches(str(name).strip().lower(), known, n=1, cutoff=0.8):
                found[kind] = name
    return found


def as_list(value: Any) -> list[Any]:
    """Return one column, or several, as a list."""
    return list(value) if isinstance(value, list | tuple) else [value]


def listed(names: Iterable[Any]) -> str:
    """Return names in quotes, for messages; of many the first ones."""
    every = list(names)
    shown = ", ".join(f"'{name}'" for name in every[:30])
    return shown + (f" and {len(every) - 30} more" if len(every) > 30 else "")


def _named(value: Any, names: Sequence[Any]) -> Any:
    """Return the columns that were meant, whatever the case, if that leaves one."""
    if isinstance(value, list | tuple):
        return [_named(one, names) for one in value]
    if value in names or not isinstance(value, str):
        return value
    near = [name for name in names if str(name).lower() == value.lower()]
    return near[0] if len(near) == 1 else value


def _matching(kind: str, names: Sequence[Any], asked: Sequence[Any]) -> list[Any]:
    """Return the columns whose names are guessed for a kind, the surest ones alone."""
    for guesses in _GUESSES[kind]:
        found = [n for n in names if str(n).strip().lower() in guesses and n not in asked]
        if found:
            return found
    return []


def _numbered(names: Sequence[Any], asked: Sequence[Any]) -> tuple[Any, ...]:
    """Return columns of captions that only a number tells apart: ``caption_1``, ``caption_2``."""
    found = {n: m[1] for n in names if (m := _NUMBERED.fullmatch(str(n).strip().lower()))}
    alike = len(found) > 1 and len(set(found.values())) == 1
    return tuple(found) if alike and not set(found) & set(asked) else ()


def _without_names(matching: list[Any]) -> list[Any]:
    """Leave out what names a row where another column has its image."""
    ids = _GUESSES["id"][0]
    paths = [name for name in matching if str(name).strip().lower() not in ids]
    return paths or matching
