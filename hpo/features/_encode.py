"""Encode captions and image files and store them as it goes: read, decode ahead, encode, write."""

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore, ChunkWriter
from hpo.features._encoder import Encoder
from hpo.features._hashes import FileHashes, hash_bytes
from hpo.features._looks import Look, Looks, seen_key
from hpo.features._progress import Progress
from hpo.images import open_image, read_image

if TYPE_CHECKING:
    import torch

    from hpo.features._model import Model

__all__ = ["EncodedImages", "LateModel", "encode_captions", "encode_images"]

# The operations of a smaller image tower are too short to divide between threads. With 50,000
# parameters on two busy cores, one thread encodes 1,300 images a second, two encode 220.
SHARE_PARAMETERS = 20_000_000
# Batches that wait, prepared, for the encoder: enough to hide a slow image, and little memory.
_BATCHES_AHEAD = 3

T = TypeVar("T")
U = TypeVar("U")


class LateModel:
    """A model that is loaded when it is first asked for, which may be never.

    As a context manager it gives back the thread count of PyTorch that ``on_this_thread`` sets.

    Args:
        encoder: What to load.
        device: Where.
        threads: Threads that encode, on CPU.

    Attributes:
        loading_s: How long the loading took, in seconds.
    """

    def __init__(self, encoder: Encoder, device: str, threads: int) -> None:
        self.loading_s = 0.0
        self._encoder = encoder
        self._device = device
        self._threads = threads
        self._lock = threading.Lock()
        self._model: Model | None = None
        self._before: int | None = None

    def get(self) -> "Model":
        """Return the model; may be called from several threads.

        Raises:
            InputError: It can't be loaded.
        """
        with self._lock:
            if self._model is None:
                began = time.monotonic()
                from hpo.features._model import Model

                self._model = Model(self._encoder, self._device)
                self.loading_s = time.monotonic() - began
            return self._model

    def on_this_thread(self) -> "Model":
        """Return the model, set up to encode on the calling thread."""
        model = self.get()
        if self._before is None:
            import torch

            self._before = torch.get_num_threads()
            torch.set_num_threads(self._threads if model.parameters >= SHARE_PARAMETERS else 1)
        return model

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._before is not None:
            import torch

            torch.set_num_threads(self._before)


@dataclass
class EncodedImages:
    """What came of some image files.

    Attributes:
        keys: The content key of each file that could be read.
        looks: What each of these is besides 8-bit pixels.
        faults: What is wrong with the others, and with those that can't be encoded; each goes on
            after the image's name.
        encoded: How many distinct images were encoded.
    """

    keys: dict[Path, bytes] = field(default_factory=dict)
    looks: dict[Path, Look] = field(default_factory=dict)
    faults: dict[Path, str] = field(default_factory=dict)
    encoded: int = 0


