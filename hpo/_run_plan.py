"""What ``python -m hpo.run`` says of its data before any work starts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from hpo.data import Division
    from hpo.features import Bundle, Data, FolderDefaults
    from hpo.search import Space

__all__ = ["feature_lines", "memory_notes", "row_lines", "scaling_notes"]

#: A norm up to which embeddings count as normalised.
_NORMALISED = 1.5


def row_lines(
    folder: "Path",
    division: "Division",
    test_rows: int,
    features: "Sequence[str]",
    defaults: "FolderDefaults",
) -> list[str]:
    """Say what the rows are, how they are divided, and what their folder sets.

    Args:
        folder: The data folder.
        division: The rows, and how they are divided.
        test_rows: How many are to be predicted.
        features: Lines about their embeddings.
        defaults: What the folder's ``hpo.yaml`` says.
    """
    from hpo.data import class_line, split_line
    from hpo.training import constant_micro_f1

    dataset, parts = division.dataset, division.split.parts
    labels = dataset.labels[: len(dataset.labels) - dataset.untouched]
    constant = constant_micro_f1(dataset.labels[parts["val"]])
    said = {**defaults.said, **defaults.settings}
    shown = ", ".join(f"{key}={value}" for key, value in said.items())
    untouched = f"{len(parts['test']):,} to score at the end, " if "test" in parts else ""
    return [
        f"data {folder} · {len(parts['train']):,} rows to train, {len(parts['val']):,} to "
        f"validate, {untouched}{test_rows:,} to predict, {len(dataset.classes)} classes",
        f"classes {class_line(dataset.classes, labels)}",
        split_line(division.spec),
        *features,
        f"best constant prediction: micro-F1 {constant:.3f} on the rows to validate",
        *([f"set by {folder / 'hpo.yaml'}: {shown}"] if shown else []),
    ]


def feature_lines(data: "Data") -> list[str]:
    """Say which embeddings there are, how wide they are, and what their encoders cost."""
    lines = []
    for name, features in (data.named or {data.description["encoder"]: data.features}).items():
        widths = ", ".join(f"{m} {array.shape[1]}" for m, array in features.train.items())
        cost = ""
        if features.cost is not None:
            cost = f" · {features.cost.mb:,.1f} MB"
            if features.cost.images_per_s is not None:
                rate = f"{features.cost.images_per_s:,.1f} images a second"
                cost += f", {rate} ({features.cost.device})"
        lines.append(f"features {name} · {widths}{cost}")
        if features.info.preprocessing:
            lines.append(f"preprocessing {name}: {features.info.preprocessing}")
    return lines


def scaling_notes(data: "Data", space: "Space") -> list[str]:
    """Say which embeddings are too small for a study that doesn't scale them."""
    scalings = {space.fixed.feature_scaling, *space.search.values_of("feature_scaling")}
    small = [name for name, norm in data.norms.items() if norm <= _NORMALISED]
    if scalings != {"none"} or not small:
        return []
    norms = ", ".join(f"{name} {data.norms[name]:.2f}" for name in small)
    return [
        f"note: embeddings look normalised (norm: {norms}), and this study doesn't scale them. "
        "Adam hardly trains on them at the usual learning rates: 100 epochs of the paper's sum "
        "head end at a micro-F1 of 68.2 instead of 82.3 (docs/log.md). --set feature_scaling=auto "
        "scales them."
    ]


def memory_notes(bundle: "Bundle", allowed: "Sequence[float]") -> list[str]:
    """Say that workers will not hold the rows, where some may not."""
    from hpo.training import copy_gb

    size = copy_gb(bundle)
    least = min(allowed)
    if size <= least:
        return []
    some = sum(size > share for share in allowed)
    who = "workers read" if some == len(allowed) else f"{some} of {len(allowed)} workers read"
    return [
        f"{who} the rows from mapped files, batch by batch: as float32 they are {size:.3g} GB, and "
        f"a worker may hold {least:.3g} GB (--memory-gb)"
    ]
