"""The end of a study: refit, model folder, predictions, metrics, and the last lines on screen."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.files import write_json
from hpo.models import Config
from hpo.report._predictions import write_predictions
from hpo.report._report import write_report
from hpo.report._tables import format_params, study_tables
from hpo.service import Study, Task

if TYPE_CHECKING:
    from hpo.training import TrainedModel

__all__ = ["finished_report"]


def finished_report(study: Study, console: Console, out: Path, device: str, *, refit: bool) -> int:
    """Refit the best configuration unless that is done, write all results, and print them.

    Args:
        study: A complete study.
        console: Where to print.
        out: Folder of the results.
        device: Where to train.
        refit: Whether to train on all rows and predict.

    Returns:
        The exit status.
    """
    tasks = study.ledger.tasks(study.name)
    best = study.best(tasks)
    if best is None or best.config is None or best.outcome is None:
        raise InputError(f"The study '{study.name}' has no trial with a result.")
    config = Config.model_validate(best.config)
    refits = refit and study.space.refit is not None
    metrics = _metrics(study, tasks, best)
    written = _already_written(out, metrics, refits)
    if written is not None:
        metrics = written
    else:
        if refits:
            model = _refitted(study, config, best, out, device, console)
            metrics["model"] = {
                "mb": round(model.module.megabytes(), 3),
                **model.origin,
                "predicted": _predict(study, model, out, device),
            }
        write_report(study, tasks, out / "report")
        write_json(out / "metrics.json", metrics)  # the last: with it all is there
    winner = format_params(study.params(config))
    console.print(
        f"best: trial {best.trial}, {study.space.metric} {best.outcome['value']:.3f} ± "
        f"{best.outcome['std']:.3f} ({winner})",
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
    return 0


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


def _metrics(study: Study, tasks: Sequence[Task], best: Task) -> dict[str, Any]:
    assert best.outcome is not None
    return {
        "study": study.name,
        "metric": study.space.metric,
        "data": study.definition.dataset,
        "best": {
            "trial": best.trial,
            "config": best.config,
            **{key: best.outcome[key] for key in ("value", "std", "scores", "metrics")},
        },
        "stages": [
            {
                "name": table.name,
                "candidates": [
                    {"candidate": row.label, "value": row.value, "std": row.std, "note": row.note}
                    for row in table.rows
                ],
            }
            for table in study_tables(study, tasks)
        ],
    }


def _refitted(
    study: Study, config: Config, best: Task, out: Path, device: str, console: Console
) -> "TrainedModel":
    """Return the model in ``out`` if it is that of the best trial, else train it."""
    from hpo.training import RunStore, TrainedModel, Trainer, open_device
    from hpo.training import refit as refit_best

    folder = out / "model"
    definition = study.definition
    origin = {"study": study.name, "trial": best.trial, "bundle": definition.bundle_key}
    try:
        model = TrainedModel.load(folder)
        same = all(model.origin.get(key) == value for key, value in origin.items())
        if same and _same_but_batch(model.config, config):
            return model
    except InputError:
        pass  # there is none yet, or it is damaged; it can be made again
    assert study.space.refit is not None
    trainer = Trainer(
        load_bundle(definition.bundle),
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        arithmetic=definition.arithmetic,
        checkpoint_every=definition.checkpoint_every,
        milestones=(config.epochs,),
    )
    with console.status("refit") as status:
        model = refit_best(
            trainer,
            config,
            seed=study.space.refit.seed,
            max_model_mb=study.space.max_model_mb,
            origin=origin,
            on_step=lambda step, steps: status.update(f"refit: epoch {step}/{steps}"),
        )
    model.save(folder)
    return model


def _same_but_batch(a: Config, b: Config) -> bool:
    """Tell whether configurations agree; a full batch grows in the refit."""
    return a.model_copy(update={"batch_size": b.batch_size}) == b


def _predict(study: Study, model: "TrainedModel", out: Path, device: str) -> int:
    """Write ``predictions.csv`` if there are rows to predict; return how many."""
    from hpo.training import open_device

    bundle = load_bundle(study.definition.bundle)
    if bundle.test_ids:
        opened = open_device(device, study.definition.arithmetic)
        probabilities = model.probabilities(bundle.features.test, opened)
        path = out / "predictions.csv"
        write_predictions(path, bundle.test_ids, probabilities, model.classes, model.thresholds)
    return len(bundle.test_ids)
