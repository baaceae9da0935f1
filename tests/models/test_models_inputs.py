"""Dropout of inputs and of whole modalities: masks, and what they leave alone."""

import math

import pytest
import torch
from torch import Tensor, nn

from hpo.models import HEADS, Config, Dropout, build_module, is_fitted, seed_dropout
from hpo.models._inputs import ModalityDropout, without_nan_rows

WIDTHS = {"image": 4, "text": 3, "audio": 2}
ROWS = 6000


class Beside(nn.Module):
    """Shows the embeddings that it gets, side by side."""

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        return torch.cat(list(inputs.values()), dim=1)


def ones(rows: int = ROWS) -> dict[str, Tensor]:
    return {name: torch.ones(rows, width) for name, width in WIDTHS.items()}


def lost(p: float, *entropy: int, cuts: tuple[int, ...] = (ROWS,)) -> Tensor:
    """Which modality each row lost, bool [rows, 3]."""
    layer = ModalityDropout(p, Beside())
    layer.seed(*entropy)
    seen = torch.cat([layer(ones(rows)) for rows in cuts])
    parts = seen.split(list(WIDTHS.values()), dim=1)
    assert all(((part == 0) | (part == 1)).all() for part in parts)
    assert all(torch.equal(part.amin(dim=1), part.amax(dim=1)) for part in parts)  # as a whole
    return torch.stack([part[:, 0] == 0 for part in parts], dim=1)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_a_row_loses_one_modality_with_this_probability_and_each_as_often(p: float) -> None:
    gone = lost(p, 1, 2)
    assert int(gone.sum(dim=1).max()) == 1
    share = gone.any(dim=1).double().mean().item()
    assert abs(share - p) < 5 * math.sqrt(p * (1 - p) / ROWS)
    for each in gone.double().mean(dim=0).tolist():
        assert abs(each - p / 3) < 5 * math.sqrt(p / 3 / ROWS)


@pytest.mark.parametrize("cuts", [(1000,) * 6, (1, 5999), (3333, 2667)])
def test_what_is_lost_does_not_depend_on_how_rows_are_cut(cuts: tuple[int, ...]) -> None:
    assert torch.equal(lost(0.5, 3, 4, cuts=cuts), lost(0.5, 3, 4))


def test_what_is_lost_follows_from_seed_and_epoch() -> None:
    assert torch.equal(lost(0.5, 1, 2), lost(0.5, 1, 2))
    assert not torch.equal(lost(0.5, 1, 2), lost(0.5, 1, 3))
    module = ModalityDropout(0.5, Beside())
    seed_dropout(module, 7, 3)
    first = module(ones())
    assert not torch.equal(module(ones()), first)  # the stream went on
    seed_dropout(module, 7, 3)
    assert torch.equal(module(ones()), first)


def test_nothing_is_lost_in_evaluation() -> None:
    layer = ModalityDropout(0.9, Beside()).eval()
    assert layer(ones(5)).min() == 1
    layer.train()
    with pytest.raises(
        RuntimeError,
        match=r"^ModalityDropout\.seed\(\) must be called before the first step\.$",
    ):
        layer(ones(5))
    assert "p=0.9" in repr(layer)


def build(fusion: str, **changes: object) -> nn.Module:
    config = Config(fusion=fusion, hidden=(6,), **changes)
    return build_module(fusion, config, WIDTHS, 5, torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fusion", ["concat", "sum_joint", "mixed_joint", "gated"])
def test_modality_dropout_is_around_every_fusion_that_is_trained_as_one(fusion: str) -> None:
    module = build(fusion, modality_dropout=0.3)
    assert isinstance(module, ModalityDropout)
    plain = build(fusion)
    inputs = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    assert torch.equal(module.eval()(inputs), plain.eval()(inputs))  # the same initial weights


def test_one_modality_alone_is_not_taken_away() -> None:
    assert not isinstance(build("image", modality_dropout=0.3), ModalityDropout)


@pytest.mark.parametrize("fusion", ["image", "concat", "sum_joint", "gated"])
def test_input_dropout_is_before_each_head(fusion: str) -> None:
    module = build(fusion, input_dropout=0.25, dropout=0.0)
    layers = [part for part in module.modules() if isinstance(part, Dropout) and part.p == 0.25]
    assert len(layers) == (3 if fusion in ("sum_joint", "gated") else 1)
    inputs = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    seed_dropout(module, 0, 1)
    noisy = module(inputs)
    plain = build(fusion).eval()
    assert not torch.equal(noisy, plain(inputs))
    assert torch.equal(module.eval()(inputs), plain(inputs))


def test_input_dropout_multiplies_the_embeddings_by_its_mask() -> None:
    module = build("image", input_dropout=0.25, dropout=0.0)
    x = torch.randn(50, 4)
    seed_dropout(module, 5, 2)
    noisy = module({"image": x})
    layers = [part for part in module.modules() if isinstance(part, Dropout)]
    mask = Dropout(0.25)
    mask.seed(5, 2, layers.index(module.dropout))
    assert torch.equal(noisy, module.eval()({"image": x * mask.mask(50, 4)}))


class Mean(nn.Module):
    """A head that is fitted."""

    def __init__(self, width, hidden, classes, *, activation, dropout, generator):  # type: ignore[no-untyped-def]
        super().__init__()
        self.register_buffer("mean", torch.zeros(classes))

    def fit(self, x: Tensor, targets: Tensor) -> None:
        self.mean.copy_(targets.mean(dim=0))

    def forward(self, x: Tensor) -> Tensor:
        return self.mean.expand(len(x), -1)


def test_a_fitted_head_is_left_alone() -> None:
    HEADS.register("mean_of_targets", Mean)
    module = build("concat", head="mean_of_targets", modality_dropout=0.3, input_dropout=0.3)
    assert is_fitted(module) and not isinstance(module, ModalityDropout)
    inputs = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    module.fit(inputs, torch.ones(9, 5))  # type: ignore[operator]
    assert torch.equal(module.eval()(inputs), torch.ones(9, 5))


def test_rows_that_are_nan_as_a_whole_become_zero() -> None:
    x = torch.randn(4, 3)
    x[1] = torch.nan
    x[2, 1] = torch.nan  # in part: nothing that a row lacks
    found = without_nan_rows(x)
    assert torch.equal(found[[0, 3]], x[[0, 3]])
    assert torch.equal(found[1], torch.zeros(3))
    assert found[2].isnan().tolist() == [False, True, False]
