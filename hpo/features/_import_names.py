"""Which modalities an embeddings folder or a mapping of arrays has, and which of them to take."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from hpo.errors import InputError
from hpo.features._clip_retrieval import SHARD_FOLDERS, shard_folders
from hpo.features._formats import SUFFIXES
from hpo.features._found import array_files
from hpo.features._modalities import chosen, in_order, name_fault
from hpo.features._unread import unread_faults

__all__ = [
    "as_argument",
    "as_flag",
    "folder_title",
    "modality_names",
    "named",
    "names_in",
    "no_folder",
    "nothing_there",
]

_NAMED = 10


def modality_names(folder: Path) -> tuple[str, ...]:
    """List the modalities of an embeddings folder, without reading an array.

    They are the names of its files ``NAME.npy``, and what ``clip-retrieval inference`` left there.
    The order is that of all lists of modalities: image, text, then others by name.

    Raises:
        InputError: There is no such folder, or a file's name can't be that of a modality.
    """
    problems: list[str] = []
    names = names_in(folder, None, problems)
    if problems:
        raise InputError(problems, folder_title(folder))
    files = array_files(folder, [])
    return tuple(name for name in names if name not in files or "train" in files[name])


def as_flag(names: Sequence[str]) -> str:
    """Say how the command line takes only these modalities."""
    return f"--modalities {','.join(names)}"


def as_argument(names: Sequence[str]) -> str:
    """Say how Python takes only these modalities."""
    return f"modalities={list(names)}"


def folder_title(folder: Path) -> str:
    """Return the line above the problems of an embeddings folder."""
    return f"The embeddings folder '{folder}' can't be used:"


def names_in(folder: Path, wanted: Sequence[str] | None, problems: list[str]) -> tuple[str, ...]:
    """Return the modalities of a folder that are ``wanted``, None for all, in order.

    What is wrong with the folder or a name is added to ``problems``.
    """
    if not folder.is_dir():
        problems.append(no_folder(folder))
        return ()
    faults: list[str] = []
    files = array_files(folder, faults)
    if wanted is None:
        problems += faults
    there = dict.fromkeys(files)
    # Output folders of clip-retrieval that lie below are read where nothing lies in the folder.
    below = not any(name in files for name in SHARD_FOLDERS)
    there |= {name: None for name in SHARD_FOLDERS if shard_folders(folder, name, below=below)}
    if there and wanted is None:
        problems += unread_faults(folder, there)
    if not there:
        problems += [] if problems else (faults or [nothing_there(folder)])
        return ()

    def called(name: str) -> str:
        place = next(iter(files[name].values())) if name in files else None
        if place is None or not place.key:
            return f"{name}.npy"
        return f"{place.path.name} ({place.key})"

    return named(there, wanted, called, as_flag, problems)


def no_folder(folder: Path) -> str:
    """Say that embeddings aren't in a folder of this name."""
    if folder.is_file():
        return f"it is a file; give the folder that it is in: {folder.parent}"
    return "there is no such folder"


def nothing_there(folder: Path) -> str:
    """Say what a folder without embeddings lacks, and what it has instead."""
    plain = " nor ".join(f"{name}.npy" for name in SHARD_FOLDERS)
    shards = " or ".join(f"{place}/" for place in SHARD_FOLDERS.values())
    others = [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    listed = ", ".join(others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
    only = f"only {', '.join(SUFFIXES)} in the folder itself are read"
    below = next((path for path in sorted(folder.glob("*/*")) if path.suffix in SUFFIXES), None)
    if below is not None:
        only += f"; there is {below.relative_to(folder)}, so perhaps {below.parent} is meant"
    has = f"; there are {listed}, but {only}" if others else ""
    return f"there is neither {plain}, nor {shards}{has}"


def named(
    there: Collection[str],
    wanted: Sequence[str] | None,
    called: Callable[[str], str],
    advice: Callable[[Sequence[str]], str],
    problems: list[str],
) -> tuple[str, ...]:
    """Return the modalities to take, in order.

    Args:
        there: All names that were found.
        wanted: Which to take; None for all, which then must all be names of modalities.
        called: Returns what a modality is called in messages.
        advice: Says how to take only some modalities.
        problems: Takes what is wrong.
    """
    faults = {name: fault for name in there if (fault := name_fault(name))}
    good = in_order(name for name in there if name not in faults)
    if wanted is None:
        leave = f" or leave it out: {advice(good)}" if good else ""
        listed = [f"{called(name)}: {fault}; rename it{leave}" for name, fault in faults.items()]
        problems += listed if len(listed) <= _NAMED else listed[:1]
        if len(listed) > _NAMED:
            problems.append(
                f"{len(listed) - 1:,} more names are like that; if these are one row each, save "
                "all of a modality as one array [rows, width], such as image.npy, with the names "
                "in ids.txt, one a line"
            )
    return chosen(wanted, good, problems)
