"""Files of embeddings, read by what they hold and not by what they are called; never a pickle."""

import contextlib
import struct
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpo._machine import available_memory
from hpo.errors import InputError
from hpo.features._modalities import name_fault
from hpo.features._name_texts import NAMING, name_texts
from hpo.features._parquet import read_parquet
from hpo.files import regular
from hpo.json_files import parse_json

__all__ = ["SUFFIXES", "ArrayFile", "array_of", "open_file", "open_npy", "torch_content"]

SUFFIXES = (".npy", ".npz", ".pt", ".pth", ".safetensors", ".parquet")
"""Of files that may hold embeddings."""

_NPY = b"\x93NUMPY"
_ZIP = b"PK\x03\x04"
_PARQUET = b"PAR1"
_PICKLE = b"\x80"
_LARGEST_HEADER = 100_000_000
# How alike each image and each caption are, which transformers gives out beside embeddings.
_COMPARED = ("logits_per_image", "logits_per_text")
_OBJECTS = (
    "holds Python objects, which could run code when they are read, so it isn't; save {} instead"
)


@dataclass(frozen=True)
class ArrayFile:
    """What a file of embeddings holds.

    Attributes:
        arrays: Arrays of numbers by name; the name is empty in a file of one that has none.
        columns: Texts that name the rows of the arrays, one each, by name.
        beside: Names of numbers that are no embeddings, such as the norm of each row.
        made_of: The columns of numbers that the array was made of, if that isn't one column.
    """

    arrays: Mapping[str, np.ndarray]
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    beside: tuple[str, ...] = ()
    made_of: tuple[str, ...] = ()


def open_file(path: Path) -> ArrayFile:
    """Open a file of embeddings in any of the formats; what can be mapped isn't read.

    Raises:
        InputError: It is damaged, or none of the formats; the message goes on after its name.
    """
    try:
        with regular(path).open("rb") as file:
            start = file.read(16)
        if start.startswith(_NPY):
            return _sorted_out({"": open_npy(path)})
        if start.startswith(_PARQUET):
            table = read_parquet(path)
            return ArrayFile(table.arrays, table.columns, made_of=table.made_of)
        if start.startswith(_ZIP):
            return _open_zip(path)
        # Before pickles, as the length of its header may begin with the byte that theirs do.
        if start[8:9] == b"{" and struct.unpack("<Q", start[:8])[0] < _LARGEST_HEADER:
            return _open_safetensors(path)
        if start.startswith(_PICKLE):
            return _sorted_out(_tensors(torch_content(path)))
    except OSError as error:
        raise InputError(f"can't be read: {error.strerror or error}") from None
    raise InputError(
        "can't be read: it is "
        + ("none of .npy, .npz, .safetensors, .parquet, or tensors in .pt" if start else "empty")
    )


def open_npy(path: Path) -> np.ndarray:
    """Map the array of a file ``.npy``.

    Raises:
        InputError: It is damaged, or holds objects; the message goes on after the file's name.
    """
    with regular(path).open("rb") as file:
        try:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            with _quiet():
                shape, _, dtype = read(file)
        # An expression in Python, which is read as such: damage raises nearly anything.
        except Exception:
            raise InputError("can't be read: its header is damaged") from None
        start = file.tell()
    if dtype.hasobject:
        raise InputError(_OBJECTS.format("one array of numbers, or of texts (dtype=str)"))
    if any(size < 0 for size in shape):
        raise InputError(f"has a header that says shape {list(shape)}, which no array has")
    there, needed = path.stat().st_size - start, int(np.prod(shape, dtype=object)) * dtype.itemsize
    if there < needed:
        raise InputError(f"is cut off: it has {there:,} bytes of the {needed:,} of its array")
    if there > needed:
        raise InputError(
            f"has {there - needed:,} bytes more than the {needed:,} of its array: it is damaged, "
            "or several arrays were saved into it"
        )
    with _quiet():
        array: np.ndarray = np.load(path, mmap_mode="r" if needed else None, allow_pickle=False)
    return array


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what libraries say of a file: their advice isn't ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def torch_content(path: Path) -> Any:
    """Return what ``torch.save`` wrote, if that is tensors and plain values.

    Raises:
        InputError: It is damaged or holds other things; the message goes on after its name.
    """
    import torch

    try:
        with _quiet():
            return torch.load(path, map_location="cpu", weights_only=True)
    # Damaged files raise nearly anything: RuntimeError, UnpicklingError, EOFError, KeyError, ….
    except Exception as error:
        if "Unsupported" in str(error) or "Weights only load failed" in str(error):
            raise InputError(_OBJECTS.format("the tensors alone")) from None
        raise InputError("is damaged: it can't be read as PyTorch's") from None


