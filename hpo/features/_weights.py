"""Weights of an encoder from what holds them: plain, TorchScript, or a checkpoint of training."""

import argparse
import contextlib
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from hpo.errors import InputError
from hpo.features._torchscript import is_torchscript, torchscript_weights
from hpo.files import regular

__all__ = ["misfit", "not_finite", "plain_weights"]

# Where trainers put the weights, beside the optimizer's state and such.
_HOLDERS = ("state_dict", "model_state_dict", "model", "module", "model_ema", "ema")
_WRAPPERS = ("module.", "_orig_mod.", "model.", "clip_model.", "clip.")
# What transformers calls the towers of its CLIP and SigLIP.
_TRANSFORMERS = ("vision_model.", "text_model.")
# OpenAI's archives have these among the weights.
_SETTINGS = ("input_resolution", "context_length", "vocab_size")
_SCALAR: Any = np.float64(0.0).__reduce__()[0]
# What training checkpoints hold besides tensors; none of it runs code when it is read.
_HARMLESS: list[Any] = [
    argparse.Namespace,
    np.dtype,
    *(type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")),
    _SCALAR,
    (_SCALAR, "numpy.core.multiarray.scalar"),
]


@contextlib.contextmanager
def plain_weights(path: Path) -> Iterator[Path]:
    """Give a file with the same weights that open_clip can read: this one, or a temporary one.

    Args:
        path: ``.safetensors``, which is as it should be; or what ``torch.save`` or
            ``torch.jit.save`` wrote.

    Raises:
        InputError: It holds no weights, or objects that could run code when they are read;
            the message goes on after the file's name.
    """
    if path.suffix == ".safetensors":
        yield regular(path)
        return
    found, as_is = _read(regular(path))
    if as_is:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "weights.safetensors"
        # Weights that share memory are written as often as they are there.
        save_file({name: value.clone().contiguous() for name, value in found.items()}, copy)
        yield copy


def misfit(message: str) -> str | None:
    """Say in short which weights a model lacks or doesn't have; None if that isn't the matter.

    Args:
        message: What ``load_state_dict`` raised.
    """
    if "loading state_dict" not in message:
        return None
    lacking = re.findall(r'"([^"]+)"', "".join(re.findall(r"Missing key\(s\)[^\n]*", message)))
    others = re.findall(r'"([^"]+)"', "".join(re.findall(r"Unexpected key\(s\)[^\n]*", message)))
    sizes = re.findall(r"size mismatch for ([^:]+):", message)
    said = [
        f"{len(names)} weights {what}, such as {names[0]}"
        if len(names) > 1
        else f"1 weight {one}, {names[0]}"
        for names, what, one in (
            (lacking, "are lacking", "is lacking"),
            (others, "are not in the model", "is not in the model"),
            (sizes, "have another size", "has another size"),
        )
        if names
    ]
    if any(name.startswith(_TRANSFORMERS) for name in others):
        said.append(
            "they are named as transformers names them; take open_clip's weights of this model, or "
            "extract embeddings with transformers and give them with --features"
        )
    return "its weights are those of another model: " + "; ".join(said)


def not_finite(model: torch.nn.Module) -> str | None:
    """Return the first of a model's weights that has NaN or infinity, if any does."""
    for name, value in model.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            return name
    return None


def _read(path: Path) -> tuple[dict[str, torch.Tensor], bool]:
    """Return the weights, and whether open_clip finds the same in the file."""
    if is_torchscript(path):
        return {
            name: value.float() if value.is_floating_point() else value
            for name, value in torchscript_weights(path).items()
            if name not in _SETTINGS
        }, False
    content, is_plain = _content(path)
    holder = content
    if isinstance(content, Mapping) and not _has_tensors(content):
        holder = next((content[key] for key in _HOLDERS if _has_tensors(content.get(key))), {})
    if not _has_tensors(holder):
        raise InputError(
            "it holds no weights by name; save them with torch.save(model.state_dict(), …)"
        )
    weights = {
        str(name): value
        for name, value in holder.items()
        if isinstance(value, torch.Tensor) and name not in _SETTINGS
    }
    plain = _unwrapped(weights)
    known = is_plain and (holder is content or holder is content.get("state_dict"))
    return plain, known and len(weights) == len(holder) and plain.keys() == _opened(weights).keys()


def _content(path: Path) -> tuple[Any, bool]:
    """Return what a file holds, and whether that is tensors and plain values alone."""
    with contextlib.suppress(Exception):
        return torch.load(path, map_location="cpu", weights_only=True), True
    try:
        with torch.serialization.safe_globals(_HARMLESS):
            return torch.load(path, map_location="cpu", weights_only=True), False
    # Damaged files raise nearly anything: RuntimeError, UnpicklingError, EOFError, KeyError, ….
    except Exception as error:
        if "Unsupported" in str(error) or "Weights only load failed" in str(error):
            raise InputError(
                "it holds Python objects besides weights, which could run code when they "
                "are read, so it isn't; save the weights alone: torch.save(model.state_dict(), …)"
            ) from None
        raise InputError("it is damaged, or was not written by PyTorch") from None


def _has_tensors(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(one, torch.Tensor) for one in value.values()
    )


def _opened(weights: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """Return weights by the names that open_clip makes of theirs."""
    if next(iter(weights)).startswith("module"):
        return {name[len("module.") :]: value for name, value in weights.items()}
    return weights


def _unwrapped(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return weights by the names that they have in the model alone."""
    plain = dict(weights)
    while True:
        wrapper = next((w for w in _WRAPPERS if all(n.startswith(w) for n in plain)), None)
        if wrapper is None:
            return plain
        plain = {name.removeprefix(wrapper): value for name, value in plain.items()}
