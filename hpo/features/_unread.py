"""What an embeddings folder has that isn't read, which is said."""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from hpo.features._clip_retrieval import SHARD_FOLDERS, shard_folders
from hpo.features._formats import SUFFIXES
from hpo.features._found import Place
from hpo.features._modalities import ENCODED, ENDINGS
from hpo.features._order import Ordered
from hpo.notes import Note

__all__ = ["pieces_advice", "unread_faults", "unread_notes"]

_NAMED = 5
_PIECE = re.compile(r"(.+?)[_-]?(\d+)")
# Formats that arrays or names are kept in by other programs.
_PICKLES = (".pkl", ".pickle", ".joblib")
_OTHERS = frozenset(
    (*_PICKLES, ".h5", ".hdf5", ".feather", ".arrow", ".mat", ".faiss", ".index", ".bin", ".dat")
)
_PACKED = frozenset((".gz", ".xz", ".bz2", ".zst", ".zip", ".tar"))
_TEXTS = frozenset((".csv", ".tsv", ".txt", ".json", ".jsonl"))
_SAYS_ARRAYS = frozenset(("embedding", "embeddings", "feature", "features", "vectors"))


def unread_faults(folder: Path, there: Collection[str]) -> list[str]:
    """Say which files are called as ``image`` and ``text`` are, where nothing else has these."""
    return [
        f"{path.name} is called as {name} embeddings are, but isn't read: {_read_are()}; save it "
        f"as {name}.npy, or move it away"
        for path in _shown(folder)
        if (name := _stem(path)) in ENCODED and name not in there
        if path.suffix.lower() in _OTHERS | _PACKED and path.is_file()
    ]


def pieces_advice(lengths: Mapping[str, int], rows: int) -> list[str]:
    """Say what to do with arrays such as ``image_0`` and ``image_1`` that have all rows together.

    Args:
        lengths: Of each array, by the name of its modality.
        rows: How many rows there are.
    """
    pieces: dict[str, dict[int, str]] = {}
    for name in lengths:
        if match := _PIECE.fullmatch(name):
            pieces.setdefault(match[1], {})[int(match[2])] = name
    advice = []
    for base, numbered in pieces.items():
        ordered = [numbered[number] for number in sorted(numbered)]
        if len(ordered) > 1 and sum(lengths[name] for name in ordered) == rows:
            advice.append(
                f"{ordered[0]} to {ordered[-1]} have {rows:,} rows together; if they are pieces of "
                f"one array, put them into {base}.npy in their order (np.concatenate)"
            )
    return advice


def unread_notes(
    folder: Path,
    files: Mapping[str, Mapping[str, Place]],
    ordered: Iterable[Ordered],
    *,
    names: Collection[str],
    has_test: bool,
) -> list[Note]:
    """Say what is passed over of a folder whose embeddings were taken.

    Args:
        folder: The folder.
        files: All arrays in its files.
        ordered: What was taken, by which the used names of rows are known.
        names: The modalities that were taken.
        has_test: Whether there are rows to predict.
    """
    notes = [
        Note(f"{place.path.name} isn't read, as there are no rows to predict", doubtful=False)
        for name in names
        for part, place in files.get(name, {}).items()
        if part == "test" and not has_test and place.key is None
    ]
    notes += [
        Note(
            f"{place.relative_to(folder)}/ isn't read, as {files[name]['train'].path.name} is there"
        )
        for name in SHARD_FOLDERS
        if name in names and "train" in files.get(name, {})
        for place in shard_folders(folder, name)
    ]
    used = ", ".join(one.by for one in ordered)
    unread = [path for path in _shown(folder) if _may_be_meant(path, names, used)]
    if unread:
        one = len(unread) == 1
        text = f"{_listed(unread)} {'is' if one else 'are'} not read: {_read_are()}"
        notes.append(Note(text, doubtful=any(_stem(path) not in names for path in unread)))
    return notes


def _may_be_meant(path: Path, names: Collection[str], used: str) -> bool:
    """Say whether what isn't read looks as if it was to be."""
    suffix, stem = path.suffix.lower(), _stem(path)
    if path.is_dir():
        kinds = {inner.suffix.lower() for inner in _shown(path)}
        return stem in ENCODED and stem not in names and bool(kinds & {*SUFFIXES, *_OTHERS})
    if suffix in _TEXTS:
        is_array = stem in _SAYS_ARRAYS or (stem in ENCODED and stem not in names)
        return is_array and path.name not in used
    return suffix in _OTHERS


def _shown(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if not path.name.startswith("."))


def _stem(path: Path) -> str:
    return path.name.lower().partition(".")[0].removesuffix(ENDINGS["test"])


def _read_are() -> str:
    return f"only {', '.join(SUFFIXES)} in the folder itself are"


def _listed(paths: list[Path]) -> str:
    named = ", ".join(path.name + "/" * path.is_dir() for path in paths[:_NAMED])
    return named + (f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else "")