def _open_zip(path: Path) -> ArrayFile:
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    # Damaged files raise nearly anything, here as below.
    except Exception as error:
        if isinstance(error, OSError):
            raise
        raise InputError("is cut off or damaged: its table of contents can't be read") from None
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise InputError("is damaged: it has two arrays of one name")
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        raise InputError("is a TorchScript archive, which is a program and no array")
    if any(name.endswith("data.pkl") for name in names):
        return _sorted_out(_tensors(torch_content(path)))
    if not names or not all(name.endswith(".npy") for name in names):
        raise InputError("is a ZIP archive of other things than arrays")
    size, free = sum(member.file_size for member in members), available_memory()
    if free is not None and size > free:
        raise InputError(
            f"has {size:,} bytes when it is unpacked, and {free:,} bytes of memory are free; save "
            "its arrays as .npy, which need none"
        )
    found = {}
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            try:
                with _quiet():
                    found[name] = arrays[name]
            except MemoryError:
                raise InputError(f"has an array '{name}' that memory can't hold") from None
            except Exception as error:
                if not isinstance(error, ValueError) or "pickle" not in str(error):
                    raise InputError(f"has a damaged array '{name}'") from None
                advice = _OBJECTS.format("it as numbers or as texts (dtype=str)")
                raise InputError(f"has an array '{name}' that {advice}") from None
    return _sorted_out(found)


