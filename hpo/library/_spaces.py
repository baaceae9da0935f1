"""Search spaces as users give them, at their scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo._kinds import check_kinds
from hpo.features import ENCODED, Sources
from hpo.search import Space
from hpo.search import load_space as read_space

__all__ = ["load_space", "space_of"]


def space_of(
    source: str | Path | Mapping[str, Any] | Space,
    settings: Sequence[tuple[str, Any, str]] = (),
    defaults: Sequence[tuple[str, Any, str]] = (),
    modalities: Sequence[str] = tuple(ENCODED),
    sources: Sources | None = None,
) -> Space:
    """Return a search space, checked and at its scale.

    Args:
        source: The name of a space, the path of a YAML file, what such a file holds, or a space.
        settings: Overrides; see ``hpo.search.load_space``.
        defaults: What the data suggests; see ``hpo.search.load_space``.
        modalities: Those that the features have.
        sources: The modalities of each source of embeddings that an encoder may name; None for any.

    Raises:
        InputError: There is no such space, or it is wrong; all problems are listed.
    """
    if isinstance(source, Space):
        source = source.model_dump(mode="json")
    return read_space(source, settings, defaults, modalities, sources).scaled()


def load_space(
    space: str | Path | Mapping[str, Any], *, settings: Mapping[str, Any] | None = None
) -> Space:
    """Read and check a search space, as ``create_study`` does, without any data.

    Args:
        space: The name of a space, the path of a YAML file, or what such a file holds.
        settings: Values that override it, such as ``{"dropout": 0.6}``.

    Raises:
        InputError: There is no such space, or it is wrong; all problems are listed.
    """
    check_kinds(
        space=(
            space,
            (str, Path, Mapping),
            "the name of a space, the path of a YAML file or a dictionary",
        ),
        settings=(settings, (Mapping, type(None)), "a dictionary, such as {'dropout': 0.6}"),
    )
    given = [(str(key), value, "settings") for key, value in (settings or {}).items()]
    return read_space(space, given)
