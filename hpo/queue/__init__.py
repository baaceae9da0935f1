"""The queue of a study: who trains what, and its trials, kept in step in one store."""

from hpo.queue._contract import (
    FIRST_ENQUEUED,
    MAX_ATTEMPTS,
    Fenced,
    Ledger,
    PositionTakenError,
    StudyRow,
)
from hpo.queue._copying import Copied
from hpo.queue._open import open_ledger, open_storage, open_trials
from hpo.queue._patience import FIRST_WAIT_S, Patience, first_patience, waiting
from hpo.queue._schema import is_known_version
from hpo.queue._sql import SqlLedger
from hpo.queue._trials import Trials
from hpo.trials import StoreAwayError, StoreUnfitError, check_exists, check_url, redact

__all__ = [
    "FIRST_ENQUEUED",
    "FIRST_WAIT_S",
    "MAX_ATTEMPTS",
    "Copied",
    "Fenced",
    "Ledger",
    "Patience",
    "PositionTakenError",
    "SqlLedger",
    "StoreAwayError",
    "StoreUnfitError",
    "StudyRow",
    "Trials",
    "check_exists",
    "check_url",
    "first_patience",
    "is_known_version",
    "open_ledger",
    "open_storage",
    "open_trials",
    "redact",
    "waiting",
]
