"""The encoder that goes with a model."""

from pathlib import Path

from hpo.errors import InputError
from hpo.features import Encoder, resolve_encoder
from hpo.training import TrainedModel

__all__ = ["encoder_of"]


def encoder_of(model: TrainedModel, name: str, given: str | None, cache: Path) -> Encoder:
    """Find the encoder that a model was trained behind, and make sure that it is that one.

    Args:
        model: The model.
        name: What to call it in messages.
        given: The encoder's name or place; None for where it was.
        cache: Where the hash of its weights is remembered.

    Raises:
        InputError: It isn't on this machine, or its weights or preprocessing are others.
    """
    if model.features["source"] != "open_clip":
        raise InputError(
            f"{name} was trained on imported embeddings, so that it can only read embeddings."
        )
    try:
        encoder = resolve_encoder(given or str(model.features["encoder"]), cache)
    except InputError as error:
        if given is not None:
            raise
        hint = f"{name} reads embeddings of it; say where it is with --encoder."
        raise InputError([*error.problems, hint], error.title) from None
    problems = [
        f"{what}: '{model.features[key]}' there, '{here}' here"
        for what, key, here in (
            ("SHA-256 of the weights", "weights_hash", encoder.weights_hash),
            ("preprocessing", "preprocessing", encoder.preprocessing),
        )
        if model.features[key] != here
    ]
    if problems:
        title = f"{name} was trained with another encoder than '{encoder.name}':"
        raise InputError(problems, title)
    return encoder
