"""Several trained models as one."""

import dataclasses
from collections.abc import Mapping, Sequence

from hpo.models import HEADS, AssembledModel, Config, EnsembleModel, head_names
from hpo.training._folder import Member, TrainedModel, widths_read

__all__ = ["combined", "refitted_megabytes"]


def combined(
    models: Sequence[TrainedModel], members: Sequence[Member], widths: Mapping[str, int]
) -> TrainedModel:
    """Return the model that averages the probabilities of several, by their weights.

    Args:
        models: Of the same classes, on the same data; the first one gives what is said of all.
        members: What is kept of each, its weight among it.
        widths: Embedding width of each modality that there is, in the order of the data.
    """
    first = models[0]
    read = {n: width for n, width in widths.items() if any(n in m.widths for m in models)}
    modules = [model.module for model in models]
    singles = [module for module in modules if isinstance(module, AssembledModel)]
    assert len(singles) == len(models)  # an ensemble is no member
    return dataclasses.replace(
        first,
        module=EnsembleModel(singles, [member.weight for member in members]),
        widths=read,
        members=tuple(members),
    )


def refitted_megabytes(config: Config, widths: Mapping[str, int], classes: int, rows: int) -> float:
    """Return how large the model of a configuration will be, in 10⁶ bytes.

    Args:
        config: The configuration.
        widths: Embedding width of each modality that there is.
        classes: Number of labels K.
        rows: How many it will be trained on, which a head that remembers them keeps.
    """
    read = widths_read(config, widths)
    size = AssembledModel(config, read, classes).megabytes()
    row_bytes = HEADS[config.head].traits.get("row_bytes")
    if row_bytes is not None:
        for name in head_names(config.fusion, tuple(read)):
            width = read.get(name, sum(read.values()))
            size += row_bytes(width, classes) * rows / 1e6
    return size
