"""Parts of your own: losses, heads, fusions and metrics by name."""

from collections.abc import Callable
from typing import Any, TypeVar

from hpo.errors import InputError
from hpo.models import FUSIONS, HEADS, LOSSES, Registry
from hpo.training import METRICS

__all__ = ["register_fusion", "register_head", "register_loss", "register_metric"]

F = TypeVar("F", bound=Callable[..., Any])


def register_loss(name: str) -> Callable[[F], F]:
    """Register a loss, so that ``loss: NAME`` trains with it.

        >>> @hpo.register_loss("squared")
        ... def squared(logits, targets, *, weight: float = 1.0):
        ...     return weight * ((logits.sigmoid() - targets) ** 2).sum()

    It is called with logits and 0/1 targets, both float32 [rows, K], and returns a scalar tensor,
    summed over rows and classes. Keyword-only arguments are its parameters: ``weight`` above is
    ``squared.weight`` in a search space, and exists only together with that loss. One argument is
    none: ``positive_weights`` gets what ``class_weight`` comes to, [K], if that isn't ``none``.

    Args:
        name: By which configurations name it.

    Raises:
        InputError: The name is taken, or a parameter has no default.
    """
    return _decorator(LOSSES, name)


def register_head(
    name: str, *, widths: Callable[[tuple[int, ...]], str | None] | None = None
) -> Callable[[F], F]:
    """Register a head, so that ``head: NAME`` builds it.

        >>> @hpo.register_head("linear")
        ... def linear(width, hidden, classes, *, activation, dropout, generator):
        ...     return torch.nn.Linear(width, classes)

    It is called as above and returns an ``nn.Module`` that maps embeddings [rows, width] to logits
    [rows, classes]. Initial weights must come from ``generator`` alone. More keyword-only arguments
    are its parameters.

    A module with a method ``fit(x, targets)`` is not trained by gradients: ``fit`` is called once,
    with all training embeddings [rows, width] and 0/1 targets [rows, classes]. What it keeps must
    be in the module's state (parameters and buffers), from which ``load_state_dict`` restores it.

    Args:
        name: By which configurations name it.
        widths: Says what is wrong with hidden widths, or returns None; so that a search space that
            doesn't suit the head is refused when it is read.

    Raises:
        InputError: The name is taken, or a parameter has no default.
    """
    traits = {} if widths is None else {"widths": widths}
    return _decorator(HEADS, name, **traits)


def register_fusion(name: str) -> Callable[[F], F]:
    """Register a fusion, so that ``fusion: NAME`` combines the modalities by it.

        >>> @hpo.register_fusion("mean")
        ... class Mean(torch.nn.Module):
        ...     def __init__(self, make_head, widths, classes, *, generator):
        ...         super().__init__()
        ...         self.heads = torch.nn.ModuleDict({m: make_head(m) for m in widths})
        ...     def forward(self, inputs):
        ...         return torch.stack([head(inputs) for head in self.heads.values()]).mean(dim=0)

    It is called with ``make_head``, which makes one head of the configuration on the modalities it
    is given, side by side; the width of each modality's embeddings; and the number of classes. It
    returns an ``nn.Module`` that maps embeddings, a dictionary of modality → [rows, D], to logits
    [rows, classes]. More keyword-only arguments are its parameters.

    Args:
        name: By which configurations name it.

    Raises:
        InputError: The name is taken, or a parameter has no default.
    """
    return _decorator(FUSIONS, name)


def register_metric(name: str, *, unit: str = "") -> Callable[[F], F]:
    """Register a metric: an objective (``metric: NAME``), and a column of every curve and table.

        >>> @hpo.register_metric("hamming")
        ... def hamming(logits, targets):
        ...     return ((logits > 0) == (targets > 0)).float().mean()

    It is called with logits and 0/1 targets, both float32 [rows, K], of the validation rows after
    each epoch, and returns a number; larger is better.

    Args:
        name: By which search spaces name it.
        unit: Shown behind the name, such as ``%``.

    Raises:
        InputError: The name is taken, or a parameter has no default.
    """
    traits = {"unit": unit} if unit else {}
    return _decorator(METRICS, name, **traits)


def _decorator(registry: Registry[Any], name: object, **traits: Any) -> Callable[[F], F]:
    """Return what registers a part under a name.

    Raises:
        InputError: The name is something else, such as the part where the decorator has no name.
    """
    if not isinstance(name, str):
        raise InputError(
            f"A {registry.kind} needs a name, but got {'a ' + type(name).__name__}; write "
            f'@hpo.register_{registry.kind}("NAME") above it.'
        )
    return lambda part: registry.register(name, part, **traits)
