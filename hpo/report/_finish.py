"""The end of a study: refit, model folder, predictions, metrics, and the last lines on screen."""

import dataclasses
import functools
import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.errors import DivergedError, InputError
from hpo.events import Finishing, Result, Tell, nobody
from hpo.features import load_bundle
from hpo.files import file_sha256, sealed, sweep, unsealed, write_json
from hpo.json_files import read_json
from hpo.report._cost import CommandCost
from hpo.report._errors import report_errors
from hpo.report._front import front_lines
from hpo.report._reliability import RELIABILITY_FILE, write_reliability
from hpo.report._report import write_report
from hpo.report._result_lines import judged_lines
from hpo.report._row_facts import RowFacts
from hpo.report._row_files import row_file_sums
from hpo.results import (
    FloorThread,
    listed,
    pick_task,
    stored_floor,
    study_metrics,
    write_predictions,
)
from hpo.search import NoCandidateError, Task, format_params
from hpo.study import StoredStudy, as_far_as_it_got, best_so_far, concerns, epochs_trained

if TYPE_CHECKING:
    from hpo.results import Decision, Interval, UntouchedScores
    from hpo.training import Member, TrainedModel

__all__ = ["finish_study", "read_results"]

_log = logging.getLogger(__name__)
_LAST = "epochs_trained"  # of metrics.json; known at the end
#: Temporary files that nobody wrote to for so long are nobody's any more.
_STALE_S = 3600.0


