"""Heads: shapes, initial weights, and the gMLP formula written out."""

import math

import pytest
import torch
from torch import nn

from hpo.models import HEADS, Dropout, GatedHead, MLPHead
from hpo.models._linear import Linear


def make(kind: str, width: int, hidden: tuple[int, ...], classes: int = 5, **options) -> nn.Module:
    options = {"activation": "gelu", "dropout": 0.5, "seed": 0} | options
    generator = torch.Generator().manual_seed(options.pop("seed"))
    return HEADS[kind].load()(width, hidden, classes, generator=generator, **options)


@pytest.mark.parametrize("kind", ["mlp", "gmlp"])
@pytest.mark.parametrize("hidden", [(), (6,), (8, 4), (10, 6, 2)])
def test_shapes(kind: str, hidden: tuple[int, ...]) -> None:
    head = make(kind, 7, hidden).eval()
    assert head(torch.randn(3, 7)).shape == (3, 5)
    widths = [layer.in_features for layer in head.children() if isinstance(layer, nn.Linear)]
    assert widths == [7, *(units if kind == "mlp" else units // 2 for units in hidden)]
    assert sum(isinstance(layer, Dropout) for layer in head.modules()) == len(hidden)


def test_mlp_is_linear_activation_dropout_linear() -> None:
    head = make("mlp", 7, (6, 4), activation="relu", dropout=0.3)
    assert isinstance(head, MLPHead)
    kinds = [type(layer) for layer in head]
    assert kinds == [Linear, nn.ReLU, Dropout, Linear, nn.ReLU, Dropout, Linear]
    assert [layer.p for layer in head if isinstance(layer, Dropout)] == [0.3, 0.3]
    x = torch.randn(9, 7)
    a, b, c = (layer for layer in head if isinstance(layer, nn.Linear))
    expected = (x @ a.weight.T + a.bias).clamp_min(0)
    expected = (expected @ b.weight.T + b.bias).clamp_min(0) @ c.weight.T + c.bias
    torch.testing.assert_close(head.eval()(x), expected)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
        ("relu", lambda x: x.clamp_min(0)),
        ("leaky_relu", lambda x: torch.where(x > 0, x, 0.01 * x)),
    ],
)
def test_activations(name: str, function) -> None:
    head = make("mlp", 4, (6,), activation=name).eval()
    x = torch.randn(50, 4)
    hidden = function(x @ head[0].weight.T + head[0].bias)
    torch.testing.assert_close(head(x), hidden @ head[3].weight.T + head[3].bias)


def test_parameters_of_the_papers_head() -> None:
    head = make("mlp", 768, (2048, 512), 18)
    count = sum(parameter.numel() for parameter in head.parameters())
    assert count == 768 * 2048 + 2048 + 2048 * 512 + 512 + 512 * 18 + 18 == 2_633_234
    assert round(count / 1e6, 2) == 2.63
    assert 2 * 4 * count < 25e6


@pytest.mark.parametrize("kind", ["mlp", "gmlp"])
def test_initial_weights_are_distributed_as_pytorchs(kind: str) -> None:
    head = make(kind, 100, (400,))
    theirs = nn.Linear(100, 400)
    for ours, reference in ((head[0].weight, theirs.weight), (head[0].bias, theirs.bias)):
        assert ours.shape == reference.shape
        assert ours.abs().max() <= 1 / math.sqrt(100)
        assert reference.abs().max() <= 1 / math.sqrt(100)
    # uniform on ±0.1: the standard deviation is 0.1/√3
    assert head[0].weight.std().item() == pytest.approx(0.1 / math.sqrt(3), rel=0.02)
    assert abs(head[0].weight.mean().item()) < 5 * 0.1 / math.sqrt(3 * 40_000)


def test_initial_weights_come_from_the_generator_alone() -> None:
    torch.manual_seed(1)
    first = make("gmlp", 7, (6,)).state_dict()
    torch.manual_seed(2)
    again, other = make("gmlp", 7, (6,)).state_dict(), make("gmlp", 7, (6,), seed=1).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_gmlp_is_the_formula() -> None:
    head = make("gmlp", 7, (8,))
    assert isinstance(head, GatedHead)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in head.parameters():  # also the gate, away from its start
            parameter.normal_(generator=generator)
    x = torch.randn(6, 7, generator=generator)
    u, gate, v = head[0], head[2].gate, head[4]
    z = nn.functional.gelu(torch.einsum("nd,hd->nh", x, u.weight) + u.bias)
    z1, z2 = z[:, :4], z[:, 4:]
    s = z1 * (torch.einsum("nh,gh->ng", z2, gate.weight) + gate.bias)
    expected = torch.einsum("ng,kg->nk", s, v.weight) + v.bias
    torch.testing.assert_close(head.eval()(x), expected)


def test_gate_starts_as_the_first_half() -> None:
    head = make("gmlp", 7, (64,))
    z = torch.randn(20, 64)
    unit = head[2]
    assert torch.equal(unit.gate.bias, torch.ones(32))
    assert 0 < unit.gate.weight.abs().max() <= 1e-3
    torch.testing.assert_close(unit(z), z[:, :32], rtol=0.1, atol=0)


def test_odd_width_of_gmlp() -> None:
    with pytest.raises(ValueError, match=r"^A hidden width of gmlp is 7, but must be even\.$"):
        make("gmlp", 12, (8, 7))
