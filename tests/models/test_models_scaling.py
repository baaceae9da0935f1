"""FeatureScaling against scikit-learn."""

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


def test_l2_is_scikit_learns_normalize(x: torch.Tensor) -> None:
    scaled = FeatureScaling("l2", 6).fit(x)(x)
    assert scaled.dtype == torch.float32
    np.testing.assert_allclose(scaled.numpy(), normalize(x.double().numpy()), atol=1e-6)
    assert torch.equal(FeatureScaling("l2", 6)(torch.zeros(1, 6)), torch.zeros(1, 6))


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
    fitted = FeatureScaling("standard", 6).fit(x)
    restored = FeatureScaling("standard", 6)
    restored.load_state_dict(fitted.state_dict())
    assert torch.equal(restored(x), fitted(x))
    assert FeatureScaling("l2", 6).fit(x).state_dict() == {}
