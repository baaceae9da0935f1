"""The loaded encoder: images and captions in, float16 embeddings out."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import torch

from hpo.errors import InputError
from hpo.features._decode import Preparation
from hpo.features._encoder import Encoder
from hpo.features._hub import fail_fast, quiet
from hpo.features._long_captions import count_tokens, tokenizer_of, windows_of
from hpo.features._precision import precision_on
from hpo.features._weights import misfit, not_finite, plain_weights
from hpo.images import open_image

__all__ = ["Model"]

# What ``create_model_from_pretrained`` takes of a preprocessing; the size follows from the model.
_PREPROCESSING = ("mean", "std", "interpolation", "resize_mode")
_FLOAT16_MAX = float(np.finfo(np.float16).max)


class Model:
    """An open_clip model with its own preprocessing and tokenizer, on one device.

    Args:
        encoder: What to load.
        device: Where, such as ``cpu`` or ``cuda:0``.

    Raises:
        InputError: The weights don't fit the config, a file is damaged, or something that
            open_clip needs besides (a tokenizer) can't be had.
    """

    def __init__(self, encoder: Encoder, device: str) -> None:
        self._device = torch.device(device)
        self._half = precision_on(device) == "float16"
        try:
            # open_clip falls back to full unpickling in some cases, so files are read before.
            with quiet(), plain_weights(encoder.weights) as weights:
                if encoder.needs_hub:
                    with fail_fast():
                        self._load(encoder, weights)
                else:
                    self._load(encoder, weights)
        # open_clip, torch, safetensors and the hub's client have no common error.
        except Exception as error:
            reason = "; ".join(line.strip() for line in str(error).strip().splitlines()[:3])
            own = str(error) if isinstance(error, InputError) else misfit(str(error))
            raise InputError(
                f"the encoder '{encoder.name}' can't be loaded from '{encoder.weights}': "
                + (own or f"{type(error).__name__}: {reason}")
            ) from error

    def _load(self, encoder: Encoder, weights: Path) -> None:
        pretrained = encoder.pretrained
        if weights != encoder.weights:
            if pretrained is None:
                raise InputError(
                    "it holds more than weights, or under other names; name it as "
                    "MODEL/PATH, or save the weights alone: torch.save(model.state_dict(), …)"
                )
            pretrained = str(weights)
        settings: dict[str, Any] = {}
        if encoder.has_own_config:
            ours = {name: encoder.preprocess.get(name) for name in _PREPROCESSING}
            settings = {f"image_{name}": value for name, value in ours.items() if value}
            settings |= {k: v for k, v in encoder.config.items() if k != "custom_text"}
            settings["force_custom_text"] = bool(encoder.config.get("custom_text"))
        # layers draw weights from PyTorch's own random numbers, before they are read
        with quiet(), torch.random.fork_rng(devices=()):
            model, transform = open_clip.create_model_from_pretrained(
                encoder.model,
                pretrained,
                device=self._device,
                force_quick_gelu=bool(encoder.config.get("quick_gelu")),
                weights_only=True,
                **settings,
            )
            self._tokenize = tokenizer_of(encoder)
        broken = not_finite(model)
        if broken is not None:
            raise InputError(f"its weight {broken} has NaN or infinity; get the file again")
        self._context = encoder.context_length
        self._model = model.eval()
        self._preparation = Preparation(transform)

    @property
    def module(self) -> torch.nn.Module:
        """open_clip's model, with the methods ``encode_image`` and ``encode_text``."""
        module: torch.nn.Module = self._model
        return module

    @property
    def parameters(self) -> int:
        """How many parameters the image tower has."""
        return sum(parameter.numel() for parameter in self._model.visual.parameters())

    def prepare(self, content: bytes) -> torch.Tensor:
        """Decode an image and preprocess it for the model; may be called from several threads.

        A large JPEG is decoded at reduced size, see ``hpo/features/_decode.py``.

        Args:
            content: The bytes of an image file.

        Returns:
            float32 [3, H, W], normalised as the model wants it.

        Raises:
            InputError: See ``open_image``.
        """
        with open_image(content) as image:
            return self._preparation(image)

    def encode_images(self, images: Sequence[torch.Tensor]) -> np.ndarray:
        """Encode prepared images.

        Returns:
            float16 [B, D], not normalised; a row with NaN or infinity is one that failed.
        """
        return self._encode("encode_image", torch.stack(list(images)))

    def tokens(self, captions: Sequence[str]) -> torch.Tensor:
        """Return captions as the text tower reads them, int64 [B, context]."""
        tokens: torch.Tensor = self._tokenize(list(captions))
        return tokens

    def is_long(self, caption: str) -> bool:
        """Say whether a caption is longer than the model's context."""
        return count_tokens(self._tokenize, caption) > self.tokens([""]).shape[1]

    def encode_texts(self, captions: Sequence[str]) -> np.ndarray:
        """Encode captions; what exceeds the model's context is cut off, as in open_clip.

        Returns:
            float16 [B, D], not normalised; a row with NaN or infinity is one that failed.
        """
        return self._encode("encode_text", self.tokens(captions))

    def encode_windows(self, captions: Sequence[str]) -> np.ndarray:
        """Encode captions in windows of the model's context, and average what these give.

        Returns:
            As ``encode_texts``.

        Raises:
            InputError: The tokenizer isn't CLIP's.
        """
        means = [
            self._encode("encode_text", windows_of(self._tokenize, caption, self._context))
            .astype(np.float32)
            .mean(axis=0)
            for caption in captions
        ]
        return np.stack(means).astype(np.float16)

    @torch.inference_mode()
    def _encode(self, method: str, batch: torch.Tensor) -> np.ndarray:
        encode = getattr(self._model, method)
        batch = batch.to(self._device, non_blocking=True)
        with torch.autocast(self._device.type, dtype=torch.float16, enabled=self._half):
            output = encode(batch, normalize=False).float()
        if self._half and not torch.isfinite(output).all():
            # Some models' activations exceed float16 on some inputs.
            output = encode(batch, normalize=False).float()
        output = torch.where(output.abs() <= _FLOAT16_MAX, output, torch.nan)
        return output.cpu().numpy().astype(np.float16)
