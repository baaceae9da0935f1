"""Which encoders go into a file with the model, and what that changes."""

from collections.abc import Mapping
from pathlib import Path

from hpo.errors import InputError
from hpo.features import Encoder
from hpo.results import encoders_of
from hpo.training import TrainedModel

__all__ = ["caption_notes", "encoders_inside"]


def encoders_inside(
    model: TrainedModel, name: str, places: Mapping[str, str], cache: Path
) -> dict[str, Encoder]:
    """Find the encoders of a model that can go into its file.

    Args:
        model: The model. Those of its embeddings that were imported stay embeddings.
        name: What to call it in messages.
        places: Where an encoder is on this machine, by its source.
        cache: Where the hashes of weights are remembered.

    Returns:
        The encoders by source.

    Raises:
        InputError: There are none, or one isn't on this machine or is another one.
    """
    infos = {part.name: part.info for parts in model.parts.values() for part in parts}
    imported = [source for source, info in infos.items() if info.source != "open_clip"]
    if len(imported) == len(infos):
        raise InputError(
            f"{name} was trained on imported embeddings, so there is no encoder to put into the "
            "file; leave out --with-encoder (with_encoder=False)."
        )
    return encoders_of(model, name, places, cache, without=imported)


def caption_notes(model: TrainedModel, encoders: Mapping[str, Encoder]) -> list[str]:
    """Say where a file treats captions otherwise than the model does."""
    return [
        "captions longer than the context are read in windows by the model, but cut off where "
        f"tokens go into the file (the encoder {part.info.encoder})"
        for part in model.parts.get("text", ())
        if part.name in encoders and part.info.long_captions == "mean"
    ]
