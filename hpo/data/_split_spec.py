"""How labelled rows are divided, as a search space says it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from hpo.data._dataset import Dataset
from hpo.errors import InputError, shown

__all__ = [
    "SPLIT_KINDS",
    "AutoSplit",
    "ColumnSplit",
    "ConcreteSplit",
    "OfficialSplit",
    "SplitSpec",
    "StratifiedSplit",
    "TailSplit",
    "settle_split",
]


def _number(value: Any, info: ValidationInfo) -> Any:
    """Refuse yes and no, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{info.field_name} is {shown(value)}, but must be a number")
    return value


_Whole = Annotated[int, BeforeValidator(_number)]
_Share = Annotated[float, BeforeValidator(_number)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Spec(_Frozen):
    """What all kinds have.

    Attributes:
        min_rows_per_class: How many training rows a class must have; with fewer it is rare.
        rare_classes: Whether rare classes are kept, left out of the labels, or an error.
    """

    min_rows_per_class: _Whole = Field(default=1, ge=1)
    rare_classes: Literal["keep", "drop", "error"] = "keep"


class TailSplit(_Spec):
    """Validate on the last ``val_rows`` rows, as the paper does with 5,000 of 30,000.

    The ``test_rows`` before them, if any are asked for, are left untouched until the end.

    Attributes:
        kind: Of the split.
        val_rows: How many rows validate.
        test_rows: How many are left untouched.
    """

    kind: Literal["tail"]
    val_rows: _Whole = Field(ge=1)
    test_rows: _Whole = Field(default=0, ge=0)


class StratifiedSplit(_Spec):
    """Validate on about ``val_fraction`` of the rows, with each class in the same proportion.

    About ``test_fraction`` of all rows, drawn likewise, are left untouched until the end.

    Attributes:
        kind: Of the split.
        val_fraction: Share of the rows that validate.
        test_fraction: Share of the rows that are left untouched.
        seed: Of the draw.
    """

    kind: Literal["stratified"]
    val_fraction: _Share = Field(default=0.2, gt=0, lt=1)
    test_fraction: _Share = Field(default=0.0, ge=0, lt=1)
    seed: _Whole = Field(default=0, ge=0, lt=2**32)


class ColumnSplit(_Spec):
    """Validate on the rows whose ``Split`` is ``val``; leave those with ``test`` untouched.

    If no row has ``val``, about ``val_fraction`` of those with ``train`` are drawn, as in a
    stratified split; without a fraction that is an error.

    Attributes:
        kind: Of the split.
        val_fraction: Share of the rows that validate, where no row says so.
        seed: Of that draw.
    """

    kind: Literal["column"]
    val_fraction: _Share | None = Field(default=None, gt=0, lt=1)
    seed: _Whole = Field(default=0, ge=0, lt=2**32)


class OfficialSplit(_Frozen):
    """The published split of one data set: its last ``val_rows`` rows.

    Attributes:
        train_csv_sha256: Of the ``train.csv`` that it is of.
        val_rows: How many rows validate.
    """

    train_csv_sha256: str
    val_rows: _Whole = Field(ge=1)


class AutoSplit(_Spec):
    """What fits the data: see ``settle_split``.

    Attributes:
        kind: Of the split.
        val_fraction: Of the stratified split.
        test_fraction: Likewise.
        seed: Likewise.
        val_rows: Validate on the last so many rows instead; None where nobody says so.
        official: The published split of the data that it is of.
    """

    kind: Literal["auto"]
    val_fraction: _Share = Field(default=0.2, gt=0, lt=1)
    test_fraction: _Share = Field(default=0.0, ge=0, lt=1)
    seed: _Whole = Field(default=0, ge=0, lt=2**32)
    val_rows: _Whole | None = Field(default=None, ge=1)
    official: OfficialSplit | None = None

    @property
    def is_plain(self) -> bool:
        """Whether nobody said more than that it be found out."""
        return self.model_copy(update={"official": None}) == AutoSplit(kind="auto")


ConcreteSplit = TailSplit | StratifiedSplit | ColumnSplit
SplitSpec = Annotated[ConcreteSplit | AutoSplit, Field(discriminator="kind")]

#: The kinds of split, by what a file calls them.
SPLIT_KINDS: dict[str, type[_Spec]] = {
    "auto": AutoSplit,
    "tail": TailSplit,
    "stratified": StratifiedSplit,
    "column": ColumnSplit,
}


def settle_split(spec: SplitSpec, dataset: Dataset) -> ConcreteSplit:
    """Return the split that ``spec`` means for a data set.

    ``auto`` takes the first of these that there is: the last ``val_rows`` rows, if a number is
    given; the published split, if it is that data; the data's column ``Split``; a stratified share.

    Raises:
        InputError: There is a ``test_fraction``, but only a stratified split can have one.
    """
    if not isinstance(spec, AutoSplit):
        return spec
    official, column = spec.official, dataset.split_column
    rows = spec.val_rows
    if rows is None and official and official.train_csv_sha256 == dataset.fingerprint:
        rows = official.val_rows
    if spec.test_fraction and (rows is not None or column is not None):
        by = "there is a column Split, which says which rows are for the test"
        if rows is not None:
            by = f"the last {rows:,} rows are to validate on"
        raise InputError(
            f"split.test_fraction is {spec.test_fraction}, but {by}; it goes with a stratified "
            "split: --set split.kind=stratified"
        )
    found: ConcreteSplit
    if rows is not None:
        found = TailSplit(kind="tail", val_rows=rows)
    elif column is None:
        found = StratifiedSplit(
            kind="stratified",
            val_fraction=spec.val_fraction,
            test_fraction=spec.test_fraction,
            seed=spec.seed,
        )
    elif "val" in column:
        found = ColumnSplit(kind="column")
    else:
        found = ColumnSplit(kind="column", val_fraction=spec.val_fraction, seed=spec.seed)
    rare = {"min_rows_per_class": spec.min_rows_per_class, "rare_classes": spec.rare_classes}
    return found.model_copy(update=rare)
