"""How many weights the heads and fusions of the package have, without building them.

A study with a limit on the size asks this of every candidate before it trains one, in processes
that have no other use for PyTorch. A test compares it with the modules.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence

__all__ = ["of_concat", "of_gated", "of_gmlp", "of_mixed", "of_mlp", "of_sum"]

#: Gives the weights of a head on embeddings of some width.
OfHead = Callable[[int], int]


def of_mlp(width: int, hidden: Sequence[int], classes: int) -> int:
    """Count the weights of ``MLPHead``."""
    layers = [width, *hidden, classes]
    return sum(_linear(a, b) for a, b in itertools.pairwise(layers))


def of_gmlp(width: int, hidden: Sequence[int], classes: int) -> int:
    """Count the weights of ``GatedHead``: a layer, a gate on half of it, and half of it goes on."""
    count = 0
    for units in hidden:
        half = units // 2
        count += _linear(width, units) + _linear(half, half)
        width = half
    return count + _linear(width, classes)


def of_concat(of_head: OfHead, widths: Mapping[str, int], classes: int) -> int:
    """Count the weights of one head on all embeddings."""
    return of_head(sum(widths.values()))


def of_sum(of_head: OfHead, widths: Mapping[str, int], classes: int) -> int:
    """Count the weights of a head for each modality and the meta-classifier."""
    return sum(map(of_head, widths.values())) + _linear(classes, classes)


def of_mixed(of_head: OfHead, widths: Mapping[str, int], classes: int) -> int:
    """Count the weights of ``of_sum`` and one more head, on all embeddings."""
    return of_sum(of_head, widths, classes) + of_head(sum(widths.values()))


def of_gated(of_head: OfHead, widths: Mapping[str, int], classes: int) -> int:
    """Count the weights of ``of_sum`` and a gate that reads all embeddings."""
    return of_sum(of_head, widths, classes) + _linear(sum(widths.values()), len(widths))


def _linear(width_in: int, width_out: int) -> int:
    return width_in * width_out + width_out
