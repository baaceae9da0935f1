"""Several models as one: the weighted mean of their probabilities."""

import pytest
import torch

from hpo.models import AssembledModel, Config, EnsembleModel

WIDTHS = {"image": 12, "text": 8}


def member(fusion: str, seed: int) -> AssembledModel:
    widths = WIDTHS if fusion == "concat" else {fusion: WIDTHS[fusion]}
    model = AssembledModel(Config(fusion=fusion, hidden=(6,)), widths, 5).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def test_it_averages_probabilities() -> None:
    members = [member("concat", 0), member("text", 1), member("image", 2)]
    ensemble = EnsembleModel(members, [3, 2, 5]).eval()
    raw = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    first, second, third = (model(raw).sigmoid() for model in members)
    expected = 0.3 * first + 0.2 * second + 0.5 * third
    torch.testing.assert_close(ensemble(raw).sigmoid(), expected)
    assert ensemble.megabytes() == pytest.approx(sum(model.megabytes() for model in members))


def test_members_that_are_sure_have_finite_logits() -> None:
    sure = member("text", 0)
    with torch.no_grad():
        for parameter in sure.parameters():
            parameter.mul_(1000)
    raw = {"text": torch.randn(50, 8)}
    assert torch.isinf(sure(raw).sigmoid().logit()).any()
    assert torch.isfinite(EnsembleModel([sure, sure], [1, 1])(raw)).all()


def test_state_rebuilds_it() -> None:
    ensemble = EnsembleModel([member("concat", 0), member("text", 1)], [0.5, 0.5])
    other = EnsembleModel([member("concat", 2), member("text", 3)], [0.5, 0.5])
    raw = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    assert not torch.equal(other(raw), ensemble(raw))
    other.load_state_dict(ensemble.state_dict())
    assert torch.equal(other(raw), ensemble(raw))
