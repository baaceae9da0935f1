"""A study in Weights & Biases: a group, with a run for the study and one for each trial."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import wandb

from hpo.watch._tracker import Curves, final_values, plain_params

__all__ = ["open_tracker"]

_PROJECT = "hpo"
_ENDS = {"done": 0, "pruned": 0, "failed": 1}


class _WandB:
    """Writes runs, whose ids follow from the study and the trial.

    Args:
        study: The event with which the study began.
        project: Of the tool.
        folder: Where its files are kept before they are sent, or for good if it is offline.
    """

    def __init__(self, study: Mapping[str, Any], project: str, folder: Path) -> None:
        self._study = study
        self._project = project
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._run = self._begin("study", study["study"], {n: study[n] for n in ("space", "metric")})
        self._run.define_metric("best_so_far", step_metric="epochs_trained")

    def has(self, event: Mapping[str, Any]) -> bool:
        """Tell whether files of the trial's run are here."""
        return any(self._folder.glob(f"wandb/*run-*-{self._id(event['trial'])}"))

    def trial(self, event: Mapping[str, Any], curves: Curves) -> None:
        """Write a trial's run."""
        run = self._begin(event["trial"], f"trial {event['trial']}", plain_params(event["params"]))
        try:
            run.define_metric("*", step_metric="epoch")
            epochs = sorted({epoch for curve in curves.values() for epoch in curve})
            for epoch in epochs:
                row = {name: curve[epoch] for name, curve in curves.items() if epoch in curve}
                run.log({"epoch": epoch, **row})
            said = {"state": event["state"], "reason": event["reason"], "stage": event["stage"]}
            run.summary.update({**said, **final_values(event)})
        finally:
            run.finish(exit_code=_ENDS[event["state"]])

    def best(self, event: Mapping[str, Any]) -> None:
        """Write the best so far against the epochs trained."""
        self._run.log({"epochs_trained": event["epochs"], "best_so_far": event["value"]})

    def result(self, event: Mapping[str, Any]) -> None:
        """Write the scores of the results."""
        self._run.summary.update({"trial": event["trial"], **final_values(event)})

    def close(self) -> None:
        """End the study's run."""
        self._run.finish()

    def _id(self, number: object) -> str:
        return f"{self._study['identity'][:12]}-{number}"

    def _begin(self, number: object, name: str, config: Mapping[str, Any]) -> Any:
        return wandb.init(
            project=self._project,
            group=self._study["study"],
            job_type="study" if number == "study" else "trial",
            id=self._id(number),
            name=name,
            config=dict(config),
            dir=str(self._folder),
            resume="allow" if os.environ.get("WANDB_MODE") != "offline" else None,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )


def open_tracker(study: Mapping[str, Any], where: str | None, out: Path) -> _WandB:
    """Return the tracker of a study.

    Args:
        study: The event with which it began.
        where: The project, ``hpo`` by default.
        out: The folder of the results, where the tool's files are kept.
    """
    return _WandB(study, where or _PROJECT, out)
