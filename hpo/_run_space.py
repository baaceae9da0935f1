"""What a run's options say of its search space: its file, and the embeddings that it can read."""

from pathlib import Path
from typing import TYPE_CHECKING

from hpo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from hpo.features import DataOptions
    from hpo.search import Space

__all__ = ["fusion_names", "read_by", "space_file"]


def space_file(study: str, storage: str, wait: float | None = None) -> Path:
    """Return the file of the space that has the study's name.

    Args:
        study: The study.
        storage: Its storage.
        wait: Seconds for which a storage that is away is waited for; None for the default.

    Raises:
        InputError: There is none; studies of the storage are named that may have been meant.
    """
    from hpo.search import find_space
    from hpo.study import study_names

    try:
        return find_space(study)
    except InputError as error:
        names = study_names(storage, wait)
        if study in names:
            hint = f"The study '{study}' is there: give the file of its space."
        elif near := did_you_mean(study, names):
            hint = f"There are studies in the storage{near}."
        else:
            raise
        raise InputError(f"{error} {hint}") from None


def fusion_names(options: "DataOptions") -> tuple[str, ...]:
    """Return the names that a fusion may have: those of the embeddings, or those of an encoder."""
    from hpo.data import kinds_there
    from hpo.features import DEMO_DATA, ENCODED, modality_names, union

    there: tuple[str, ...] = ("images", "captions")
    if options.features is None and options.data != DEMO_DATA:
        there = kinds_there(options.folder, options.reading)
    encoded = tuple(name for name, one in ENCODED.items() if one.reads in there)
    if options.are_named:
        return union(options.sources())
    assert options.features is None or isinstance(options.features, Path)  # it has no name
    return encoded if options.features is None else modality_names(options.features) or encoded


def read_by(space: "Space") -> tuple[str, ...] | None:
    """Return the modalities that a study can read, if it can't read all of them."""
    from hpo.features import ENCODED

    fusions = {space.fixed.fusion, *space.search.values_of("fusion")}
    return tuple(sorted(map(str, fusions))) if fusions <= set(ENCODED) else None
