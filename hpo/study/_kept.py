"""What a study that exists keeps where the space leaves it open."""

from pydantic import TypeAdapter, ValidationError

from hpo.data import AutoSplit, SplitSpec, StratifiedSplit, TailSplit
from hpo.errors import InputError
from hpo.queue import StoreAwayError, StudyRow, first_patience, open_ledger
from hpo.study._look import study_names

__all__ = ["kept_split"]

#: What spaces asked for that leave the split to the data now.
_FORMER = (
    TailSplit(kind="tail", val_rows=5000),
    StratifiedSplit(kind="stratified", val_fraction=0.2),
)


def kept_split(url: str, name: str, spec: SplitSpec, wait: float | None = None) -> SplitSpec:
    """Return the split that a study goes on with, if it was made when another one was the default.

    Args:
        url: The storage, which needn't exist.
        name: The study, which needn't either.
        spec: What the space asks for.
        wait: See ``StoredStudy.create``.

    Raises:
        StoreAwayError: The store can't be reached in this time.
    """
    if not isinstance(spec, AutoSplit) or not spec.is_plain:
        return spec

    def find() -> StudyRow | None:
        ledger = open_ledger(url)
        try:
            return ledger.study(name)
        finally:
            ledger.close()

    try:
        if name not in study_names(url, wait):
            return spec
        row = first_patience(wait)(find)
    except StoreAwayError:
        raise
    except InputError:
        return spec  # what is wrong is said where the study is opened
    if row is None:
        return spec
    try:
        split = row.definition["space"]["split"]
        stored: SplitSpec = TypeAdapter(SplitSpec).validate_python(split)
    except (KeyError, TypeError, ValidationError):
        return spec  # likewise
    if stored not in _FORMER:
        return spec
    return stored
