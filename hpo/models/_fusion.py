"""Fusion (section 3.2 of the paper): which embeddings meet where."""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor, nn

from hpo.errors import InputError
from hpo.models._choices import FUSIONS, HEADS
from hpo.models._config import Config
from hpo.models._dropout import Dropout
from hpo.models._inputs import ModalityDropout

__all__ = [
    "MakeHead",
    "MetaClassifier",
    "build_meta",
    "build_module",
    "is_fitted",
    "load_weights",
]

#: For PyTorch's own random numbers, of which a process has one set.
_ONE_AT_A_TIME = threading.Lock()


class MetaClassifier(nn.Linear):
    """Linear map of the summed outputs of several heads, [rows, K] → [rows, K].

    It starts as the identity, so that it starts as plain late fusion (docs/decisions.md, 2).
    """

    def __init__(self, classes: int) -> None:
        super().__init__(classes, classes)
        with torch.no_grad():
            nn.init.eye_(self.weight)
            self.bias.zero_()


class SingleHead(nn.Module):
    """One head on one modality, or on several side by side (``concat``)."""

    def __init__(
        self, modalities: tuple[str, ...], head: nn.Module, input_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.modalities = modalities
        self.head = head
        self.dropout = Dropout(input_dropout) if input_dropout > 0 else None

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        x = self._beside(inputs)
        logits: Tensor = self.head(x if self.dropout is None else self.dropout(x))
        return logits

    def fit(self, inputs: Mapping[str, Tensor], targets: Tensor) -> None:
        """Fit the head, if it is one that is fitted, to embeddings and 0/1 targets [rows, K]."""
        self.head.fit(self._beside(inputs), targets)  # type: ignore[operator]

    def _beside(self, inputs: Mapping[str, Tensor]) -> Tensor:
        parts = [inputs[modality] for modality in self.modalities]
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class JointSum(nn.Module):
    """Outputs of several heads summed, then a meta-classifier, all trained together."""

    def __init__(self, heads: Mapping[str, nn.Module], classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)
        self.meta = MetaClassifier(classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        outputs = torch.stack([head(inputs) for head in self.heads.values()]).sum(dim=0)
        logits: Tensor = self.meta(outputs)
        return logits


#: Makes one head on some modalities, side by side: ``make_head("image", "text")``.
MakeHead = Callable[..., nn.Module]


def concat(
    make_head: MakeHead, widths: Mapping[str, int], classes: int, *, generator: torch.Generator
) -> nn.Module:
    """One head on all embeddings side by side."""
    return make_head(*widths)


def sum_joint(
    make_head: MakeHead, widths: Mapping[str, int], classes: int, *, generator: torch.Generator
) -> nn.Module:
    """A head for each modality; their sum goes through a meta-classifier."""
    return JointSum({name: make_head(name) for name in widths}, classes)


def mixed_joint(
    make_head: MakeHead, widths: Mapping[str, int], classes: int, *, generator: torch.Generator
) -> nn.Module:
    """``sum_joint`` with one more head, on all embeddings side by side."""
    alone = {name: make_head(name) for name in widths}
    return JointSum({"concat": make_head(*widths), **alone}, classes)


class Gated(nn.Module):
    """A head for each modality, weighted row by row by what all embeddings say, then summed.

    logits = Σ_m M · w_m(x) · head_m(x_m), with w = softmax of a linear map of all embeddings side
    by side. It starts with equal weights, that is as the plain sum, goes through a meta-classifier
    as ``sum_joint`` does, and can lean on one modality where the other says little.

    Args:
        heads: By modality.
        widths: Embedding width of each modality.
        classes: Number of labels K.
    """

    def __init__(
        self, heads: Mapping[str, nn.Module], widths: Mapping[str, int], classes: int
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)
        self.gate = nn.Linear(sum(widths.values()), len(widths))
        self.meta = MetaClassifier(classes)
        with torch.no_grad():
            self.gate.weight.zero_()
            self.gate.bias.zero_()

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        outputs = torch.stack([head(inputs) for head in self.heads.values()], dim=1)
        beside = torch.cat([inputs[name] for name in self.heads], dim=1)
        weights = self.gate(beside).softmax(dim=1) * len(self.heads)
        logits: Tensor = self.meta((weights.unsqueeze(2) * outputs).sum(dim=1))
        return logits


def gated(
    make_head: MakeHead, widths: Mapping[str, int], classes: int, *, generator: torch.Generator
) -> nn.Module:
    """Heads whose weights follow from the row; see ``Gated``."""
    return Gated({name: make_head(name) for name in widths}, widths, classes)


def build_meta(classes: int) -> nn.Module:
    """Return a meta-classifier that is trained by itself; its input is named ``outputs``."""
    with _apart():
        return SingleHead(("outputs",), MetaClassifier(classes))


def build_module(
    name: str,
    config: Config,
    widths: Mapping[str, int],
    classes: int,
    generator: torch.Generator,
) -> nn.Module:
    """Return a module that is trained as one: a single head, or heads with a joint meta-classifier.

    Args:
        name: A modality, or a fusion that isn't a two-step one; the two-step fusions are several
            such modules, see ``hpo.training``.
        config: Gives head, hidden, activation, dropout and the parameters of the choices.
        widths: Embedding width of each modality that there is; they may differ.
        classes: Number of labels K.
        generator: Source of the initial weights.

    Raises:
        InputError: A fitted head is part of a module that is trained by steps.
    """

    def make_head(*modalities: str) -> SingleHead:
        return SingleHead(
            modalities,
            HEADS[config.head].load()(
                sum(widths[modality] for modality in modalities),
                config.hidden,
                classes,
                activation=config.activation,
                dropout=config.dropout,
                generator=generator,
                **config.own("head"),
            ),
            config.input_dropout,
        )

    with _apart(generator):
        if name not in FUSIONS:
            return make_head(name)
        own = config.own("fusion") if name == config.fusion else {}
        load = FUSIONS[name].load()
        module: nn.Module = load(make_head, widths, classes, generator=generator, **own)
    if not isinstance(module, SingleHead) and is_fitted(module):
        raise InputError(
            f"The fusion '{name}' trains its heads together, but the head '{config.head}' is "
            "fitted, not trained; use concat, sum, mixed or one modality with it."
        )
    if config.modality_dropout > 0 and len(widths) > 1 and not is_fitted(module):
        return ModalityDropout(config.modality_dropout, module)
    return module


@contextlib.contextmanager
def _apart(generator: torch.Generator | None = None) -> Iterator[None]:
    """Leave PyTorch's own random numbers alone, from which layers draw weights unless told not to.

    Args:
        generator: Their seed meanwhile is that of the generator, so that a layer of a user's that
            draws from them, and not from the generator, has the same weights each time.
    """
    # They are those of the process, and two of its threads may build models.
    with _ONE_AT_A_TIME, torch.random.fork_rng(devices=()):
        if generator is not None:
            torch.default_generator.manual_seed(generator.initial_seed())
        yield


def is_fitted(module: nn.Module) -> bool:
    """Tell whether a head in a module is fitted in one go, by its ``fit(x, targets)``."""
    return any(True for _ in _fitted_heads(module))


def load_weights(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the state of a module; buffers of fitted heads take the shapes that they have there.

    A head that remembers its rows has as many as there were, which a new one can't know.

    Raises:
        RuntimeError: A name is missing or unknown, or another shape differs.
    """
    for path, head in _fitted_heads(module):
        for inner, part in head.named_modules(prefix=path):
            for name, buffer in list(part._buffers.items()):
                stored = tensors.get(f"{inner}.{name}")
                if stored is not None and (buffer is None or buffer.shape != stored.shape):
                    device = stored.device if buffer is None else buffer.device
                    setattr(part, name, torch.empty_like(stored, device=device))
    module.load_state_dict(dict(tensors))


def _fitted_heads(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield the heads of a module that are fitted, each with its path."""
    for path, part in module.named_modules():
        if isinstance(part, SingleHead) and callable(getattr(part.head, "fit", None)):
            yield (f"{path}.head" if path else "head"), part.head
