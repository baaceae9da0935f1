"""The contract of a search: what of a configuration is varied, as a search-space file says it."""

import abc
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Self

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
    def changed(self, change: Change) -> Self:
        """Return the search with every value of a configuration field changed."""

    @staticmethod
    @abc.abstractmethod
    def given(raw: Mapping[str, Any]) -> Iterator[Given]:
        """Yield the configuration fields that a file gives values to, however wrong it is."""

    def scaled(self, scale: Scale) -> Self:
        """Return the search at a scale."""
        changed = self.changed(scale.apply)
        return changed.model_copy(update={"pruner": self.pruner.scaled(scale)})
