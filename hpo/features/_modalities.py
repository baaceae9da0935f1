"""The table of modalities: their names, their order, and how those that have an encoder get in.

A modality is one kind of embedding that every row has. ``image`` and ``text`` can be encoded; any
other one, such as ``audio`` or ``ocr``, is imported from ``NAME.npy`` (and ``NAME_test.npy``).
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from hpo.errors import did_you_mean

if TYPE_CHECKING:
    from hpo.data import Rows

__all__ = [
    "ENCODED",
    "ENDINGS",
    "Encoding",
    "chosen",
    "in_order",
    "name_fault",
    "present_in",
    "reads_images",
]


@dataclass(frozen=True)
class Encoding:
    """How a modality that open_clip has an encoder for is made.

    Attributes:
        reads: What of ``Rows`` is encoded.
        clip_retrieval: The folder, and the stem of the files in it, where ``clip-retrieval
            inference`` puts the embeddings.
    """

    reads: Literal["images", "captions"]
    clip_retrieval: str


ENCODED = {
    "image": Encoding("images", "img_emb"),
    "text": Encoding("captions", "text_emb"),
}
"""The modalities that can be encoded, in the order in which modalities are listed everywhere."""

ENDINGS = {"train": "", "test": "_test"}
"""What follows a modality's name in the name of its file, for each part."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_TARGETS = "labels"
_ROWS = "the names of rows"
_PART = "a part of the rows"
_FUSION = "a way to fuse modalities"
_RESERVED = {
    **dict.fromkeys(("labels", "targets", "y"), _TARGETS),
    **dict.fromkeys(("ids", "index"), _ROWS),
    **dict.fromkeys(("split", "train", "val", "test", "all"), _PART),
    **dict.fromkeys(("outputs", "meta"), "what a head gives out"),
    **dict.fromkeys(("concat", "sum", "mixed", "sum_joint", "mixed_joint", "gated"), _FUSION),
}


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Return names of modalities in the order used everywhere: encoded ones first, then by name."""
    encoded = list(ENCODED)
    return tuple(
        sorted(set(names), key=lambda n: (encoded.index(n) if n in ENCODED else len(encoded), n))
    )


def name_fault(name: str) -> str:
    """Say why a modality can't have this name, or return an empty text."""
    if name in _RESERVED:
        return f"'{name}' can't name a modality, as it stands for {_RESERVED[name]}"
    if not _NAME.fullmatch(name) or name.endswith(ENDINGS["test"]):
        return (
            f"'{name}' can't name a modality, as a name must be lower-case letters, digits and "
            "'_', beginning with a letter and not ending with '_test'"
        )
    return ""


def chosen(
    wanted: Sequence[str] | None, there: Collection[str], problems: list[str]
) -> tuple[str, ...]:
    """Return the modalities to take, in order.

    Args:
        wanted: The names that were asked for; None takes all that are there.
        there: The names that are there.
        problems: Takes what is wrong with ``wanted``.
    """
    if wanted is None:
        return in_order(there)
    listed = ", ".join(in_order(there)) or "none"
    if isinstance(wanted, str):
        problems.append(f"modalities is the text '{wanted}', but must be a list of names")
        return ()
    if not wanted:
        problems.append(f"no modality is asked for, but must be one at least; there are: {listed}")
    for name in dict.fromkeys(wanted):
        if name not in there:
            hint = did_you_mean(name, in_order(there))
            problems.append(f"there is no modality '{name}'{hint}; there are: {listed}")
    return in_order(name for name in wanted if name in there)


def reads_images(modalities: Iterable[str]) -> bool:
    """Say whether image files are needed to encode these modalities."""
    return any(name in ENCODED and ENCODED[name].reads == "images" for name in modalities)


def present_in(rows: "Rows") -> tuple[str, ...]:
    """Return the modalities for whose encoding the rows have something: paths, a caption."""
    return tuple(
        name for name, encoding in ENCODED.items() if any(getattr(rows, encoding.reads) or ())
    )
