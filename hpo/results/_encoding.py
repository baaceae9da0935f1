"""The encoders that go with a model, and the embeddings of several sources put together for it."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np

from hpo.errors import InputError, did_you_mean
from hpo.features import Encoder, FeatureInfo, LongCaptions, beside, resolve_encoder
from hpo.training import TrainedModel

__all__ = [
    "encoders_of",
    "inputs_of",
    "long_caption_rules",
    "source_widths",
    "values_by_source",
]


def source_widths(model: TrainedModel) -> dict[str, dict[str, int]]:
    """Return what a model reads: for each source of embeddings the width of its modalities.

    The only source of a model may have no name, which is the empty one then.
    """
    found: dict[str, dict[str, int]] = {}
    for modality, parts in model.parts.items():
        for part in parts:
            found.setdefault(part.name, {})[modality] = part.width
    return found


def values_by_source(
    given: str | Mapping[str, str] | None, model: TrainedModel, option: str, example: str
) -> dict[str, str]:
    """Return what was given for each source of a model's embeddings.

    Args:
        given: A value for the only source, or values by the source's name.
        model: The model.
        option: What was given, for messages.
        example: A value with a name, for messages.

    Raises:
        InputError: The model has several sources, or none of that name.
    """
    names = list(source_widths(model))
    listed = ", ".join(name for name in names if name)
    if given is None:
        return {}
    if isinstance(given, str):
        if len(names) > 1:
            raise InputError(
                f"{option} is for one source of embeddings, but the model reads several "
                f"({listed}); say which, as in {option} {example}"
            )
        return {names[0]: given}
    problems = [
        f"{option} names '{name}', but the model reads "
        + (f"{listed}{did_you_mean(name, names)}" if listed else "one source, which has no name")
        for name in given
        if name not in names
    ]
    if problems:
        raise InputError(problems)
    return dict(given)


def encoders_of(
    model: TrainedModel,
    name: str,
    given: Mapping[str, str],
    cache: Path,
    without: Collection[str] = (),
) -> dict[str, Encoder]:
    """Find the encoders that a model was trained behind, and make sure that they are those.

    Args:
        model: The model.
        name: What to call it in messages.
        given: An encoder's name or place by its source; by default it is where it was.
        cache: Where the hashes of weights are remembered.
        without: Sources whose embeddings are there already.

    Returns:
        An encoder for each other source of the model's embeddings.

    Raises:
        InputError: One isn't on this machine, or its weights or preprocessing are others; or the
            embeddings of a source were imported, so that there is no encoder.
    """
    infos = {part.name: part.info for parts in model.parts.values() for part in parts}
    return {
        source: _encoder_of(source, info, name, given.get(source), cache)
        for source, info in infos.items()
        if source not in without
    }


def long_caption_rules(model: TrainedModel) -> dict[str, LongCaptions]:
    """Return what each source of a model did to captions longer than its encoder's context."""
    infos = {part.name: part.info for parts in model.parts.values() for part in parts}
    return {source: info.long_captions for source, info in infos.items()}


def _encoder_of(
    source: str, info: FeatureInfo, name: str, given: str | None, cache: Path
) -> Encoder:
    if info.source != "open_clip":
        of_it = f" called '{source}'" if source else ""
        raise InputError(
            f"{name} was trained on imported embeddings{of_it}, so that it can only read "
            "embeddings."
        )
    try:
        encoder = resolve_encoder(given or info.encoder, cache)
    except InputError as error:
        if given is not None:
            raise
        named = f" {source}=…" if source else ""
        hint = f"{name} reads embeddings of it; say where it is with --encoder{named}."
        raise InputError([*error.problems, hint], error.title) from None
    problems = [
        f"{what}: '{there}' there, '{here}' here"
        for what, there, here in (
            ("SHA-256 of the weights", info.weights_hash, encoder.weights_hash),
            ("preprocessing", info.preprocessing, encoder.preprocessing),
        )
        if there != here
    ]
    if problems:
        title = f"{name} was trained with another encoder than '{encoder.name}':"
        raise InputError(problems, title)
    return encoder


def inputs_of(
    model: TrainedModel, arrays: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return what a model reads: for each modality the embeddings of its sources side by side.

    Args:
        model: The model.
        arrays: For each source, embeddings [rows, D] by modality.
    """
    return {
        modality: beside([arrays[part.name][modality] for part in parts])
        for modality, parts in model.parts.items()
    }
