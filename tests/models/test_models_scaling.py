"""FeatureScaling against scikit-learn and its own definition."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler, normalize

from hpo.models import FeatureScaling


@pytest.fixture
def x() -> torch.Tensor:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 6)) * [1, 10, 0.01, 1, 1, 3] + [0, 100, 0, -5, 1, 0]
    return torch.from_numpy(values.astype(np.float16))


def test_none_only_changes_the_type(x: torch.Tensor) -> None:
    scaled = FeatureScaling("none", 6).fit(x)(x)
    assert scaled.dtype == torch.float32
    assert torch.equal(scaled, x.float())


def test_l2_is_scikit_learns_normalize_to_a_norm_of_root_width(x: torch.Tensor) -> None:
    scaled = FeatureScaling("l2", 6).fit(x)(x)
    assert scaled.dtype == torch.float32
    expected = 6**0.5 * normalize(x.double().numpy())
    np.testing.assert_allclose(scaled.numpy(), expected, atol=3e-6)
    assert torch.equal(FeatureScaling("l2", 6)(torch.zeros(1, 6)), torch.zeros(1, 6))


def test_auto_brings_the_rows_that_it_was_fitted_to_to_a_norm_of_root_width(
    x: torch.Tensor,
) -> None:
    train, val = x[:150], x[150:]
    scaling = FeatureScaling("auto", 6).fit(train)
    scaled = scaling(train)
    assert scaled.dtype == torch.float32
    assert scaled.double().square().mean().item() == pytest.approx(1, rel=1e-6)
    # one factor for all: directions and relative norms stay
    square = train.double().numpy() ** 2
    factor = 6**0.5 / square.sum(axis=1).mean() ** 0.5
    np.testing.assert_allclose(scaling(val).numpy(), factor * val.double().numpy(), rtol=1e-6)


@pytest.mark.parametrize("norm", [1e-3, 1.0, 300.0])
def test_auto_makes_the_norm_that_embeddings_come_with_irrelevant(
    x: torch.Tensor, norm: float
) -> None:
    other = x.float() * norm
    first, second = (FeatureScaling("auto", 6).fit(x) for x in (x.float(), other))
    torch.testing.assert_close(second(other), first(x.float()))


def test_auto_leaves_embeddings_that_are_all_0() -> None:
    zeros = torch.zeros(5, 6)
    scaling = FeatureScaling("auto", 6).fit(zeros)
    assert scaling.factor == 1
    assert torch.equal(scaling(zeros), zeros)


def test_auto_is_exact_in_half_precision() -> None:
    """The squares of float16 embeddings of norm 18 and more would be infinite in float16."""
    x = torch.full((4, 6), 300.0, dtype=torch.float16)
    assert torch.equal(FeatureScaling("auto", 6).fit(x)(x), torch.ones(4, 6))


def test_standard_is_scikit_learns_standard_scaler(x: torch.Tensor) -> None:
    train, val = x[:150], x[150:]
    reference = StandardScaler().fit(train.double().numpy())
    scaling = FeatureScaling("standard", 6).fit(train)
    for part in (train, val):
        expected = reference.transform(part.double().numpy())
        np.testing.assert_allclose(scaling(part).numpy(), expected, atol=2e-5)
    assert scaling(val).dtype == torch.float32


def test_constant_column_keeps_its_scale(x: torch.Tensor) -> None:
    x[:, 2] = 0.1
    x[150:, 2] = 0.35
    scaling = FeatureScaling("standard", 6).fit(x[:150])
    assert scaling.std[2] == 1
    expected = torch.full((50,), float(x[150, 2]) - float(x[0, 2]))
    torch.testing.assert_close(scaling(x[150:])[:, 2], expected)
    assert torch.equal(scaling(x[:150])[:, 2], torch.zeros(150))


def test_large_offset_does_not_spoil_the_deviation() -> None:
    rng = np.random.default_rng(1)
    # float32 sums of squares would lose the spread of 0.05 beside the offset
    x = torch.from_numpy((1000 + 0.05 * rng.normal(size=(5000, 1))).astype(np.float32))
    scaling = FeatureScaling("standard", 1).fit(x)
    assert scaling.std.item() == pytest.approx(x.double().numpy().std(), rel=1e-6)


def test_fitted_values_are_part_of_the_state(x: torch.Tensor) -> None:
    for kind, names in (("standard", {"mean", "std"}), ("auto", {"factor"}), ("l2", {"factor"})):
        fitted = FeatureScaling(kind, 6).fit(x)
        assert fitted.state_dict().keys() == names
        restored = FeatureScaling(kind, 6)
        restored.load_state_dict(fitted.state_dict())
        assert torch.equal(restored(x), fitted(x))
    assert FeatureScaling("none", 6).fit(x).state_dict() == {}


def test_a_model_that_was_kept_when_l2_meant_a_norm_of_1_scales_as_it_did(x: torch.Tensor) -> None:
    inside = torch.nn.ModuleDict({"image": FeatureScaling("l2", 6)})
    inside.load_state_dict({})  # there was nothing to keep
    expected = torch.nn.functional.normalize(x.float(), dim=1)
    assert torch.equal(inside["image"](x), expected)
    with pytest.raises(RuntimeError, match="Missing key"):
        FeatureScaling("auto", 6).load_state_dict({})
