"""Versions of packages, as results note them."""

from importlib import metadata

__all__ = ["package_version"]


def package_version(name: str) -> str:
    """Return the version of a package; "from source" where it runs without an installation.

    ``python -m hpo.run`` in a copy of the repository needs none.
    """
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "from source"
