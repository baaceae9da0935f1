"""How much memory the rows of a worker would take as float32, and how much they may take."""

import math
from typing import TYPE_CHECKING

from hpo._machine import available_memory

if TYPE_CHECKING:
    from hpo.features import Bundle

__all__ = ["copy_gb", "memory_share_gb"]

#: Weights, activations and validation need memory as well, and so do the pages of mapped files.
_SHARE = 0.5


def copy_gb(bundle: "Bundle") -> float:
    """Return what embeddings and targets of the training and validation rows take as float32.

    In 10⁹ bytes. A refit trains on the rows of both parts.
    """
    parts = bundle.split.parts
    rows = len(parts["train"]) + len(parts["val"])
    widths = sum(int(array.shape[1]) for array in bundle.features.train.values())
    return rows * (widths + len(bundle.classes)) * 4 / 1e9


def memory_share_gb(device: str, workers: int = 1) -> float:
    """Return what the rows of each of some workers may take unless somebody says otherwise.

    In 10⁹ bytes: half of what this machine, or the container, has free now; on CUDA half of the
    device's memory; divided by the workers. Infinity where the system doesn't say what is free.

    Args:
        device: Where they train: ``cpu`` or ``cuda:N``.
        workers: How many share its memory.
    """
    size: int | None
    if device.startswith("cuda"):
        import torch

        size = torch.cuda.get_device_properties(device).total_memory
    else:
        size = available_memory()
    return math.inf if size is None else _SHARE * size / workers / 1e9
