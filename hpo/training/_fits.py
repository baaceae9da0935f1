"""Whether a model can be trained in the memory that is free, told before any of it is taken."""

import math
from collections.abc import Mapping

from hpo._machine import available_memory, total_memory
from hpo.errors import InputError
from hpo.models import Config, counts_weights, model_megabytes

__all__ = ["NoRoomError", "check_fits"]

#: The weights, their gradients, and two moments of Adam; optimizers with fewer are rare.
_COPIES = 4
#: Models that take less, in 10⁹ bytes, are not worth asking the system for.
_SMALL_GB = 0.5


class NoRoomError(InputError):
    """A model can't be trained now, since others have the memory that it would take."""


def check_fits(config: Config, widths: Mapping[str, int], classes: int, device: str) -> None:
    """Check that a model can be trained, as far as its size is known without building it.

    Linux promises memory that it doesn't have, and kills who takes it; so nobody would say why a
    worker died.

    Args:
        config: What is to be trained.
        widths: Embedding width of each modality that there is.
        classes: Number of labels K.
        device: Where.

    Raises:
        NoRoomError: There is too little memory left.
        InputError: It takes more than there is in all.
    """
    if not counts_weights(config.fusion, config.head):
        return
    needed = _needed_gb(config, model_megabytes(config, widths, classes) or 0.0)
    if needed <= _SMALL_GB:
        return
    free, total = _memory_gb(device)
    if needed <= free:
        return
    said = (
        f"hidden {list(config.hidden)} can't be trained here: weights, gradients and the moments "
        f"of the optimizer take {needed:,.1f} GB, and"
    )
    if needed <= total:
        raise NoRoomError(f"{said} {free:,.1f} of {total:,.1f} GB are free on {device}.")
    raise InputError(
        f"{said} {device} has {total:,.1f} GB. Use smaller hidden layers, or a machine with more."
    )


def _needed_gb(config: Config, megabytes: float) -> float:
    """Return what training a model takes at least, in 10⁹ bytes, without rows and activations.

    Args:
        config: What is trained.
        megabytes: Its size in 10⁶ bytes.
    """
    return megabytes / 1000 * (_COPIES + (config.ema_decay is not None))


def _memory_gb(device: str) -> tuple[float, float]:
    """Return the memory that is free, and all there is, in 10⁹ bytes; infinity if not known.

    Args:
        device: ``cpu`` or ``cuda:N``.
    """
    if device.startswith("cuda"):
        import torch  # takes a second, see hpo/_lazy.py

        free, total = torch.cuda.mem_get_info(device)
        return free / 1e9, total / 1e9
    known = available_memory(), total_memory()
    free_gb, total_gb = (math.inf if size is None else size / 1e9 for size in known)
    return free_gb, total_gb
