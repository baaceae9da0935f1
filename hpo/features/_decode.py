"""Preprocess an image for an encoder; a JPEG much larger than it needs is decoded at reduced size.

libjpeg can decode at 1/2, 1/4 or 1/8 of the size, which leaves out most of the arithmetic. That is
done while the decoded image is still at least three times as large, along both sides, as what the
preprocessing then resizes it to: the resizing averages over three pixels or more in each direction
of either image, and hardly tells them apart.

The tolerance, for each image, against decoding at full size: prepared pixels differ by 1.5/255 at
most in the mean (0.3/255 for the usual photo) and 99.9% of them by 12/255 at most; the cosine
between the embeddings is at least 0.999 for the demo's encoder and 0.9999 for a random ViT-B/32.
``tests/features/test_features_decode.py`` asserts it on photographs and on mosaics of them
and of the demo's pictures, which are sharp to the pixel as few large photographs are; decision 21
has the numbers.
"""

from collections.abc import Callable
from typing import Any

import torch
from open_clip.transform import ResizeKeepRatio
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from torchvision.transforms import Compose, InterpolationMode, Resize

__all__ = ["Preparation"]

# How many times as large as the resized image a JPEG is at least decoded; the version in
# ``Encoder.key`` has to grow with any change.
_MARGIN = 3
_BICUBIC = InterpolationMode.BICUBIC


class Preparation:
    """From an opened image to what the encoder takes, decoding no more than that needs.

    A JPEG in colour or grey that is at least six times as large as what bicubic interpolation makes
    of it comes out within the tolerance above; anything else is what ``transform`` gives, to the
    bit. (Bilinear interpolation tells reduced images apart up to twice as well, and four colours
    leave no room for the weights of the edges.)

    Args:
        transform: open_clip's validation transform: a resizing, then other steps. If it begins
            otherwise, all images are decoded at full size.
    """

    def __init__(self, transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self._transform = transform
        self._resize: Any = None
        if isinstance(transform, Compose):
            first, *others = transform.transforms
            if isinstance(first, Resize | ResizeKeepRatio) and first.interpolation == _BICUBIC:
                self._resize, self._others = first, Compose(others)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        """Return float32 [3, H, W] of an image that was opened but not loaded yet.

        Raises:
            Exception: The image is damaged: anything that Pillow's decoders raise. Reduced decoding
                reads the whole file as well, so it finds the same.
        """
        plain = isinstance(image, JpegImageFile) and image.mode in ("L", "RGB")
        if self._resize is None or not plain:
            return self._transform(image)
        full = image.size
        width, height = _resized(self._resize, full)
        # Pillow takes the strongest reduction that leaves at least these sizes.
        drafted = image.draft(None, (_MARGIN * width, _MARGIN * height))
        if drafted is None or image.size == full:
            return self._transform(image)
        # The size to resize to follows from the exact proportions, and the box says where the
        # picture ends: reduced sizes are rounded up.
        _, box = drafted
        image = _weigh_edges(image, box[2], box[3])
        small = image.resize((width, height), Image.Resampling.BICUBIC, box)
        prepared: torch.Tensor = self._others(small)
        return prepared


def _weigh_edges(image: Image.Image, right: float, bottom: float) -> Image.Image:
    """Give the last column and row the weight of the part of them that the picture covers.

    Without that, the edge of the picture counts up to eight times as much as it should. Pillow
    resizes colours weighted by their opacity.

    Args:
        image: The reduced picture.
        right: Where it ends, at most a pixel before the image does.
        bottom: Likewise.
    """
    width, height = image.size
    if (right, bottom) == (width, height):
        return image
    opacity = Image.new("L", image.size, 255)
    column, row = right - (width - 1), bottom - (height - 1)
    opacity.paste(round(255 * column), (width - 1, 0, width, height))
    opacity.paste(round(255 * row), (0, height - 1, width, height))
    opacity.putpixel((width - 1, height - 1), round(255 * column * row))
    weighted = image.convert("LA" if image.mode == "L" else "RGBA")
    weighted.putalpha(opacity)
    return weighted


def _resized(resize: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Return the (width, height) that open_clip's first step gives an image of this size."""
    width, height = size
    if isinstance(resize, ResizeKeepRatio):
        ratios = height / resize.size[0], width / resize.size[1]
        ratio = max(ratios) * resize.longest + min(ratios) * (1 - resize.longest)
        return round(width / ratio), round(height / ratio)
    if not isinstance(resize.size, int):
        return resize.size[1], resize.size[0]
    long = int(resize.size * max(size) / min(size))
    return (resize.size, long) if width <= height else (long, resize.size)
