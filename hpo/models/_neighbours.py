"""A head that only remembers: the nearest rows vote."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["NeighboursHead"]

#: A class that all rows have, or none, keeps a finite logit.
_EPS = 1e-6


class NeighboursHead(nn.Module):
    """The labels of the ``k`` nearest rows, averaged: [rows, width] → logits [rows, classes].

    Near is what has a large cosine. The mean label of all rows counts as one neighbour more, so
    that a class which none of them has is unlikely rather than impossible (Laplace smoothing):
    p = (Σ labels of the k nearest + mean label) / (k + 1). Nothing is trained (Zhang and Zhou
    2007, "ML-KNN", doi 10.1016/j.patcog.2006.12.019, for such votes in multi-label learning).
    A row that lacks its embedding, which is 0 then, is near to none: it gets the mean label.

    The rows are kept as float16 unit vectors and are part of the weights, so the model grows with
    the data: 2 · width bytes a row.

    Args:
        width: Of the embeddings.
        hidden: Not used, likewise ``activation``, ``dropout`` and ``generator``.
        classes: Number of labels.
        k: How many neighbours vote; all rows where there are fewer.
    """

    rows: Tensor
    labels: Tensor
    mean: Tensor

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: torch.Generator,
        k: int,
    ) -> None:
        super().__init__()
        self.k = k
        self.register_buffer("rows", torch.zeros((0, width), dtype=torch.float16))
        self.register_buffer("labels", torch.zeros((0, classes), dtype=torch.uint8))
        self.register_buffer("mean", torch.zeros(classes))

    def fit(self, x: Tensor, targets: Tensor) -> None:
        """Remember the rows.

        Args:
            x: Float [rows, width].
            targets: 0/1, [rows, classes].
        """
        self.rows = nn.functional.normalize(x.float(), dim=1).half()
        self.labels = targets.to(torch.uint8)
        self.mean = targets.float().mean(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        """Map embeddings [rows, width] to logits [rows, classes]."""
        cosines = nn.functional.normalize(x.float(), dim=1) @ self.rows.float().T
        nearest = cosines.topk(min(self.k, len(self.rows)), dim=1).indices
        votes = self.labels[nearest].float().sum(dim=1)
        share = (votes + self.mean) / (nearest.shape[1] + 1)
        share = torch.where(x.any(dim=1, keepdim=True), share, self.mean)
        return share.logit(_EPS)

    def extra_repr(self) -> str:
        """Return what ``print(module)`` shows."""
        return f"k={self.k}, rows={len(self.rows)}"
