"""Rows to predict that lack a modality: counted, warned of, or refused if they lack everything."""

import logging
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from hpo.data import Problems
from hpo.models import is_trained_as_one
from hpo.training import TrainedModel

__all__ = ["count_lacking", "lacking_of"]

_log = logging.getLogger(__name__)


def lacking_of(
    model: TrainedModel,
    lacking: Mapping[str, Mapping[str, NDArray[np.bool_]]],
    place: Callable[[int], str],
) -> dict[str, NDArray[np.bool_]]:
    """Return which rows lack each modality that a model reads, [N].

    Args:
        model: What is to predict.
        lacking: The same for each source of its embeddings.
        place: Says where a row is, for messages.

    Raises:
        InputError: Rows lack a modality of one source that they have of another, which is read
            beside it; they are listed.
    """
    problems = Problems()
    found = {}
    for modality, parts in model.parts.items():
        masks = [lacking[part.name][modality] for part in parts]
        found[modality] = np.logical_or.reduce(masks)
        problems.add(
            f"{place(int(row))} lacks the {modality} embedding of some of "
            f"{', '.join(part.name for part in parts)}, but must have all of them or none"
            for row in np.flatnonzero(found[modality] & ~np.logical_and.reduce(masks))
        )
    problems.raise_if_any("Rows can't be predicted:")
    return found


def count_lacking(
    model: TrainedModel, lacking: Mapping[str, NDArray[np.bool_]], place: Callable[[int], str]
) -> dict[str, int]:
    """Return how many rows lack each modality, of those that any row lacks.

    A model that was trained without ``modality_dropout`` has never seen such rows. It predicts
    them all the same, and a warning says so.

    Args:
        model: What is to predict.
        lacking: Which rows lack each modality that it reads, [N].
        place: Says where a row is, for messages.

    Raises:
        InputError: Rows lack everything that the model reads; they are listed.
    """
    together = np.stack([lacking[name] for name in model.modalities])
    everything = ", ".join(model.modalities)
    problems = Problems()
    problems.add(
        f"{place(int(row))} lacks all that the model reads ({everything}), but must have some of it"
        for row in np.flatnonzero(together.all(axis=0))
    )
    problems.raise_if_any("Rows can't be predicted:")
    counts = {name: int(lacking[name].sum()) for name in model.modalities}
    counts = {name: count for name, count in counts.items() if count}
    listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
    several = int((together.sum(axis=0) > 1).sum())
    configs = [member.config for member in model.members] or [model.config]
    trained_so = all(
        config.modality_dropout > 0 and is_trained_as_one(config.fusion) for config in configs
    )
    if counts and not trained_so:
        _log.warning(
            "Rows lack what the model reads (%s), and it was trained without modality_dropout, so "
            "that it never saw such rows: expect worse labels for them.",
            listed,
        )
    elif several:
        _log.warning(
            "%d rows lack more than one modality, but the model was trained with rows that lack "
            "one: expect worse labels for them.",
            several,
        )
    return counts
