"""The vote of the nearest rows, against NumPy."""

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.neighbors import KNeighborsRegressor

from hpo.errors import InputError
from hpo.models import AssembledModel, Config, build_module, is_fitted, load_weights

ROWS, WIDTH, CLASSES = 80, 6, 4


def samples(rows: int = ROWS, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, WIDTH)).astype(np.float16)
    labels = (rng.random((rows, CLASSES)) < [0.6, 0.4, 0.2, 0.1]).astype(np.float32)
    return torch.from_numpy(x), torch.from_numpy(labels)


def make(**own: Any) -> torch.nn.Module:
    config = Config(fusion="text", head="knn", **own)
    return build_module("text", config, {"text": WIDTH}, CLASSES, torch.Generator())


@pytest.mark.parametrize("k", [1, 5, 30, 200])
def test_the_nearest_rows_vote(k: int) -> None:
    x, labels = samples()
    asked, _ = samples(20, seed=1)
    module = make(**{"knn.k": k})
    assert is_fitted(module)
    module.fit({"text": x}, labels)
    # on unit vectors the order of distances is that of cosines
    unit = torch.nn.functional.normalize(x.float(), dim=1).half().float().numpy()
    theirs = KNeighborsRegressor(min(k, ROWS)).fit(unit, labels.numpy())
    near = torch.nn.functional.normalize(asked.float(), dim=1).numpy()
    count = min(k, ROWS)
    expected = (count * theirs.predict(near) + labels.mean(dim=0).numpy()) / (count + 1)
    found = module({"text": asked}).sigmoid()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    # no length of an embedding matters
    torch.testing.assert_close(module({"text": 3 * asked.float()}).sigmoid(), found)


def test_a_class_that_all_rows_have_or_none_has_a_finite_logit() -> None:
    x, labels = samples()
    labels[:, 0], labels[:, 1] = 1, 0
    module = make()
    module.fit({"text": x}, labels)
    logits = module({"text": x})
    assert torch.isfinite(logits).all()
    assert (logits[:, 0] > 10).all()
    assert (logits[:, 1] < -10).all()


def test_the_rows_are_part_of_the_model() -> None:
    x, labels = samples()
    config = Config(fusion="text", head="knn", feature_scaling="l2")
    model, other = (AssembledModel(config, {"text": WIDTH}, CLASSES) for _ in range(2))
    model.heads["text"].fit({"text": x}, labels)
    load_weights(other, model.state_dict())
    assert torch.equal(other({"text": x}), model({"text": x}))
    kept = ROWS * (2 * WIDTH + CLASSES) + 4 * CLASSES
    assert model.megabytes() == pytest.approx((kept + 4) / 1e6)


def test_it_is_no_part_of_a_fusion_that_is_trained_as_one() -> None:
    config = Config(fusion="sum_joint", head="knn")
    with pytest.raises(InputError, match=r"^The fusion 'sum_joint' trains its heads together, but"):
        build_module("sum_joint", config, {"a": 3, "b": 3}, CLASSES, torch.Generator())


def test_a_row_that_lacks_its_embedding_gets_the_mean_label() -> None:
    x, labels = samples()
    module = make(**{"knn.k": 3})
    module.fit({"text": x}, labels)
    found = module({"text": torch.cat([torch.zeros(1, WIDTH), x[:2].float()])}).sigmoid()
    torch.testing.assert_close(found[0], labels.mean(dim=0))
    torch.testing.assert_close(found[1:], module({"text": x[:2]}).sigmoid())
