"""Where a study's features and runs are, on the machine and in the folder of this process."""

import logging
from pathlib import Path

from sqlalchemy.engine import make_url

from hpo.errors import InputError
from hpo.study._definition import Definition
from hpo.trials import is_proxy

__all__ = ["DEFAULT_CACHE", "check_bundle", "find_cache"]

_log = logging.getLogger(__name__)

#: The cache of who gives none, in the working folder.
DEFAULT_CACHE = ".hpo"


def find_cache(definition: Definition, url: str, name: str, given: Path | None) -> Path:
    """Return the cache of a study, whose folder may have been moved, renamed or copied.

    A cache that is given is taken. Without one it is that of this working folder, or of the
    database file's, if it has the study's features and is called as the one that the study was made
    with; then where that was. What is chosen among has the features' hash in its name.

    Args:
        definition: The study's.
        url: The storage URL.
        name: The study's name, for a line that says that another one is used.
        given: What the user gave.
    """
    if given is not None:
        return given.absolute()
    made = Path(definition.cache)
    folders = [Path.cwd()]
    if not is_proxy(url) and make_url(url).get_backend_name() == "sqlite":
        folders.append(Path(make_url(url).database or "").absolute().parent)
    near = [folder / called for called in (made.name, DEFAULT_CACHE) for folder in folders]
    tried = [*near, made] if made.name == DEFAULT_CACHE else [made, *near]
    for cache in tried:
        if (cache / "bundles" / definition.bundle_key).is_dir():
            if cache != made:
                _log.warning(
                    "The study '%s' was made with the cache %s; this is %s.", name, made, cache
                )
            return cache
    return made


def check_bundle(definition: Definition) -> None:
    """Check that the features of a study are there.

    Raises:
        InputError: They aren't.
    """
    if not definition.bundle.is_dir():
        raise InputError(
            f"The study's features are not at {definition.bundle}; give the folder that holds them "
            "on this machine with --cache (cache= of load_study)."
        )
