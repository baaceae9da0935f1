"""The queue of a study: who trains what, and its trials, kept in step in one store."""

from hpo.queue._contract import (
    FIRST_ENQUEUED,
    MAX_ATTEMPTS,
    Fenced,
    Ledger,
    PositionTakenError,
    StudyRow,
)
from hpo.queue._open import open_ledger, open_storage, open_trials
from hpo.queue._patience import Patience, waiting
from hpo.queue._sql import SqlLedger
from hpo.queue._trials import Trials
from hpo.trials import check_exists, check_url, redact

__all__ = [
    "FIRST_ENQUEUED",
    "MAX_ATTEMPTS",
    "Fenced",
    "Ledger",
    "Patience",
    "PositionTakenError",
    "SqlLedger",
    "StudyRow",
    "Trials",
    "check_exists",
    "check_url",
    "open_ledger",
    "open_storage",
    "open_trials",
    "redact",
    "waiting",
]
