"""The linear layer against PyTorch's own in float64, on oneDNN and without it."""

import pytest
import torch
from torch import Tensor, nn

from hpo.models import _linear
from hpo.models._linear import Linear

SHAPES = [(1, 5, 3), (7, 18, 18), (50, 12, 16), (1000, 96, 257), (3, 1, 1)]


@pytest.fixture(params=["oneDNN", "nn.Linear"])
def route(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(_linear, "_WORTHWHILE", 1)
    if request.param == "nn.Linear":
        monkeypatch.setattr(_linear, "_available", lambda: False)
    return request.param


def reference(layer: Linear, x: Tensor, dy: Tensor) -> list[Tensor]:
    """Return output and gradients of x, weight and bias in float64, by ``nn.Linear``."""
    exact = nn.Linear(layer.in_features, layer.out_features, dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    x = x.detach().double().requires_grad_()
    y = exact(x)
    y.backward(dy.double())
    gradients = [x.grad, exact.weight.grad, exact.bias.grad]
    return [y, *(g for g in gradients if g is not None)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_output_and_gradients_are_those_of_pytorch(route: str, shape: tuple[int, int, int]) -> None:
    rows, width_in, width_out = shape
    layer = Linear(width_in, width_out)
    x = torch.randn(rows, width_in, requires_grad=True)
    dy = torch.randn(rows, width_out)
    y = layer(x)
    y.backward(dy)
    found = [y, x.grad, layer.weight.grad, layer.bias.grad]
    for mine, exact in zip(found, reference(layer, x, dy), strict=True):
        assert mine is not None
        assert mine.dtype == torch.float32
        torch.testing.assert_close(mine.double(), exact, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize(
    "view",
    [
        pytest.param(lambda x: x[:, :6], id="columns"),
        pytest.param(lambda x: x[::2, :6], id="every other row"),
        pytest.param(lambda x: x[:6].t(), id="transposed"),
        pytest.param(lambda x: x[:0, :6], id="no rows"),
    ],
)
def test_inputs_need_not_be_contiguous(route: str, view) -> None:
    layer = Linear(6, 4)
    wide = torch.randn(20, 20)
    x = view(wide)
    exact = x.double() @ layer.weight.double().t() + layer.bias.double()
    torch.testing.assert_close(layer(x).double(), exact, rtol=1e-5, atol=1e-5)


def test_onednn_gets_no_strided_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second half of a gate's channels: it would fall back to its slow reference."""
    monkeypatch.setattr(_linear, "_WORTHWHILE", 1)
    product, seen = _linear.onednn_product, []

    def note(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        seen.append(b)
        return product(a, b, bias)

    monkeypatch.setattr(_linear, "onednn_product", note)
    layer = Linear(128, 96)
    x = torch.randn(64, 256, requires_grad=True)
    layer(x[:, 128:]).sum().backward()
    assert len(seen) == 3  # forward, and the gradients of x and of the weight
    assert all(b.is_contiguous() or b.t().is_contiguous() for b in seen)


def test_the_same_input_gives_the_same_bits(route: str) -> None:
    layer = Linear(768, 256)
    x = torch.randn(1024, 768)
    assert all(torch.equal(layer(x), layer(x)) for _ in range(3))


def test_other_types_are_left_to_pytorch() -> None:
    layer = Linear(6, 4).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    assert torch.equal(layer(x), nn.functional.linear(x, layer.weight, layer.bias))


def test_this_pytorch_has_the_operator() -> None:
    """If a newer one lost it, speed would be lost silently: then this is to be looked at."""
    assert _linear._available()


@pytest.mark.parametrize(
    "operator",
    [
        pytest.param(None, id="absent"),
        pytest.param(lambda *_: torch.zeros(1, 1), id="other result"),
    ],
)
def test_an_operator_that_is_absent_or_different_is_not_used(
    monkeypatch: pytest.MonkeyPatch, operator
) -> None:
    def product(*arguments: object) -> Tensor:
        if operator is None:
            raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute")
        result: Tensor = operator(*arguments)
        return result

    monkeypatch.setattr(_linear, "onednn_product", product)
    assert not _linear._available.__wrapped__()


def test_it_has_the_parameters_of_pytorchs_layer() -> None:
    layer = Linear(3, 2)
    assert list(layer.state_dict()) == ["weight", "bias"]
    plain = nn.Linear(3, 2)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(4, 3)
    torch.testing.assert_close(layer(x), plain(x))
