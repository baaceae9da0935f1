"""Lists of labels in a text: JSON's, Python's and numpy's spelling.

Nothing is evaluated. What is read is a bracket of any kind with texts in quotes and numbers in it,
separated by commas, or by blanks as numpy prints arrays, perhaps inside of a call that such a
text has in Python, as in ``array([0, 2])``, ``{np.int64(0)}`` or ``set()``.
"""

import ast
import re
import warnings
from typing import Any

from hpo.json_files import parse_json

__all__ = ["looks_like_list", "parse_list"]

_CALLS = (
    *("array", "list", "tuple", "set", "frozenset", "Index", "tensor", "deque"),
    *("dict_keys", "dict_values"),
)
_LOOKS = re.compile(rf"\s*(?:[\[({{]|(?:(?:np|numpy)\.)?(?:{'|'.join(_CALLS)})\()")
_CLOSES = {"[": "]", "(": ")", "{": "}"}
_TOKEN = re.compile(
    r"""\s*(?:
        (?P<text>[uU]?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"))
      | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z_][\w.]*)
      | (?P<mark>\.\.\.|[\[\](){},:=])
      | (?P<other>\S)
    )""",
    re.VERBOSE | re.DOTALL,
)
_CONSTANTS: dict[str, Any] = {
    **{"None": None, "null": None, "nan": None, "NaN": None},
    **{"True": True, "true": True, "False": False, "false": False},
}
_SCALAR = re.compile(r"(?:(?:np|numpy)\.)?(?:u?int\d*|float\d*|str_|bool_?|object_)")


def looks_like_list(text: str) -> bool:
    """Say whether a text begins and ends as a list does."""
    return _LOOKS.match(text) is not None and text.rstrip()[-1:] in ("]", ")", "}")


def parse_list(text: str) -> list[Any]:
    """Return the items of a list: texts, numbers, booleans, and None for a missing value.

    Raises:
        ValueError: It is no list of these; the message says why, as the end of a sentence.
    """
    try:
        found = parse_json(text)
    except ValueError:
        found = _Reader(text).read()
    if isinstance(found, dict):
        raise ValueError("has keys and values, so it is no list")
    if any(isinstance(item, list | dict) for item in found):
        raise ValueError("has a list in it, but must have labels alone")
    return list(found)


def _text(token: str) -> Any:
    """Return what a text in quotes stands for.

    Raises:
        ValueError: It is none of Python's, as one with a line break or with half an escape.
    """
    try:
        with warnings.catch_warnings():  # of escapes that stand for themselves, as in '\\s'
            warnings.simplefilter("ignore")
            return ast.literal_eval(token)
    except (SyntaxError, ValueError):
        raise ValueError(f"has {token!r} in it, which is no text of Python") from None


class _Reader:
    """Reads what Python or numpy printed, token by token."""

    def __init__(self, text: str) -> None:
        self._tokens = [(m.lastgroup or "", m[m.lastgroup or 0]) for m in _TOKEN.finditer(text)]
        self._next = 0

    def read(self) -> list[Any]:
        """Return the items of the whole text."""
        found = self._value()
        if self._next < len(self._tokens) or not isinstance(found, list):
            raise ValueError("is no list from its beginning to its end")
        return found

    def _peek(self) -> str:
        return self._tokens[self._next][1] if self._next < len(self._tokens) else ""

    def _value(self) -> Any:
        kind, token = self._tokens[self._next]
        self._next += 1
        if kind == "text":
            return _text(token)
        if kind == "number":
            return int(token) if token.lstrip("+-").isdigit() else float(token)
        if token in _CLOSES:
            return self._items(_CLOSES[token])
        if kind == "word" and self._peek() == "(":
            return self._call(token)
        if token in _CONSTANTS:
            return _CONSTANTS[token]
        if token == "...":
            raise ValueError("was cut by '...' as it was printed, so that labels are missing")
        if kind == "word":
            raise ValueError(f"has {token} without quotes in it")
        raise ValueError(f"has '{token}' where a label must be")

    def _items(self, close: str) -> list[Any]:
        """Return the items before a bracket that closes."""
        items: list[Any] = []
        commas = blanks = 0
        while self._peek() != close:
            if not self._peek():
                raise ValueError(f"has no '{close}' at its end")
            items.append(self._value())
            if self._peek() == ":":
                raise ValueError("has keys and values, so it is no list")
            if self._peek() == ",":
                self._next += 1
                commas += self._peek() != close
            else:
                blanks += self._peek() != close
        self._next += 1
        if commas and blanks:
            raise ValueError("has commas between some labels and blanks between others")
        return items

    def _call(self, name: str) -> Any:
        """Return what a call as Python prints it holds: ``array([0, 2], dtype=int64)``."""
        self._next += 1
        is_list = name.rpartition(".")[2] in _CALLS
        if not is_list and not _SCALAR.fullmatch(name):
            raise ValueError(f"has {name}() in it")
        value = [] if self._peek() == ")" else self._value()
        if self._peek() == ",":  # what else is printed says nothing of the labels
            while self._peek() not in (")", ""):
                self._next += 1
        if self._peek() != ")" or isinstance(value, list) != is_list:
            raise ValueError(f"has a {name}() in it that holds no {'list' if is_list else 'label'}")
        self._next += 1
        return value
