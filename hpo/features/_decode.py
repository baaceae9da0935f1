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

from hpo.features._seen import eight_bits, over_white, turn_of

__all__ = ["Preparation"]

# How many times as large as the resized image a JPEG is at least decoded; the version in
# ``Encoder.key`` has to grow with any change.
_MARGIN = 3
_BICUBIC = InterpolationMode.BICUBIC
# Turns that exchange width and height, and what is counted from the other side before that.
_FROM_RIGHT = (Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE)
_FROM_BOTTOM = (Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE)
_ACROSS = (Image.Transpose.TRANSPOSE, *_FROM_RIGHT, *_FROM_BOTTOM)


class Preparation:
    """From an opened image to what the encoder takes, decoding no more than that needs.

    A JPEG in colour or grey that is at least six times as large as what bicubic interpolation makes
    of it comes out within the tolerance above; anything else is what ``transform`` gives, to the
    bit, of the picture as a viewer shows it (``hpo/features/_seen.py``). (Bilinear interpolation
    tells reduced images apart up to twice as well, and four colours leave no room for the weights
    of the edges.)

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
        turn = turn_of(image)
        plain = isinstance(image, JpegImageFile) and image.mode in ("L", "RGB")
        if self._resize is None or not plain:
            return self._transform(over_white(eight_bits(_upright(image, turn))))
        full = image.size
        width, height = _resized(self._resize, full[::-1] if turn in _ACROSS else full)
        # Pillow takes the strongest reduction that leaves at least these sizes.
        least = (_MARGIN * width, _MARGIN * height)
        drafted = image.draft(None, least[::-1] if turn in _ACROSS else least)
        if drafted is None or image.size == full:
            return self._transform(_upright(image, turn))
        # The size to resize to follows from the exact proportions, and the box says where the
        # picture ends: reduced sizes are rounded up.
        box: tuple[float, float, float, float] = drafted[1]
        image = _weigh_edges(image, box[2], box[3])
        if turn is not None:
            box = _turned_box(box, image.size, turn)
            image = image.transpose(turn)
        small = image.resize((width, height), Image.Resampling.BICUBIC, box)
        prepared: torch.Tensor = self._others(small)
        return prepared


def _upright(image: Image.Image, turn: Image.Transpose | None) -> Image.Image:
    # A TIFF is turned by Pillow when it is loaded, and then says that it is upright.
    image.load()
    return image if turn is None or turn_of(image) is None else image.transpose(turn)


def _turned_box(
    box: tuple[float, float, float, float], size: tuple[int, int], turn: Image.Transpose
) -> tuple[float, float, float, float]:
    """Return where a box is after the image of this size was turned."""
    left, top, right, bottom = box
    width, height = size
    if turn in (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, *_FROM_RIGHT):
        left, right = width - right, width - left
    if turn in (Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180, *_FROM_BOTTOM):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if turn in _ACROSS else (left, top, right, bottom)


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
