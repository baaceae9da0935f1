"""Rows that lack something: encoded as far as they go, with NaN for what isn't there."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.features._extract import extract_features
from hpo.features._long_captions import LongCaptions
from hpo.features._modalities import ENCODED
from hpo.notes import Note

if TYPE_CHECKING:
    from hpo.data import Rows

__all__ = ["encode_present", "extract_present", "rows_of_nan"]


def extract_present(
    rows: "Rows",
    encoder: str,
    store: Path,
    widths: Mapping[str, int],
    lacking: Mapping[str, NDArray[np.bool_]],
    notes: list[Note],
    **options: Any,
) -> tuple[dict[str, NDArray[np.float16]], dict[int, str]]:
    """Encode what there is of rows, and put NaN for the embeddings of what they lack.

    Where no row lacks anything, this is ``extract_features``.

    Args:
        rows: The rows; what stands there for an image or a caption that is lacking isn't read.
        encoder: As for ``extract_features``; likewise ``store`` and ``options``.
        widths: Embedding width of each modality to encode.
        lacking: Which rows lack each modality, [N].
        notes: Takes what was done to what was encoded, or taken on trust.

    Returns:
        For each modality float16 [rows, D]; and what is wrong with the images that can't be
        encoded, by row, if ``skip_bad_images`` is among the options, whose rows are left out.

    Raises:
        InputError: As ``extract_features``.
    """
    from hpo.data import take_rows

    if not any(mask.any() for mask in lacking.values()):
        whole = extract_features(
            {"train": rows}, encoder, store, modalities=tuple(widths), **options
        )
        notes += whole.notes
        return dict(whole.train), dict(whole.left_out.get("train", {}))
    arrays: dict[str, NDArray[np.float16]] = {}
    bad: dict[int, str] = {}
    for name, width in widths.items():
        arrays[name] = np.full((len(rows), width), np.nan, dtype=np.float16)
        there = np.flatnonzero(~lacking[name])
        if not len(there):
            continue
        part = take_rows(rows, ~lacking[name])
        if ENCODED[name].reads == "captions":
            part = replace(part, images=None)
        found = extract_features({"train": part}, encoder, store, modalities=[name], **options)
        notes += found.notes
        faults = found.left_out.get("train", {})
        bad |= {int(there[index]): message for index, message in faults.items()}
        good = np.delete(there, list(faults))
        arrays[name][good] = found.train[name]
    kept = np.delete(np.arange(len(rows)), sorted(bad))
    return {name: array[kept] if bad else array for name, array in arrays.items()}, bad


def encode_present(
    rows: "Rows",
    encoders: Mapping[str, str],
    store: Path,
    widths: Mapping[str, Mapping[str, int]],
    lacking: Mapping[str, NDArray[np.bool_]],
    rules: Mapping[str, LongCaptions],
    notes: list[Note],
    left_out: Mapping[int, str],
    **options: Any,
) -> tuple[dict[str, dict[str, NDArray[np.float16]]], dict[int, str]]:
    """Encode what there is of rows with each of several encoders; see ``extract_present``.

    Args:
        rows: The rows.
        encoders: By the name of the source.
        store: The folder of the cache.
        widths: For each source the embedding width of each modality to encode.
        lacking: Which rows lack each modality, [N].
        rules: What each source does to captions longer than its context.
        notes: Takes what was done to what was encoded, or taken on trust.
        left_out: Rows that aren't to be encoded, and why.

    Returns:
        Embeddings by source and modality of the rows that all could encode; and what is wrong with
        the others, by row.

    Raises:
        InputError: As ``extract_features``.
    """
    from hpo.data import take_rows

    bad = dict(left_out)
    while True:
        kept = np.delete(np.arange(len(rows)), sorted(bad))
        mask = np.zeros(len(rows), dtype=np.bool_)
        mask[kept] = True
        some = take_rows(rows, mask) if bad else rows
        found: dict[str, dict[str, NDArray[np.float16]]] = {}
        for source, encoder in encoders.items():
            absent = {name: lacking[name][kept] for name in widths[source]}
            found[source], faults = extract_present(
                some,
                encoder,
                store,
                widths[source],
                absent,
                notes,
                long_captions=rules[source],
                **options,
            )
            bad |= {int(kept[index]): message for index, message in faults.items()}
            if faults and len(encoders) > 1:
                break  # the others are asked for the rows that are left
        else:
            return found, bad


def rows_of_nan(array: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Return which rows of embeddings [N, D] are NaN as a whole: those that lack them."""
    nan: NDArray[np.bool_] = np.isnan(array[:, 0])
    # Nearly every row is told by its first value.
    nan[nan] = np.isnan(array[nan]).all(axis=1)
    return nan
