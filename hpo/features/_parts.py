"""Embeddings of several sources as those of one: what a configuration's choice makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hpo.errors import InputError
from hpo.features._choice import parse_choice
from hpo.features._features import FeatureInfo, Features
from hpo.files import content_key

__all__ = [
    "Beside",
    "SourcePart",
    "arrays_beside",
    "beside",
    "choose_features",
    "parts_from_record",
    "parts_of",
    "parts_record",
]

_INFO = ("source", "encoder", "weights_hash", "preprocessing")


@dataclass(frozen=True)
class SourcePart:
    """Columns of a modality's embeddings: what one source has of it.

    Attributes:
        name: Of the source; empty where it has none.
        width: How many columns.
        info: Where they come from.
    """

    name: str
    width: int
    info: FeatureInfo


class Beside:
    """Arrays [rows, D_i] side by side, as an array [rows, ΣD_i] that is put together when read.

    Args:
        arrays: float16, of as many rows each; they may be memory-mapped.
    """

    def __init__(self, arrays: Sequence[NDArray[np.float16]]) -> None:
        self.arrays = tuple(arrays)
        self.shape = (len(arrays[0]), sum(array.shape[1] for array in arrays))
        self.ndim = 2
        self.dtype = arrays[0].dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> NDArray[np.float16]:
        """Return some rows, as NumPy's first index takes them, in memory."""
        return np.concatenate([array[rows] for array in self.arrays], axis=-1)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)


def beside(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return arrays side by side; one alone as it is."""
    return arrays[0] if len(arrays) == 1 else cast(np.ndarray, Beside(arrays))


def arrays_beside(array: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the arrays that ``beside`` put together, or the one alone."""
    return array.arrays if isinstance(array, Beside) else (array,)


def parts_of(name: str, features: Features) -> dict[str, tuple[SourcePart, ...]]:
    """Return the parts of each modality where all are those of one source."""
    return {
        modality: (SourcePart(name, int(array.shape[1]), features.info),)
        for modality, array in features.train.items()
    }


def choose_features(
    sources: Mapping[str, Features], encoder: str | None
) -> tuple[Features, dict[str, tuple[SourcePart, ...]]]:
    """Return the embeddings that a choice selects, and for each modality where they come from.

    Args:
        sources: By name; their rows agree.
        encoder: As a configuration has it, and checked; None for the first source.
    """
    choice = parse_choice(next(iter(sources)) if encoder is None else encoder)
    chosen = choice.among({name: tuple(features.train) for name, features in sources.items()})
    parts = {
        modality: tuple(
            SourcePart(name, int(sources[name].train[modality].shape[1]), sources[name].info)
            for name in names
        )
        for modality, names in chosen.items()
    }
    if len(choice.names) == 1:
        return sources[choice.names[0]], parts
    train, test = (
        {modality: beside([part[n][modality] for n in names]) for modality, names in chosen.items()}
        for part in (
            {name: one.train for name, one in sources.items()},
            {name: one.test for name, one in sources.items()},
        )
    )
    keys = {modality: [sources[n].key for n in names] for modality, names in chosen.items()}
    widths = {modality: int(array.shape[1]) for modality, array in train.items()}
    info = FeatureInfo("several", str(choice), "", "", widths)
    key = content_key({"format": 1, "chosen": keys})
    return Features(key, train, test, info), parts


def parts_record(parts: Mapping[str, Sequence[SourcePart]]) -> dict[str, Any]:
    """Return what a model folder keeps of where its embeddings come from, JSON-ready."""
    every = [part for those in parts.values() for part in those]
    if len({part.name for part in every}) == 1 and all(len(p) == 1 for p in parts.values()):
        named = {"name": every[0].name} if every[0].name else {}
        return _info_record(every[0].info) | named
    listed = {
        modality: [
            {"name": part.name, "width": part.width, **_info_record(part.info)} for part in those
        ]
        for modality, those in parts.items()
    }
    return {"source": "several", "parts": listed}


def parts_from_record(
    record: Mapping[str, Any], widths: Mapping[str, int]
) -> dict[str, tuple[SourcePart, ...]]:
    """Return what ``parts_record`` kept, for the modalities that a model reads.

    Raises:
        InputError: It doesn't fit the widths.
    """
    if record["source"] != "several":
        one = _info(record, widths)
        name = str(record.get("name", ""))
        return {modality: (SourcePart(name, width, one),) for modality, width in widths.items()}
    found = {
        modality: tuple(
            SourcePart(raw["name"], int(raw["width"]), _info(raw, {modality: int(raw["width"])}))
            for raw in record["parts"][modality]
        )
        for modality in widths
    }
    for modality, parts in found.items():
        total = sum(part.width for part in parts)
        if total != widths[modality]:
            raise InputError(
                f"the sources of {modality} are {total} wide, but the model reads "
                f"{widths[modality]}"
            )
    return found


def _info_record(info: FeatureInfo) -> dict[str, Any]:
    record = {name: value for name, value in asdict(info).items() if name in _INFO}
    ruled = {} if info.long_captions == "truncate" else {"long_captions": info.long_captions}
    return record | ruled


def _info(record: Mapping[str, Any], widths: Mapping[str, int]) -> FeatureInfo:
    rule = record.get("long_captions", "truncate")
    return FeatureInfo(**{n: record[n] for n in _INFO}, widths=widths, long_captions=rule)
