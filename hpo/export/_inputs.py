"""What a model's file takes: embeddings, or the pixels and tokens that they are of."""

import dataclasses
from collections.abc import Mapping
from typing import Literal

from hpo.errors import InputError
from hpo.features import ENCODED, Encoder
from hpo.training import TrainedModel

__all__ = ["GraphInput", "graph_inputs"]

_ENCODED_AS: dict[str, Literal["pixels", "tokens"]] = {"images": "pixels", "captions": "tokens"}
#: Of open_clip, where a config doesn't say it.
_IMAGE_SIZE, _CONTEXT = 224, 77


@dataclasses.dataclass(frozen=True)
class GraphInput:
    """An input of the file.

    Attributes:
        name: What it is called.
        kind: ``embeddings``, ``pixels`` (float32, normalised as the encoder wants them) or
            ``tokens`` (int64).
        shape: Of a row.
        modality: Whose embeddings it is, or becomes.
        source: Which encoder makes them of it; None for embeddings.
    """

    name: str
    kind: Literal["embeddings", "pixels", "tokens"]
    shape: tuple[int, ...]
    modality: str
    source: str | None = None


def graph_inputs(model: TrainedModel, encoders: Mapping[str, Encoder]) -> list[GraphInput]:
    """Return the inputs of a model's file, in the order of what it reads side by side.

    Args:
        model: The model.
        encoders: Those that are to be in the file, by source; none for embeddings alone.

    Raises:
        InputError: Two inputs would have one name.
    """
    found = []
    for modality, parts in model.parts.items():
        if not any(part.name in encoders and modality in ENCODED for part in parts):
            width = sum(part.width for part in parts)
            found.append(GraphInput(modality, "embeddings", (width,), modality))
            continue
        for part in parts:
            if part.name not in encoders:
                name = f"{modality}.{part.name}"
                found.append(GraphInput(name, "embeddings", (part.width,), modality))
                continue
            kind = _ENCODED_AS[ENCODED[modality].reads]
            name = kind if len(encoders) == 1 else f"{kind}.{part.name}"
            shape = _shape(kind, encoders[part.name])
            found.append(GraphInput(name, kind, shape, modality, part.name))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            f"the file would have two inputs called {', '.join(twice)}; export it without its "
            "encoders"
        )
    return found


def _shape(kind: str, encoder: Encoder) -> tuple[int, ...]:
    """Return the shape of a row: [3, H, W], or [context]."""
    if kind == "tokens":
        return (encoder.context_length or _CONTEXT,)
    size = encoder.preprocess.get("size") or encoder.config["vision_cfg"].get("image_size")
    height, width = size if isinstance(size, list | tuple) else (size or _IMAGE_SIZE,) * 2
    return (3, int(height), int(width))
