"""Embeddings of class names by the encoder's text tower: what labels are without a labelled row."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpo._machine import usable_cores
from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._encode import LateModel
from hpo.features._encoder import resolve_encoder
from hpo.features._features import FeatureInfo
from hpo.features._hashes import hash_bytes
from hpo.files import content_key

__all__ = ["PROMPT", "class_embeddings", "encode_classes"]

_log = logging.getLogger(__name__)

#: What is encoded of a class, as CLIP does for zero-shot labels (Radford et al. 2021).
PROMPT = "a photo of {}"
_BATCH = 256


def encode_classes(classes: Sequence[str], info: FeatureInfo, store: Path, device: str) -> None:
    """Encode the class names and store them, unless that is done.

    Names that are all numbers say nothing, and aren't encoded. If the encoder fails, that is
    logged: the embeddings of the rows are there, and nothing else needs those of the names.

    Args:
        classes: The class names.
        info: Where the embeddings of the rows come from.
        store: The folder of the cache.
        device: Where to encode.
    """
    folder = _folder(classes, info, store)
    if folder is None:
        return
    prompts = [PROMPT.format(name) for name in classes]
    chunks, keys = ChunkStore(folder, f"classes {folder.name}"), _keys(classes)
    if all(key in chunks for key in keys):
        return
    try:
        with LateModel(resolve_encoder(info.encoder, store), device, usable_cores()) as model:
            batches = [prompts[start : start + _BATCH] for start in range(0, len(prompts), _BATCH)]
            rows = [model.on_this_thread().encode_texts(batch) for batch in batches]
    except InputError as error:
        _log.warning("The class names are not encoded, so there are no zero-shot labels: %s", error)
        return
    chunks.append(keys, np.concatenate(rows))


def class_embeddings(
    classes: Sequence[str], info: FeatureInfo, store: Path
) -> NDArray[np.float32] | None:
    """Return the stored embeddings of the class names, [K, D]; None if there are none.

    Args:
        classes: See ``encode_classes``; likewise ``info`` and ``store``.
    """
    folder = _folder(classes, info, store)
    if folder is None:
        return None
    chunks, keys = ChunkStore(folder, f"classes {folder.name}"), _keys(classes)
    if not all(key in chunks for key in keys):
        return None
    rows = np.empty((len(keys), chunks.width()), np.float32)
    chunks.gather(keys, rows)
    return rows if np.isfinite(rows).all() else None


def _keys(classes: Sequence[str]) -> list[bytes]:
    return [hash_bytes(PROMPT.format(name).encode()) for name in classes]


def _folder(classes: Sequence[str], info: FeatureInfo, store: Path) -> Path | None:
    """Return the folder of the embeddings; None if there can't be any."""
    if info.source != "open_clip" or all(name.strip().isdigit() for name in classes):
        return None
    prompts = [PROMPT.format(name) for name in classes]
    key = content_key({"encoder": info.encoder, "weights": info.weights_hash, "prompts": prompts})
    return store / "classes" / key
