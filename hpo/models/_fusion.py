"""Fusion (section 3.2 of the paper): which embeddings meet where."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from hpo.models._config import Config
from hpo.models._heads import HEADS

__all__ = ["MetaClassifier", "build_meta", "build_module"]


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

    def __init__(self, modalities: tuple[str, ...], head: nn.Module) -> None:
        super().__init__()
        self.modalities = modalities
        self.head = head

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        parts = [inputs[modality] for modality in self.modalities]
        logits: Tensor = self.head(parts[0] if len(parts) == 1 else torch.cat(parts, dim=1))
        return logits


class JointSum(nn.Module):
    """Outputs of several heads summed, then a meta-classifier, all trained together."""

    def __init__(self, heads: Mapping[str, SingleHead], classes: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(heads)
        self.meta = MetaClassifier(classes)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings, modality → [rows, D_m], to logits [rows, K]."""
        outputs = torch.stack([head(inputs) for head in self.heads.values()]).sum(dim=0)
        logits: Tensor = self.meta(outputs)
        return logits


def build_meta(classes: int) -> nn.Module:
    """Return a meta-classifier that is trained by itself; its input is named ``outputs``."""
    return SingleHead(("outputs",), MetaClassifier(classes))


def build_module(
    fusion: str,
    config: Config,
    widths: Mapping[str, int],
    classes: int,
    generator: torch.Generator,
) -> nn.Module:
    """Return a module that is trained as one: a single head, or heads with a joint meta-classifier.

    Args:
        fusion: ``image``, ``text``, ``concat``, ``sum_joint`` or ``mixed_joint``. The two-step
            fusions are several such modules; see ``hpo.training``.
        config: Gives head, hidden, activation and dropout.
        widths: Embedding width of each modality; they may differ.
        classes: Number of labels K.
        generator: Source of the initial weights.
    """

    def head(*modalities: str) -> SingleHead:
        width = sum(widths[modality] for modality in modalities)
        return SingleHead(
            modalities,
            HEADS[config.head](
                width,
                config.hidden,
                classes,
                activation=config.activation,
                dropout=config.dropout,
                generator=generator,
            ),
        )

    if fusion in ("image", "text"):
        return head(fusion)
    if fusion == "concat":
        return head("image", "text")
    heads = {"image": head("image"), "text": head("text")}
    if fusion == "mixed_joint":
        heads = {"concat": head("image", "text"), **heads}
    return JointSum(heads, classes)
