"""What is asked of a model, as it comes: pictures, captions and embeddings made into rows."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hpo.errors import InputError
from hpo.features import ENCODED, LateModel, LongCaptions
from hpo.library import Model, checked_embeddings
from hpo.results import (
    encoders_of,
    inputs_of,
    long_caption_rules,
    source_widths,
    values_by_source,
)

if TYPE_CHECKING:
    import torch

    from hpo.features import Encoder

__all__ = ["Asked", "Reader"]

_FIELDS = {"images": "image", "captions": "caption"}


@dataclasses.dataclass(frozen=True, eq=False)
class Asked:
    """A row as it waits to be answered: a picture and a caption, or embeddings.

    Attributes:
        pixels: The picture as each encoder wants it, float32 [3, H, W], by source; empty if there
            is none.
        caption: Empty if there is none.
        embeddings: By source and modality, [D]; NaN for those that it lacks.
    """

    pixels: Mapping[str, "torch.Tensor"] = dataclasses.field(default_factory=dict)
    caption: str = ""
    embeddings: Mapping[str, Mapping[str, NDArray[Any]]] = dataclasses.field(default_factory=dict)


class Reader:
    """Makes rows of what is sent, in any thread, and probabilities of rows, in one.

    Args:
        model: The model. Its encoders are loaded.

    Attributes:
        fields: What it wants of a row, ``image`` and ``caption`` or one of them; none if it was
            trained on imported embeddings, so that it can read embeddings only.

    Raises:
        InputError: An encoder of the model isn't on this machine.
    """

    def __init__(self, model: Model) -> None:
        from hpo.training import open_device

        self.trained = model.trained
        self._device = open_device(model.device)
        self._widths = source_widths(self.trained)
        self._rules: Mapping[str, LongCaptions] = long_caption_rules(self.trained)
        self._encoders: dict[str, LateModel] = {}
        self.fields: tuple[str, ...] = ()
        infos = [part.info for parts in self.trained.parts.values() for part in parts]
        if all(info.source == "open_clip" for info in infos):
            places = values_by_source(model.encoder, self.trained, "--encoder", "NAME=PATH")
            found = encoders_of(self.trained, "The model", places, model.cache)
            self._encoders = {name: _loaded(one, model.device) for name, one in found.items()}
            self.fields = tuple(_FIELDS[ENCODED[name].reads] for name in self.trained.modalities)

    def given(self, images: Sequence[bytes], captions: Sequence[str]) -> list[Asked]:
        """Return rows of pictures and captions; what is empty is lacking.

        Args:
            images: The bytes of image files.
            captions: Of the same rows.

        Raises:
            InputError: They aren't what the model reads, or a picture can't be decoded.
        """
        there = {"image": images, "caption": captions}
        if not self.fields:
            raise InputError(
                "this model was trained on imported embeddings, so it reads embeddings only, as "
                "JSON"
            )
        wanted = " and ".join(self.fields)
        for name, values in there.items():
            if values and name not in self.fields:
                raise InputError(f"there is {name}, but this model reads {wanted} only")
            if not values and name in self.fields:
                raise InputError(
                    f"this model reads {wanted}, but there is no {name}; send an empty one for a "
                    "row that lacks it"
                )
        if images and captions and len(images) != len(captions):
            raise InputError(
                f"image is there {len(images)} times and caption {len(captions)} times, but both "
                "must be as often as there are rows"
            )
        rows = []
        for index in range(max(len(images), len(captions))):
            content = images[index] if images else b""
            caption = captions[index] if captions and captions[index].strip() else ""
            if not content and not caption:
                raise InputError(f"row {index} has neither, but must have some of {wanted}")
            rows.append(Asked(self._pixels(content, index), self._checked(caption, index)))
        return rows

    def embedded(self, given: object) -> list[Asked]:
        """Return rows of embeddings, as they are in JSON.

        Args:
            given: For each modality a list of rows, each a list of numbers, or null for one that
                lacks it; or such a list for each of its sources by name.

        Raises:
            InputError: They aren't what the model reads.
        """
        if not isinstance(given, dict) or not given:
            names = ", ".join(f'"{name}": [[…], …]' for name in self.trained.modalities)
            raise InputError(f"the JSON must be an object of embeddings: {{{names}}}")
        widths = {name: {p.name: p.width for p in ps} for name, ps in self.trained.parts.items()}
        arrays: dict[str, Any] = {}
        for name, value in given.items():
            sizes = widths.get(name)
            if sizes is None:
                arrays[name] = value  # of what the model doesn't read
            elif isinstance(value, dict) and any(sizes):
                arrays[name] = {one: _array(name, x, sizes.get(one)) for one, x in value.items()}
            else:
                arrays[name] = _array(name, value, sum(sizes.values()))
        found, _ = checked_embeddings(self.trained, arrays, all_of_them=True, lacking="a null")
        count = len(next(iter(next(iter(found.values())).values())))
        rows = [
            Asked(embeddings={s: {m: x[n] for m, x in those.items()} for s, those in found.items()})
            for n in range(count)
        ]
        for index, row in enumerate(rows):
            lacking = self.lacking(row)
            if len(lacking) == len(self.trained.modalities):
                raise InputError(f"row {index} lacks all that the model reads")
            for name in lacking:
                if not all(np.isnan(x[name]).all() for x in row.embeddings.values() if name in x):
                    raise InputError(
                        f"row {index} lacks some of the {name} embeddings, but must have all of "
                        "them or none"
                    )
        return rows

    def lacking(self, row: Asked) -> list[str]:
        """Return the modalities that a row lacks."""
        if row.embeddings:
            return [
                name
                for name in self.trained.modalities
                if any(name in x and np.isnan(x[name]).all() for x in row.embeddings.values())
            ]
        there = {"images": bool(row.pixels), "captions": bool(row.caption)}
        return [name for name in self.trained.modalities if not there[ENCODED[name].reads]]

    def answer(self, rows: Sequence[Asked]) -> list[NDArray[np.float32] | InputError]:
        """Return the probabilities of rows, float32 [K] each, or why there are none."""
        arrays = {
            source: {
                name: self._embeddings(source, name, width, rows) for name, width in widths.items()
            }
            for source, widths in self._widths.items()
        }
        inputs = inputs_of(self.trained, arrays)
        values = self.trained.probabilities(inputs, self._device)
        bad = np.logical_or.reduce([np.isinf(array).any(axis=1) for array in inputs.values()])
        return [
            InputError("a row has an embedding that is not finite in float16") if fault else row
            for row, fault in zip(values, bad, strict=True)
        ]

    def _embeddings(
        self, source: str, modality: str, width: int, rows: Sequence[Asked]
    ) -> NDArray[np.float32]:
        """Return the embeddings of a modality by one source, [rows, D]; NaN for those that lack it.

        What float16 can't hold is infinity.
        """
        found = np.full((len(rows), width), np.nan, dtype=np.float32)
        for index, row in enumerate(rows):
            if row.embeddings:
                found[index] = row.embeddings[source][modality]
        images = ENCODED[modality].reads == "images" if modality in ENCODED else False
        there = [
            index
            for index, row in enumerate(rows)
            if not row.embeddings and (row.pixels if images else row.caption)
        ]
        if not there:
            return found
        encoder = self._encoders[source].on_this_thread()
        if images:
            encoded = encoder.encode_images([rows[index].pixels[source] for index in there])
        else:
            captions = [rows[index].caption for index in there]
            windows = self._rules[source] == "mean"
            encoded = encoder.encode_texts(captions)
            for place, caption in enumerate(captions):
                if windows and encoder.is_long(caption):
                    encoded[place] = encoder.encode_windows([caption])[0]
        found[there] = np.where(np.isfinite(encoded), encoded, np.inf)
        return found

    def _pixels(self, content: bytes, index: int) -> dict[str, "torch.Tensor"]:
        """Return a picture as each encoder wants it; nothing of no bytes."""
        if not content:
            return {}
        try:
            return {name: one.get().prepare(content) for name, one in self._encoders.items()}
        except InputError as error:
            raise InputError(f"the image of row {index} {error}") from None

    def _checked(self, caption: str, index: int) -> str:
        """Return a caption that the model's rule for long ones allows."""
        for name, rule in self._rules.items():
            if rule == "refuse" and caption and self._encoders[name].get().is_long(caption):
                raise InputError(f"the caption of row {index} is longer than the encoder's context")
        return caption


def _loaded(encoder: "Encoder", device: str) -> LateModel:
    """Return an encoder that is loaded now, so that nobody waits for it later."""
    late = LateModel(encoder, device, threads=os.cpu_count() or 1)
    late.get()
    return late


def _array(name: str, value: object, width: int | None) -> NDArray[np.float32]:
    """Return rows of JSON as an array [rows, D], with NaN for those that are null.

    Raises:
        InputError: It is no list of rows of numbers.
    """
    said = f"{name} must be a list of rows, each a list of numbers, or null for a row that lacks it"
    if not isinstance(value, list) or not value:
        raise InputError(said)
    sizes = {len(row) for row in value if isinstance(row, list)}
    size = width or (sizes.pop() if len(sizes) == 1 else 0)
    try:
        rows = [[np.nan] * size if row is None else row for row in value]
        with np.errstate(over="ignore"):  # what is too large is infinity, and refused
            array = np.array(rows, dtype=np.float64).astype(np.float32)
    except (ValueError, TypeError, OverflowError):
        raise InputError(said) from None
    if array.ndim != 2 or any(isinstance(x, str | bool) for row in rows for x in row):
        raise InputError(said)
    return array
