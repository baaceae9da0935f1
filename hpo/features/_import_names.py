"""Which modalities an embeddings folder or a mapping of arrays has, and which of them to take."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from hpo.errors import InputError
from hpo.features._clip_retrieval import SHARD_FOLDERS, has_shards
from hpo.features._formats import SUFFIXES
from hpo.features._found import array_files
from hpo.features._modalities import chosen, in_order, name_fault

__all__ = [
    "as_argument",
    "as_flag",
    "folder_title",
    "modality_names",
    "named",
    "names_in",
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
        problems.append("there is no such folder")
        return ()
    faults: list[str] = []
    files = array_files(folder, faults)
    if wanted is None:
        problems += faults
    there = dict.fromkeys(files)
    if not _has_plain(files):
        there |= {name: None for name in SHARD_FOLDERS if has_shards(folder, name)}
    if not there:
        problems += [] if problems else (faults or [nothing_there(folder)])
        return ()

    def called(name: str) -> str:
        place = next(iter(files[name].values())) if name in files else None
        if place is None or not place.key:
            return f"{name}.npy"
        return f"{place.path.name} ({place.key})"

    return named(there, wanted, called, as_flag, problems)


def nothing_there(folder: Path) -> str:
    """Say what a folder without embeddings lacks, and what it has instead."""
    plain = " nor ".join(f"{name}.npy" for name in SHARD_FOLDERS)
    shards = " or ".join(f"{place}/" for place in SHARD_FOLDERS.values())
    others = [path.name for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    listed = ", ".join(others[:_NAMED]) + (", …" if len(others) > _NAMED else "")
    has = f"; there are {listed}, but only {', '.join(SUFFIXES)} are read" if others else ""
    return f"there is neither {plain}, nor {shards}{has}"


def _has_plain(files: Mapping[str, object]) -> bool:
    """Say whether what clip-retrieval can encode is in files of its own instead."""
    return any(name in files for name in SHARD_FOLDERS)


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
        problems += [f"{called(name)}: {fault}; rename it{leave}" for name, fault in faults.items()]
    return chosen(wanted, good, problems)
