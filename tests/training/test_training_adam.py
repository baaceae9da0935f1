"""Adam and averaged weights against PyTorch's own, to the last bit, state and all."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from training_samples import same_bits

from hpo.training._adam import Adam
from hpo.training._average import WeightAverage

STEPS = 7


class Partly(nn.Module):
    """A module with two types of weights, a buffer, and a weight that never gets a gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(37, 19)
        self.second = nn.Linear(19, 5).double()
        self.unused = nn.Parameter(torch.ones(3))
        self.norm = nn.BatchNorm1d(5, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.norm(self.second(self.first(x).double()))
        return logits


def gradients(module: nn.Module, seed: int) -> None:
    x = torch.randn(64, 37, generator=torch.Generator().manual_seed(seed))
    module.zero_grad()
    (module(x).tanh() + module(x) ** 2).sum().backward()


def theirs(module: nn.Module, decoupled: bool, decay: float) -> torch.optim.Optimizer:
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    return kind(module.parameters(), lr=0.01, weight_decay=decay, fused=True)


def their_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    states = optimizer.state_dict()["state"]
    return {f"{i}/{name}": x for i, values in states.items() for name, x in values.items()}


@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_steps_and_state_are_those_of_pytorch(decoupled: bool, decay: float) -> None:
    module = Partly()
    other = copy.deepcopy(module)
    ours = Adam(module.parameters(), lr=0.01, weight_decay=decay, decoupled=decoupled)
    reference = theirs(other, decoupled, decay)
    assert ours.state() == {}
    for step in range(STEPS):
        gradients(module, step)
        gradients(other, step)
        ours.step()
        reference.step()
    assert same_bits(module.state_dict(), other.state_dict())
    assert same_bits(ours.state(), their_state(reference))
    assert torch.equal(module.unused, torch.ones(3))


def test_a_restored_state_is_gone_on_with_and_left_alone() -> None:
    module = Partly()
    ours = Adam(module.parameters(), lr=0.01, weight_decay=0.0, decoupled=True)
    gradients(module, 0)
    ours.step()
    kept = {name: x.clone() for name, x in ours.state().items()}
    other = copy.deepcopy(module)
    again = Adam(other.parameters(), lr=0.01, weight_decay=0.0, decoupled=True)
    again.restore(kept)
    before = {name: x.clone() for name, x in kept.items()}
    for trained, adam in ((module, ours), (other, again)):
        gradients(trained, 1)
        adam.step()
    assert same_bits(module.state_dict(), other.state_dict())
    assert same_bits(kept, before)


def test_gradients_are_forgotten() -> None:
    module = Partly()
    gradients(module, 0)
    Adam(module.parameters(), lr=0.01, weight_decay=0.0, decoupled=False).zero_grad()
    assert all(parameter.grad is None for parameter in module.parameters())


def test_averages_and_state_are_those_of_pytorch() -> None:
    module = Partly()
    ours = WeightAverage(module, 0.9)
    reference = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(0.9))  # type: ignore[no-untyped-call]
    adam = Adam(module.parameters(), lr=0.01, weight_decay=0.0, decoupled=False)
    assert same_bits(ours.state(), reference.state_dict())
    for step in range(STEPS):
        gradients(module, step)  # which moves the buffers of the batch normalisation, too
        adam.step()
        ours.update()
        reference.update_parameters(module)
        assert same_bits(ours.state(), reference.state_dict())
    other = WeightAverage(module, 0.9)
    other.restore({name: x.clone() for name, x in ours.state().items()})
    gradients(module, STEPS)
    adam.step()
    for each in (ours, other):
        each.update()
    assert same_bits(ours.module.state_dict(), other.module.state_dict())
