"""Weights out of a TorchScript archive, none of whose program is run.

``torch.jit.load`` runs the ``__setstate__`` of the classes in an archive, and TorchScript can write
to files. So the archive is read here: ``data.pkl`` has the modules as a pickle, of which nothing is
made but tensors and plain values, and ``data/N`` the bytes of the tensors.
"""

import collections
import pickle
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from hpo.errors import InputError

__all__ = ["is_torchscript", "torchscript_weights"]

_TYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
_DEEPEST = 100


def is_torchscript(path: Path) -> bool:
    """Say whether a file is an archive that ``torch.jit.save`` wrote."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError):
        return False  # an older format, or damaged


def torchscript_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the parameters and buffers of an archive by their names.

    Raises:
        InputError: It is damaged, or holds other things than modules, tensors and plain values;
            the message goes on after its name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            (pickled,) = (n for n in archive.namelist() if n.count("/") == 1 and _is_data(n))
            root = pickled.rpartition("/")[0]
            with archive.open(_stored(archive, pickled)) as file:
                module = _Unpickler(
                    file, lambda key: _bytes_of(archive, f"{root}/data/{key}")
                ).load()
            found: dict[str, torch.Tensor] = {}
            _collect(module, "", found, 0)
    except InputError:
        raise
    # A damaged archive raises nearly anything: BadZipFile, KeyError, UnpicklingError, ….
    except Exception as error:
        raise InputError("it is damaged, or no TorchScript archive of a module") from error
    return found


def _is_data(name: str) -> bool:
    return name.endswith("/data.pkl")


def _stored(archive: zipfile.ZipFile, name: str) -> zipfile.ZipInfo:
    """Return an entry that isn't compressed, as all are that PyTorch writes."""
    entry = archive.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{name} is compressed")
    return entry


def _bytes_of(archive: zipfile.ZipFile, name: str) -> bytearray:
    return bytearray(archive.read(_stored(archive, name)))


class _Module:
    """What stands for any object of a class of the archive: its attributes and nothing else."""

    def __init__(self, *_: Any) -> None:
        self.attributes: Mapping[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, Mapping):
            raise InputError(
                "its modules keep their state in a way of their own; save the weights alone: "
                "torch.save(model.state_dict(), …)"
            )
        self.attributes = state


class _Unpickler(pickle.Unpickler):
    """Makes modules, tensors, lists and plain values; anything else is an error."""

    def __init__(self, file: Any, content: Callable[[str], bytearray]) -> None:
        super().__init__(file)
        self._content = content

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt
        if module == "torch.jit._pickle" and name in _LISTS:
            return list
        if (module, name) == ("torch.jit._pickle", "restore_type_tag"):
            return _untagged
        if module == "torch" and name in _TYPES:
            return name
        raise InputError(
            f"it holds {module}.{name} besides weights; save the weights alone: "
            "torch.save(model.state_dict(), …)"
        )

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """Return the numbers of a tensor, one after another."""
        kind, type_name, key, _, count = pid
        if kind != "storage":
            raise ValueError(kind)
        dtype = _TYPES[type_name]
        if count == 0:
            return torch.empty(0, dtype=dtype)
        return torch.frombuffer(self._content(str(key)), dtype=dtype, count=count)


def _rebuilt(storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)


def _untagged(value: Any, _: str) -> Any:
    return value


def _collect(module: Any, prefix: str, found: dict[str, torch.Tensor], depth: int) -> None:
    if not isinstance(module, _Module) or depth > _DEEPEST:
        raise ValueError("it is no module")
    for name, value in module.attributes.items():
        if isinstance(value, torch.Tensor):
            found[f"{prefix}{name}"] = value
        elif isinstance(value, _Module):
            _collect(value, f"{prefix}{name}.", found, depth + 1)
