"""Losses against PyTorch's, torchvision's and the written-out formula."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from hpo.models import LOSSES, Config, asymmetric_loss, build_loss

SETTINGS = {"bce": (0, 0, 0), "focal": (3, 3, 0), "asl": (4, 1, 0.05)}


def loss_of(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    return build_loss(Config(loss=name))


def sample(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(40, 6, generator=generator, dtype=dtype)
    return logits, (torch.rand(40, 6, generator=generator) < 0.3).to(dtype)


def formula(logits: Tensor, targets: Tensor, neg: float, pos: float, m: float) -> Tensor:
    """The spec's formula, element by element in plain arithmetic, float64."""
    p = 1 / (1 + torch.exp(-logits.double()))
    p_m = torch.maximum(p - m, torch.zeros_like(p))
    positive = (1 - p) ** pos * torch.log(p)
    negative = p_m**neg * torch.log(1 - p_m)
    return -(targets.double() * positive + (1 - targets.double()) * negative).sum()


def test_losses_are_the_three_settings_of_table_4() -> None:
    logits, targets = sample()
    assert {*SETTINGS, "two_way"} == {*LOSSES}
    for name, setting in SETTINGS.items():
        assert torch.equal(
            loss_of(name)(logits, targets), asymmetric_loss(logits, targets, *setting)
        )
    own = {name: {k: p.default for k, p in LOSSES[name].parameters.items()} for name in LOSSES}
    assert own == {
        "bce": {},
        "focal": {"gamma": 3.0},
        "asl": {"gamma_neg": 4.0, "gamma_pos": 1.0, "clip": 0.05},
        "two_way": {"temp_pos": 4.0, "temp_neg": 1.0},
    }


def test_own_parameters_are_those_of_the_formula() -> None:
    logits, targets = sample()
    focal = build_loss(Config.model_validate({"loss": "focal", "focal.gamma": 1.5}))
    assert torch.equal(focal(logits, targets), asymmetric_loss(logits, targets, 1.5, 1.5, 0))
    own = {"asl.gamma_neg": 2.0, "asl.gamma_pos": 0.5, "asl.clip": 0.1}
    asl = build_loss(Config.model_validate({"loss": "asl", **own}))
    assert torch.equal(asl(logits, targets), asymmetric_loss(logits, targets, 2.0, 0.5, 0.1))


def test_bce_is_pytorchs() -> None:
    logits, targets = sample()
    expected = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")
    assert torch.equal(loss_of("bce")(logits, targets), expected)


def test_focal_is_torchvisions() -> None:
    logits, targets = sample()
    expected = sigmoid_focal_loss(logits, targets, alpha=-1, gamma=3, reduction="sum")
    torch.testing.assert_close(loss_of("focal")(logits, targets), expected)


@pytest.mark.parametrize(
    "setting", [(0, 0, 0), (3, 3, 0), (4, 1, 0.05), (2, 0, 0), (0, 2, 0), (0, 0, 0.2), (1.5, 1, 0)]
)
def test_value_and_gradient_are_the_formulas(setting: tuple[float, float, float]) -> None:
    logits, targets = sample()
    logits.requires_grad_()
    reference = logits.detach().double().requires_grad_()
    loss = asymmetric_loss(logits, targets, *setting)
    expected = formula(reference, targets, *setting)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    (wanted,) = torch.autograd.grad(expected, reference)
    torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradient_is_that_of_finite_differences(name: str) -> None:
    logits, targets = sample(torch.float64)
    logits = logits[:2].requires_grad_()
    assert torch.autograd.gradcheck(loss_of(name), (logits, targets[:2]))


def test_asl_ignores_negatives_below_the_clip() -> None:
    easy = torch.full((1, 1), -4.0, requires_grad=True)  # p = 0.018 < m = 0.05
    loss = loss_of("asl")(easy, torch.zeros(1, 1))
    loss.backward()
    assert loss.item() == 0
    assert easy.grad is not None and easy.grad.item() == 0


