"""What the tests with real workers share with the long chaos test of ``scripts/``."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "scripts"))

from chaos import (
    Crew,
    Outcome,
    chaos,
    create_study,
    crew_of,
    differences_from_alone,
    greedy_space,
    make_bundle,
    outcome_of,
    promote_space,
    undisturbed,
    violations,
)

__all__ = [
    "LENGTH",
    "Crew",
    "Outcome",
    "chaos",
    "create_study",
    "crew_of",
    "differences_from_alone",
    "greedy_space",
    "make_bundle",
    "outcome_of",
    "promote_space",
    "undisturbed",
    "violations",
    "wait_for",
]

#: Epochs of a configuration in the study that several tests run.
LENGTH = 20


def wait_for(condition: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Wait until ``condition`` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:g} s for: {what}"
        time.sleep(0.02)
