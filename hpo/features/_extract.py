"""Encode a data set once: each distinct image and caption, whatever happens in between."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._encode import encode_captions, encode_images
from hpo.features._encoder import Encoder, resolve_encoder
from hpo.features._features import (
    Counts,
    FeatureInfo,
    Features,
    array_path,
    features_folder,
    load_features,
    write_info,
)
from hpo.features._folder import build_folder, discard_folder
from hpo.features._hashes import encoded_folder, hash_files
from hpo.features._precision import precision_on
from hpo.features._progress import Progress
from hpo.files import content_key

if TYPE_CHECKING:
    from hpo.data import Dataset

__all__ = ["extract_features"]

# The operations of a smaller image tower are too short to divide between threads. With 50,000
# parameters on two busy cores, one thread encodes 1,300 images a second, two encode 220.
_SHARE_PARAMETERS = 20_000_000
_BATCH_SIZES = {"float16": 256, "float32": 32}


@dataclass(frozen=True)
class _Items:
    """One modality of a data set.

    Attributes:
        parts: For ``train`` and ``test``, the content key of each row.
        sources: What to encode for each distinct key: an image's path or a caption.
    """

    parts: Mapping[str, Sequence[bytes]]
    sources: Mapping[bytes, Path | str]

    def rows_hash(self) -> dict[str, str]:
        return {
            part: hashlib.sha256(b"".join(keys)).hexdigest() for part, keys in self.parts.items()
        }


def extract_features(
    dataset: "Dataset",
    encoder: str,
    store: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Features:
    """Encode all images and captions of a data set, or open what was encoded before.

    Each distinct image and caption is encoded once for each encoder (its weights, config and
    preprocessing) and precision; what is stored already is not encoded again, in whichever data
    set it appears. The work is stored every 512 items or 20 seconds: a call that was killed at
    any moment is taken up by the next one. Several processes may share a store; they may do some
    work twice. Memory doesn't grow with the images, apart from some hundred bytes a row.

    Args:
        dataset: Rows to encode; if its images are None, only captions are encoded.
        encoder: A name as ``hpo/features/_encoder.py`` describes it.
        store: The folder of the cache; made if needed.
        device: Where to encode: ``cpu`` (float32) or ``cuda:0`` (float16 autocast).
        threads: Threads that decode images and, on CPU, threads that encode; None for one a core.
        batch_size: Items encoded at a time; None for 32 in float32 and 256 in float16. It doesn't
            change the embeddings beyond float16 rounding, so it isn't part of the key.
        progress: Called as the work goes on.

    Raises:
        InputError: The encoder can't be had, or an image can't be read or encoded.
        OSError: The store can't be written.
    """
    for name, value in (("threads", threads), ("batch_size", batch_size)):
        if value is not None and value < 1:
            raise InputError(f"{name} is {value}, but must be at least 1")
    spec = resolve_encoder(encoder, store)
    precision = precision_on(device)
    threads = threads or _usable_cores()
    modalities = _collect(dataset, store, threads, progress)
    encoder_key = spec.key(precision)
    rows_hash = {modality: items.rows_hash() for modality, items in modalities.items()}
    key = content_key({"format": 1, "encoder": encoder_key, "rows": rows_hash})
    folder = features_folder(store, key)
    if folder.exists():
        try:
            counts = {name: Counts(0, len(items.sources)) for name, items in modalities.items()}
            return replace(load_features(folder), counts=counts)
        except InputError:
            discard_folder(folder)  # it can be put together again

    stores = {name: ChunkStore(encoded_folder(store, encoder_key, name)) for name in modalities}
    missing = {
        name: {key: source for key, source in items.sources.items() if key not in stores[name]}
        for name, items in modalities.items()
    }
    if any(missing.values()):
        size = batch_size or _BATCH_SIZES[precision]
        _encode(spec, device, missing, stores, threads, size, progress)
    _assemble(folder, key, spec, modalities, stores)
    counts = {
        name: Counts(len(missing[name]), len(items.sources) - len(missing[name]))
        for name, items in modalities.items()
    }
    return replace(load_features(folder), counts=counts)


def _collect(
    dataset: "Dataset", store: Path, threads: int, progress: Progress | None
) -> dict[str, _Items]:
    """Give every row of every modality its content key, reading images that are new or changed."""
    test = dataset.test
    modalities = {}
    if dataset.train.images is not None:
        first = dataset.train.images
        second = (test.images or ()) if test is not None else ()
        paths: list[Path] = [*first, *second]
        keys = hash_files(paths, store, threads, progress)
        modalities["image"] = _items(keys, paths, len(first))
    captions = [*dataset.train.captions, *(test.captions if test is not None else ())]
    keys = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in captions]
    modalities["text"] = _items(keys, captions, len(dataset.train.captions))
    return modalities


def _items(keys: Sequence[bytes], sources: Sequence[Path | str], train_rows: int) -> _Items:
    parts = {"train": keys[:train_rows], "test": keys[train_rows:]}
    return _Items(parts, dict(zip(keys, sources, strict=True)))


def _encode(
    spec: Encoder,
    device: str,
    missing: Mapping[str, Mapping[bytes, Path | str]],
    stores: Mapping[str, ChunkStore],
    threads: int,
    batch_size: int,
    progress: Progress | None,
) -> None:
    import torch

    from hpo.features._model import Model

    model = Model(spec, device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads if model.parameters >= _SHARE_PARAMETERS else 1)
    try:
        # Captions first: they are quick, and show early that the encoder works.
        captions = {key: str(caption) for key, caption in missing["text"].items()}
        if captions:
            encode_captions(
                model, captions, stores["text"], batch_size=batch_size, progress=progress
            )
        images = {key: Path(path) for key, path in missing.get("image", {}).items()}
        if images:
            encode_images(
                model,
                images,
                stores["image"],
                batch_size=batch_size,
                threads=threads,
                progress=progress,
            )
    finally:
        torch.set_num_threads(before)


def _assemble(
    folder: Path,
    key: str,
    spec: Encoder,
    modalities: Mapping[str, _Items],
    stores: Mapping[str, ChunkStore],
) -> None:
    """Write the features folder from the stored items, a chunk in memory at a time."""
    widths = {name: stores[name].width() for name in modalities}
    lengths = {part: len(keys) for part, keys in modalities["text"].parts.items()}
    info = FeatureInfo("open_clip", spec.name, spec.weights_hash, spec.preprocessing, widths)
    with build_folder(folder) as building:
        for name, items in modalities.items():
            for part, keys in items.parts.items():
                shape = (len(keys), widths[name])
                path = array_path(building, part, name)
                if not keys:
                    np.save(path, np.empty(shape, np.float16), allow_pickle=False)
                    continue
                out = np.lib.format.open_memmap(path, "w+", np.float16, shape)
                stores[name].gather(keys, out)
                out.flush()
        write_info(building, key, info, lengths["train"], lengths["test"])


def _usable_cores() -> int:
    # In a container or under taskset these are fewer than the machine has; not on macOS.
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
