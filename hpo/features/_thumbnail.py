"""Small pictures for people, decoded within the limits that hold for all pictures."""

import io
from pathlib import Path

from hpo.errors import InputError
from hpo.images import open_image, read_image

__all__ = ["thumbnail"]

_QUALITY = 80


def thumbnail(path: Path, longest: int) -> bytes | None:
    """Return an image as a viewer shows it, as a small JPEG; None if it can't be read.

    Args:
        path: Of the image.
        longest: Pixels of its longer side at most.
    """
    from PIL import Image  # it takes its time, which who needs none needn't wait for

    from hpo.features._seen import eight_bits, over_white, turn_of

    try:
        with read_image(path) as content, open_image(content) as image:
            turn = turn_of(image)
            # A JPEG is decoded at a reduced size, as far as that is still twice as large.
            image.draft(None, (2 * longest, 2 * longest))
            image.load()
            # A TIFF is turned by Pillow when it is loaded, and then says that it is upright.
            if turn is not None and turn_of(image) is not None:
                shown = image.transpose(turn)
            else:
                shown = image.copy()
            small = over_white(eight_bits(shown)).convert("RGB")
            small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    except (InputError, OSError):
        return None
    written = io.BytesIO()
    small.save(written, "JPEG", quality=_QUALITY)
    return written.getvalue()
