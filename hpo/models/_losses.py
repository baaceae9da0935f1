"""The asymmetric loss and its three settings (sections 3.3 and 4.2.3 of the paper)."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from hpo.models._choices import LOSSES
from hpo.models._config import Config

__all__ = ["asl", "asymmetric_loss", "bce", "build_loss", "focal"]


def asymmetric_loss(
    logits: Tensor, targets: Tensor, gamma_neg: float, gamma_pos: float, clip: float
) -> Tensor:
    """Ben-Baruch et al. 2020 (Eq. 4 and 5 of the paper), summed over rows and classes.

    L = −Σ y (1−p)^γ₊ log p + (1−y) p_m^γ₋ log(1−p_m), with p = σ(z), p_m = max(p − m, 0).

    Args:
        logits: z, [rows, K].
        targets: y, 0 or 1, [rows, K].
        gamma_neg: γ₋, focusing of the negatives.
        gamma_pos: γ₊, focusing of the positives.
        clip: m, the probability shift of the negatives.
    """
    if gamma_neg == gamma_pos == clip == 0:
        return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
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
    negative = _power(shifted, gamma_neg) * log_q
    return -(targets * positive + (1 - targets) * negative).sum()


def _power(base: Tensor, exponent: float) -> Tensor:
    """Return base^exponent; exactly 1 for exponent 0, with no gradient through it."""
    return base**exponent if exponent else torch.ones_like(base)


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy (Table 4 of the paper: γ₋ = γ₊ = m = 0)."""
    return asymmetric_loss(logits, targets, 0, 0, 0)


def focal(logits: Tensor, targets: Tensor, *, gamma: float) -> Tensor:
    """Focal loss (Table 4 of the paper: γ₋ = γ₊ = 3, m = 0)."""
    return asymmetric_loss(logits, targets, gamma, gamma, 0)


def asl(
    logits: Tensor, targets: Tensor, *, gamma_neg: float, gamma_pos: float, clip: float
) -> Tensor:
    """Asymmetric loss (Table 4 of the paper: γ₋ = 4, γ₊ = 1, m = 0.05)."""
    return asymmetric_loss(logits, targets, gamma_neg, gamma_pos, clip)


def build_loss(config: Config) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a configuration: logits and 0/1 targets, both [rows, K] → scalar sum."""
    return partial(LOSSES[config.loss].load(), **config.own("loss"))
