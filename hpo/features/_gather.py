"""Several named sources of embeddings for the same rows: imported, encoded, and compared."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.features._choice import source_name_fault, union
from hpo.features._encoder import resolve_encoder
from hpo.features._extract import extract_features
from hpo.features._features import Features
from hpo.features._import import import_arrays, import_features, take_features
from hpo.features._import_names import modality_names
from hpo.features._long_captions import LongCaptions
from hpo.features._modalities import chosen, in_order
from hpo.features._progress import Progress

if TYPE_CHECKING:
    from hpo.data import Dataset, Rows

__all__ = [
    "ArraySource",
    "Encoding",
    "common_rows",
    "encode_all",
    "encoded_rows",
    "gather_sources",
    "import_source",
]


@dataclass(frozen=True)
class Encoding:
    """How rows are encoded.

    Attributes:
        cache: Where embeddings are kept.
        device: Such as ``cpu``.
        skip_bad_images: Leave out rows whose image can't be encoded, or that have no embedding.
        progress: Called as the work goes on.
        long_captions: What is done to captions that are longer than an encoder's context.
    """

    cache: Path
    device: str
    skip_bad_images: bool
    progress: Progress | None
    long_captions: LongCaptions = "truncate"


@dataclass(frozen=True)
class ArraySource:
    """Embeddings in memory, by modality.

    Attributes:
        train: Of the labelled rows.
        test: Of those to predict.
        paired: Whether the rows come from elsewhere, so that their order may be another one.
    """

    train: Mapping[str, Any]
    test: Mapping[str, Any]
    paired: bool = True


def gather_sources(
    dataset: "Dataset",
    *,
    imported: Mapping[str, Path | ArraySource],
    encoders: Mapping[str, str],
    possible: Sequence[str],
    modalities: Sequence[str] | None,
    tables: tuple[str, str],
    how: Encoding,
) -> "tuple[Dataset, dict[str, Features]]":
    """Return the embeddings of all rows from each source, and the rows that could be encoded.

    Imported embeddings are checked, and all encoders found, before anything is encoded.

    Args:
        dataset: The rows.
        imported: Embeddings that exist already, by the source's name.
        encoders: Encoders by the source's name.
        possible: The modalities that can be encoded.
        modalities: Which to take; None for all that are there. A source may have some of them.
        tables: What the rows are called in messages.
        how: How to encode.

    Raises:
        InputError: A name can't be one, embeddings don't fit the rows or one another, an encoder
            can't be had, or images can't be encoded; all problems of a kind are listed.
    """
    problems = [fault for name in (*imported, *encoders) if (fault := source_name_fault(name))]
    problems += [
        f"'{name}' names both embeddings that exist and an encoder, but must be one of them"
        for name in imported
        if name in encoders
    ]
    there: dict[str, Sequence[str]] = {}
    for name, source in imported.items():
        with _noting(name, problems):
            there[name] = _names_of(source)
    there |= dict.fromkeys(encoders, tuple(possible))
    wanted = union(there)
    if not problems:
        wanted = chosen(modalities, wanted, problems)
    taken = {name: in_order(set(names) & set(wanted)) for name, names in there.items()}
    problems += [
        f"{name}: has {', '.join(there[name])}, but only {', '.join(wanted)} are asked for"
        for name in there
        if not taken[name] and not problems
    ]
    if problems:
        raise InputError(problems)
    found: dict[str, Features] = {}
    for name, source in imported.items():
        with _noting(name, problems):
            found[name] = import_source(source, dataset, how, taken[name], tables)
    for name, encoder in encoders.items():
        with _noting(name, problems):
            resolve_encoder(encoder, how.cache)
    if problems:
        raise InputError(problems)
    dataset, found = common_rows(dataset, found, how.cache)
    if not encoders:
        return dataset, found
    before = dataset
    dataset, encoded, bad = encoded_rows(dataset, encoders, taken, how)
    if bad:
        found = {name: replace(one, left_out=bad) for name, one in found.items()}
        _, found = common_rows(before, found, how.cache, present=True)
    return dataset, {name: (found | encoded)[name] for name in (*imported, *encoders)}


def common_rows(
    dataset: "Dataset", found: Mapping[str, Features], store: Path, *, present: bool = False
) -> "tuple[Dataset, dict[str, Features]]":
    """Return the rows that all of the embeddings have, and their embeddings.

    Args:
        dataset: All rows.
        found: Embeddings with what they left out.
        store: The folder of the cache.
        present: Whether they have the rows that they name as left out.

    Raises:
        InputError: No row would be left.
    """
    from hpo.data import keep_rows

    bad: dict[str, dict[int, str]] = {}
    for one in found.values():
        for part, messages in one.left_out.items():
            bad.setdefault(part, {}).update(messages)
    if not bad:
        return dataset, dict(found)
    parts = {"train": dataset.train} | ({} if dataset.test is None else {"test": dataset.test})
    masks = masks_of(parts, {part: bad.get(part, {}) for part in parts})
    taken = {}
    for name, one in found.items():
        kept = {}
        for part, mask in masks.items():
            has = np.ones(len(mask), dtype=np.bool_)
            if not present:
                has[list(one.left_out.get(part, ()))] = False
            kept[part] = np.flatnonzero(mask[has])
        whole = all(len(kept[part]) == masks_of(parts, one.left_out)[part].sum() for part in kept)
        taken[name] = one if whole and not present else take_features(one, kept, store)
    return keep_rows(dataset, masks["train"], masks.get("test")), taken


def encode_all(
    parts: "Mapping[str, Rows]",
    encoders: Mapping[str, str],
    modalities: Mapping[str, Sequence[str] | None],
    how: Encoding,
) -> tuple[dict[str, Features], dict[str, dict[int, str]]]:
    """Encode rows with each encoder.

    Args:
        parts: As ``extract_features`` takes them.
        encoders: By the source's name.
        modalities: What to encode with each; None as ``extract_features`` takes it.
        how: How to encode.

    Returns:
        The embeddings of the rows that all could encode; and for each part what is wrong with the
        others, by their index, which are allowed if ``how`` says so.

    Raises:
        InputError: As ``extract_features``.
    """
    from hpo.data import take_rows

    bad: dict[str, dict[int, str]] = {part: {} for part in parts}
    while True:
        kept = {
            part: [index for index in range(len(rows)) if index not in bad[part]]
            for part, rows in parts.items()
        }
        taken = parts
        if any(bad.values()):
            masks = masks_of(parts, bad)
            taken = {part: take_rows(rows, masks[part]) for part, rows in parts.items()}
        found: dict[str, Features] = {}
        for name, encoder in encoders.items():
            found[name] = extract_features(
                taken,
                encoder,
                how.cache,
                modalities=modalities[name],
                device=how.device,
                skip_bad_images=how.skip_bad_images,
                long_captions=how.long_captions,
                progress=how.progress,
            )
            left_out = found[name].left_out
            for part, messages in left_out.items():
                bad[part] |= {kept[part][index]: text for index, text in messages.items()}
            if left_out and len(encoders) > 1:
                break  # the others are asked for the rows that are left
        else:
            return found, {part: messages for part, messages in bad.items() if messages}


def masks_of(
    parts: "Mapping[str, Rows]", bad: Mapping[str, Mapping[int, str]]
) -> dict[str, NDArray[np.bool_]]:
    """Return for each part which rows are left, bool [N]."""
    masks = {part: np.ones(len(rows), dtype=np.bool_) for part, rows in parts.items()}
    for part, messages in bad.items():
        masks[part][list(messages)] = False
    return masks


def encoded_rows(
    dataset: "Dataset",
    encoders: Mapping[str, str],
    modalities: Mapping[str, Sequence[str] | None],
    how: Encoding,
) -> "tuple[Dataset, dict[str, Features], dict[str, dict[int, str]]]":
    """Encode a data set with each encoder; return the rows that all could encode.

    The last of what is returned says what is wrong with the others, by part and index.

    Raises:
        InputError: As ``extract_features``.
    """
    from hpo.data import keep_rows

    parts = {"train": dataset.train} | ({} if dataset.test is None else {"test": dataset.test})
    found, bad = encode_all(parts, encoders, modalities, how)
    if bad:
        masks = masks_of(parts, bad)
        dataset = keep_rows(dataset, masks["train"], masks.get("test"))
    return dataset, found, bad


@contextlib.contextmanager
def _noting(name: str, problems: list[str]) -> Iterator[None]:
    """Add to ``problems`` what turns out to be wrong with the input of a source."""
    try:
        yield
    except InputError as error:
        lines = str(error).replace("\n", "\n  ")
        problems.append(f"{name}: {lines}")


def _names_of(source: Path | ArraySource) -> tuple[str, ...]:
    return modality_names(source) if isinstance(source, Path) else tuple(source.train)


def import_source(
    source: Path | ArraySource,
    dataset: "Dataset",
    how: Encoding,
    modalities: Sequence[str] | None,
    tables: tuple[str, str],
) -> Features:
    """Import the embeddings of a data set's rows; ``common_rows`` leaves out those without.

    Raises:
        InputError: As ``import_features`` and ``import_arrays``.
    """
    train, test = dataset.train, dataset.test
    test_rows = 0 if test is None else len(test)
    test_ids = () if test is None else test.ids
    if isinstance(source, Path):
        return import_features(
            source,
            len(train),
            test_rows,
            how.cache,
            ids=train.ids,
            test_ids=test_ids,
            captions=train.captions,
            test_captions=() if test is None else test.captions,
            averaged=any(train.further) or (test is not None and any(test.further)),
            modalities=modalities,
            tables=tables,
            skip_absent=how.skip_bad_images,
            data=dataset.root,
        )
    return import_arrays(
        source.train,
        len(train),
        how.cache,
        test_arrays=source.test,
        test_rows=test_rows,
        ids=train.ids if source.paired else None,
        test_ids=test_ids,
        modalities=modalities,
        tables=tables,
        skip_absent=how.skip_bad_images,
    )
