"""Two studies on the same rows: what their winners predict there, and how far they are apart."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.features import Bundle, load_bundle
from hpo.results._decide import seed_probabilities, trainer_of
from hpo.results._intervals import Interval, f1_differences
from hpo.results._untouched import probabilities_on_test
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.training import TrainedModel

__all__ = ["RowsSeen", "paired", "refitted_on_test", "winner_on"]


@dataclasses.dataclass(frozen=True, eq=False)
class RowsSeen:
    """What models say of the rows of a part.

    Attributes:
        ids: The ImageID of each row.
        classes: The K label names.
        truth: [rows, K].
        predicted: One for each seed, [rows, K].
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    truth: NDArray[np.bool_]
    predicted: Sequence[NDArray[np.bool_]]

    def taken(self, rows: NDArray[np.int64]) -> "RowsSeen":
        """Return some rows, in some order."""
        return RowsSeen(
            tuple(self.ids[row] for row in rows),
            self.classes,
            self.truth[rows],
            [one[rows] for one in self.predicted],
        )


def winner_on(
    study: StoredStudy, best: Task, devices: Sequence[str]
) -> Mapping[str, RowsSeen] | str:
    """Return what the winner predicts for the parts ``val`` and ``test``, at a probability of 0.5.

    It is the winner as the search trained it, by the weights that the run store has of it.

    Args:
        study: The study.
        best: Its winner.
        devices: Where it may have been trained: the weights are found by that.

    Returns:
        The parts that the split has; or in words why there is nothing.
    """
    trouble = ""
    for device in devices:
        try:
            trainer = trainer_of(study, best, device)
        except InputError as error:  # another device may do its arithmetic
            trouble = str(error)
            continue
        bundle = trainer.bundle
        found = {}
        for part in ("val", "test"):
            if part not in bundle.split:
                continue
            probabilities = seed_probabilities(trainer, best, part)
            if probabilities is not None:
                found[part] = _seen(bundle, part, [p > 0.5 for p in probabilities])
        if found:
            return found
    return trouble or (
        f"the run store at {study.definition.run_store} doesn't have the weights of its trial "
        f"{best.trial}"
    )


def refitted_on_test(study: StoredStudy, folder: Path, device: str) -> RowsSeen | None:
    """Return what a study's model predicts for its test part, at the model's thresholds.

    Args:
        study: The study.
        folder: Of its model.
        device: Where to compute.

    Returns:
        None without a test part, or a model there.
    """
    bundle = load_bundle(study.definition.bundle)
    if "test" not in bundle.split or not (folder / "config.json").is_file():
        return None
    model = TrainedModel.load(folder)
    probabilities = probabilities_on_test(model, bundle, device)
    return _seen(bundle, "test", [probabilities > np.asarray(model.thresholds)])


def paired(first: RowsSeen, second: RowsSeen) -> dict[str, Interval] | str:
    """Return by how much the first is better, paired over rows; or in words why it can't be.

    Rows are the same where they have the same ids, whatever their order, and the same labels.
    """
    if first.classes != second.classes:
        if set(first.classes) != set(second.classes):
            return (
                f"they have other classes, {len(first.classes)} and {len(second.classes)}, of "
                f"which {len(set(first.classes) & set(second.classes))} are the same"
            )
        return "they have the classes in another order"
    if first.ids != second.ids:
        common = len(set(first.ids) & set(second.ids))
        alike = common == len(first.ids) == len(second.ids)
        if not alike:
            return (
                f"they are other rows: {len(first.ids):,} and {len(second.ids):,}, with "
                f"{common:,} in common"
            )
        if len(set(second.ids)) < len(second.ids):
            return "they have several rows of a picture, in another order"
        places = {name: place for place, name in enumerate(second.ids)}
        second = second.taken(np.array([places[name] for name in first.ids]))
    differ = int((first.truth != second.truth).any(axis=1).sum())
    if differ:
        return f"{differ:,} of these rows have other labels"
    names, pictures = np.unique(first.ids, return_inverse=True)
    groups = None if len(names) == len(first.ids) else pictures
    (difference,) = f1_differences(first.predicted, [second.predicted], first.truth, groups)
    return difference


def _seen(bundle: Bundle, part: str, predicted: Sequence[NDArray[np.bool_]]) -> RowsSeen:
    return RowsSeen(
        tuple(bundle.ids[row] for row in bundle.split[part]),
        bundle.classes,
        bundle.labels_of(part) > 0,
        predicted,
    )
