"""Opening a storage by its URL: a database, or a proxy in front of one."""

from optuna.storages import BaseStorage

from hpo.queue._atomic import AtomicTrials
from hpo.queue._contract import Ledger
from hpo.queue._public import PublicTrials
from hpo.queue._sql import SqlLedger
from hpo.queue._trials import Trials
from hpo.trials import (
    OptunaStudy,
    Searched,
    StoreAwayError,
    check_url,
    is_proxy,
    open_database,
    redact,
)

__all__ = ["open_ledger", "open_storage", "open_trials"]


def open_storage(url: str) -> BaseStorage:
    """Open Optuna's storage, a database or a proxy in front of one; once in each process.

    Raises:
        InputError: See ``check_url``; or it can't be opened.
        StoreAwayError: It can't be opened now.
    """
    if not is_proxy(url):
        return open_database(url)
    check_url(url)
    from hpo.queue._remote import connect  # gRPC is an extra

    try:
        return connect(url)
    except ConnectionError:
        said = f"--storage {redact(url)}: no proxy answers there."
        raise StoreAwayError("The store can't be reached (no proxy answers)", said) from None


def open_ledger(url: str) -> Ledger:
    """Open the ledger of a storage, which may be behind a proxy.

    The ledger's tables are made, or brought up to date.

    Raises:
        InputError: The storage is no good; see ``open_storage`` and ``SqlLedger``.
    """
    if not is_proxy(url):
        return SqlLedger(url)
    open_storage(url)  # says what is wrong
    from hpo.queue._remote import RemoteLedger

    return RemoteLedger(url)


def open_trials(source: OptunaStudy, ledger: Ledger, searched: Searched) -> Trials:
    """Open the trials of a study, by whichever way the store allows (see ``Trials``).

    Args:
        source: The study, of a storage opened with the same URL as the ledger.
        ledger: Its queue, as ``open_ledger`` gave it and not one that waits.
        searched: What is searched.
    """
    if ledger.writes_trials:
        return AtomicTrials(source, ledger, searched)
    trials = PublicTrials(source, ledger, searched)
    trials.reconcile()
    return trials
