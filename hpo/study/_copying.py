"""A copy of a study under another name or in another storage, with all that hpo has of it."""

import contextlib
import uuid

from hpo.errors import InputError
from hpo.queue import Copied, SqlLedger, first_patience
from hpo.study._identity import Store, StudyGoneError
from hpo.study._name import check_name
from hpo.trials import FoundStudy, all_studies, check_exists, find_study, is_proxy, redact

__all__ = ["check_is_database", "copy_study", "copy_to"]


def copy_study(
    url: str, name: str, to_url: str | None, to_name: str | None, wait: float | None = None
) -> Copied:
    """Copy a study: trials, curves, notes and plots, definition and queue.

    The copy is a study of its own, which goes on, is refitted and reported as the first one, and
    finds the same runs in the cache. Workers may be on the study meanwhile: what they are in the
    middle of is open in the copy. The copy is there as a whole or not at all, whenever this ends.

    Args:
        url: The storage URL.
        name: The study's name.
        to_url: The storage that the copy goes to; the same one by default.
        to_name: The copy's name; the same one by default.
        wait: See ``StoredStudy.create``.

    Raises:
        InputError: There is no such study, or it isn't hpo's, or it would be its own copy, or the
            name is taken; or a storage is no database whose tables are known.
    """
    target, called = url if to_url is None else to_url, name if to_name is None else to_name
    check_name(called)
    identity = uuid.uuid4().hex
    return first_patience(wait)(lambda: _copy(url, name, target, called, identity))


def _copy(url: str, name: str, to_url: str, to_name: str, identity: str) -> Copied:
    check_exists(url)
    for one in (url, to_url):
        check_is_database(one)
    with contextlib.closing(Store.open(url)) as store:
        found, _ = store.find(name, "NAME")
        if url == to_url and name == to_name:
            raise InputError(
                f"{name}: a study can't be copied to itself; give the copy another name "
                f"(hpo study copy {name} OTHER) or another storage (--to URL)."
            )
        with contextlib.closing(Store.open(to_url)) as target:
            return copy_to(store, found, target, to_name, identity)


def copy_to(store: Store, found: FoundStudy, target: Store, name: str, identity: str) -> Copied:
    """Copy a study that was found into another store.

    Args:
        store: Where it is.
        found: The study.
        target: Where it goes to.
        name: The copy's name.
        identity: The copy's identity. A copy that has it is what an earlier call made whose answer
            was lost, and is left as it is.

    Raises:
        InputError: The name is taken there, or one of the databases has tables that aren't known.
        StudyGoneError: It was deleted in this moment.
    """
    ledgers = store.ledger, target.ledger
    for ledger, where in zip(ledgers, (store.url, target.url), strict=True):
        if not ledger.writes_trials:
            raise InputError(
                f"--storage {redact(where)}: Optuna's tables there aren't those that this version "
                "of hpo knows, so a study can't be copied whole."
            )
    source, into = ledgers
    assert isinstance(source, SqlLedger) and isinstance(into, SqlLedger)  # no proxies
    taken = {*target.ledger.studies(), *(study.name for study in all_studies(target.storage))}
    copied = None
    if name not in taken:
        try:
            copied = source.copy(found.name, found.id, into, name, identity)
        except KeyError:
            raise StudyGoneError(found.name, store.url) from None
    if copied is None:
        copied = _copied_before(target, name, identity)
    if copied is None:
        raise InputError(
            f"{name}: {redact(target.url)} has a study of this name; give another one, or delete "
            f"that one first (hpo study delete {name})."
        )
    return copied


def _copied_before(target: Store, name: str, identity: str) -> Copied | None:
    """Return what a copy has that is there already; None if it is another study."""
    row, copy = target.ledger.study(name), find_study(target.storage, name)
    if row is None or copy is None or row.identity != identity:
        return None
    tasks = sum(target.ledger.counts(name).values())
    return Copied(target.storage.get_n_trials(copy.id), tasks)


def check_is_database(url: str) -> None:
    """Check that a storage is a database, whose tables can be read and written.

    Raises:
        InputError: It is a proxy.
    """
    if is_proxy(url):
        raise InputError(
            f"--storage {redact(url)}: a study is copied from database to database, not through "
            "a proxy; give the URL of the database behind it."
        )
