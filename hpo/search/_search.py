"""The contract of a search: what of a configuration is varied, as a search-space file says it."""

import abc
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

from hpo.errors import InputError
from hpo.search._values import Change, Component, Frozen, Given, Scale

__all__ = ["Search"]


class Search(Frozen, abc.ABC):
    """Base of what stands under ``search`` in a file; each kind has a strategy that carries it out.

    Attributes:
        kind: Its name; see ``register_search``.
        pruner: Stops trials that fall behind.
    """

    kind: str
    pruner: Component = Component(name="NopPruner")

    #: Whether a trial gets its first seed alone, and the others when it has all of its epochs.
    seeds_race: ClassVar[bool] = False
    #: Whether its strategy keeps to a budget in epochs.
    counts_epochs: ClassVar[bool] = False
    #: Whether a study may have a second objective: nothing in it decides by the score alone.
    weighs_two: ClassVar[bool] = False
    #: Whether it stops trials itself, so that it takes no pruner.
    stops_trials: ClassVar[bool] = False
    #: Keys that may differ between two definitions of the same study.
    extensible: ClassVar[frozenset[str]] = frozenset()

    @property
    def trials_wanted(self) -> int | None:
        """How many trials a study is to have; None where that follows from something else."""
        return None

    @abc.abstractmethod
    def values_of(self, field: str) -> tuple[Any, ...]:
        """Return the values of a configuration field that the search names; none for a range."""

    @abc.abstractmethod
    def uses_fixed(self, field: str, value: Any) -> bool:
        """Tell whether any trial of the search itself may have the fixed value of a field."""

    def ends(self) -> frozenset[int]:
        """Return every number of epochs that a trial may have, if the search varies it."""
        return frozenset(self.values_of("epochs"))

    @abc.abstractmethod
    def changed(self, change: Change) -> Self:
        """Return the search with every value of a configuration field changed."""

    def varying(self, field: str, values: tuple[Any, ...]) -> Self:
        """Return the search with one more configuration field to choose, which it doesn't vary.

        Args:
            field: Its name.
            values: In their type.

        Raises:
            InputError: This kind of search can't add one by itself.
        """
        raise InputError(
            f"A search of kind {self.kind} doesn't choose the {field} by itself; name "
            f"{' or '.join(map(str, values))} in the space."
        )

    @staticmethod
    @abc.abstractmethod
    def given(raw: Mapping[str, Any]) -> Iterator[Given]:
        """Yield the configuration fields that a file gives values to, however wrong it is."""

    def scored_epochs(self) -> frozenset[int] | None:
        """Return the epochs, beside the last one, that decisions need scores of; None for all."""
        return None

    def notes(self) -> list[str]:
        """Say what of the search isn't done as it stands in the file."""
        return []

    def scaled(self, scale: Scale) -> Self:
        """Return the search at a scale."""
        changed = self.changed(scale.apply)
        return changed.model_copy(update={"pruner": self.pruner.scaled(scale)})
