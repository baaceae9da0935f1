"""A data set together with its embeddings: what a study, or one training run, starts from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.features._bundle import Bundle, save_bundle
from hpo.features._choice import Sources, union
from hpo.features._features import Features
from hpo.features._untouched import with_untouched
from hpo.notes import Note

if TYPE_CHECKING:
    from hpo.data import Dataset, Division, SplitSpec

__all__ = ["Data"]

_SAMPLE = 1000


@dataclass(frozen=True, eq=False, repr=False)
class Data:
    """Labelled rows, perhaps rows to predict, and the embeddings of both.

    ``load_data`` makes one.

    Attributes:
        dataset: The rows, their labels and the class names.
        features: The embeddings of all rows; with several sources, those of the first.
        cache: The folder in which embeddings and bundles are kept.
        settings: What the data folder's ``hpo.yaml`` suggests for the search space, such as
            ``{"scale.width": 0.25}``; empty without such a file.
        description: Where it all comes from, for people and for the record of a study. What each
            encoder costs stands under ``encoders``, where that is known.
        named: The named sources of embeddings that configurations choose among, by ``encoder``;
            empty where there is one without a name.
    """

    dataset: "Dataset"
    features: Features
    cache: Path
    settings: Mapping[str, Any]
    description: Mapping[str, Any]
    named: Mapping[str, Features] = field(default_factory=dict)

    @property
    def sources(self) -> Sources:
        """The modalities of each named source."""
        return {name: tuple(features.train) for name, features in self.named.items()}

    @property
    def notes(self) -> tuple[Note, ...]:
        """What was done to the data as it was read, or taken on trust."""
        sources = self.named.values() or (self.features,)
        notes = [*self.dataset.notes, *(note for one in sources for note in one.notes)]
        if self.dataset.skipped:
            count = len(self.dataset.skipped)
            one = "1 row is left out, as it has"
            those = one if count == 1 else f"{count:,} rows are left out, as they have"
            why = "no image that can be read or no embedding"
            notes.append(Note(f"{those} {why}", doubtful=False))
        return tuple(dict.fromkeys(notes))

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in the order of the label columns."""
        return self.dataset.classes

    @property
    def modalities(self) -> tuple[str, ...]:
        """The names of the embeddings that each row has, such as ``("image", "text")``."""
        return union(self.sources) if self.named else tuple(self.features.train)

    @property
    def widths(self) -> dict[str, int]:
        """How wide the embeddings of each modality are; of several sources, those of the first."""
        return {name: int(array.shape[1]) for name, array in self.features.train.items()}

    @property
    def norms(self) -> dict[str, float]:
        """The Euclidean norm of each modality's embeddings, the mean over the first 1,000 rows.

        With several sources the names are such as ``NAME image``.
        """
        sources = {f"{name} ": one for name, one in self.named.items()} or {"": self.features}
        return {
            f"{source}{name}": float(
                np.linalg.norm(array[:_SAMPLE].astype(np.float32), axis=1).mean()
            )
            for source, features in sources.items()
            for name, array in features.train.items()
        }

    @property
    def rows(self) -> int:
        """How many labelled rows there are."""
        return len(self.dataset.train)

    @property
    def test_rows(self) -> int:
        """How many rows to predict have embeddings."""
        return max((len(array) for array in self.features.test.values()), default=0)

    def bundle(self, spec: "SplitSpec", train_rows: int | None = None) -> Bundle:
        """Divide the labelled rows and store all that training needs, or open it if it is there.

        Args:
            spec: How to divide the rows.
            train_rows: Keep only so many training rows, the first ones.

        Raises:
            InputError: This division isn't possible; all that is wrong is listed.
            OSError: The cache can't be written.
        """
        return self.bundle_of(self.divide(spec, train_rows))

    def divide(self, spec: "SplitSpec", train_rows: int | None = None) -> "Division":
        """Divide the labelled rows.

        Args:
            spec: See ``bundle``.
            train_rows: Likewise.

        Raises:
            InputError: As ``bundle``.
        """
        from hpo.data import divide

        return divide(self._with_untouched()[0], spec, train_rows)

    def bundle_of(self, division: "Division") -> Bundle:
        """Store all that training needs of rows that are divided, or open it if it is there.

        Args:
            division: What ``divide`` returned.

        Raises:
            OSError: The cache can't be written.
        """
        features = self._with_untouched()[1]
        return save_bundle(self.cache, division.dataset, features, division.split)

    def _with_untouched(self) -> "tuple[Dataset, Features | Mapping[str, Features]]":
        """Return the rows that are divided and their embeddings, labelled test rows among them."""
        dataset, features = self.dataset, self.named or self.features
        if dataset.test_labels is None:
            return dataset, features
        return with_untouched(dataset, features, self.cache)

    def __repr__(self) -> str:
        sources = {f"{name}: ": one for name, one in self.named.items()} or {"": self.features}
        widths = "; ".join(
            source + ", ".join(f"{m} {array.shape[1]}" for m, array in features.train.items())
            for source, features in sources.items()
        )
        skipped = f", {len(self.dataset.skipped)} left out" if self.dataset.skipped else ""
        return (
            f"Data({self.rows:,} labelled rows, {self.test_rows:,} to predict{skipped}; "
            f"{len(self.classes)} classes; {widths})"
        )
