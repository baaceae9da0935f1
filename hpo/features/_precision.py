"""The precision of an encoder's arithmetic, known without loading one."""

from hpo.errors import InputError

__all__ = ["precision_on"]


def precision_on(device: str) -> str:
    """Return the precision of the encoder's arithmetic on a device: half where it is fast.

    Raises:
        InputError: There is no such device on this machine.
    """
    if device == "cpu":
        return "float32"
    import torch  # takes a second, which the usual device needs not wait for

    try:
        kind = torch.device(device).type
        torch.empty(1, device=device)
    # Torch raises RuntimeError, AssertionError or NotImplementedError, by the kind of device.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(f"the device '{device}' can't be used here: {reason}") from error
    return "float16" if kind == "cuda" else "float32"
