"""Encode a list of items and store them as it goes: decode ahead, encode, write chunks."""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._progress import Progress

if TYPE_CHECKING:
    import torch

    from hpo.features._model import Model

__all__ = ["encode_captions", "encode_images"]

CHUNK_ITEMS = 512
CHUNK_SECONDS = 20.0
# Batches that wait, prepared, for the encoder: enough to hide a slow image, and little memory.
_BATCHES_AHEAD = 3

T = TypeVar("T")
U = TypeVar("U")


class _ChunkWriter:
    """Collects embeddings and stores them every ``CHUNK_ITEMS`` items or ``CHUNK_SECONDS``."""

    def __init__(self, store: ChunkStore, label: str, total: int, progress: Progress | None):
        self._store = store
        self._label = label
        self._total = total
        self._progress = progress
        self._done = 0
        self._keys: list[bytes] = []
        self._rows: list[np.ndarray] = []
        self._last = time.monotonic()
        self._report()

    def add(self, keys: Sequence[bytes], rows: np.ndarray) -> None:
        self._keys.extend(keys)
        self._rows.append(rows)
        self._done += len(keys)
        due = time.monotonic() - self._last >= CHUNK_SECONDS
        if len(self._keys) >= CHUNK_ITEMS or due:
            self.flush()
        self._report()

    def flush(self) -> None:
        if self._keys:
            self._store.append(self._keys, np.concatenate(self._rows))
        self._keys, self._rows = [], []
        self._last = time.monotonic()

    def _report(self) -> None:
        if self._progress is not None:
            self._progress(self._label, self._done, self._total)


def encode_images(
    model: "Model",
    images: Mapping[bytes, Path],
    store: ChunkStore,
    *,
    batch_size: int,
    threads: int,
    progress: Progress | None = None,
) -> None:
    """Encode images and put them into ``store`` under their keys, decoding in ``threads``.

    Raises:
        InputError: Images of one batch can't be decoded or give no finite embedding; they are
            named, and everything encoded before is stored.
    """
    writer = _ChunkWriter(store, "encoding images", len(images), progress)

    def prepare(item: tuple[bytes, Path]) -> "torch.Tensor | InputError":
        try:
            return model.prepare(item[1])
        except InputError as error:
            return error

    with ThreadPoolExecutor(threads) as pool:
        prepared = _map_ahead(pool, prepare, images.items(), _BATCHES_AHEAD * batch_size)
        for group in _batches(prepared, batch_size):
            keys = [key for (key, _), _ in group]
            faults = [str(result) for _, result in group if isinstance(result, InputError)]
            if not faults:
                rows = model.encode_images([r for _, r in group if not isinstance(r, InputError)])
                faults = _not_finite(rows, [f"image '{path}'" for (_, path), _ in group])
            if faults:
                writer.flush()
                raise InputError(faults, "Images can't be encoded:")
            writer.add(keys, rows)
    writer.flush()


def encode_captions(
    model: "Model",
    captions: Mapping[bytes, str],
    store: ChunkStore,
    *,
    batch_size: int,
    progress: Progress | None = None,
) -> None:
    """Encode captions and put them into ``store`` under their keys.

    Raises:
        InputError: Captions of one batch give no finite embedding; they are named, and
            everything encoded before is stored.
    """
    writer = _ChunkWriter(store, "encoding captions", len(captions), progress)
    for group in _batches(captions.items(), batch_size):
        rows = model.encode_texts([caption for _, caption in group])
        faults = _not_finite(rows, [f"caption {caption[:80]!r}" for _, caption in group])
        if faults:
            writer.flush()
            raise InputError(faults, "Captions can't be encoded:")
        writer.add([key for key, _ in group], rows)
    writer.flush()


def _not_finite(rows: np.ndarray, names: Sequence[str]) -> list[str]:
    bad = np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()
    return [f"the embedding of {names[row]} is not finite in float16" for row in bad]


def _map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], U], items: Iterable[T], ahead: int
) -> Iterator[tuple[T, U]]:
    """Yield (item, result) in order with at most ``ahead`` results waiting.

    ``Executor.map`` would start on all items at once and hold every result in memory.
    """
    waiting: deque[tuple[T, Future[U]]] = deque()
    source = iter(items)
    try:
        for item in source:
            waiting.append((item, pool.submit(function, item)))
            if len(waiting) >= ahead:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    source = iter(items)
    while batch := list(itertools.islice(source, size)):
        yield batch
