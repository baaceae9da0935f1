"""Pictures from outside, decoded within limits: listed formats, each by its own decoder.

A file is taken for what its first bytes say, never for its suffix. None of the decoders starts a
program or reads another file, as Pillow's do for EPS. What is too large, takes too long or isn't
listed is refused with its reason. Threads that decode at the same time share a budget of memory.
"""

import contextlib
import io
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError
from hpo.files import regular

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "Room", "open_image", "read_image"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
"""What is decoded, by the names that Pillow has for it."""

MOST_BYTES = 2**28
#: Such as 12,000 × 10,000; the largest photographs of phones have 108 million that aren't merged.
MOST_PIXELS = 128_000_000
#: Of the processor's time in one thread: a stopped or busy machine doesn't count.
MOST_SECONDS = 60.0
_DECODED_AT_ONCE = 512_000_000
# Pillow keeps pictures in blocks. Smaller ones than 32 MiB stay with the thread that freed them, in
# glibc's heap for it, so that each thread would keep as much as its largest picture took.
_BLOCK = 2**26
# What Pillow holds for a pixel, and what else is there for one meanwhile: another version of the
# picture that is upright or over white, or all of it in the decoder.
_HELD, _HELD_TWICE = 4, 8
_BUFFERED = ("WEBP", "AVIF", "TIFF")
# A progressive JPEG may have any number of scans over all of the picture, each of a few bytes. So
# few bytes are decoded between two looks at the clock.
_PIECE = 1024

_LISTED = rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|BM|II[*+]\0|MM\0[*+]|....ftypavi[fs]"
_OTHERS = (
    (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript, which is a program"),
    (rb"%PDF", "a PDF"),
    (rb"(?i)\s*<!doctype html|\s*<html", "a web page (HTML), perhaps of an error"),
    (rb"(?i)\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!doctype svg[^>]*>\s*)?<svg", "an SVG drawing"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "HEIC"),
    (rb"....ftyp(?!avi[fs])", "a video"),
    (rb"\xff\x0a|\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (rb"\x00\x00\x00\x0cjP|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"8BPS", "a Photoshop file"),
    (rb"\x00\x00\x01\x00", "an icon"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"version https://git-lfs", "a pointer of Git LFS, whose file was not fetched"),
    (rb"\s*[{\[]", "text, such as JSON"),
)


class Room:
    """A budget that several threads share, each for as long as it holds something.

    Args:
        size: The sum of what is held. What is larger by itself is held alone.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Wait until there is room for an amount, and hold it within the block."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + amount <= self._size)
            self._held += amount
        try:
            yield
        finally:
            with self._changed:
                self._held -= amount
                self._changed.notify_all()


# Whoever waits for the second holds of the first, and never the other way round.
_files = Room(MOST_BYTES)
_decoded = Room(_DECODED_AT_ONCE)


@contextlib.contextmanager
def read_image(path: Path) -> Iterator[bytes]:
    """Give the bytes of an image file within the block; waits while others hold too many.

    Raises:
        OSError: It can't be read, or is no regular file.
        InputError: It is too large; the message goes on after its name.
    """
    size = regular(path).stat().st_size
    if size > MOST_BYTES:
        raise InputError(f"has {size:,} bytes, but must have {MOST_BYTES:,} at most")
    with _files.take(size), path.open("rb") as file:
        yield file.read(MOST_BYTES)


@contextlib.contextmanager
def open_image(content: bytes) -> "Iterator[Image.Image]":
    """Open an image; it is decoded within the block, which all that is done to it belongs to.

    Args:
        content: The bytes of its file.

    Raises:
        InputError: It is no image of a listed format, is damaged, too large, or takes too long;
            the message goes on after the image's name.
    """
    from PIL import Image, UnidentifiedImageError

    memory: Any = vars(Image)["core"]
    if memory.get_block_size() < _BLOCK:
        memory.set_block_size(_BLOCK)
    try:
        with Image.open(_Metered(content), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise Image.DecompressionBombError
            if image.info.get("progressive"):
                image.decodermaxblock = _PIECE
            with _decoded.take(width * height * _bytes_per_pixel(image)):
                yield image
    except InputError:
        raise
    except UnidentifiedImageError:
        raise InputError(_no_image(content)) from None
    except Image.DecompressionBombError:
        raise InputError(f"has more than {MOST_PIXELS:,} pixels; make it smaller") from None
    except _TooSlowError:
        raise InputError(f"takes more than {MOST_SECONDS:g} s to decode") from None
    # Pillow's decoders raise nearly anything on damaged bytes: OSError, SyntaxError, ValueError,
    # struct.error, IndexError, ….
    except Exception as error:
        raise InputError(f"can't be decoded: {error or type(error).__name__}") from error


class _TooSlowError(Exception):
    """Decoding takes longer than is allowed."""


class _Metered(io.BytesIO):
    """Bytes that can be read for a limited time."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self._end = time.thread_time() + MOST_SECONDS

    def read(self, size: int | None = -1, /) -> bytes:
        """Read on; an error once the time is over."""
        if time.thread_time() > self._end:
            raise _TooSlowError
        return super().read(size)


def _bytes_per_pixel(image: "Image.Image") -> int:
    """Return how many bytes a pixel takes at most while the image is decoded and prepared."""
    plain = image.mode in ("1", "L", "P", "RGB") and "transparency" not in image.info
    turned = "exif" in image.info
    buffered = image.format in _BUFFERED or bool(image.info.get("progressive"))
    return _HELD if plain and not turned and not buffered else _HELD_TWICE


def _no_image(content: bytes) -> str:
    """Say what bytes are that aren't an image of a listed format."""
    if not content:
        return "is empty"
    listed = ", ".join(FORMATS)
    for pattern, called in _OTHERS:
        if re.match(pattern, content[:1024], re.DOTALL):
            return f"is {called}, but must be one of {listed}"
    if re.match(_LISTED, content, re.DOTALL):
        return "can't be decoded: its first bytes are an image's, but it is cut off or damaged"
    return f"is not an image that Pillow can read ({len(content)} bytes)"
