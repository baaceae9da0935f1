"""Pictures from outside: which are decoded, and what is said of all others."""

import io
import itertools
import os
import re
import struct
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpo import images
from hpo.errors import InputError
from hpo.images import FORMATS, Room, open_image, read_image

REPO = Path(__file__).resolve().parents[1]
LISTED = "JPEG, PNG, WEBP, GIF, BMP, TIFF, PPM, AVIF"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\nshowpage\n%%EOF\n"


def encoded(kind: str, size: tuple[int, int] = (40, 30), **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(content: bytes) -> Image.Image:
    with open_image(content) as image:
        image.load()
        return image.copy()


def png(width: int, height: int) -> bytes:
    """Make a PNG that says it has this size; of its pixels there are few."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", FORMATS)
def test_listed_formats(kind: str) -> None:
    assert decoded(encoded(kind)).size == (40, 30)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (EPS, f"is PostScript, which is a program, but must be one of {LISTED}"),
        (b"\xc5\xd0\xd3\xc6" + bytes(30) + EPS, "is PostScript"),
        (b"%PDF-1.7\n", f"is a PDF, but must be one of {LISTED}"),
        (b"\n<!DOCTYPE html><html>404</html>", "is a web page (HTML), perhaps of an error, but"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"></svg>', "is an SVG drawing, but"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1", "is HEIC, but"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "is a video, but"),
        (b"\xff\x0a\x00\x10", "is JPEG XL, but"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is JPEG 2000, but"),
        (b"8BPS\0\1", "is a Photoshop file, but"),
        (encoded("ICO"), "is an icon, but"),
        (b"PK\x03\x04" + bytes(40), "is a ZIP archive, but"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS, whose file"),
        (b'{"error": "gone"}', "is text, such as JSON, but"),
        (b"rubbish", "is not an image that Pillow can read (7 bytes)"),
        (encoded("TGA"), "is not an image that Pillow can read"),
        (encoded("PNG")[:60], "can't be decoded: "),
        (encoded("JPEG")[:700], "can't be decoded: image file is truncated"),
        (encoded("TIFF")[:100], "can't be decoded: "),
        (encoded("WEBP")[:100], "can't be decoded: "),
        (encoded("BMP")[:100], "can't be decoded: "),
        (encoded("GIF")[:-300], "can't be decoded: "),
        (png(20_000, 10_000), "has more than 128,000,000 pixels; make it smaller"),
        (png(12_000, 11_000), "has more than 128,000,000 pixels; make it smaller"),
    ],
    ids=itertools.count(),
)
def test_what_is_no_image_is_said_by_its_name(content: bytes, said: str) -> None:
    with pytest.raises(InputError) as caught:
        decoded(content)
    assert str(caught.value).startswith(said)


def test_no_program_is_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    path = tmp_path / "0.jpg"
    path.write_bytes(EPS)
    with pytest.raises(InputError, match="PostScript"), read_image(path) as content:
        decoded(content)
    assert not (tmp_path / "called").exists()


def test_only_regular_files_of_some_size_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    os.mkfifo(path)
    with pytest.raises(OSError, match="it is a named pipe, but must be a regular file"):  # noqa: SIM117
        with read_image(path):
            pass
    path.unlink()
    path.write_bytes(bytes(11))
    monkeypatch.setattr(images, "MOST_BYTES", 10)
    with pytest.raises(InputError, match=r"^has 11 bytes, but must have 10 at most$"):  # noqa: SIM117
        with read_image(path):
            pass


def scan_bomb(scans: int) -> bytes:
    """Make a progressive JPEG whose last scan stands there again and again."""
    content = encoded("JPEG", (2000, 1500), progressive=True, quality=50)
    last = content.rindex(b"\xff\xda")
    return content[:-2] + content[last:-2] * scans + b"\xff\xd9"


def test_decoding_takes_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert decoded(scan_bomb(0)).size == (2000, 1500)
    monkeypatch.setattr(images, "MOST_SECONDS", 0.2)
    began = time.thread_time()
    with pytest.raises(InputError, match=r"^takes more than 0\.2 s to decode$"):
        decoded(scan_bomb(300))
    assert time.thread_time() - began < 5


def test_a_nap_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_SECONDS", 0.1)
    content = encoded("PNG")
    with open_image(content) as image:
        time.sleep(0.2)
        image.load()


def test_room_is_shared_and_what_is_too_large_goes_alone() -> None:
    room = Room(10)
    together: list[int] = []
    most: list[int] = []
    lock = threading.Lock()

    def work(amount: int) -> None:
        with room.take(amount):
            with lock:
                together.append(amount)
                most.append(sum(together))
            time.sleep(0.01)
            with lock:
                together.remove(amount)

    threads = [threading.Thread(target=work, args=(amount,)) for amount in (4, 5, 3, 25, 6, 4, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(most) == 7
    assert 25 in most
    assert all(total <= 10 for total in most if total != 25)


def test_many_large_pictures_are_not_in_memory_together(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(2 * 4 * 1000 * 1000)
    monkeypatch.setattr(images, "_decoded", room)
    inside, most, lock = [0], [0], threading.Lock()

    def work() -> None:
        with open_image(content) as image:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            image.load()
            time.sleep(0.01)
            with lock:
                inside[0] -= 1

    content = encoded("PNG", (1000, 1000))
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 2


def test_images_are_opened_in_one_place() -> None:
    found = [
        str(path.relative_to(REPO))
        for path in sorted((REPO / "hpo").rglob("*.py"))
        if "Image.open(" in path.read_text()
    ]
    assert found == ["hpo/images.py"]


# What opens a file to be read, or hands its path to a library that does.
OPENS = re.compile(
    r"\.read_text\(|\.read_bytes\(|\.open\(\"r|\bnp\.load\(|safe_open\(|ParquetFile\(|read_schema\(|"
    r"memory_map\(|torch\.load\("
)
# They read the kernel's own files or the package's, or open a path again that they have looked at.
EXCEPT = {
    *("hpo/_energy.py", "hpo/_machine.py", "hpo/launch/_precision.py", "hpo/trials/_url.py"),
    *("hpo/features/_formats.py", "hpo/features/_weights.py", "hpo/features/_chunks.py"),
    *("hpo/images.py", "hpo/serve/_app.py"),
}


def test_only_regular_files_are_opened() -> None:
    found = {
        str(path.relative_to(REPO))
        for path in (REPO / "hpo").rglob("*.py")
        for line in path.read_text().splitlines()
        if OPENS.search(line) and "regular(" not in line
    }
    assert found == EXCEPT
