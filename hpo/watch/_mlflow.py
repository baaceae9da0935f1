"""A study in MLflow: an experiment, a run for the study, and a run within it for each trial."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from hpo.watch._tracker import Curves, final_values, plain_params

__all__ = ["open_tracker"]

_IDENTITY, _TRIAL = "hpo.study", "hpo.trial"
_ENDS = {"done": "FINISHED", "pruned": "KILLED", "failed": "FAILED"}
#: What one call takes at most.
_METRICS, _PARAMS, _LETTERS = 1000, 100, 6000


class _MLflow:
    """Writes runs by MLflow's client.

    Args:
        client: Of the tracking server, or of a folder or database.
        study: The event with which the study began.
    """

    def __init__(self, client: MlflowClient, study: Mapping[str, Any]) -> None:
        self._client = client
        self._identity = study["identity"]
        self._metric = study["metric"]
        experiment = client.get_experiment_by_name(study["study"])
        self._experiment = (
            client.create_experiment(study["study"])
            if experiment is None
            else experiment.experiment_id
        )
        self._kept: dict[str, str] = {}
        token: str | None = None
        while True:
            found = client.search_runs(
                [self._experiment],
                f"tags.`{_IDENTITY}` = '{self._identity}'",
                max_results=1000,
                page_token=token,
            )
            for run in found:
                # one that is in progress was not kept to its end
                if run.info.status != "RUNNING" or run.data.tags[_TRIAL] == "study":
                    self._kept[run.data.tags[_TRIAL]] = run.info.run_id
            token = found.token
            if not token:
                break
        self._parent = self._kept.get("study") or self._begin("study", study["study"], {})
        if "study" not in self._kept:
            about = {name: study[name] for name in ("space", "metric", "seeds")}
            self._log(self._parent, {"hpo_" + k: v for k, v in about.items()}, [])

    def has(self, event: Mapping[str, Any]) -> bool:
        """Tell whether the trial has a run."""
        return str(event["trial"]) in self._kept

    def trial(self, event: Mapping[str, Any], curves: Curves) -> None:
        """Write a trial's run."""
        number = str(event["trial"])
        tags = {"mlflow.parentRunId": self._parent, "hpo.stage": event["stage"]}
        if event["reason"]:
            tags["hpo.reason"] = event["reason"][:_LETTERS]
        run = self._begin(number, f"trial {number}", tags)
        now = _now()
        metrics = [
            Metric(name, value, now, epoch)
            for name, curve in curves.items()
            for epoch, value in curve.items()
        ]
        metrics += [Metric(n, v, now, event["steps"]) for n, v in final_values(event).items()]
        self._log(run, plain_params(event["params"]), metrics)
        self._client.set_terminated(run, _ENDS[event["state"]])
        self._kept[number] = run

    def best(self, event: Mapping[str, Any]) -> None:
        """Write the best so far against the epochs trained."""
        best = Metric("best_so_far", event["value"], _now(), event["epochs"])
        self._log(self._parent, {}, [best])

    def result(self, event: Mapping[str, Any]) -> None:
        """Write the scores of the results."""
        values = final_values(event)
        metrics = [Metric(f"result/{n}", v, _now(), 0) for n, v in values.items()]
        self._log(self._parent, {}, metrics)
        self._client.set_tag(self._parent, "hpo.results", event["folder"])

    def close(self) -> None:
        """End the study's run."""
        self._client.set_terminated(self._parent, "FINISHED")

    def _begin(self, number: str, name: str, tags: Mapping[str, str]) -> str:
        kept = {_IDENTITY: self._identity, _TRIAL: number, **tags}
        run_id: str = self._client.create_run(
            self._experiment, tags=kept, run_name=name
        ).info.run_id
        return run_id

    def _log(self, run: str, params: Mapping[str, Any], metrics: list[Metric]) -> None:
        given = [Param(name, str(value)[:_LETTERS]) for name, value in params.items()]
        for start in range(0, len(given), _PARAMS):
            self._client.log_batch(run, params=given[start : start + _PARAMS])
        for start in range(0, len(metrics), _METRICS):
            self._client.log_batch(run, metrics=metrics[start : start + _METRICS])


def open_tracker(study: Mapping[str, Any], where: str | None, out: Path) -> _MLflow:
    """Return the tracker of a study.

    Args:
        study: The event with which it began.
        where: A tracking URI; by default MLFLOW_TRACKING_URI, or else ``mlflow.db`` in the folder
            of the results.
        out: The folder of the results.
    """
    # A server that is away is tried for a quarter of a minute, not for a quarter of an hour.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    uri = where or os.environ.get("MLFLOW_TRACKING_URI")
    if uri is None:
        out.mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{out / 'mlflow.db'}"
    return _MLflow(MlflowClient(tracking_uri=uri), study)


def _now() -> int:
    return int(1000 * time.time())
