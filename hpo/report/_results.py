"""The results of a study: its winner judged, refitted, and asked for predictions."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpo.errors import DivergedError, InputError
from hpo.events import Finishing
from hpo.features import Bundle, load_bundle
from hpo.files import sealed, write_json
from hpo.report._errors import report_errors
from hpo.report._means import Means
from hpo.report._reliability import RELIABILITY_FILE, write_reliability
from hpo.results import (
    Decision,
    FloorThread,
    Interval,
    by_class,
    decide,
    decide_on,
    judge,
    listed,
    probabilities_on_test,
    refit_best,
    scores_on_test,
    seed_probabilities,
    select_ensemble,
    stored_floor,
    without_modalities,
    write_predictions,
)
from hpo.search import Task
from hpo.study import StoredStudy, epochs_trained
from hpo.training import Member, TrainedModel, open_device

__all__ = ["make_results"]


def make_results(
    study: StoredStudy,
    best: Task,
    tried: Task,
    tasks: list[Task],
    out: Path,
    means: Means,
    metrics: dict[str, Any],
    *,
    refits: bool,
) -> tuple[dict[str, Any], Exception | None]:
    """Judge the winner, refit it as it is in ``tried``, and predict.

    Args:
        study: The study.
        best: Its winner.
        tried: The winner, with as many epochs as it was scored at.
        tasks: All tasks.
        out: Folder of the results.
        means: With what they are made.
        metrics: What ``metrics.json`` has already.
        refits: Whether to refit.

    Returns:
        What ``metrics.json`` has of that, and what kept the refit from its end.
    """
    found: dict[str, Any] = {}
    device, untouched = means.device, None
    trained = epochs_trained(study, tasks)
    bundle = load_bundle(study.definition.bundle)
    selection, judgement, on_test = None, None, None
    if refits:
        most = means.models(trained)
        selection = select_ensemble(
            study, best, tasks, device, memory_gb=means.memory_gb, most=most
        )
    averaged = selection is not None and bool(selection.members)
    failure: Exception | None = None
    try:
        folds = refits and not averaged and tried is best
        decision = _decided(study, best, means, folds=folds)
    except DivergedError as error:  # of a fold
        failure = _without_model(error, out)
        found["refit_failed"] = str(error)
        decision = _decided(study, best, means, folds=False)
    if decision is not None:
        trained += decision.epochs
        judgement = judge(study, best, tasks, device, decision.thresholds, trainer=decision.trainer)
    of_winner = decision
    if selection is not None and averaged:
        decision = decide_on(selection, study.space)
    if judgement is not None:
        found["judged"] = judgement.to_json(study.space.metric)
    write_json(out / "metrics.json", sealed(metrics | found))  # whatever becomes of the rest
    model: TrainedModel | None = None
    if refits and failure is None:
        members = () if selection is None else selection.members
        try:
            model, epochs = _refitted(study, tried, members, out / "model", means)
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
            "predicted": _predict(study, model, bundle, out, device),
        }
    elif decision is not None and judgement is not None and judgement.untouched is not None:
        assert decision.trainer is not None  # it is the winner's
        assert judgement.untouched_tuned is not None  # both are of the same rows
        found |= _tested("winner", judgement.untouched_tuned, judgement.untouched)
        on_test = seed_probabilities(decision.trainer, best, "test")
    if of_winner is not None:  # after the predictions, which somebody waits for
        report_errors(out / "report", best, tasks, of_winner, means.known)
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
    found["epochs_trained"] = trained
    return found, failure


def _without_model(error: DivergedError | InputError, out: Path) -> Exception:
    """Return an error that says as well what there is all the same."""
    return type(error)(
        f"{error} There is no model, but the numbers of the study are in {out / 'metrics.json'}. "
        "--pick refits another trial, and --no-refit none."
    )


def _tested(model: str, tuned: dict[str, Interval], plain: dict[str, Interval]) -> dict[str, Any]:
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


def _decided(study: StoredStudy, best: Task, means: Means, *, folds: bool) -> Decision | None:
    """Return thresholds and calibration; folds are only trained for a refit of the winner."""
    return decide(
        study,
        best,
        means.device,
        folds=folds,
        memory_gb=means.memory_gb,
        on_step=lambda step, steps: means.tell(Finishing("folds", step, steps)),
    )


def _refitted(
    study: StoredStudy, best: Task, members: Sequence[Member], folder: Path, means: Means
) -> tuple[TrainedModel, int]:
    """Return the refitted model, from ``folder`` or trained, and its epochs."""
    return refit_best(
        study,
        best,
        means.device,
        members=members,
        memory_gb=means.memory_gb,
        kept=folder,
        on_step=lambda step, steps: means.tell(Finishing("refit", step, steps)),
        enough=means.enough,
    )


def _predict(
    study: StoredStudy, model: TrainedModel, bundle: Bundle, out: Path, device: str
) -> int:
    """Write ``predictions.csv`` if there are rows to predict; return how many."""
    if bundle.test_ids:
        opened = open_device(device, study.definition.arithmetic)
        features = bundle.choosing(model.config.encoder).features
        probabilities = model.probabilities(features.test, opened)
        path = out / "predictions.csv"
        write_predictions(path, bundle.test_ids, probabilities, model.classes, model.thresholds)
    return len(bundle.test_ids)