def finish_study(
    study: StoredStudy,
    console: Console,
    out: Path,
    device: str,
    *,
    refit: bool,
    pick: str | int | None = None,
    memory_gb: float | None = None,
    cost: CommandCost | None = None,
    known: RowFacts | None = None,
    ended_by: str | None = None,
    in_time: bool = False,
    models: Callable[[int], int | None] = lambda trained: None,
    tell: Tell = nobody,
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
        cost: What the command has taken so far; None where no command runs.
        known: Captions and pictures of the labelled rows, for the report.
        ended_by: The limit that ended the study before it was complete; None if it is complete.
        in_time: Whether the model has to be there by a limit: a trial that isn't whole is then
            refitted for as many epochs as it was scored at.
        models: Says how many models may be refitted, given the epochs that were trained; None for
            any number.
        tell: Is told of what is trained, and of the results.

    Raises:
        InputError: The study has no result, or not the one that is picked; or the model would be
            too large, and all else is written.
        DivergedError: The refit diverged; all else is written.
        OSError: The folder can't be written.
    """
    for folder in (out, out / "model", out / "report", out / "report" / "figures"):
        sweep(folder, _STALE_S)  # what killed runs left
    tasks = study.tasks()
    best = best_so_far(study, tasks) if ended_by is not None and pick is None else None
    if best is None:
        best = pick_task(study, tasks, device, pick)
    assert best.config is not None and best.outcome is not None  # it has a result
    metrics = study_metrics(study, tasks, best) | {"ended_by": ended_by}
    refits = refit and study.space.refit is not None
    tried = as_far_as_it_got(study, best) if in_time and best.outcome.pruned else best
    there = _already_written(out, metrics, refits)
    failure: Exception | None = None
    if there is not None:
        written = there
    else:
        results, failure = _results(
            study, best, tried, tasks, out, device, memory_gb, tell, refits, models, metrics, known
        )
        written = {
            **metrics,
            **results,
            **({"wall_s": None} if cost is None else cost.record()),
            "files": _hashes(out) if refits and failure is None else {},
            "report_files": row_file_sums(out / "report"),
        }
        write_json(out / "metrics.json", sealed(written))
    if refits and failure is None:
        _describe(study, out / "model", written, again=there is None)
    winner = format_params(study.strategy.params(best.config))
    top = study.best(tasks)
    called = "best" if top is not None and top.position == best.position else "picked"
    lines = [
        *(f"CAUTION: {line}" for line in concerns(study, tasks)),
        f"{called}: trial {best.trial}, {study.space.metric} {best.outcome.value:.3f} ± "
        f"{best.outcome.std:.3f} ({winner})",
        *([f"  {best.outcome.pruned}{_shortened(written)}"] if best.outcome.pruned else []),
        *judged_lines(written),
        *front_lines(study, tasks),
    ]
    tell(
        Result(
            folder=str(out),
            trial=best.trial,
            params=study.strategy.params(best.config),
            value=best.outcome.value,
            std=best.outcome.std,
            scores=_scores(written),
            predicted=written.get("model", {}).get("predicted", 0),
            concerns=tuple(concerns(study, tasks)),
            lines=tuple(lines),
        )
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    paths = [out / name for name in ("model", "predictions.csv", "metrics.json")]
    for path in filter(Path.exists, paths):
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    # Nobody waits for the numbers until the figures are drawn.
    if there is None:
        write_report(study, tasks, out / "report", written)
    console.print(f"  {out / 'report'}", highlight=False, soft_wrap=True)
    if failure is not None:
        raise failure


def _scores(written: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of the results with their intervals, by part."""
    judged = written.get("judged")
    validation = {} if judged is None else {"validation": judged["validation_tuned"]}
    return {**validation, **({"test": written["test"]} if "test" in written else {})}


def _describe(study: StoredStudy, folder: Path, written: dict[str, Any], *, again: bool) -> None:
    """Write the model's card; one that is there already is only written ``again``."""
    from hpo.results import CARD, model_card, write_card
    from hpo.training import TrainedModel

    if again or not (folder / CARD).exists():
        bundle = load_bundle(study.definition.bundle)
        write_card(folder, model_card(TrainedModel.load(folder), written, bundle))


def read_results(study: StoredStudy, tasks: list[Task], out: Path) -> dict[str, Any] | None:
    """Return what ``metrics.json`` in a folder has, if it is of this study as it stands."""
    try:
        raw = _read(out / "metrics.json")
        chosen = [task for task in tasks if task.outcome and task.trial == raw["best"]["trial"]]
        return _written(out, study_metrics(study, tasks, chosen[0])) if chosen else None
    except (KeyError, TypeError, NoCandidateError):
        return None


@functools.cache  # said once of a file, however often it is looked at
def _warn(path: Path, trouble: str) -> None:
    _log.warning("The results %s are left out: %s. hpo run writes them anew.", path, trouble)


def _read(path: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` has; nothing if it isn't there, or with a warning, damaged."""
    try:
        return unsealed(read_json(path))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        _warn(path, f"the file can't be read ({error.strerror})")
    except (ValueError, TypeError) as error:
        _warn(path, f"the file is damaged ({error})")
    return {}


def _written(out: Path, metrics: dict[str, Any]) -> dict[str, Any] | None:
    written = _read(out / "metrics.json")
    if _LAST not in written:  # it was written before the refit
        return None
    same = {key: written.get(key) for key in metrics}
    if written.get("concerns") != metrics.get("concerns"):
        return None
    return written if same == json.loads(json.dumps(metrics)) else None


def _already_written(out: Path, metrics: dict[str, Any], refits: bool) -> dict[str, Any] | None:
    """Return what ``metrics.json`` has if all results of this study are in ``out`` already."""
    written = _written(out, metrics)
    if written is None or not (out / "report" / "index.html").exists():
        return None
    if refits:
        names = ["model/config.json"]
        if written.get("model", {}).get("predicted"):
            names.append("predictions.csv")
        if "model" not in written or not all((out / name).exists() for name in names):
            return None
        if written.get("files", (found := _hashes(out))) != found:
            return None  # one of them was changed since, or damaged
    return written


def _hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that a refit has as its result, by name."""
    paths = [out / name for name in ("model/config.json", "model/model.safetensors")]
    paths += [out / "predictions.csv"]
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths if path.exists()}


def _results(
    study: StoredStudy,
    best: Task,
    tried: Task,
    tasks: list[Task],
    out: Path,
    device: str,
    memory_gb: float | None,
    tell: Tell,
    refits: bool,
    models: Callable[[int], int | None],
    metrics: dict[str, Any],
    known: RowFacts | None,
) -> tuple[dict[str, Any], Exception | None]:
    """Judge the winner, refit it as it is in ``tried``, and predict.

    Returns:
        What ``metrics.json`` has of that, and what kept the refit from its end.
    """
    # PyTorch takes a second, see hpo/_lazy.py
    from hpo.results import (
        by_class,
        decide_on,
        judge,
        probabilities_on_test,
        scores_on_test,
        seed_probabilities,
        select_ensemble,
        without_modalities,
    )

    found: dict[str, Any] = {}
    untouched: UntouchedScores | None = None
    trained = epochs_trained(study, tasks)
    bundle = load_bundle(study.definition.bundle)
    selection, judgement, on_test = None, None, None
    if refits:
        selection = select_ensemble(
            study, best, tasks, device, memory_gb=memory_gb, most=models(trained)
        )
    averaged = selection is not None and bool(selection.members)
    failure: Exception | None = None
    try:
        folds = refits and not averaged and tried is best
        decision = _decided(study, best, device, memory_gb, tell, folds=folds)
    except DivergedError as error:  # of a fold
        failure = _without_model(error, out)
        found["refit_failed"] = str(error)
        decision = _decided(study, best, device, memory_gb, tell, folds=False)
    if decision is not None:
        trained += decision.epochs
        judgement = judge(study, best, tasks, device, decision.thresholds, trainer=decision.trainer)
        report_errors(out / "report", best, tasks, decision, known)
    if selection is not None and averaged:
        decision = decide_on(selection, study.space)
    if judgement is not None:
        found["judged"] = judgement.to_json(study.space.metric)
    write_json(out / "metrics.json", sealed(metrics | found))  # whatever becomes of the rest
    model: TrainedModel | None = None
    if refits and failure is None:
        members = () if selection is None else selection.members
        try:
            model, epochs = _refitted(study, tried, members, out / "model", device, memory_gb, tell)
        except (DivergedError, InputError) as error:
            failure = _without_model(error, out)
            found["refit_failed"] = str(error)
    if model is not None:
        if decision is not None:
            model = dataclasses.replace(model, thresholds=decision.thresholds)
        untouched = scores_on_test(model, bundle, device)
        if untouched is not None:
            found |= _tested("refitted", untouched.tuned, untouched.at_half)
            on_test = [probabilities_on_test(model, bundle, device)]
        if decision is not None:
            model = model.calibrated(decision.calibration)
        model.save(out / "model")
        trained += epochs
        if selection is not None:
            found["ensemble"] = selection.to_json()
            trained += selection.epochs_trained
        found["model"] = {
            "mb": round(model.module.megabytes(), 3),
            **model.origin,
            **({} if tried is best else {"epochs": model.config.epochs}),
            "predicted": _predict(study, model, out, device),
        }
    elif decision is not None and judgement is not None and judgement.untouched is not None:
        assert decision.trainer is not None  # it is the winner's
        assert judgement.untouched_tuned is not None  # both are of the same rows
        found |= _tested("winner", judgement.untouched_tuned, judgement.untouched)
        on_test = seed_probabilities(decision.trainer, best, "test")
    if decision is not None:
        right = None if on_test is None else bundle.labels_of("test") > 0
        of_test = None if on_test is None else bundle.groups_of("test")
        found["calibration"] = decision.calibration_json(on_test, right, of_test)
        write_reliability(out / "report" / RELIABILITY_FILE, decision, on_test, right)
    FloorThread(study).join()  # it is there unless the study was worked on elsewhere
    floor = stored_floor(study)
    if floor is not None:
        found["floor"] = floor.on_test(bundle).to_json()
    found["classes"] = by_class(judgement, untouched)
    found["without"] = without_modalities(judgement, untouched)
    found[_LAST] = trained
    return found, failure


def _shortened(written: dict[str, Any]) -> str:
    """Say that the model was trained for fewer epochs than its configuration has, if it was."""
    epochs = written.get("model", {}).get("epochs")
    return "" if epochs is None else f"; the model was trained for {epochs:,} epochs, too"


def _without_model(error: DivergedError | InputError, out: Path) -> Exception:
    """Return an error that says as well what there is all the same."""
    return type(error)(
        f"{error} There is no model, but the numbers of the study are in {out / 'metrics.json'}. "
        "--pick refits another trial, and --no-refit none."
    )


def _tested(
    model: str, tuned: dict[str, "Interval"], plain: dict[str, "Interval"]
) -> dict[str, Any]:
    """Return the scores on the test part, and which model they are of.

    Args:
        model: ``refitted``, or ``winner``: as it was trained for the search, without the
            validation rows, mean over its seeds.
        tuned: At the thresholds that were chosen.
        plain: At 0.5.
    """
    return {
        "test": listed(tuned),
        "test_at_half": listed(plain),
        "test_model": model,
    }


def _decided(
    study: StoredStudy,
    best: Task,
    device: str,
    memory_gb: float | None,
    tell: Tell,
    *,
    folds: bool,
) -> "Decision | None":
    """Return thresholds and calibration; folds are only trained for a refit of the winner."""
    from hpo.results import decide

    return decide(
        study,
        best,
        device,
        folds=folds,
        memory_gb=memory_gb,
        on_step=lambda step, steps: tell(Finishing("folds", step, steps)),
    )


def _refitted(
    study: StoredStudy,
    best: Task,
    members: Sequence["Member"],
    folder: Path,
    device: str,
    memory_gb: float | None,
    tell: Tell,
) -> tuple["TrainedModel", int]:
    """Return the refitted model, from ``folder`` or trained, and its epochs."""
    from hpo.results import refit_best

    return refit_best(
        study,
        best,
        device,
        members=members,
        memory_gb=memory_gb,
        kept=folder,
        on_step=lambda step, steps: tell(Finishing("refit", step, steps)),
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
