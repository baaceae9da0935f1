"""What is to be encoded: the captions and the image files of all rows, by their content."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hpo.features._chunks import ChunkStore, ChunkWriter
from hpo.features._encode import LateModel, encode_captions, encode_images
from hpo.features._hashes import FileHashes, hash_bytes
from hpo.features._long_captions import LongCaptions, averaged_key, long_caption_notes
from hpo.features._looks import Look, Looks, look_notes, seen_key
from hpo.features._progress import Progress
from hpo.notes import Note

if TYPE_CHECKING:
    from hpo.data import Rows

__all__ = ["PARTS", "Captions", "Images"]

PARTS = ("train", "test")
_GROUP = 512


class Captions:
    """The captions of all rows, each with its content key.

    Several captions of a row are encoded one by one, and their embeddings averaged.

    Attributes:
        encoded: How many were encoded.
        seconds: How long that took, the loading of the encoder left out.
        notes: What is done to captions that are longer than the encoder's context.

    Args:
        parts: The rows.
        find_long: Returns which captions, by key, are longer.
        rule: What is done to them.
        context: How many tokens the encoder takes.

    Raises:
        InputError: The rule is to refuse them.
    """

    def __init__(
        self,
        parts: Mapping[str, "Rows"],
        find_long: Callable[[Mapping[bytes, str]], set[bytes]],
        rule: LongCaptions,
        context: int | None,
    ) -> None:
        self.encoded = 0
        self.seconds = 0.0
        self._keys: dict[str, list[bytes]] = {part: [] for part in PARTS}
        self._captions: dict[bytes, str] = {}
        self._means: dict[bytes, list[bytes]] = {}
        texts = {
            _hash(text): text
            for rows in parts.values()
            for text in (*rows.captions, *(text for others in rows.further for text in others))
        }
        long = find_long(texts)
        self._long = long if rule == "mean" else set[bytes]()
        self.notes = long_caption_notes(parts, [texts[key] for key in long], rule, context)
        self._averaged: set[bytes] = set()
        for part, rows in parts.items():
            further = rows.further or ((),) * len(rows)
            for caption, others in zip(rows.captions, further, strict=True):
                keys = [self._take(text) for text in (caption, *others)]
                key = keys[0]
                if others:
                    key = hash_bytes(b"mean of\0" + b"".join(keys))
                    self._means[key] = keys
                self._keys[part].append(key)

    def _take(self, caption: str) -> bytes:
        key = _hash(caption)
        if key in self._long:
            key = averaged_key(key)
            self._averaged.add(key)
        self._captions[key] = caption
        return key

    @property
    def distinct(self) -> int:
        """How many different captions there are."""
        return len(self._captions)

    def encode(
        self, model: LateModel, store: ChunkStore, batch_size: int, progress: Progress | None
    ) -> None:
        """Encode those that the store hasn't got."""
        missing = {key: text for key, text in self._captions.items() if key not in store}
        if missing:
            began = time.monotonic() - model.loading_s
            encode_captions(
                model,
                missing,
                store,
                averaged=self._averaged,
                batch_size=batch_size,
                progress=progress,
            )
            self.seconds = time.monotonic() - model.loading_s - began
        self.encoded = len(missing)
        self._average(store)

    def _average(self, store: ChunkStore) -> None:
        """Put the means of several captions' embeddings into the store, beside these."""
        missing = [(key, keys) for key, keys in self._means.items() if key not in store]
        writer = ChunkWriter(store)
        for start in range(0, len(missing), _GROUP):
            group = missing[start : start + _GROUP]
            parts = [one for _, keys in group for one in keys]
            rows = np.empty((len(parts), store.width()), np.float16)
            store.gather(parts, rows)
            counts = np.array([len(keys) for _, keys in group])
            starts = np.cumsum(counts) - counts
            sums = np.add.reduceat(rows, starts, axis=0, dtype=np.float32)
            means = (sums / counts[:, None]).astype(np.float16)
            writer.add([key for key, _ in group], means)
        writer.flush()

    def keys(self) -> Mapping[str, Sequence[bytes]]:
        """Return the key of each row's caption, or of the mean of its captions."""
        return self._keys


def _hash(caption: str) -> bytes:
    return hash_bytes(caption.encode("utf-8", "surrogatepass"))


class Images:
    """The image files of all rows; those that are known get their content key without reading.

    Attributes:
        encoded: How many were encoded.
        seconds: How long that took, the loading of the encoder left out; 0 where most of what was
            read was known already.
    """

    def __init__(
        self, parts: Mapping[str, "Rows"], cache: Path, threads: int, progress: Progress | None
    ) -> None:
        self.encoded = 0
        self.seconds = 0.0
        self._parts = parts
        self._hashes = FileHashes(cache)
        self._looks = Looks(cache)
        self._look_of: dict[Path, Look] = {}
        self._faults: dict[Path, str] = {}
        self._keys: dict[Path, bytes | None] = {
            path: None for rows in parts.values() for path in rows.images or ()
        }
        paths = list(self._keys)
        with ThreadPoolExecutor(threads) as pool:
            for start in range(0, len(paths), _GROUP):
                group = paths[start : start + _GROUP]
                self._keys |= zip(group, pool.map(self._known, group), strict=True)
                if progress is not None:
                    progress("looking for new images", start + len(group), len(paths))

    @property
    def known(self) -> bool:
        """Whether the content of every file is known."""
        return None not in self._keys.values()

    @property
    def distinct(self) -> int:
        """How many different images there are, apart from those that can't be encoded."""
        return len({key for path, key in self._keys.items() if path not in self._faults})

    def _known(self, path: Path) -> bytes | None:
        try:
            content = self._hashes.known(path)[1]
        except OSError:
            return None  # reading it will say why
        look = None if content is None else self._looks.known(content)
        if content is None or look is None:
            return None
        self._look_of[path] = look
        return seen_key(content, look)

    def encode(
        self,
        model: LateModel,
        store: ChunkStore,
        batch_size: int,
        threads: int,
        progress: Progress | None,
    ) -> None:
        """Read the files that are not known to be in the store, and encode those that aren't."""
        to_read = [path for path, key in self._keys.items() if key is None or key not in store]
        if not to_read:
            return
        began = time.monotonic() - model.loading_s
        result = encode_images(
            model,
            to_read,
            self._hashes,
            self._looks,
            store,
            batch_size=batch_size,
            threads=threads,
            progress=progress,
        )
        self._keys |= result.keys
        self._look_of |= result.looks
        self._faults = result.faults
        self.encoded = result.encoded
        if 2 * self.encoded >= len(to_read):
            self.seconds = time.monotonic() - model.loading_s - began

    def notes(self) -> list[Note]:
        """Say what is done to images so that they are seen as by a viewer."""
        paths = [path for rows in self._parts.values() for path in rows.images or ()]
        return look_notes(self._look_of, [path for path in paths if path not in self._faults])

    def faults(self) -> dict[str, dict[int, str]]:
        """Say for each part which rows have an image that can't be encoded, and why."""
        return {
            part: {
                index: f"{rows.place(index)}: image '{'/'.join(path.parts[-2:])}' "
                + self._faults[path]
                for index, path in enumerate(rows.images or ())
                if path in self._faults
            }
            for part, rows in self._parts.items()
        }

    def keys(self) -> Mapping[str, Sequence[bytes]]:
        """Return the key of each row's image; that of one that can't be encoded has no meaning."""
        keys: dict[str, Sequence[bytes]] = dict.fromkeys(PARTS, ())
        for part, rows in self._parts.items():
            keys[part] = [self._keys[path] or b"" for path in rows.images or ()]
        return keys
