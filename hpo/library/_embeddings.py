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
    trained: "TrainedModel",
    embeddings: Mapping[str, Any],
    *,
    all_of_them: bool,
    lacking: str = "rows of NaN",
) -> tuple[dict[str, dict[str, NDArray[Any]]], list[str] | None]:
    """Return embeddings that a model can read, by source and modality, and the names of the rows.

    DataFrames and Series whose indexes name the rows are put in the order of the first one.

    Args:
        trained: The model.
        embeddings: For each modality an array [rows, D], or one for each of its sources by name;
            None stands for one that isn't there.
        all_of_them: Whether there must be all that the model reads, if there are any.
        lacking: What stands for rows that lack a modality, for messages.

    Returns:
        The arrays; and what the first index calls the rows, None if nothing names them.

    Raises:
        InputError: Something is missing, isn't read or doesn't fit; all of it is listed.
    """
    from hpo.features import index_names

    problems = [
        f"{name} embeddings are given, which the model doesn't read"
        f"{did_you_mean(name, trained.modalities)}; it reads {', '.join(trained.modalities)}"
        for name in embeddings
        if name not in trained.modalities
    ]
    found: dict[str, dict[str, NDArray[Any]]] = {}
    counts: dict[str, int] = {}
    order: tuple[str, list[str]] | None = None
    for modality, parts in trained.parts.items():
        if embeddings.get(modality) is None:
            if all_of_them and embeddings:
                problems.append(
                    f"there are no {modality} embeddings, but the model reads them; give {lacking} "
                    "where there are none"
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
        elif len(parts) == 1 and not names[0]:
            problems.append(
                f"{modality} is a mapping, but must be an array [rows, {parts[0].width}]; of a "
                "vector for each name pd.DataFrame.from_dict(…, orient='index') makes one"
            )
            continue
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
            try:
                array = _array(given[part.name], part.width)
                rows = index_names(given[part.name])
                if rows is not None:
                    order = order or (called, rows)
                    array = array[_places(rows, *order)]
            except InputError as error:
                problems += [f"{called} {problem}" for problem in error.problems]
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
    return found, None if order is None else order[1]


def _array(value: Any, width: int) -> NDArray[Any]:
    """Return embeddings as an array [rows, width] that float16 can hold.

    Raises:
        InputError: They can't be one; the message goes on after their name.
    """
    from hpo.features import array_of, fits_float16

    array: NDArray[Any] = array_of(value)
    if array.ndim != 2 or array.shape[1] != width:
        raise InputError(f"has shape {list(array.shape)}, but must be [rows, {width}]")
    if array.dtype.kind != "f":
        raise InputError(f"is {array.dtype}, but must be a float type")
    if not fits_float16(array, may_lack=True):
        raise InputError("has NaN, infinity or values beyond ±65504 in it")
    return array


def _places(rows: list[str], first: str, order: list[str]) -> NDArray[np.int64]:
    """Return where the rows are that an index names, in the order of the first one.

    Raises:
        InputError: They are others, or a name that stands twice could be either row.
    """
    if rows == order:
        return np.arange(len(rows))
    if sorted(rows) != sorted(order):
        strange = next((name for name in rows if name not in set(order)), None)
        what = f"{len(rows)} rows" if strange is None else f"a row '{strange}'"
        raise InputError(
            f"has {what} by its index, but that of {first} has "
            + (f"{len(order)}" if strange is None else "none")
            + "; both must name the same rows, or pass arrays in one order: to_numpy()"
        )
    places = {name: place for place, name in enumerate(rows)}
    if len(places) < len(rows):
        twice = next(name for place, name in enumerate(rows) if places[name] != place)
        raise InputError(
            f"has '{twice}' on several rows of its index, which has another order than that of "
            f"{first}; name each row once, or pass arrays in one order: to_numpy()"
        )
    return np.array([places[name] for name in order], dtype=np.int64)
