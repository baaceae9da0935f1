"""The loaded encoder: images and captions in, float16 embeddings out."""

import io
from collections.abc import Sequence

import numpy as np
import open_clip
import torch
from PIL import Image, UnidentifiedImageError

from hpo.errors import InputError
from hpo.features._decode import Preparation
from hpo.features._encoder import Encoder
from hpo.features._hub import fail_fast, quiet
from hpo.features._precision import precision_on

__all__ = ["Model"]

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
            if encoder.weights.suffix != ".safetensors":
                # open_clip falls back to full unpickling when this raises TypeError, so it has to
                # pass before open_clip sees the file.
                torch.load(encoder.weights, map_location="cpu", weights_only=True)
            if encoder.needs_hub:
                with fail_fast():
                    self._load(encoder)
            else:
                self._load(encoder)
        # open_clip, torch, safetensors and the hub's client have no common error.
        except Exception as error:
            reason = "; ".join(line.strip() for line in str(error).strip().splitlines()[:3])
            raise InputError(
                f"the encoder '{encoder.name}' can't be loaded from '{encoder.weights}': "
                f"{type(error).__name__}: {reason}"
            ) from error

    def _load(self, encoder: Encoder) -> None:
        # layers draw weights from PyTorch's own random numbers, before they are read
        with quiet(), torch.random.fork_rng(devices=()):
            model, transform = open_clip.create_model_from_pretrained(
                encoder.model,
                encoder.pretrained,
                device=self._device,
                force_quick_gelu=bool(encoder.config.get("quick_gelu")),
                weights_only=True,
            )
            self._tokenize = open_clip.get_tokenizer(encoder.model)
        self._model = model.eval()
        self._preparation = Preparation(transform)

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
            InputError: The image can't be decoded; the message goes on after the image's name.
        """
        try:
            with Image.open(io.BytesIO(content)) as image:
                return self._preparation(image)
        except UnidentifiedImageError:
            size = f"{len(content)} bytes"
            raise InputError(f"is not an image that Pillow can read ({size})") from None
        # Pillow's decoders raise nearly anything on damaged bytes: OSError, SyntaxError,
        # ValueError, struct.error, IndexError, DecompressionBombError.
        except Exception as error:
            raise InputError(f"can't be decoded: {error}") from error

    def encode_images(self, images: Sequence[torch.Tensor]) -> np.ndarray:
        """Encode prepared images.

        Returns:
            float16 [B, D], not normalised; a row with NaN or infinity is one that failed.
        """
        return self._encode("encode_image", torch.stack(list(images)))

    def encode_texts(self, captions: Sequence[str]) -> np.ndarray:
        """Encode captions; what exceeds the model's context is cut off, as in open_clip.

        Returns:
            float16 [B, D], not normalised; a row with NaN or infinity is one that failed.
        """
        return self._encode("encode_text", self._tokenize(list(captions)))

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
