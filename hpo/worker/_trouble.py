"""Whose trouble an error is: that of a configuration, or that of the worker which met it."""

import errno

import torch

from hpo.errors import InputError
from hpo.training import NoRoomError

__all__ = ["WorkerTroubleError", "own_trouble"]

#: What PyTorch says of a device that is no use to this process any more.
_DEVICE = ("CUDA error", "CUDNN_STATUS", "CUBLAS_STATUS", "device-side assert")


class WorkerTroubleError(InputError):
    """What keeps this worker from working; others may go on, and it may come back once mended."""


def own_trouble(error: BaseException) -> str | None:
    """Say what is wrong with this worker, if that is what an error shows.

    Files that are missing, damaged or not allowed, a failing disk or device, and modules that can't
    be imported are a worker's own: another one may not meet them. Whatever else training raises is
    the configuration's, until ``Workbench.trouble`` finds otherwise.

    Returns:
        What is wrong and what to mend; None if it isn't the worker's.
    """
    if isinstance(error, WorkerTroubleError):
        return str(error)
    if isinstance(error, NoRoomError):
        return f"{error} End what takes it, or let a machine with more work on the study."
    if isinstance(error, OSError):
        named = f" '{error.filename}'" if error.filename else ""
        return f"{error.strerror or error}{named}. {_advice(error)}"
    if isinstance(error, ImportError):
        return f"{error}. Install what is missing where this worker runs."
    broken = isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError)
    if broken and any(said in str(error) for said in _DEVICE):
        (first, *_) = str(error).strip().splitlines()
        return f"{first}. Look at the device, and start the worker again."
    return None


def _advice(error: OSError) -> str:
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return (
            "The cache must be readable and writable for the user that the worker runs as: mend "
            "its permissions, or give a folder of this machine with --cache."
        )
    if error.errno == errno.ENOENT:
        return "The copy of the cache on this machine isn't complete: copy bundles/ and features/."
    return "Look at the disk, and start the worker again."
