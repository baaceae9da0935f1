"""Folders that are either whole or not there: built beside their place, synced, then renamed."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from hpo.files import sweep, sync, temporary_beside

__all__ = ["build_folder", "discard_folder"]


@contextlib.contextmanager
def build_folder(target: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes ``target`` when the block ends without an error.

    Meant for folders named by their content: if another process finishes the same one first, its
    folder stays and ours is dropped. A damaged ``target`` must be moved away before, see
    ``discard_folder``.

    Raises:
        OSError: The disk is full or the folder can't be written; ``target`` is untouched.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    sweep(target.parent)
    temporary = temporary_beside(target)
    temporary.mkdir()
    try:
        yield temporary
        for path in (*temporary.iterdir(), temporary):
            sync(path)
        try:
            temporary.rename(target)
        except OSError:
            # A folder can't be renamed onto one that holds files; any other failure is an error.
            if not target.is_dir():
                raise
        sync(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def discard_folder(target: Path) -> None:
    """Remove a folder in one step, so that nobody meets a half of it; missing is fine.

    Processes that have its files mapped keep them until they let go.
    """
    if not target.exists():
        return
    grave = temporary_beside(target)
    grave.mkdir()
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        target.rename(grave / target.name)
    shutil.rmtree(grave, ignore_errors=True)
