"""What happens to the bytes of files, for the tests that damage good ones."""

import random
from collections.abc import Callable

__all__ = ["DAMAGE", "Damage"]

Damage = Callable[[bytes, random.Random], bytes]


def flip(data: bytes, rng: random.Random) -> bytes:
    """Change some bits."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end."""
    return data[: rng.randrange(len(data))]


def take_out(data: bytes, rng: random.Random) -> bytes:
    """Take out some bytes in the middle."""
    start = rng.randrange(len(data))
    return data[:start] + data[start + rng.randint(1, 40) :]


def double(data: bytes, rng: random.Random) -> bytes:
    """Put a piece in a second time."""
    start = rng.randrange(len(data))
    end = min(len(data), start + rng.randint(1, 60))
    return data[:end] + data[start:]


def insert(data: bytes, rng: random.Random) -> bytes:
    """Put in a byte that means something in tables."""
    place = rng.randrange(len(data))
    return data[:place] + bytes([rng.choice(b"\",;\t\n\r\\'|[{ \xc3\0")]) + data[place:]


def cut_line(data: bytes, rng: random.Random) -> bytes:
    """Cut off the end of a line."""
    lines = data.split(b"\n")
    row = rng.randrange(len(lines))
    lines[row] = lines[row][: rng.randrange(len(lines[row]) + 1)]
    return b"\n".join(lines)


def join_lines(data: bytes, rng: random.Random) -> bytes:
    """Take out a line break."""
    lines = data.split(b"\n")
    row = rng.randrange(len(lines))
    return b"\n".join([*lines[:row], b"".join(lines[row : row + 2]), *lines[row + 2 :]])


def drop_line(data: bytes, rng: random.Random) -> bytes:
    """Take out a line."""
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


DAMAGE: tuple[Damage, ...] = (
    *(flip, cut, take_out, double),
    *(insert, cut_line, join_lines, drop_line),
)
