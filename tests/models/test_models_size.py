"""The size of a model from its configuration is that of the module."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import hpo
from hpo.models import FUSIONS, AssembledModel, Config, architecture, model_megabytes

WIDTHS = {"image": 12, "text": 8, "audio": 6}
CLASSES = 5


@pytest.mark.parametrize("fusion", ["image", "audio", *FUSIONS])
@pytest.mark.parametrize("head", ["mlp", "gmlp"])
def test_the_size_is_that_of_the_module(fusion: str, head: str) -> None:
    read = WIDTHS if fusion in FUSIONS else {fusion: WIDTHS[fusion]}
    for hidden, scaling in itertools.product(
        ((), (16,), (16, 10, 4)), ("none", "auto", "l2", "standard")
    ):
        config = Config(fusion=fusion, head=head, hidden=hidden, feature_scaling=scaling)
        module = AssembledModel(config, read, CLASSES)
        assert model_megabytes(config, WIDTHS, CLASSES) == module.megabytes() > 0


def test_a_fusion_that_the_data_cannot_have_has_no_size() -> None:
    assert model_megabytes(Config(fusion="sum"), {"image": 4}, CLASSES) is None
    assert model_megabytes(Config(fusion="text"), {"image": 4}, CLASSES) is None


def test_only_what_is_built_is_part_of_the_architecture() -> None:
    config = Config(fusion="sum", hidden=(8,))
    same: dict[str, Any] = {"dropout": 0.1, "lr": 1.0, "epochs": 3, "modality_dropout": 0.2}
    assert architecture(config.replace(**same, loss="asl")) == architecture(config)
    for change in ({"fusion": "mixed"}, {"head": "gmlp"}, {"hidden": (4,)}, {"activation": "relu"}):
        assert architecture(config.replace(**change)) != architecture(config)


class OneLayer(nn.Module):
    """A head of a user's own with a parameter that changes its size."""

    def __init__(
        self,
        width: int,
        hidden: tuple[int, ...],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: torch.Generator,
        copies: int = 1,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, classes) for _ in range(copies))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([layer(x) for layer in self.layers]).sum(dim=0)


class Fitted(OneLayer):
    """One that is fitted: how large it gets, only that tells."""

    def fit(self, x: Tensor, targets: Tensor) -> None:
        self.register_buffer("rows", x)


def test_heads_of_a_users_own_are_built_for_their_size() -> None:
    hpo.register_head("one_layer")(OneLayer)
    hpo.register_head("fitted")(Fitted)
    one = Config(fusion="concat", head="one_layer")
    three = one.replace(**{"one_layer.copies": 3})
    layer = 4 * (26 * CLASSES + CLASSES) / 1e6
    scaling = 3 * 4 / 1e6
    assert model_megabytes(one, WIDTHS, CLASSES) == pytest.approx(layer + scaling)
    assert model_megabytes(three, WIDTHS, CLASSES) == pytest.approx(3 * layer + scaling)
    assert architecture(one) != architecture(three)
    assert model_megabytes(one.replace(head="fitted"), WIDTHS, CLASSES) is None
