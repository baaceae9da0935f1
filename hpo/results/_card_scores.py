"""What a model card says of how good the model is: scores, classes, calibration."""

from collections.abc import Mapping
from typing import Any

from hpo.features import Bundle
from hpo.results._card_markdown import table
from hpo.training import TrainedModel

__all__ = ["calibration_lines", "classes_lines", "parts_of", "scores_lines", "support_of"]

_F1 = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "samples_f1": "samples-F1"}


def parts_of(found: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the scores of each part of the data at the thresholds of the model."""
    judged = found.get("judged") or {}
    parts = {"validation": judged.get("validation_tuned"), "test": found.get("test")}
    return [(part, scores) for part, scores in parts.items() if scores]


def scores_lines(found: Mapping[str, Any]) -> list[str]:
    """Return the scores with their intervals."""
    lines = ["## Scores", ""]
    judged = found.get("judged")
    if judged is None and "test" not in found:
        best = found.get("best")
        if best is None:
            return [*lines, "None are stored with this model.", ""]
        known = best["metrics"]  # of a trial that wasn't whole by a limit the study's own alone
        shown = ", ".join(f"{name} {known[key]:.2f}" for key, name in _F1.items() if key in known)
        if not shown:
            return [*lines, "No F1 score is known of it.", ""]
        return [
            *lines,
            f"On the validation rows, at 0.5, before it was trained on them too: {shown} percent.",
            "",
        ]
    rows = []
    if judged is not None:
        rows += [
            ["validation", "chosen", *_intervals(judged["validation_tuned"])],
            ["validation", "0.5", *_intervals(judged["validation"])],
        ]
    if "test" in found:
        rows += [
            ["test", "chosen", *_intervals(found["test"])],
            ["test", "0.5", *_intervals(found["test_at_half"])],
        ]
    lines += table(["part", "thresholds", *_F1.values()], rows)
    lines += ["", "In percent, with 95% intervals by bootstrap over rows and seeds."]
    if judged is not None:
        lines[-1] += (
            " Validation: the configuration as it was searched, trained without these rows, "
            "which chose it."
        )
    if "test" in found:
        refitted = found.get("test_model") == "refitted"
        whose = "this model" if refitted else "the configuration as it was searched"
        lines[-1] += f" Test: {whose}, on rows that no decision saw."
    floor = [
        [line.replace("_", "-"), part, *_intervals(scores[part])]
        for line, scores in found.get("floor", {}).items()
        for part in ("validation", "test")
        if part in scores
    ]
    if floor:
        lines += ["", "For comparison:", "", *table(["floor", "part", *_F1.values()], floor)]
    return [*lines, ""]


def classes_lines(
    model: TrainedModel, found: Mapping[str, Any], bundle: Bundle | None
) -> list[str]:
    """Return the scores of each class, its threshold, and how many rows have it."""
    parts = found.get("classes", {})
    part = next((one for one in ("test", "validation_tuned") if one in parts), None)
    head = ["class", "threshold"]
    if bundle is not None:
        head.append("rows trained on")
    if part is not None:
        head += ["precision", "recall", "F1", "rows scored"]
    support = support_of(bundle)
    rows = []
    for k, name in enumerate(model.classes):
        cells = [name, f"{model.thresholds[k]:.4f}"]
        if bundle is not None:
            cells.append(f"{support[k]:,}")
        if part is not None:
            score = parts[part][name]
            cells += [f"{score[key]:.2f}" for key in ("precision", "recall", "f1")]
            cells.append(f"{score['support']:,}")
        rows.append(cells)
    lines = ["## Classes", "", *table(head, rows), ""]
    if part is not None:
        called = part.replace("_tuned", "")
        lines += [f"Scores in percent on the {called} rows, at the thresholds of the model.", ""]
    return lines


def calibration_lines(model: TrainedModel, found: Mapping[str, Any]) -> list[str]:
    """Say how far probabilities can be believed."""
    lines = ["## Calibration", ""]
    how = "Probabilities are as the model gives them."
    if model.calibration is not None:
        how = f"Probabilities are corrected by {model.calibration.method} scaling."
    lines.append(how)
    measured = found.get("calibration")
    if measured is None:
        return [*lines, ""]
    key = "ece" if model.calibration is None else "ece_calibrated"
    shown = [
        f"{error['value']:.2f} ({error['low']:.2f} to {error['high']:.2f}) on the {part} rows"
        for part in ("validation", "test")
        if (error := measured.get(part, {}).get(key)) is not None
    ]
    if shown:
        lines[-1] += (
            f" Expected calibration error, {measured['bins']} bins, in percent: {', '.join(shown)}."
        )
    return [*lines, ""]


def support_of(bundle: Bundle | None) -> list[int]:
    """Return how many of the rows that a refit is trained on have each class."""
    if bundle is None:
        return []
    counts = sum(bundle.labels_of(part).sum(axis=0, dtype=int) for part in ("train", "val"))
    return [int(count) for count in counts]


def _intervals(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    return [
        f"{scores[key]['value']:.2f} ({scores[key]['low']:.2f} to {scores[key]['high']:.2f})"
        if key in scores
        else ""
        for key in _F1
    ]
