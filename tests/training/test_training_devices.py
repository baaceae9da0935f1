"""The same training on every kind of device that there is; CUDA is left out where there is none."""

from pathlib import Path

import pytest
import torch
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.models import Dropout, seed_dropout
from hpo.training import Arithmetic, Trainer, open_device

FLOAT32, BF16 = Arithmetic(), Arithmetic(precision="bf16")
NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
ON = [
    pytest.param("cpu", FLOAT32, id="cpu"),
    pytest.param("cpu", BF16, id="cpu-bf16"),
    *(
        pytest.param("cuda:0", arithmetic, marks=NO_CUDA, id=f"cuda-{name}")
        for name, arithmetic in {
            "float32": FLOAT32,
            "bf16": BF16,
            "tf32": Arithmetic(precision="tf32"),
            "graphs": Arithmetic(compiler="reduce-overhead"),
        }.items()
    ),
]


def trainer_on(folder: Path, bundle: Bundle, name: str, arithmetic: Arithmetic) -> Trainer:
    return make_trainer(folder, bundle, device=name, arithmetic=arithmetic)


@pytest.mark.parametrize(("name", "arithmetic"), ON)
def test_it_comes_near_float32_on_a_cpu(
    tmp_path: Path, bundle: Bundle, name: str, arithmetic: Arithmetic
) -> None:
    """Without dropout, whose masks are the device's own."""
    config = CONFIG.model_copy(update={"dropout": 0.0})
    exact = train(open_session(make_trainer(tmp_path / "a", bundle), config), 20)
    found = train(open_session(trainer_on(tmp_path / "b", bundle, name, arithmetic), config), 20)
    for mine, other in zip(found, exact, strict=True):
        for column in ("train_loss", "val_loss"):
            assert mine[column] == pytest.approx(other[column], rel=0.02)


@pytest.mark.parametrize(("name", "arithmetic"), ON)
@pytest.mark.parametrize("changes", [{}, {"batch_size": 60, "ema_decay": 0.9}], ids=str)
def test_resumed_runs_end_with_the_same_bits(
    tmp_path: Path, bundle: Bundle, name: str, arithmetic: Arithmetic, changes: dict[str, object]
) -> None:
    config = CONFIG.model_copy(update=changes)
    whole = open_session(trainer_on(tmp_path / "a", bundle, name, arithmetic), config)
    records = train(whole, 6)
    first = open_session(trainer_on(tmp_path / "b", bundle, name, arithmetic), config)
    train(first, 2)
    first.finish()
    second = open_session(trainer_on(tmp_path / "b", bundle, name, arithmetic), config)
    assert second.known == 2
    assert train(second, 6) == records
    assert same_bits(second.weights(), whole.weights())


@pytest.mark.parametrize(("name", "arithmetic"), ON)
def test_dropout_has_its_probability(name: str, arithmetic: Arithmetic) -> None:
    device = open_device(name, arithmetic)
    layer = Dropout(0.3).to(device.torch).train()
    seed_dropout(layer, 1, 1)
    out = layer(torch.ones(2000, 500, device=device.torch))
    assert out.max().item() == pytest.approx(1 / 0.7)
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.002)
