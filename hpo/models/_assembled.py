"""A whole model as it is kept and used: raw embeddings in, logits out, in one module."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hpo.models._choices import head_names, is_two_step
from hpo.models._config import Config
from hpo.models._fusion import build_meta, build_module
from hpo.models._inputs import without_nan_rows
from hpo.models._scaling import FeatureScaling

__all__ = ["AssembledModel"]


class AssembledModel(nn.Module):
    """Scaling, the heads of a configuration, and its meta-classifier if it has one.

    Args:
        config: What to build.
        widths: Embedding width of each modality that the fusion reads, in the order of the data.
        classes: Number of labels K.
        parts: For a modality whose embeddings are those of several encoders side by side, the
            width of each.
    """

    def __init__(
        self,
        config: Config,
        widths: Mapping[str, int],
        classes: int,
        parts: Mapping[str, Sequence[int]] | None = None,
    ) -> None:
        super().__init__()
        beside = parts or {}
        generator = torch.Generator().manual_seed(0)
        self.scaling = nn.ModuleDict(
            {
                name: FeatureScaling(config.feature_scaling, width, beside.get(name, ()))
                for name, width in widths.items()
            }
        )
        self.heads = nn.ModuleDict(
            {
                name: build_module(name, config, widths, classes, generator)
                for name in head_names(config.fusion, tuple(widths))
            }
        )
        self.meta = build_meta(classes) if is_two_step(config.fusion) else None

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Map embeddings as stored, modality → [rows, D_m], to logits [rows, K].

        A row of NaN stands for an embedding that the row lacks.
        """
        scaled = {
            name: without_nan_rows(scaling(inputs[name])) for name, scaling in self.scaling.items()
        }
        outputs = [head(scaled) for head in self.heads.values()]
        logits: Tensor = sum(outputs[1:], start=outputs[0])
        return logits if self.meta is None else self.meta({"outputs": logits})

    def megabytes(self) -> float:
        """Return the size of all weights in 10⁶ bytes."""
        tensors: list[Tensor] = list(self.state_dict().values())
        return sum(x.numel() * x.element_size() for x in tensors) / 1e6
