"""Whether workers have ended because they could not reach the store."""

from collections.abc import Sequence

from hpo.queue import StoreAwayError

__all__ = ["check_reached"]


def check_reached(statuses: Sequence[int | None]) -> None:
    """Check that the store isn't why no worker is left, even if this process reaches it.

    A database that is out of connections keeps those that it has.

    Args:
        statuses: The exit status of each worker; None while it runs.

    Raises:
        StoreAwayError: It is; each worker has said so.
    """
    if statuses and all(status == StoreAwayError.status for status in statuses):
        raise StoreAwayError(
            "The workers can't reach the store",
            "No worker could reach the store for as long as it was to be waited for. Nothing that "
            "was stored is lost; the same command goes on once it is back.",
            given_up=True,
        )
