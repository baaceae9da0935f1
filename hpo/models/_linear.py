"""A linear layer whose matrix products on a CPU are oneDNN's.

PyTorch multiplies float32 matrices on x86 with MKL, which on AMD processors stays below what they
can do: on an EPYC of 2024 oneDNN, which PyTorch carries for convolutions and its compiler, is twice
as fast (``python -m benchmarks epoch`` prints both). It is reached through the operator that the
compiler emits for ``nn.Linear``; where this PyTorch doesn't have it, on other devices and in other
types than float32, under automatic mixed precision and under ``torch.compile``, the layer is
``nn.Linear``.
"""

import functools
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable

__all__ = ["Linear", "onednn_product"]

#: Multiplications below which the way to oneDNN takes longer than it saves.
_WORTHWHILE = 1 << 20


class Linear(nn.Linear):
    """``nn.Linear``, with the same parameters and gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [rows, in] to [rows, out]."""
        if self._for_onednn(x):
            y: Tensor = _Affine.apply(x, self.weight, self.bias)
            return y
        return super().forward(x)

    def _for_onednn(self, x: Tensor) -> bool:
        return (
            x.device.type == "cpu"
            and x.dtype == torch.float32
            and x.numel() * self.out_features >= _WORTHWHILE
            and not torch.is_autocast_enabled("cpu")
            and not torch.compiler.is_compiling()
            and _available()
        )


class _Affine(torch.autograd.Function):
    """y = x Wᵀ + b, for x [rows, in], W [out, in], b [out]."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        # For weights that are contiguous along neither side, as the transpose of a strided x would
        # be in ``backward``, oneDNN has but a reference implementation, a thousand times as slow.
        x = x.contiguous()
        ctx.save_for_backward(x, weight)
        return onednn_product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        """Return dx = dy W, dW = dyᵀ x and db = Σ dy."""
        x, weight = ctx.saved_tensors
        # Features need no gradient, which spares the widest layer a third of its products.
        dx = onednn_product(dy, weight.t()) if ctx.needs_input_grad[0] else None
        return dx, onednn_product(dy.t(), x.t()), dy.sum(dim=0)


def onednn_product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return a bᵀ + bias: float32 [m, k], [n, k], [n] → [m, n]."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, bias, "none", [], "")
    return result


@functools.cache
def _available() -> bool:
    """Try the operator, which is not public: another PyTorch may lack it or define it otherwise."""
    try:
        product = onednn_product(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]]))
    except (AttributeError, RuntimeError, TypeError):
        return False
    return product.tolist() == [[11.0]]
