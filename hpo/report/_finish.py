"""The end of a study: refit, model folder, predictions, metrics, and the last lines on screen."""

import dataclasses
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.features import load_bundle
from hpo.files import write_json
from hpo.report._front import front_lines
from hpo.report._report import write_report
from hpo.results import pick_task, study_metrics, write_predictions
from hpo.search import Task, format_params
from hpo.study import StoredStudy, best_so_far, epochs_unfinished

if TYPE_CHECKING:
    from hpo.training import Member, TrainedModel

__all__ = ["finish_study"]

_NO_TEST = (
    "no test part: the validation rows chose this configuration, so expect a little less on new "
    "rows; split: {test_rows: …} or {test_fraction: …} keeps some untouched"
)


def finish_study(
    study: StoredStudy,
    console: Console,
    out: Path,
    device: str,
    *,
    refit: bool,
    pick: str | int | None = None,
    memory_gb: float | None = None,
    began: float | None = None,
    ended_by: str | None = None,
) -> None:
    """Refit the best configuration unless that is done, write all results, and print them.

    Args:
        study: A study that is complete, or was ended by a limit.
        console: Where to print.
        out: Folder of the results.
        device: Where to train.
        refit: Whether to train on all rows and predict.
        pick: Which configuration; see ``pick_task``.
        memory_gb: What the rows of the refit may take, see ``WorkerSettings``.
        began: When the command began, by ``time.monotonic``.
        ended_by: The limit that ended the study before it was complete; None if it is complete.

    Raises:
        InputError: The study has no result, or not the one that is picked, or the model would be
            too large.
    """
    tasks = study.tasks()
    best = best_so_far(study, tasks) if ended_by is not None and pick is None else None
    if best is None:
        best = pick_task(study, tasks, device, pick)
    assert best.config is not None and best.outcome is not None  # it has a result
    metrics = study_metrics(study, tasks, best) | {"ended_by": ended_by}
    refits = refit and study.space.refit is not None
    known = _already_written(out, metrics, refits)
    if known is not None:
        written = known
    else:
        written = metrics | _results(study, best, tasks, out, device, memory_gb, console, refits)
        seconds = None if began is None else round(time.monotonic() - began, 1)
        write_json(out / "metrics.json", {**written, "wall_s": seconds})
    winner = format_params(study.strategy.params(best.config))
    top = study.best(tasks)
    called = "best" if top is not None and top.position == best.position else "picked"
    lines = [
        f"{called}: trial {best.trial}, {study.space.metric} {best.outcome.value:.3f} ± "
        f"{best.outcome.std:.3f} ({winner})",
        *([f"  {best.outcome.pruned}"] if best.outcome.pruned else []),
        *_judged_lines(written),
        *front_lines(study, tasks),
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    paths = [out / name for name in ("model", "predictions.csv", "metrics.json")]
    for path in filter(Path.exists, paths):
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    # Nobody waits for the numbers until the figures are drawn.
    if known is None:
        write_report(study, tasks, out / "report")
    console.print(f"  {out / 'report'}", highlight=False, soft_wrap=True)


def _already_written(out: Path, metrics: dict[str, Any], refits: bool) -> dict[str, Any] | None:
    """Return what ``metrics.json`` has if all results of this study are in ``out`` already."""
    try:
        written: dict[str, Any] = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = {key: written.get(key) for key in metrics}
    if same != json.loads(json.dumps(metrics)) or not (out / "report" / "index.html").exists():
        return None
    if refits:
        names = ["model/config.json"]
        if written.get("model", {}).get("predicted"):
            names.append("predictions.csv")
        if "model" not in written or not all((out / name).exists() for name in names):
            return None
    return written


def _results(
    study: StoredStudy,
    best: Task,
    tasks: list[Task],
    out: Path,
    device: str,
    memory_gb: float | None,
    console: Console,
    refits: bool,
) -> dict[str, Any]:
    """Judge the winner, refit it, predict, and return what ``metrics.json`` has of that."""
    # PyTorch takes a second, see hpo/_lazy.py
    from hpo.results import judge, scores_on_test, select_ensemble

    found: dict[str, Any] = {}
    judgement = judge(study, best, tasks, device)
    if judgement is not None:
        found["judged"] = judgement.to_json(study.space.metric)
    trained = sum(task.outcome.epochs_trained for task in tasks if task.outcome is not None)
    trained += epochs_unfinished(study, tasks)
    if refits:
        selection = select_ensemble(study, best, tasks, device, memory_gb=memory_gb)
        members = () if selection is None else selection.members
        model, epochs = _refitted(study, best, members, out / "model", device, memory_gb, console)
        if selection is not None and members:
            model = dataclasses.replace(model, thresholds=selection.thresholds)
        elif judgement is not None:
            model = dataclasses.replace(model, thresholds=judgement.thresholds)
        model.save(out / "model")
        trained += epochs
        if selection is not None:
            found["ensemble"] = selection.to_json()
            trained += selection.epochs_trained
        found["model"] = {
            "mb": round(model.module.megabytes(), 3),
            **model.origin,
            "predicted": _predict(study, model, out, device),
        }
        scores = scores_on_test(model, load_bundle(study.definition.bundle), device)
        if scores is not None:
            tuned, plain = scores
            found["test"] = {n: dataclasses.asdict(score) for n, score in tuned.items()}
            found["test_at_half"] = {n: dataclasses.asdict(s) for n, s in plain.items()}
    found["epochs_trained"] = trained
    return found


def _refitted(
    study: StoredStudy,
    best: Task,
    members: Sequence["Member"],
    folder: Path,
    device: str,
    memory_gb: float | None,
    console: Console,
) -> tuple["TrainedModel", int]:
    """Return the refitted model, from ``folder`` or trained, and its epochs."""
    from hpo.results import refit_best

    with console.status("refit") as status:
        return refit_best(
            study,
            best,
            device,
            members=members,
            memory_gb=memory_gb,
            kept=folder,
            on_step=lambda step, steps: status.update(f"refit: epoch {step}/{steps}"),
        )


def _predict(study: StoredStudy, model: "TrainedModel", out: Path, device: str) -> int:
    """Write ``predictions.csv`` if there are rows to predict; return how many."""
    from hpo.training import open_device

    bundle = load_bundle(study.definition.bundle)
    if bundle.test_ids:
        opened = open_device(device, study.definition.arithmetic)
        features = bundle.choosing(model.config.encoder).features
        probabilities = model.probabilities(features.test, opened)
        path = out / "predictions.csv"
        write_predictions(path, bundle.test_ids, probabilities, model.classes, model.thresholds)
    return len(bundle.test_ids)


def _judged_lines(written: dict[str, Any]) -> list[str]:
    """Return what the results say of the winner, in words."""
    lines = []
    judged = written.get("judged")
    if judged is not None:
        lines.append(f"validation: {_scores(judged['validation'])}")
        tied, compared = judged["tied"]["trials"], judged["tied"]["compared"]
        if tied:
            listed = ", ".join(map(str, tied[:8])) + (", …" if len(tied) > 8 else "")
            lines.append(
                f"tied: {len(tied)} of the {compared} best others can't be told from it (95%, "
                f"paired over rows): trials {listed}"
            )
    if "ensemble" in written:
        lines.append(_ensemble_line(written["ensemble"]))
    if "test" in written:
        lines.append(f"test, refitted: {_scores(written['test'])}")
        if judged is not None and judged["optimism"] is not None:
            lines.append(f"optimism: {judged['optimism']:+.2f} from validation to test")
    elif judged is not None:
        lines.append(_NO_TEST)
    if "model" in written:
        model = written["model"]
        lines.append(f"model: {model['mb']:.2f} MB, trained on {model['rows']:,} rows")
    return lines


def _ensemble_line(ensemble: dict[str, Any]) -> str:
    """Return what came of looking for an ensemble, in words."""
    count = ensemble["looked_at"]
    looked_at = f"{count} model{'' if count == 1 else 's'} looked at"
    if "gain" not in ensemble:
        return f"ensemble: none, {looked_at}"
    gain, name = ensemble["gain"][ensemble["metric"]], ensemble["metric"].replace("_f1", "-F1")
    shown = f"{name} {gain['value']:+.2f} ({gain['low']:+.2f} to {gain['high']:+.2f})"
    if not ensemble["kept"]:
        return f"ensemble: none, its gain over the best one alone would be {shown}; {looked_at}"
    return (
        f"ensemble: {len(ensemble['members'])} models, which gain {shown} over the best one "
        f"alone; {looked_at}"
    )


def _scores(scores: dict[str, dict[str, float]]) -> str:
    shown = [
        f"{name.replace('_f1', '-F1')} {s['value']:.2f} ({s['low']:.2f} to {s['high']:.2f})"
        for name, s in scores.items()
    ]
    return ", ".join(shown)
