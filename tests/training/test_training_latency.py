"""How long one row takes."""

import time

import pytest
import torch
from torch import Tensor, nn
from training_samples import WIDTHS

import hpo
from hpo.models import HEADS, Config
from hpo.training import Arithmetic, latency_ms, open_device

SLEEP_S = 0.004
CPU = open_device("cpu")


class Slow(nn.Module):
    """Takes as long as it says."""

    def __init__(
        self,
        width: int,
        hidden: tuple[int, ...],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.layer = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] == 1 and not torch.is_grad_enabled() and not self.training
        time.sleep(SLEEP_S)
        out: Tensor = self.layer(x)
        return out


@pytest.mark.parametrize(("fusion", "heads"), [("image", 1), ("concat", 1), ("mixed", 4)])
def test_the_latency_is_that_of_all_heads_for_one_row(fusion: str, heads: int) -> None:
    hpo.register_head("slow")(Slow)
    try:
        found = latency_ms(Config(fusion=fusion, head="slow"), WIDTHS, 5, CPU)
    finally:
        HEADS.forget("slow")
    assert found is not None
    # sleeping takes no less, and on a busy machine some more
    assert heads * SLEEP_S * 1000 <= found < heads * SLEEP_S * 1000 * 3


def test_wide_heads_take_longer_than_narrow_ones() -> None:
    narrow, wide = (
        latency_ms(Config(fusion="concat", hidden=(width,)), {"image": 768, "text": 768}, 18, CPU)
        for width in (8, 8192)
    )
    assert narrow is not None and wide is not None
    assert 0 < narrow < wide


def test_nothing_of_the_process_is_left_changed() -> None:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    device = open_device("cpu", Arithmetic(threads + 1))
    assert latency_ms(Config(), WIDTHS, 5, device) is not None
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fusion_that_the_data_cannot_have_is_not_measured() -> None:
    assert latency_ms(Config(fusion="sum"), {"image": 4}, 5, CPU) is None
