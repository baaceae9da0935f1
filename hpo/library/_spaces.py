"""Search spaces as users give them, at their scale."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.features import ENCODED, Sources
from hpo.search import Space, load_space

__all__ = ["space_of"]


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
        settings: Overrides; see ``load_space``.
        defaults: What the data suggests; see ``load_space``.
        modalities: Those that the features have.
        sources: The modalities of each source of embeddings that an encoder may name; None for any.

    Raises:
        InputError: There is no such space, or it is wrong; all problems are listed.
    """
    if isinstance(source, Space):
        source = source.model_dump(mode="json")
    return load_space(source, settings, defaults, modalities, sources).scaled()