def encode_images(
    model: LateModel,
    paths: Sequence[Path],
    hashes: FileHashes,
    looks: Looks,
    store: ChunkStore,
    *,
    batch_size: int,
    threads: int,
    progress: Progress | None = None,
) -> EncodedImages:
    """Read each file once; encode what ``store`` hasn't got and put it there by its content.

    A file is read, hashed and, if its content is new, decoded from the same bytes, in ``threads``.
    A few batches are in memory at a time. Files that can't be encoded don't stop the others.
    """
    result = EncodedImages()
    writer = ChunkWriter(store)
    claimed: set[bytes] = set()
    claiming = threading.Lock()
    not_encoded: dict[bytes, str] = {}

    def read(path: Path) -> "_Read":
        with contextlib.ExitStack() as stack:
            try:
                # The version is taken before the bytes: a change in between is noticed the next
                # time.
                version, _ = hashes.known(path)
                content = stack.enter_context(read_image(path))
            except OSError as error:
                return _Read(fault=f"can't be read: {error.strerror}")
            except InputError as error:
                return _Read(fault=str(error))
            return prepared(content, version)

    def prepared(content: bytes, version: bytes) -> "_Read":
        whole = hash_bytes(content)
        look = _look(content)
        key = seen_key(whole, look)
        got = _Read(version, whole, key, look)
        with claiming:
            if key in store or key in claimed:
                return got
            claimed.add(key)
        loaded = model.get()
        try:
            return replace(got, tensor=loaded.prepare(content))
        except InputError as error:
            return replace(got, fault=str(error))

    def encode(batch: Sequence[tuple[bytes, "torch.Tensor"]]) -> None:
        rows = model.on_this_thread().encode_images([tensor for _, tensor in batch])
        good = np.isfinite(rows).all(axis=1)
        keys = [key for key, _ in batch]
        for row in np.flatnonzero(~good).tolist():
            not_encoded[keys[row]] = "has an embedding that is not finite in float16"
        kept = np.flatnonzero(good).tolist()
        if kept:
            writer.add([keys[row] for row in kept], rows[kept])
            result.encoded += len(kept)

    report = _Report("encoding images", len(paths), progress)
    batch: list[tuple[bytes, torch.Tensor]] = []
    try:
        with (
            ThreadPoolExecutor(threads) as pool,
            # Closed first on an error, which then needn't wait for all that was asked for ahead.
            contextlib.closing(
                _map_ahead(pool, read, paths, _BATCHES_AHEAD * batch_size)
            ) as results,
        ):
            for done, (path, got) in enumerate(results, start=1):
                if got.key is not None:
                    hashes.remember(got.version, got.whole)
                    looks.remember(got.whole, got.look)
                    result.keys[path] = got.key
                    result.looks[path] = got.look
                if got.fault and got.key is not None:
                    not_encoded[got.key] = got.fault
                elif got.fault:
                    result.faults[path] = got.fault
                elif got.key is not None and got.tensor is not None:
                    batch.append((got.key, got.tensor))
                if len(batch) == batch_size:
                    encode(batch)
                    batch = []
                report.reach(done - len(batch))
        if batch:
            encode(batch)
        report.reach(len(paths))
    finally:
        writer.flush()
        looks.flush()
        hashes.flush()
    for path, key in result.keys.items():
        if key in not_encoded:
            result.faults[path] = not_encoded[key]
    return result


def encode_captions(
    model: LateModel,
    captions: Mapping[bytes, str],
    store: ChunkStore,
    *,
    averaged: Collection[bytes] = (),
    batch_size: int,
    progress: Progress | None = None,
) -> None:
    """Encode captions and put them into ``store`` under their keys.

    Args:
        model: The encoder.
        captions: By their keys.
        store: Where the embeddings go.
        averaged: The keys of those that are read in windows.
        batch_size: How many are encoded at a time.
        progress: Called as the work goes on.

    Raises:
        InputError: Captions of one batch give no finite embedding; they are named, and
            everything encoded before is stored.
    """
    writer = ChunkWriter(store)
    report = _Report("encoding captions", len(captions), progress)
    done = 0
    for group in _batches(captions.items(), batch_size):
        loaded = model.on_this_thread()
        rows = np.empty((len(group), 0), np.float16)
        whole = [row for row, (key, _) in enumerate(group) if key not in averaged]
        for places, encode in (
            (whole, loaded.encode_texts),
            (sorted({*range(len(group))} - {*whole}), loaded.encode_windows),
        ):
            if places:
                some = encode([group[row][1] for row in places])
                rows = rows if rows.size else np.empty((len(group), some.shape[1]), np.float16)
                rows[places] = some
        bad = np.flatnonzero(~np.isfinite(rows).all(axis=1)).tolist()
        if bad:
            writer.flush()
            raise InputError(
                [
                    f"the embedding of caption {group[row][1][:80]!r} is not finite in float16"
                    for row in bad
                ],
                "Captions can't be encoded:",
            )
        writer.add([key for key, _ in group], rows)
        done += len(group)
        report.reach(done)
    writer.flush()


@dataclass(frozen=True)
class _Read:
    """What reading one file gave: its hash and key, and what to encode if that is new."""

    version: bytes = b""
    whole: bytes = b""
    key: bytes | None = None
    look: Look = Look.PLAIN
    tensor: "torch.Tensor | None" = None
    fault: str = ""


def _look(content: bytes) -> Look:
    """Return what an image is; one that can't be opened is found when it is decoded."""
    from hpo.features._seen import look_at

    try:
        with open_image(content) as image:
            return look_at(image)
    except InputError:
        return Look.PLAIN


class _Report:
    """Counts items for a ``Progress``, which may be None."""

    def __init__(self, label: str, total: int, progress: Progress | None) -> None:
        self._label = label
        self._total = total
        self._progress = progress
        self._done = -1
        self.reach(0)

    def reach(self, done: int) -> None:
        if self._progress is not None and done > self._done:
            self._progress(self._label, done, self._total)
        self._done = done


def _map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[T], U], items: Iterable[T], ahead: int
) -> Generator[tuple[T, U], None, None]:
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
