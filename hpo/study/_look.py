"""A study as it would be gone on with, looked at without writing anything."""

import dataclasses

from hpo.errors import InputError, did_you_mean
from hpo.queue import first_patience
from hpo.search import FixedBoard
from hpo.study._definition import Definition
from hpo.study._identity import Store
from hpo.study._plugins import check_plugins
from hpo.trials import has_tables, redact

__all__ = ["check_warm_start", "look", "study_names"]


def study_names(url: str, wait: float | None = None) -> list[str]:
    """Return the names of hpo's studies in a storage; none if it isn't there yet.

    Args:
        url: The storage URL.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: The storage is no good.
    """

    def names() -> list[str]:
        if not has_tables(url):
            return []
        store = Store.open(url)
        try:
            return store.names()
        finally:
            store.ledger.close()

    return first_patience(wait)(names)


def check_warm_start(url: str, name: str | None, wait: float | None = None) -> None:
    """Check that a study is there from which another one is to start, if one is named.

    Raises:
        InputError: It isn't, or the storage is no good.
    """
    if name is not None and name not in (names := study_names(url, wait)):
        raise InputError(
            f"--warm-start {name}: {redact(url)} has no such study{did_you_mean(name, names)}."
        )


def look(
    url: str,
    name: str,
    definition: Definition,
    *,
    same_data: bool = False,
    wait: float | None = None,
) -> FixedBoard:
    """Return what is done of a study; nothing if it isn't there yet.

    No storage is made, and no study.

    Args:
        url: The storage URL.
        name: The study's name.
        definition: What the study is to be.
        same_data: Take its data for the same that the stored one has, where it isn't known yet.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: As ``StoredStudy.create``.
    """
    definition = definition.capped()
    definition.strategy().check()
    return first_patience(wait)(lambda: _look(url, name, definition, same_data))


def _look(url: str, name: str, definition: Definition, same_data: bool) -> FixedBoard:
    if not has_tables(url):
        return FixedBoard(())
    store = dataclasses.replace(Store.open(url), follows=False)
    try:
        found, row = store.make_way(name, definition.objectives), store.ledger.study(name)
        if found is None or row is None:
            return FixedBoard(())
        check_plugins(name, Definition.plugins_in(row.definition))
        stored = Definition.from_json(row.definition)
        stored.check_meaning(name)
        key = stored.bundle_key if same_data else definition.bundle_key
        stored.check_same(dataclasses.replace(definition, bundle_key=key), name, redact(url))
        return FixedBoard(store.ledger.tasks(name), None, store.ledger.pauses(name))
    finally:
        store.ledger.close()
