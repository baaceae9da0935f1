"""Embeddings that a model is asked about: checked like those of a file, and kept by source."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from hpo.training import TrainedModel

__all__ = ["checked_embeddings"]


def checked_embeddings(
    trained: "TrainedModel", embeddings: Mapping[str, Any], *, all_of_them: bool
) -> dict[str, dict[str, NDArray[np.floating[Any]]]]:
    """Return embeddings that a model can read, by source and modality.

    Args:
        trained: The model.
        embeddings: For each modality an array [rows, D], or one for each of its sources by name.
        all_of_them: Whether there must be all that the model reads, if there are any.

    Raises:
        InputError: Something is missing, isn't read or doesn't fit; all of it is listed.
    """
    problems = [
        f"{name} embeddings are given, which the model doesn't read"
        f"{did_you_mean(name, trained.modalities)}; it reads {', '.join(trained.modalities)}"
        for name in embeddings
        if name not in trained.modalities
    ]
    found: dict[str, dict[str, NDArray[np.floating[Any]]]] = {}
    counts: dict[str, int] = {}
    for modality, parts in trained.parts.items():
        if modality not in embeddings:
            if all_of_them and embeddings:
                problems.append(
                    f"there are no {modality} embeddings, but the model reads them; give rows of "
                    "NaN where there are none"
                )
            continue
        given = embeddings[modality]
        names = [part.name for part in parts]
        if not isinstance(given, Mapping):
            if len(parts) > 1:
                one_each = ", ".join(f"'{name}': …" for name in names)
                problems.append(
                    f"{modality} is one array, but the model reads {modality} embeddings of "
                    f"several sources: {modality}={{{one_each}}}"
                )
                continue
            given = {names[0]: given}
        problems += [
            f"{modality} has embeddings of '{name}', which the model doesn't read"
            f"{did_you_mean(name, names)}; it reads {', '.join(names)}"
            for name in given
            if name not in names
        ]
        for part in parts:
            called = modality if len(parts) == 1 else f"{modality} of '{part.name}'"
            if part.name not in given:
                if all_of_them:
                    problems.append(f"there are no {called} embeddings, but the model reads them")
                continue
            array = np.asarray(given[part.name])
            fault = _fault(array, part.width)
            if fault:
                problems.append(f"{called} {fault}")
                continue
            counts[called] = len(array)
            found.setdefault(part.name, {})[modality] = array
    problems += [
        f"there are no {modality} embeddings of '{part.name}', but its others are given"
        for modality, parts in trained.parts.items()
        for part in parts
        if not all_of_them and part.name in found and modality not in found[part.name]
    ]
    if not problems and len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        problems.append(f"the embeddings have different numbers of rows: {listed}")
    if problems:
        raise InputError(problems, "The model can't read these embeddings:")
    return found


def _fault(array: NDArray[Any], width: int) -> str:
    """Say what is wrong with an array of embeddings, or return an empty text."""
    from hpo.features import fits_float16

    if array.ndim != 2 or array.shape[1] != width:
        return f"has shape {list(array.shape)}, but must be [rows, {width}]"
    if array.dtype.kind != "f":
        return f"is {array.dtype}, but must be a float type"
    if not fits_float16(array, may_lack=True):
        return "has NaN, infinity or values beyond ±65504 in it"
    return ""
