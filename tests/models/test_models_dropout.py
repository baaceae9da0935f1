"""Dropout: its probability, and that a mask depends on (seed, epoch, layer, row) alone."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from hpo.models import Dropout, seed_dropout


def seeded(p: float, *entropy: int) -> Dropout:
    layer = Dropout(p)
    layer.seed(*entropy)
    return layer


@pytest.mark.parametrize("p", [0.2, 0.5, 0.6, 0.8, 0.999, 1 / 3])
def test_probability_and_scale(p: float) -> None:
    rows, width = 2000, 1000
    mask = seeded(p, 1, 2, 3).mask(rows, width)
    assert set(mask.unique().tolist()) == {0.0, torch.tensor(1 / (1 - p)).item()}
    dropped = (mask == 0).double().mean().item()
    # Five standard deviations of a binomial share, plus the rounding of p to 16 bits.
    assert abs(dropped - p) < 5 * math.sqrt(p * (1 - p) / (rows * width)) + 2**-17


def test_every_unit_and_row_is_dropped_as_often() -> None:
    dropped = (seeded(0.5, 7).mask(4000, 10) == 0).double()
    assert (dropped.mean(dim=0) - 0.5).abs().max() < 5 * 0.5 / math.sqrt(4000)
    correlation = torch.corrcoef(dropped.T) - torch.eye(10)
    assert correlation.abs().max() < 5 / math.sqrt(4000)


@pytest.mark.parametrize("width", [1, 3, 4, 5, 18, 64])
@pytest.mark.parametrize("cuts", [[100], [1] * 100, [37, 37, 26], [99, 1]])
def test_mask_does_not_depend_on_how_rows_are_cut(width: int, cuts: list[int]) -> None:
    layer = seeded(0.5, 1, 2)
    pieces = torch.cat([layer.mask(rows, width) for rows in cuts])
    assert torch.equal(pieces, seeded(0.5, 1, 2).mask(100, width))


def test_forward_multiplies_by_the_mask() -> None:
    x = torch.randn(30, 7, generator=torch.Generator().manual_seed(0))
    assert torch.equal(seeded(0.3, 5)(x), x * seeded(0.3, 5).mask(30, 7))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("p", [0.1, 0.3, 0.8])
def test_the_mask_is_of_the_type_of_what_it_is_for(dtype: torch.dtype, p: float) -> None:
    drawn = np.random.SFC64(np.random.SeedSequence((1, 2))).random_raw(7 * 3).view(np.uint16)
    kept = torch.from_numpy(drawn.reshape(7, 12)[:, :10] >= round(p * 65536))
    expected = kept.to(torch.float32).mul_(1 / (1 - p)) if dtype is torch.float32 else None
    for index in range(2):
        layer = Dropout(p)
        layer.seed(1, 2)
        x = torch.ones(7, 10, dtype=dtype)
        mask = layer(x) if index else layer.mask(7, 10, dtype)
        assert mask.dtype is dtype
        assert torch.equal(mask, torch.where(kept, torch.tensor(1 / (1 - p), dtype=dtype), 0))
        assert expected is None or torch.equal(mask, expected)


def test_gradient_goes_through_kept_units_only() -> None:
    x = torch.ones(20, 9, requires_grad=True)
    y = seeded(0.5, 5)(x)
    y.sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, seeded(0.5, 5).mask(20, 9))


def test_evaluation_and_zero_are_the_identity() -> None:
    x = torch.randn(5, 6)
    assert Dropout(0.9).eval()(x) is x
    assert Dropout(0.0)(x) is x


def test_training_without_a_seed_is_an_error() -> None:
    with pytest.raises(
        RuntimeError, match=r"^Dropout\.seed\(\) must be called before the first training step\.$"
    ):
        Dropout(0.5)(torch.ones(2, 2))


def test_masks_differ_by_layer_epoch_and_seed() -> None:
    def masks(seed: int, epoch: int) -> list[torch.Tensor]:
        module = nn.Sequential(Dropout(0.5), nn.Linear(8, 8), nn.Sequential(Dropout(0.5)))
        seed_dropout(module, seed, epoch)
        return [layer.mask(50, 8) for layer in module.modules() if isinstance(layer, Dropout)]

    drawn = [*masks(0, 1), *masks(0, 2), *masks(1, 1)]
    for i, first in enumerate(drawn):
        for second in drawn[:i]:
            # 400 fair draws agree on 200 ± 10
            assert 140 < (first == second).sum().item() < 260
    assert all(torch.equal(a, b) for a, b in zip(masks(0, 2), drawn[2:4], strict=True))


def test_neither_the_global_generator_nor_other_draws_matter() -> None:
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = seeded(0.5, 9).mask(10, 10)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    seeded(0.5, 8).mask(10, 10)
    assert torch.equal(seeded(0.5, 9).mask(10, 10), first)


def test_repr_shows_the_probability() -> None:
    assert repr(Dropout(0.25)) == "Dropout(p=0.25)"