def _open_safetensors(path: Path) -> ArrayFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            found = {name: _numbers(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118
            about = file.metadata() or {}
    except SafetensorError:
        raise InputError("is damaged: it can't be read as safetensors") from None
    opened = _sorted_out(found)
    columns = dict(opened.columns)
    lengths = {len(array) for array in opened.arrays.values()}
    for name, text in about.items():
        texts = _names_in_text(text, lengths)
        if texts is not None:
            columns[name] = texts
        elif NAMING.fullmatch(name.lower()) and name.endswith("s"):
            raise InputError(
                f"has {name} in its metadata that can't be read; write them as a list in JSON"
            )
    return ArrayFile(opened.arrays, columns, opened.beside)


def _names_in_text(text: str, counts: Collection[int]) -> list[str] | None:
    """Return the names that a text lists: as JSON, or as many as ``counts`` has, on lines or
    between commas; None if it is none of these."""
    try:
        value = parse_json(text)
    except ValueError:
        listed = (text.removesuffix("\n").split("\n"), text.split(","))
        value = next((names for names in listed if len(names) in counts), None)
    return name_texts(value) if isinstance(value, list) else None


def _tensors(content: Any) -> dict[str, Any]:
    """Return tensors as arrays by name, and lists of texts or whole numbers as they are."""
    import torch

    if isinstance(content, torch.Tensor):
        return {"": _numbers(content)}
    if _is_names(content):
        return {"names": content}
    if isinstance(content, list | tuple) and content:
        if all(isinstance(one, torch.Tensor) for one in content):
            shapes = {tuple(one.shape) for one in content}
            if len(shapes) == 1:
                return {"": _numbers(torch.stack(list(content)))}
            raise InputError("holds tensors of different shapes, but must be one [rows, D]")
        if all(_is_pair(one) for one in content):  # a name with its vector, for each row
            vectors = {str(name): vector for name, vector in content}
            if len(vectors) < len(content):
                raise InputError("has two vectors of one name, but must have one for each")
            return _tensors(vectors)
        tensors = [one for one in content if isinstance(one, torch.Tensor)]
        names = [one for one in content if _is_names(one)]
        if len(tensors) == 1 and len(names) == 1 and len(content) == 2:
            return {"": _numbers(tensors[0]), "names": names[0]}
        raise InputError(
            f"holds a list of {len(content)} things, but must be a tensor [rows, D], a dictionary "
            "with one, a tensor and a list of names, or pairs of a name and a vector"
        )
    if not isinstance(content, dict):
        raise InputError(f"holds a {type(content).__name__}, but must hold a tensor [rows, D]")
    if content and all(isinstance(value, dict) for value in content.values()):
        raise InputError(
            "holds dictionaries in a dictionary, but must hold a tensor [rows, D] for each "
            "modality, or a dictionary of names to vectors"
        )
    return {
        str(name): _numbers(value) if isinstance(value, torch.Tensor) else value
        for name, value in content.items()
        if isinstance(value, torch.Tensor) or _is_names(value)
    }


def array_of(value: Any) -> np.ndarray:
    """Return numbers in memory as an array: a tensor, a DataFrame, a sparse matrix, lists, ….

    What is masked or missing is NaN.

    Raises:
        InputError: They can't be one; the message goes on after their name.
    """
    if hasattr(value, "detach"):
        return _numbers(value)
    if isinstance(value, np.ma.MaskedArray):
        if not np.ma.getmaskarray(value).any():
            return np.asarray(value)
        return np.asarray(np.where(np.ma.getmaskarray(value), np.nan, np.asarray(value)))
    if hasattr(value, "toarray"):
        return np.asarray(value.toarray())
    types = list(getattr(value, "dtypes", ())) if hasattr(value, "columns") else []
    others = [
        name
        for name, kind in zip(getattr(value, "columns", ()), types, strict=False)
        if getattr(kind, "kind", "") in "OUM"
    ]
    if len(types) > len(others) > 0:
        raise InputError(
            f"has the column '{others[0]}', which has no numbers; if it names the rows, make it "
            f"the index: set_index('{others[0]}')"
        )
    if types and all(getattr(kind, "kind", "O") in "fiu" for kind in types):
        if not all(isinstance(kind, np.dtype) for kind in types):
            return np.asarray(value.to_numpy(dtype=np.float64, na_value=np.nan))
        return np.asarray(value)
    if hasattr(value, "to_numpy") and not hasattr(value, "columns"):
        value = list(value)  # a Series, whose cells may be vectors
    try:
        if isinstance(value, list | tuple) and any(hasattr(one, "detach") for one in value):
            return np.stack([array_of(one) for one in value])
        return np.asarray(value)
    except (ValueError, TypeError):
        raise InputError(
            "can't be made an array [rows, width]; its rows must be numbers, of one length"
        ) from None


def _numbers(tensor: Any) -> np.ndarray:
    """Return a tensor of any kind as an array.

    Raises:
        InputError: NumPy has no such type.
    """
    import torch

    kind = tensor.dtype
    try:
        tensor = tensor.detach().cpu()
        if tensor.is_quantized:
            tensor = tensor.dequantize()
        if tensor.layout != torch.strided:
            free = available_memory()
            if free is not None and tensor.numel() * tensor.itemsize > free:
                raise InputError("has a sparse tensor that memory can't hold as plain numbers")
            tensor = tensor.to_dense()
        tensor = tensor.resolve_conj().resolve_neg()
        if tensor.dtype == torch.bfloat16 or (tensor.is_floating_point() and tensor.itemsize < 2):
            tensor = tensor.float()
        numbers: np.ndarray = tensor.numpy()
    # NumPy hasn't got all kinds of numbers.
    except (TypeError, RuntimeError):
        raise InputError(
            f"has a tensor that is {str(kind).replace('torch.', '')}, but must have plain numbers"
        ) from None
    return numbers


def _is_pair(value: object) -> bool:
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return isinstance(value[0], str | int) and hasattr(value[1], "detach")


def _is_names(value: object) -> bool:
    return isinstance(value, list | tuple) and name_texts(value) is not None


def _sorted_out(found: Mapping[str, Any]) -> ArrayFile:
    """Tell arrays of embeddings from what names their rows.

    A vector for each name, as in ``{"a.jpg": […], "b.jpg": […]}``, is one array.
    """
    arrays: dict[str, np.ndarray] = {}
    columns: dict[str, Sequence[str]] = {}
    vectors: dict[str, np.ndarray] = {}
    scalars: list[str] = []
    for name, value in found.items():
        if not isinstance(value, np.ndarray):
            columns[name] = name_texts(value) or []
        elif (
            value.dtype.kind == "f"
            and value.ndim == 1
            and NAMING.fullmatch(name.lower())
            and (texts := name_texts(value.tolist())) is not None
        ):
            columns[name] = texts
        elif value.dtype.kind == "S":
            columns[name] = [one.decode("utf-8", "replace") for one in value.ravel().tolist()]
        elif value.dtype.kind in "UTiu" and (value.ndim == 1 or value.dtype.kind in "UT"):
            columns[name] = [str(one) for one in value.ravel().tolist()]
        elif name in _COMPARED:
            scalars.append(name)
        elif value.ndim == 1:
            vectors[name] = value
        elif value.ndim:
            arrays[name] = value
        else:
            scalars.append(name)
    single = len(arrays) > 1 and {array.shape[:-1] for array in arrays.values()} == {(1,)}
    if single and any(name_fault(name) for name in arrays):
        # rows, each an array of its own, rather than modalities of a single row
        vectors, arrays = {name: array[0] for name, array in arrays.items()}, {}
    if not arrays and vectors:
        if len(vectors) > 1 and len({vector.shape for vector in vectors.values()}) == 1:
            return ArrayFile({"": np.stack(list(vectors.values()))}, {"name": list(vectors)})
        arrays, vectors = vectors, {}
    return ArrayFile(arrays, columns, (*vectors, *scalars))
