"""The module that becomes the file: everything from what goes in to calibrated probabilities."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from hpo.export._inputs import GraphInput
from hpo.models import Linear
from hpo.training import Calibration, TrainedModel

__all__ = ["Probabilities"]


class Probabilities(nn.Module):
    """The inputs of the file to probabilities, as ``TrainedModel.probabilities`` gives them.

    A row that is NaN as a whole, or of whose tokens all are 0, lacks that modality.

    Args:
        model: The model.
        inputs: What goes in, in this order.
        encoders: open_clip's models, by source.
    """

    slopes: Tensor
    offsets: Tensor

    def __init__(
        self, model: TrainedModel, inputs: Sequence[GraphInput], encoders: Mapping[str, nn.Module]
    ) -> None:
        super().__init__()
        self.inputs = list(inputs)
        self.modalities = model.modalities
        self.module = _plain(model.module)
        # In a list, since a source's name need not be one that a module can have.
        self.sources = list(encoders)
        self.encoders = nn.ModuleList(encoders.values())
        self.calibrated = model.calibration is not None
        if model.calibration is not None:
            for name in ("slopes", "offsets"):
                values = torch.tensor(getattr(model.calibration, name), dtype=torch.float64)
                self.register_buffer(name, values)

    def forward(self, *given: Tensor) -> Tensor:
        """Map one tensor for each input, [rows, …], to float32 probabilities [rows, K]."""
        parts: dict[str, list[Tensor]] = {name: [] for name in self.modalities}
        for one, x in zip(self.inputs, given, strict=True):
            parts[one.modality].append(self._embeddings(one, x))
        # Rounded as those that the model was trained on.
        embeddings = {name: torch.cat(x, dim=1).half().float() for name, x in parts.items()}
        logits: Tensor = self.module(embeddings)
        if self.calibrated:
            within = logits.double().clamp(-Calibration.LIMIT, Calibration.LIMIT)
            logits = self.slopes * within + self.offsets
        return logits.sigmoid().float()

    def _embeddings(self, one: GraphInput, x: Tensor) -> Tensor:
        """Return the embeddings of an input, [rows, D]."""
        if one.source is None:
            return x
        encoder = self.encoders[self.sources.index(one.source)]
        if one.kind == "pixels":
            lacking = x.flatten(1).isnan().all(dim=1, keepdim=True)
            found = encoder.encode_image(x, normalize=False)  # type: ignore[operator]
        else:
            lacking = (x == 0).all(dim=1, keepdim=True)
            found = encoder.encode_text(x, normalize=False)  # type: ignore[operator]
        return torch.where(lacking, torch.nan, found.float())


def _plain(module: nn.Module) -> nn.Module:
    """Return a copy for inference whose linear layers are PyTorch's, on the CPU."""
    plain = copy.deepcopy(module).cpu().eval()
    for part in plain.modules():
        if isinstance(part, Linear):
            # It has the same parameters and no others.
            part.__class__ = nn.Linear  # type: ignore[assignment]
    return plain
