"""The files with single rows that stand in a report's folder, and whether they are as written.

They are written once, when the winner is judged; every later report reads them. ``metrics.json``
has their SHA-256.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

from hpo.files import file_sha256
from hpo.report._errors import ERROR_FILES, THUMBNAILS
from hpo.report._reliability import RELIABILITY_FILE

__all__ = ["ROW_FILES", "changed_files", "row_file_sums"]

ROW_FILES = (*ERROR_FILES, RELIABILITY_FILE)
_log = logging.getLogger(__name__)


def row_file_sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of the files in a report's folder, by their names in it."""
    paths = [folder / name for name in ROW_FILES]
    paths += sorted((folder / THUMBNAILS).glob("*.jpg"))
    return {p.relative_to(folder).as_posix(): file_sha256(p) for p in paths if p.is_file()}


def changed_files(folder: Path, sums: Mapping[str, str]) -> set[str]:
    """Return the names of files that are there but not as they were written, and warn of them.

    Args:
        folder: Of a report.
        sums: What ``row_file_sums`` returned of it; earlier versions kept none.
    """
    found = row_file_sums(folder)
    changed = {name for name, right in sums.items() if found.get(name, right) != right}
    for name in sorted(changed):
        _log.warning(
            "%s isn't what was written, so the report leaves it out. Without it and metrics.json, "
            "hpo run writes both anew.",
            folder / name,
        )
    return changed
