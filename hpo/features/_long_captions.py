"""Captions that are longer than an encoder's context: counted, and cut, averaged or refused."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from hpo.errors import InputError
from hpo.features._chunks import ChunkStore
from hpo.features._hashes import hash_bytes
from hpo.notes import Note

if TYPE_CHECKING:
    import torch

    from hpo.data import Rows
    from hpo.features._encoder import Encoder

__all__ = [
    "LONG_CAPTIONS",
    "LongCaptions",
    "averaged_key",
    "check_rule",
    "count_tokens",
    "find_long",
    "long_caption_notes",
    "tokenizer_of",
    "windows_of",
]

LongCaptions = Literal["truncate", "mean", "refuse"]
"""What is done to captions longer than the context: their end is cut off, as open_clip does it;
their windows' embeddings are averaged; or there is an error."""

LONG_CAPTIONS: tuple[LongCaptions, ...] = get_args(LongCaptions)

_CONTEXT = 77
_VERSION = b"mean of windows, 1\0"
_NAMED = 5


def check_rule(rule: str) -> None:
    """Raise an error for a rule that isn't one of ``LONG_CAPTIONS``.

    Raises:
        InputError: It isn't.
    """
    if rule not in LONG_CAPTIONS:
        raise InputError(f"long_captions is {rule!r}, but must be {', '.join(LONG_CAPTIONS)}")


def tokenizer_of(encoder: "Encoder") -> Any:
    """Return open_clip's tokenizer of an encoder."""
    import open_clip

    length = encoder.context_length if encoder.has_own_config else None
    return open_clip.get_tokenizer(encoder.model, context_length=length)


def find_long(
    encoder: "Encoder", store: Path, encoder_key: str, captions: Mapping[bytes, str]
) -> set[bytes]:
    """Return the keys of the captions that are longer than the encoder's context.

    A token is a byte at least, so captions of few bytes are passed over. The tokens of others are
    counted once, which takes the tokenizer and not the model.

    Args:
        encoder: The encoder.
        store: The folder of the cache, where counts are kept.
        encoder_key: Of the encoder.
        captions: By their keys.
    """
    context = encoder.context_length or _CONTEXT
    perhaps = {
        key: text
        for key, text in captions.items()
        if len(text.encode("utf-8", "surrogatepass")) > context - 2
    }
    if not perhaps:
        return set()
    counts = ChunkStore(store / "caption_tokens" / encoder_key, f"caption_tokens {encoder_key}")
    new = [key for key in perhaps if key not in counts]
    if new:
        tokenizer = tokenizer_of(encoder)
        found = [[count_tokens(tokenizer, perhaps[key])] for key in new]
        counts.append(new, np.array(found, dtype=np.uint32))
    rows = np.empty((len(perhaps), 1), np.uint32)
    counts.gather(list(perhaps), rows)
    return {key for key, count in zip(perhaps, rows[:, 0].tolist(), strict=True) if count > context}


def averaged_key(key: bytes) -> bytes:
    """Return the key of a long caption whose windows are averaged."""
    return hash_bytes(_VERSION + key)


def windows_of(tokenizer: Any, caption: str, context: int | None) -> "torch.Tensor":
    """Return a caption as tokens of several windows, int64 [windows, context].

    The windows have about equally many tokens, so that none counts for more.

    Raises:
        InputError: The tokenizer isn't CLIP's.
    """
    import torch

    if not _is_clips(tokenizer):
        raise InputError(
            "--long-captions mean needs CLIP's tokenizer, which this encoder hasn't got; "
            "--long-captions truncate cuts captions off"
        )
    length = context or tokenizer.context_length or _CONTEXT
    tokens = tokenizer.encode(caption)
    parts = np.array_split(tokens, max(1, -(-len(tokens) // (length - 2))))
    windows = torch.zeros(len(parts), length, dtype=torch.long)
    for row, part in enumerate(parts):
        whole = [tokenizer.sot_token_id, *part.tolist(), tokenizer.eot_token_id]
        windows[row, : len(whole)] = torch.tensor(whole)
    return windows


def long_caption_notes(
    parts: Mapping[str, "Rows"], long: Sequence[str], rule: LongCaptions, context: int | None
) -> list[Note]:
    """Say how many captions are longer than the context, and what is done to them.

    Args:
        parts: The rows.
        long: The captions that are too long.
        rule: What is done to them.
        context: How many tokens the encoder takes.

    Raises:
        InputError: The rule is to refuse them.
    """
    those = set(long)
    places = [
        rows.place(index)
        for rows in parts.values()
        for index, caption in enumerate(rows.captions)
        if caption in those or (rows.further and not those.isdisjoint(rows.further[index]))
    ]
    if not places:
        return []
    called = f"{len(places):,} caption{' is' if len(places) == 1 else 's are'} longer than the "
    called += f"{context or _CONTEXT} tokens that the encoder takes"
    if rule == "refuse":
        listed = ", ".join(places[:_NAMED])
        more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
        raise InputError(
            f"{called}: {listed}{more}; shorten them, or let --long-captions mean or truncate be "
            "the rule"
        )
    if rule == "mean":
        return [Note(f"{called}, and read in windows that are averaged", doubtful=False)]
    return [
        Note(
            f"{called}, and cut off (such as that of {places[0]}); --long-captions mean reads all "
            "of them"
        )
    ]


def _is_clips(tokenizer: Any) -> bool:
    return hasattr(tokenizer, "sot_token_id") and getattr(tokenizer, "reduction_fn", None) is None


def count_tokens(tokenizer: Any, caption: str) -> int:
    """Return how many tokens a caption has, with those of its beginning and end."""
    if hasattr(tokenizer, "sot_token_id"):
        return len(tokenizer.encode(caption)) + 2
    return len(tokenizer.tokenizer(tokenizer.clean_fn(caption))["input_ids"])
