"""The end of a study: refit, model folder, predictions, metrics, and the last lines on screen."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.files import write_json
from hpo.report._report import write_report
from hpo.results import study_metrics, write_predictions
from hpo.search import Task, format_params
from hpo.study import StoredStudy

if TYPE_CHECKING:
    from hpo.training import TrainedModel

__all__ = ["finish_study"]


def finish_study(
    study: StoredStudy, console: Console, out: Path, device: str, *, refit: bool
) -> None:
    """Refit the best configuration unless that is done, write all results, and print them.

    Args:
        study: A complete study.
        console: Where to print.
        out: Folder of the results.
        device: Where to train.
        refit: Whether to train on all rows and predict.

    Raises:
        InputError: The study has no result, or the model would be too large.
    """
    tasks = study.tasks()
    best = study.best(tasks)
    if best is None or best.config is None or best.outcome is None:
        raise InputError(f"The study '{study.name}' has no trial with a result.")
    metrics = study_metrics(study, tasks, best)
    refits = refit and study.space.refit is not None
    written = _already_written(out, metrics, refits)
    if written is not None:
        metrics = written
    else:
        if refits:
            model = _refitted(study, best, out / "model", device, console)
            metrics["model"] = {
                "mb": round(model.module.megabytes(), 3),
                **model.origin,
                "predicted": _predict(study, model, out, device),
            }
        write_report(study, tasks, out / "report")
        write_json(out / "metrics.json", metrics)  # the last: with it all is there
    winner = format_params(study.strategy.params(best.config))
    console.print(
        f"best: trial {best.trial}, {study.space.metric} {best.outcome.value:.3f} ± "
        f"{best.outcome.std:.3f} ({winner})",
        highlight=False,
        soft_wrap=True,
    )
    if "model" in metrics:
        console.print(
            f"model: {metrics['model']['mb']:.2f} MB, trained on {metrics['model']['rows']:,} rows",
            highlight=False,
        )
    for name in ("model", "predictions.csv", "metrics.json", "report"):
        if (out / name).exists():
            console.print(f"  {out / name}", highlight=False, soft_wrap=True)


def _already_written(out: Path, metrics: dict[str, Any], refits: bool) -> dict[str, Any] | None:
    """Return what ``metrics.json`` has if all results of this study are in ``out`` already."""
    try:
        written: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = {key: value for key, value in written.items() if key != "model"}
    if same != json.loads(json.dumps(metrics)) or not (out / "report" / "index.html").exists():
        return None
    if refits:
        names = ["model/config.json"]
        if written.get("model", {}).get("predicted"):
            names.append("predictions.csv")
        if "model" not in written or not all((out / name).exists() for name in names):
            return None
    return written


def _refitted(
    study: StoredStudy, best: Task, folder: Path, device: str, console: Console
) -> "TrainedModel":
    """Return the model in ``folder`` if it is that of the best trial, else train and keep it."""
    from hpo.results import refit_best  # PyTorch takes a second, see hpo/_lazy.py

    assert study.space.refit is not None
    with console.status("refit") as status:
        model = refit_best(
            study,
            best,
            device,
            seed=study.space.refit.seed,
            kept=folder,
            on_step=lambda step, steps: status.update(f"refit: epoch {step}/{steps}"),
        )
    model.save(folder)
    return model


def _predict(study: StoredStudy, model: "TrainedModel", out: Path, device: str) -> int:
    """Write ``predictions.csv`` if there are rows to predict; return how many."""
    from hpo.training import open_device

    bundle = load_bundle(study.definition.bundle)
    if bundle.test_ids:
        opened = open_device(device, study.definition.arithmetic)
        probabilities = model.probabilities(bundle.features.test, opened)
        path = out / "predictions.csv"
        write_predictions(path, bundle.test_ids, probabilities, model.classes, model.thresholds)
    return len(bundle.test_ids)
