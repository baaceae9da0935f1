"""Search spaces by name: those in the working folder, and those that come with the package."""

from pathlib import Path

from hpo.errors import InputError, did_you_mean

__all__ = ["find_space", "space_path"]


def space_path(source: str) -> Path:
    """Return the file that a text means: a path, or the name of a space.

    Raises:
        InputError: See ``find_space``.
    """
    is_file = source.endswith((".yaml", ".yml")) or Path(source).is_file()
    return Path(source) if is_file else find_space(source)


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


def _folders() -> list[Path]:
    """Return where spaces are: the working folder, and the package, in which a build puts them."""
    package = Path(__file__).parents[1]
    built = package / "search_spaces"
    sources = package.parent / "search_spaces"  # where the package is used as it lies in git
    return [Path("search_spaces"), built if built.is_dir() else sources]
