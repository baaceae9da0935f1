"""What happens to a study, told to whoever listens: the screen, machines, and other tools."""

from hpo.events._encoding import EncodingWatch
from hpo.events._events import (
    Best,
    Decision,
    Encoding,
    Event,
    Finished,
    Finishing,
    FloorKnown,
    Planned,
    Result,
    StageBegun,
    StageDecided,
    Stopped,
    StudyBegun,
    Totals,
    TrialBegun,
    TrialEnded,
    TrialPaused,
    TrialProgress,
    Waiting,
)
from hpo.events._stream import Stream, Tell, nobody
from hpo.events._watch import StudyWatch

__all__ = [
    "Best",
    "Decision",
    "Encoding",
    "EncodingWatch",
    "Event",
    "Finished",
    "Finishing",
    "FloorKnown",
    "Planned",
    "Result",
    "StageBegun",
    "StageDecided",
    "Stopped",
    "Stream",
    "StudyBegun",
    "StudyWatch",
    "Tell",
    "Totals",
    "TrialBegun",
    "TrialEnded",
    "TrialPaused",
    "TrialProgress",
    "Waiting",
    "nobody",
]