@pytest.mark.parametrize("name", list(LOSSES))
def test_extreme_logits_stay_finite(name: str) -> None:
    logits = torch.tensor([[100.0, -100.0, 1e4, -1e4, 0.0]]).repeat(2, 1).requires_grad_()
    targets = torch.tensor([[1.0], [0.0]]).expand(2, 5)
    loss = loss_of(name)(logits, targets)
    loss.backward()
    assert torch.isfinite(loss)
    assert logits.grad is not None and torch.isfinite(logits.grad).all()
    if name == "two_way":
        return  # a logit alone is neither right nor wrong
    # Sure and right costs nothing; sure and wrong costs, and is pushed the right way.
    single = [
        loss_of(name)(z.reshape(1, 1), y.reshape(1, 1))
        for z, y in zip(logits.detach()[:, 0], targets[:, 0], strict=True)
    ]
    assert single[0] < 1e-30
    assert single[1] > 1
    assert logits.grad[0, 1] < 0


def test_nan_logits_give_a_nan_loss() -> None:
    logits = torch.tensor([[0.0, float("nan")]])
    for criterion in map(loss_of, LOSSES):
        assert torch.isnan(criterion(logits, torch.tensor([[1.0, 0.0]])))


def test_loss_of_pieces_adds_up_to_the_whole() -> None:
    logits, targets = sample(torch.float64)
    for criterion in map(loss_of, SETTINGS):
        pieces = sum(criterion(logits[i : i + 7], targets[i : i + 7]) for i in range(0, 40, 7))
        torch.testing.assert_close(pieces, criterion(logits, targets))


WEIGHTS = torch.tensor([1.0, 2.0, 0.5, 7.0, 1.5, 3.0])


def test_weighted_bce_is_pytorchs() -> None:
    logits, targets = sample()
    expected = nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="sum", pos_weight=WEIGHTS
    )
    assert torch.equal(build_loss(Config(), WEIGHTS)(logits, targets), expected)


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_weighted_positive_counts_so_many_times(name: str) -> None:
    logits, targets = sample(torch.float64)
    weighted = build_loss(Config(loss=name), WEIGHTS.double())(logits, targets)
    plain = loss_of(name)
    by_element = [
        plain(logits[i : i + 1, k : k + 1], targets[i : i + 1, k : k + 1])
        * (WEIGHTS[k] if targets[i, k] else 1)
        for i in range(len(logits))
        for k in range(6)
    ]
    torch.testing.assert_close(weighted, torch.stack(by_element).sum())


def two_way_by_hand(
    z: Tensor, y: Tensor, t_pos: float, t_neg: float, weights: list[float]
) -> float:
    """Equations of the paper, number by number: rows as lists of logits, then columns."""

    def one(cells: list[tuple[float, bool, float]]) -> float | None:
        if not any(given for _, given, _ in cells):
            return None
        positives = sum(w * math.exp(-v / t_pos) for v, given, w in cells if given)
        negatives = sum(math.exp(v / t_neg) for v, given, _ in cells if not given)
        return math.log1p(positives**t_pos * negatives**t_neg)

    def mean(lines: list[list[tuple[float, bool, float]]]) -> float:
        found = [value for value in map(one, lines) if value is not None]
        return sum(found) / len(found) if found else 0.0

    cells = [
        [(float(z[i, k]), bool(y[i, k]), weights[k]) for k in range(z.shape[1])]
        for i in range(len(z))
    ]
    columns = [list(column) for column in zip(*cells, strict=True)]
    return (mean(cells) + mean(columns)) * z.numel()


@pytest.mark.parametrize("own", [(4.0, 1.0), (1.0, 1.0), (2.0, 0.5)])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_way_is_the_papers(own: tuple[float, float], weighted: bool) -> None:
    logits, targets = sample(torch.float64)
    targets[0], targets[1] = 0, 1  # no positive, no negative
    targets[:, 2] = 0
    parameters = {"two_way.temp_pos": own[0], "two_way.temp_neg": own[1]}
    config = Config.model_validate({"loss": "two_way", **parameters})
    criterion = build_loss(config, WEIGHTS.double() if weighted else None)
    expected = two_way_by_hand(logits, targets, *own, WEIGHTS.tolist() if weighted else [1.0] * 6)
    logits.requires_grad_()
    loss = criterion(logits, targets)
    assert loss.item() == pytest.approx(expected, rel=1e-9)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("target", [0.0, 1.0])
def test_two_way_of_rows_that_are_all_alike_is_0(target: float) -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    loss = loss_of("two_way")(logits, torch.full((3, 4), target))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None and not logits.grad.any()
