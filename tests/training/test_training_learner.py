"""A learner written by hand drives a session: what a session needs of it, and what it may do."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_samples import FIRST_METRICS, make_bundle, make_trainer, same_bits

from hpo.models import Config
from hpo.training import (
    Interrupted,
    Learner,
    Numerics,
    RunData,
    RunSpec,
    RunStore,
    Session,
    forward,
    make_learner,
    metric_functions,
    open_device,
)

SPEC = RunSpec("bundle", "train", "image", Config(), 0, Numerics("cpu", 1, 50, "2.4"))


class Counting:
    """Each epoch adds half of its number to a bias, as the last one of two steps."""

    def __init__(self, data: RunData, log: list[str]) -> None:
        self.epoch = 0
        self.whole = False
        self._data = data
        self._log = log
        self._bias = torch.full((5,), -5.0)
        self._count = torch.zeros(())

    def train_epoch(self, poll: Callable[[], None]) -> Tensor:
        self._log.append(f"train {self.epoch + 1}")
        poll()
        self.whole = False
        self._count += 1
        poll()  # what it raises leaves half an epoch, which is said
        self._bias += 0.5 * self._count
        self.epoch += 1
        self.whole = True
        return self._bias.double().mean()

    def state(self) -> dict[str, Tensor]:
        return {"bias": self._bias, "count": self._count}

    def restore(self, epoch: int, tensors: Mapping[str, Tensor]) -> None:
        self._log.append(f"restore {epoch}")
        self._bias, self._count = tensors["bias"].clone(), tensors["count"].clone()
        self.epoch = epoch
        self.whole = epoch > 0

    def evaluated_weights(self) -> dict[str, Tensor]:
        return {"bias": self._bias}

    def logits(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self._bias.expand(len(inputs["image"]), 5)


class Bench:
    """Opens sessions of one run, and notes what its learners are asked to do."""

    def __init__(self, folder: Path) -> None:
        self.data = make_trainer(folder / "unused", make_bundle()).data.run_data("none", "train")
        self.store = RunStore(folder / "runs")
        self.log: list[str] = []

    def learn(self) -> Learner:
        self.log.append("made")
        return Counting(self.data, self.log)

    def open(self, **options: Any) -> Session:
        return Session(
            SPEC,
            self.data,
            open_device("cpu"),
            self.learn,
            metric_functions(FIRST_METRICS),
            self.store,
            **{"checkpoint_every": 2, **options},
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_epoch_is_trained_and_measured(bench: Bench) -> None:
    session = bench.open()
    assert bench.log == []  # nothing is made before it is needed
    first, second = session.advance(), session.advance()
    assert bench.log == ["made", "train 1", "train 2"]
    assert (first["train_loss"], second["train_loss"]) == (-4.5, -3.5)
    val = bench.data.val
    assert val is not None
    logits = torch.full(val.targets.shape, -3.5)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, val.targets)
    assert second["val_loss"] == pytest.approx(expected.item(), rel=1e-6)
    assert second["micro_f1"] == 0.0
    session.advance()
    assert session.advance()["micro_f1"] == 0.0  # a bias of 0: −5 + 0.5 + 1 + 1.5 + 2
    assert same_bits(session.weights(), {"bias": torch.zeros(5)})
    assert session.advance()["micro_f1"] > 0.0


def test_what_it_calls_its_state_is_where_another_one_goes_on(bench: Bench) -> None:
    session = bench.open()
    for _ in range(3):
        session.advance()
    bench.log.clear()
    other = bench.open()
    assert other.known == 2  # the checkpoint
    records = [other.advance() for _ in range(5)]
    assert bench.log == ["made", "restore 2", "train 3", "train 4", "train 5"]
    assert other.trained == 3
    assert [record["train_loss"] for record in records] == [-4.5, -3.5, -2.0, 0.0, 2.5]
    snapshot = bench.store.state(SPEC.address, at_most=9)
    assert snapshot is not None and snapshot.epoch == 4
    assert same_bits(snapshot.tensors, {"bias": torch.zeros(5), "count": torch.tensor(4.0)})


class StopAt:
    """A poll that raises at one call."""

    def __init__(self, call: int) -> None:
        self.left = call

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted


def test_an_epoch_that_ends_before_any_work_leaves_the_state_before(bench: Bench) -> None:
    session = bench.open(poll=StopAt(7), checkpoint_every=50)
    for _ in range(3):
        session.advance()
    with pytest.raises(Interrupted):
        session.advance()
    session.checkpoint()
    snapshot = bench.store.state(SPEC.address, at_most=9)
    assert snapshot is not None and snapshot.epoch == 3
    bench.log.clear()
    assert session.advance()["train_loss"] == 0.0
    assert bench.log == ["train 4"]


def test_half_an_epoch_is_thrown_away(bench: Bench) -> None:
    session = bench.open(poll=StopAt(8))
    for _ in range(3):
        session.advance()
    with pytest.raises(Interrupted):
        session.advance()
    session.checkpoint()  # there is nothing to keep
    snapshot = bench.store.state(SPEC.address, at_most=9)
    assert snapshot is not None and snapshot.epoch == 2
    bench.log.clear()
    assert session.advance()["train_loss"] == 0.0
    assert bench.log == ["made", "restore 2", "train 3", "train 4"]
    assert session.epoch == 4
    assert len(bench.store.history(SPEC.address).records) == 4


def test_a_run_in_the_store_asks_nothing_of_it(bench: Bench) -> None:
    session = bench.open()
    records = [session.advance() for _ in range(4)]
    session.finish()
    bench.log.clear()
    again = bench.open()
    assert [again.advance() for _ in range(4)] == records
    assert same_bits(again.weights(), {"bias": torch.zeros(5)})
    assert bench.log == []


def test_weights_of_an_epoch_in_the_middle_are_made_again(bench: Bench) -> None:
    session = bench.open()
    for _ in range(4):
        session.advance()
    session.finish()
    again = bench.open()
    again.advance()
    bench.log.clear()
    assert same_bits(again.weights(), {"bias": torch.full((5,), -4.5)})
    assert bench.log == ["made", "train 1"]  # the state of epoch 4 is too late for it


def test_the_learners_of_the_package_are_learners(tmp_path: Path) -> None:
    """They start before their first epoch, and their logits are those of what they keep."""
    trainer = make_trainer(tmp_path, make_bundle())
    for changes in ({}, {"ema_decay": 0.5}):
        (spec,) = trainer.model(Config(hidden=(4,), **changes), 0).specs
        data = trainer.data.run_data("none", "train")
        learner = make_learner(spec, data, lambda g, spec=spec: trainer.build(spec, g))
        assert (learner.epoch, learner.whole) == (0, False)
        for epoch in (1, 2):
            loss = learner.train_epoch(lambda: None)
            assert (loss.shape, loss.dtype) == ((), torch.float64)
            assert (learner.epoch, learner.whole) == (epoch, True)
        module = trainer.build(spec, torch.Generator())
        module.load_state_dict(learner.evaluated_weights())
        inputs = data.train.inputs
        assert torch.equal(learner.logits(inputs), forward(module, inputs, 50))
        other = make_learner(spec, data, lambda g, spec=spec: trainer.build(spec, g))
        other.restore(2, {name: tensor.clone() for name, tensor in learner.state().items()})
        losses = [each.train_epoch(lambda: None) for each in (learner, other)]
        assert torch.equal(*losses)
        assert same_bits(other.state(), learner.state())
