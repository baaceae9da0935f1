"""Opening a storage by its URL: a database, or a proxy in front of one."""

from optuna.storages import BaseStorage

from hpo.errors import InputError
from hpo.service._ledger import Ledger
from hpo.service._storage import open_database
from hpo.service._url import check_url, is_proxy, redact

__all__ = ["open_ledger", "open_storage"]


def open_storage(url: str) -> BaseStorage:
    """Open Optuna's storage, a database or a proxy in front of one; once in each process.

    Raises:
        InputError: See ``check_url``; or it can't be opened.
    """
    if not is_proxy(url):
        return open_database(url)
    check_url(url)
    from hpo.service._proxy import connect  # gRPC is an extra

    try:
        return connect(url)
    except ConnectionError:
        raise InputError(f"--storage {redact(url)}: no proxy answers there.") from None


def open_ledger(url: str) -> Ledger:
    """Open the ledger of a storage, which may be behind a proxy.

    Raises:
        InputError: The storage is no good; see ``open_storage``.
    """
    if not is_proxy(url):
        return Ledger(url)
    open_storage(url)  # says what is wrong
    from hpo.service._proxy import RemoteLedger

    return RemoteLedger(url)
