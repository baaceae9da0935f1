"""Search spaces by name: those in the working folder, and those that come with the package."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import InputError, did_you_mean
from hpo.features import ENCODED, Sources
from hpo.library._checks import check_kinds
from hpo.search import Space
from hpo.search import load_space as read_space

__all__ = ["find_space", "space_of"]


def find_space(name: str) -> Path:
    """Return the file of a search space.

    Args:
        name: Looked for as ``search_spaces/NAME.yaml``, first in the working folder.

    Raises:
        InputError: There is no such file; the nearest name is suggested.
    """
    for folder in _folders():
        path = folder / f"{name}.yaml"
        if path.is_file():
            return path
    known = sorted({path.stem for folder in _folders() for path in folder.glob("*.yaml")})
    raise InputError(
        f"There is no search space '{name}'{did_you_mean(name, known)}: "
        f"search_spaces/{name}.yaml is neither here nor among those that come with hpo "
        f"({', '.join(known)}). Give the file of one with --space FILE, or from Python its path."
    )


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
    source = source.model_dump(mode="json") if isinstance(source, Space) else _content(source)
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
    return read_space(_content(space), given)


def _content(source: str | Path | Mapping[str, Any]) -> Path | Mapping[str, Any]:
    """Return the file of a space that is named, or else what was given."""
    if isinstance(source, str):
        is_file = source.endswith((".yaml", ".yml"))
        return Path(source) if is_file else find_space(source)
    return source


def _folders() -> list[Path]:
    """Return where spaces are: the working folder, and the package, in which a build puts them."""
    package = Path(__file__).parents[1]
    built = package / "search_spaces"
    sources = package.parent / "search_spaces"  # where the package is used as it lies in git
    return [Path("search_spaces"), built if built.is_dir() else sources]
