"""Labels as Label Studio writes them: a text, or an object with several ``choices``."""

from collections.abc import Sequence
from typing import Any

from hpo.json_files import parse_json

__all__ = ["with_choices"]

_KEY = "choices"


def with_choices(cells: Sequence[Any]) -> Sequence[Any]:
    """Return label cells with lists in place of ``{"choices": ["cat", "dog"]}``.

    Beside these a text is one label, whatever separators are in it; without them nothing changes.

    Args:
        cells: Of the labels column; such objects may also be text, as in a CSV file.
    """
    chosen = [_choices(cell) for cell in cells]
    if all(one is None for one in chosen):
        return cells
    return [_as_list(cell) if one is None else one for one, cell in zip(chosen, cells, strict=True)]


def _as_list(cell: Any) -> Any:
    """Return one label that is text as a list, and an empty text as a missing value."""
    if not isinstance(cell, str):
        return cell
    return [cell] if cell.strip() else None


def _choices(cell: Any) -> list[Any] | None:
    """Return the choices of a cell; None if it has no such object."""
    if isinstance(cell, str) and cell.startswith("{") and _KEY in cell:
        try:
            cell = parse_json(cell)
        except ValueError:
            return None
    if isinstance(cell, dict) and set(cell) == {_KEY} and isinstance(cell[_KEY], list):
        return list(cell[_KEY])
    return None
