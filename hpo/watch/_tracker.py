"""What a tool that keeps runs has to do; see ``LogProcess``."""

from collections.abc import Mapping
from typing import Any, Protocol

from hpo.search import format_params

__all__ = ["Curves", "Tracker", "final_values", "plain_params"]

#: By column, such as ``val_loss``: the mean over seeds at each epoch, from 1.
Curves = Mapping[str, Mapping[int, float]]


class Tracker(Protocol):
    """Keeps one study in one tool: a run for each trial that ended, and one for the study.

    What events are is said in ``hpo.events``; they come as their JSON. Any error is the end of
    the tool, not of the study.
    """

    def has(self, event: Mapping[str, Any]) -> bool:
        """Tell whether a trial was kept by an earlier command."""

    def trial(self, event: Mapping[str, Any], curves: Curves) -> None:
        """Keep a trial that ended: parameters, metrics by epoch, final values."""

    def best(self, event: Mapping[str, Any]) -> None:
        """Keep that there is a new best."""

    def result(self, event: Mapping[str, Any]) -> None:
        """Keep the results of the study."""

    def close(self) -> None:
        """Let the tool write what it has kept back."""


def plain_params(params: Mapping[str, Any]) -> dict[str, bool | int | float | str]:
    """Return parameters with values that every tool takes."""
    return {
        name: value
        if isinstance(value, bool | int | float | str)
        else format_params({"": value}).strip()
        for name, value in params.items()
    }


def final_values(event: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers at the end of a trial, or the scores of a result."""
    named = {"value": event["value"], "std": event["std"]}
    if event["event"] == "trial_ended":
        named |= {"epochs_trained": event["epochs_trained"], "steps": event["steps"]}
    else:
        named |= {
            f"{part}/{name}": score["value"]
            for part, scores in event["scores"].items()
            for name, score in scores.items()
        }
    return {name: float(value) for name, value in named.items() if value is not None}
