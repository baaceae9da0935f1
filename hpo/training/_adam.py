"""Adam by PyTorch's fused kernel, without what PyTorch's own class does around it.

``torch.optim`` imports PyTorch's compiler with the first optimizer that is made, which takes a
second of every process, and looks through groups and hooks at every step.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["Adam"]

_BETAS = (0.9, 0.999)
_EPS = 1e-8


class Adam:
    """Adam (Kingma and Ba 2015), or AdamW (Loshchilov and Hutter 2019); PyTorch's bits and state.

    Args:
        parameters: What is trained, in place.
        lr: Learning rate.
        weight_decay: L2 penalty (Adam), or decoupled decay (AdamW).
        decoupled: Whether it is AdamW.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, decoupled: bool
    ) -> None:
        self._parameters = list(parameters)
        self._lr = lr
        self._weight_decay = weight_decay
        self._kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        self._moments: dict[int, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Take one step; parameters without a gradient are left."""
        # The kernel takes tensors of one type on one device at a time.
        kinds: dict[tuple[torch.device, torch.dtype], list[tuple[int, Tensor]]] = {}
        for index, parameter in enumerate(self._parameters):
            if parameter.grad is not None:
                kind = (parameter.device, parameter.dtype)
                kinds.setdefault(kind, []).append((index, parameter.grad))
        for found in kinds.values():
            moments = [self._moments_of(index) for index, _ in found]
            steps = [each["step"] for each in moments]
            torch._foreach_add_(steps, 1)
            self._kernel(
                [self._parameters[index] for index, _ in found],
                [gradient for _, gradient in found],
                [each["exp_avg"] for each in moments],
                [each["exp_avg_sq"] for each in moments],
                [],
                steps,
                lr=self._lr,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                weight_decay=self._weight_decay,
                eps=_EPS,
                amsgrad=False,
                maximize=False,
                grad_scale=None,
                found_inf=None,
            )

    def _moments_of(self, index: int) -> dict[str, Tensor]:
        """Return number of steps and moments of a parameter; they start with its first gradient."""
        if index not in self._moments:
            parameter = self._parameters[index]
            self._moments[index] = {
                "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
                "exp_avg": torch.zeros_like(parameter, memory_format=torch.preserve_format),
                "exp_avg_sq": torch.zeros_like(parameter, memory_format=torch.preserve_format),
            }
        return self._moments[index]

    def state(self) -> dict[str, Tensor]:
        """Return what the next step depends on besides weights, by ``INDEX/NAME``."""
        return {
            f"{index}/{name}": tensor
            for index, moments in sorted(self._moments.items())
            for name, tensor in moments.items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over copies of what ``state`` returned."""
        self._moments = {}
        for path, tensor in tensors.items():
            index, _, name = path.partition("/")
            device = self._parameters[int(index)].device
            self._moments.setdefault(int(index), {})[name] = tensor.to(device, copy=True)
