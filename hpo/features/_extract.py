"""Encode rows once: each distinct image and caption, whatever happens in between."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hpo._machine import usable_cores
from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._cost import encoder_cost, note_speed, speed_file
from hpo.features._encode import LateModel
from hpo.features._encoder import Encoder, resolve_encoder
from hpo.features._features import (
    Counts,
    FeatureInfo,
    Features,
    array_path,
    features_folder,
    load_features,
    open_features,
    write_array,
    write_info,
)
from hpo.features._folder import build_folder
from hpo.features._hashes import encoded_folder
from hpo.features._items import PARTS, Captions, Images
from hpo.features._long_captions import LongCaptions, check_rule, find_long
from hpo.features._modalities import ENCODED, chosen, reads_images
from hpo.features._precision import precision_on
from hpo.features._progress import Progress
from hpo.files import content_key
from hpo.notes import Note

if TYPE_CHECKING:
    from hpo.data import Rows

__all__ = ["extract_features"]

_BATCH_SIZES = {"float16": 256, "float32": 32}


def extract_features(
    parts: Mapping[str, "Rows"],
    encoder: str,
    store: Path,
    *,
    modalities: Sequence[str] | None = None,
    device: str = "cpu",
    threads: int | None = None,
    batch_size: int | None = None,
    skip_bad_images: bool = False,
    long_captions: LongCaptions = "truncate",
    progress: Progress | None = None,
) -> Features:
    """Encode the images and captions of rows, or open what was encoded before.

    Each distinct image and caption is encoded once for each encoder (its weights, config and
    preprocessing) and precision; what is stored already is not encoded again, in whichever data
    set it appears. An image file is read once, and not at all if it is known by its path, size
    and time of change. The work is stored every 512 items or 20 seconds: a call that was killed
    at any moment is taken up by the next one. Several processes may share a store; they may do
    some work twice. Memory doesn't grow with the images, apart from some hundred bytes a row.

    Args:
        parts: The rows of ``train`` and perhaps ``test``, which become the two parts of the
            features.
        encoder: A name as ``hpo/features/_encoder.py`` describes it.
        store: The folder of the cache; made if needed.
        modalities: Which to encode; None for captions, and images if the rows have paths.
        device: Where to encode: ``cpu`` (float32) or ``cuda:0`` (float16 autocast).
        threads: Threads that read images and, on CPU, threads that encode; None for one a core.
        batch_size: Items encoded at a time; None for 32 in float32 and 256 in float16. It doesn't
            change the embeddings beyond float16 rounding, so it isn't part of the key.
        skip_bad_images: Leave out rows whose image can't be read or encoded, and name them in
            ``Features.left_out``, instead of raising an error.
        long_captions: What is done to captions that are longer than the encoder's context.
        progress: Called as the work goes on.

    Raises:
        InputError: The encoder can't be had, a modality can't be encoded, or images can't be read
            or encoded; all such images are listed, and what could be encoded is stored.
        OSError: The store can't be written.
    """
    assert "train" in parts and set(parts) <= set(PARTS)
    problems = [
        f"{name} is {value}, but must be at least 1"
        for name, value in (("threads", threads), ("batch_size", batch_size))
        if value is not None and value < 1
    ]
    with_paths = all(rows.images is not None for rows in parts.values())
    possible = [name for name in ENCODED if with_paths or not reads_images([name])]
    names = chosen(modalities, possible, problems)
    if problems:
        raise InputError(problems)
    check_rule(long_captions)
    threads = threads or usable_cores()
    spec = resolve_encoder(encoder, store)
    precision = precision_on(device)
    encoder_key = spec.key(precision)
    speeds = speed_file(store, encoder_key)
    size = batch_size or _BATCH_SIZES[precision]

    captions: dict[str, Captions] = {}
    images: dict[str, Images] = {}
    for name in names:
        if ENCODED[name].reads == "captions":
            find = functools.partial(find_long, spec, store, encoder_key)
            captions[name] = Captions(parts, find, long_captions, spec.context_length)
        else:
            images[name] = Images(parts, store, threads, progress)
    rule: LongCaptions = long_captions if captions else "truncate"
    items: dict[str, Captions | Images] = {name: (captions | images)[name] for name in names}
    if all(one.known for one in images.values()):
        every = {name: one.keys() for name, one in items.items()}
        found = open_features(store, _key(encoder_key, every, rule))
        if found is not None:
            counts = {name: Counts(0, one.distinct) for name, one in items.items()}
            cost = encoder_cost(speeds, spec.weights, device)
            return replace(found, counts=counts, cost=cost, notes=_notes(spec, captions, images))

    stores = {
        name: ChunkStore(encoded_folder(store, encoder_key, name), f"{encoder_key} {name}")
        for name in names
    }
    with LateModel(spec, device, threads) as model:
        # Captions first: they are quick, and show early that the encoder works.
        for name, one in captions.items():
            one.encode(model, stores[name], size, progress)
        for name, other in images.items():
            other.encode(model, stores[name], size, threads, progress)
    bad: dict[str, dict[int, str]] = {part: {} for part in parts}
    for other in images.values():
        for part, messages in other.faults().items():
            bad[part] |= messages
    _refuse(parts, bad, skip_bad_images)
    keys = {name: _kept(one.keys(), bad) for name, one in items.items()}
    key = _key(encoder_key, keys, rule)
    features = open_features(store, key)
    if features is None:
        features = _assemble(store, key, spec, keys, stores, rule)
    counts = {name: Counts(one.encoded, one.distinct - one.encoded) for name, one in items.items()}
    for name, item in items.items():
        note_speed(speeds, ENCODED[name].reads, item.encoded, item.seconds)
    left_out = {part: messages for part, messages in bad.items() if messages}
    cost = encoder_cost(speeds, spec.weights, device)
    notes = _notes(spec, captions, images)
    return replace(features, counts=counts, left_out=left_out, cost=cost, notes=notes)


def _notes(
    encoder: Encoder, captions: Mapping[str, Captions], images: Mapping[str, Images]
) -> tuple[Note, ...]:
    of_captions = [note for one in captions.values() for note in one.notes]
    return (*encoder.notes, *of_captions, *(note for i in images.values() for note in i.notes()))


def _refuse(parts: Mapping[str, "Rows"], bad: Mapping[str, Mapping[int, str]], skip: bool) -> None:
    """Raise an error for bad images, or if a part would have no row left."""
    from hpo.data import Problems

    problems = Problems()
    if not skip:
        problems.add(message for messages in bad.values() for message in messages.values())
        problems.raise_if_any(
            "Images can't be encoded; mend them, or leave their rows out with --skip-bad-images:"
        )
    for part, rows in parts.items():
        if len(rows) and len(bad[part]) == len(rows):
            problems.add(f"none of the {len(rows)} rows of {rows.source} has an image to read")
    problems.raise_if_any("Images can't be encoded:")


def _kept(
    keys: Mapping[str, Sequence[bytes]], bad: Mapping[str, Mapping[int, str]]
) -> dict[str, list[bytes]]:
    """Return the keys of the rows that are not left out."""
    return {
        part: [key for index, key in enumerate(keys[part]) if index not in bad.get(part, ())]
        for part in PARTS
    }


def _key(
    encoder_key: str, keys: Mapping[str, Mapping[str, Sequence[bytes]]], rule: LongCaptions
) -> str:
    rows_hash = {
        name: {part: hashlib.sha256(b"".join(mine)).hexdigest() for part, mine in parts.items()}
        for name, parts in keys.items()
    }
    # What is predicted later has to follow the same rule, so it is part of what features are.
    ruled = {} if rule == "truncate" else {"long_captions": rule}
    return content_key({"format": 1, "encoder": encoder_key, "rows": rows_hash, **ruled})


def _assemble(
    store: Path,
    key: str,
    spec: Encoder,
    keys: Mapping[str, Mapping[str, Sequence[bytes]]],
    stores: Mapping[str, ChunkStore],
    rule: LongCaptions,
) -> Features:
    """Write the features folder from the stored items, a chunk in memory at a time."""
    folder = features_folder(store, key)
    widths = {name: stores[name].width() for name in keys}
    lengths = {part: len(mine) for parts in keys.values() for part, mine in parts.items()}
    about = spec.name, spec.weights_hash, spec.preprocessing
    info = FeatureInfo("open_clip", *about, widths, long_captions=rule)
    with build_folder(folder) as building:
        for name, parts in keys.items():
            for part, mine in parts.items():
                write_array(
                    array_path(building, part, name),
                    (len(mine), widths[name]),
                    functools.partial(stores[name].gather, mine),
                )
        write_info(building, key, info, lengths["train"], lengths["test"])
    return load_features(folder)
