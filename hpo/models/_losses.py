"""The asymmetric loss with its three settings (sections 3.3 and 4.2.3 of the paper); two-way loss.

All take ``positive_weights``, [K] or None: w_k for each positive of class k, as if there were w_k
of it.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from hpo.errors import InputError
from hpo.models._choices import LOSSES, class_weight_fault
from hpo.models._config import Config

__all__ = ["asl", "asymmetric_loss", "bce", "build_loss", "focal", "two_way"]


def asymmetric_loss(
    logits: Tensor,
    targets: Tensor,
    gamma_neg: float,
    gamma_pos: float,
    clip: float,
    positive_weights: Tensor | None = None,
) -> Tensor:
    """Ben-Baruch et al. 2020 (Eq. 4 and 5 of the paper), summed over rows and classes.

    L = −Σ w y (1−p)^γ₊ log p + (1−y) p_m^γ₋ log(1−p_m), with p = σ(z), p_m = max(p − m, 0).

    Args:
        logits: z, [rows, K].
        targets: y, 0 or 1, [rows, K].
        gamma_neg: γ₋, focusing of the negatives.
        gamma_pos: γ₊, focusing of the positives.
        clip: m, the probability shift of the negatives.
        positive_weights: w, [K]; None for 1.
    """
    if gamma_neg == gamma_pos == clip == 0:
        return nn.functional.binary_cross_entropy_with_logits(
            logits, targets, reduction="sum", pos_weight=positive_weights
        )
    log_p = nn.functional.logsigmoid(logits)
    p = logits.sigmoid()
    if clip > 0:
        shifted = (p - clip).clamp_min(0)
        log_q = torch.log1p(-shifted)  # p_m ≤ 1 − m, so that the logarithm stays finite
    else:
        shifted = p
        log_q = nn.functional.logsigmoid(-logits)
    # 1 − p as σ(−z): exact for large z, where 1 − p in float32 would be 0
    positive = _power(torch.sigmoid(-logits), gamma_pos) * log_p
    if positive_weights is not None:
        positive = positive * positive_weights
    negative = _power(shifted, gamma_neg) * log_q
    return -(targets * positive + (1 - targets) * negative).sum()


def _power(base: Tensor, exponent: float) -> Tensor:
    """Return base^exponent; exactly 1 for exponent 0, with no gradient through it."""
    return base**exponent if exponent else torch.ones_like(base)


def bce(logits: Tensor, targets: Tensor, *, positive_weights: Tensor | None = None) -> Tensor:
    """Binary cross-entropy (Table 4 of the paper: γ₋ = γ₊ = m = 0)."""
    return asymmetric_loss(logits, targets, 0, 0, 0, positive_weights)


def focal(
    logits: Tensor, targets: Tensor, *, gamma: float, positive_weights: Tensor | None = None
) -> Tensor:
    """Focal loss (Table 4 of the paper: γ₋ = γ₊ = 3, m = 0)."""
    return asymmetric_loss(logits, targets, gamma, gamma, 0, positive_weights)


def asl(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma_neg: float,
    gamma_pos: float,
    clip: float,
    positive_weights: Tensor | None = None,
) -> Tensor:
    """Asymmetric loss (Table 4 of the paper: γ₋ = 4, γ₊ = 1, m = 0.05)."""
    return asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip, positive_weights)


def two_way(
    logits: Tensor,
    targets: Tensor,
    *,
    temp_pos: float,
    temp_neg: float,
    positive_weights: Tensor | None = None,
) -> Tensor:
    """Two-way loss (Kobayashi 2023, "Two-way Multi-Label Loss", CVPR), times rows and classes.

    ℓ = softplus(T₋ log Σ_neg e^(z/T₋) + T₊ log Σ_pos w e^(−z/T₊)): near to zero where the smallest
    logit of a positive is above the largest of a negative. It is taken for each row, over the
    classes, and for each class, over the rows of the batch; L = mean over the rows + mean over the
    classes, of those that have a positive.

    It only compares logits, so that it fixes none of them to the 0 that a probability of 0.5 is.

    Args:
        logits: z, [rows, K], all rows of a batch.
        targets: 0 or 1, [rows, K].
        temp_pos: T₊, the temperature of the positives; 4 in the paper.
        temp_neg: T₋, that of the negatives; 1 in the paper.
        positive_weights: w, [K]; None for 1.
    """
    given = targets > 0
    positive = -logits / temp_pos
    if positive_weights is not None:
        positive = positive + positive_weights.log()
    positive = positive.masked_fill(~given, -torch.inf)
    negative = (logits / temp_neg).masked_fill(given, -torch.inf)
    total = logits.new_zeros(())
    for dim in (0, 1):
        counted = given.any(dim)
        # Without a negative ℓ is softplus(−∞) = 0, whose gradient would not be a number.
        both = (counted & ~given.all(dim)).nonzero().squeeze(1)
        margin = temp_neg * negative.index_select(1 - dim, both).logsumexp(dim)
        margin = margin + temp_pos * positive.index_select(1 - dim, both).logsumexp(dim)
        total = total + nn.functional.softplus(margin).sum() / counted.sum().clamp_min(1)
    return total * targets.numel()


def build_loss(
    config: Config, positive_weights: Tensor | None = None
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a configuration: logits and 0/1 targets, both [rows, K] → scalar sum.

    Args:
        config: Names the loss and its parameters.
        positive_weights: What its ``class_weight`` comes to on the training rows, [K] > 0; None
            where that is ``none``.

    Raises:
        InputError: The loss is a user's that takes no weights, and there are some.
    """
    fault = class_weight_fault(config.class_weight, config.loss)
    if fault is not None:
        raise InputError(f"{fault}.")
    weights = {} if positive_weights is None else {"positive_weights": positive_weights}
    return partial(LOSSES[config.loss].load(), **config.own("loss"), **weights)
