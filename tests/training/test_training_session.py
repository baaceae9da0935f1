"""One epoch after the other: against a plain PyTorch loop, and repeatable to the last bit."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from training_samples import (
    CONFIG,
    FIRST_METRICS,
    make_trainer,
    open_session,
    same_bits,
    scores_of,
    train,
)

from hpo.features import Bundle
from hpo.models import Config, asymmetric_loss, build_loss, build_module, seed_dropout
from hpo.training import (
    Part,
    RunData,
    RunStore,
    Session,
    forward,
    make_learner,
    metric_functions,
    open_device,
)

METRICS = metric_functions(FIRST_METRICS)
PLAIN = CONFIG.model_copy(update={"dropout": 0.0})


@pytest.mark.parametrize("fusion", ["image", "text", "concat", "sum_joint", "mixed_joint"])
def test_it_learns(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    trainer = make_trainer(tmp_path, bundle)
    config = CONFIG.model_copy(update={"fusion": fusion})
    records = train(open_session(trainer, config), 40)
    assert records[-1]["train_loss"] < 0.8 * records[0]["train_loss"]
    assert records[-1]["micro_f1"] > trainer.constant_score() + 5


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"loss": "asl", "weight_decay": 0.1},
        {"optimizer": "adamw", "weight_decay": 0.1, "loss": "focal"},
        {"head": "gmlp", "fusion": "concat", "hidden": (8, 6)},
        {"fusion": "mixed_joint", "feature_scaling": "l2"},
    ],
)
def test_full_batch_against_a_plain_loop(
    tmp_path: Path, bundle: Bundle, changes: dict[str, object]
) -> None:
    """Weights of the session at epoch 0, then torch.optim and one step on all rows."""
    config = PLAIN.model_copy(update=changes)
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer, config)
    module = build_module(
        config.fusion, config, trainer.data.widths, 5, torch.Generator().manual_seed(9)
    )
    module.load_state_dict(session.weights())
    module.double()
    data = trainer.data.run_data(config.feature_scaling, "train")
    x, x_val = ({k: v.double() for k, v in p.inputs.items()} for p in (data.train, data.val))
    y, y_val = data.train.targets.double(), data.val.targets.double()
    optimizer = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer](
        module.parameters(), lr=config.lr, weight_decay=config.weight_decay, foreach=False
    )
    for record in train(session, 4):
        optimizer.zero_grad()
        loss = build_loss(config)(module(x), y)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            logits = module(x_val)
            val_loss = build_loss(config)(logits, y_val)
        assert record["train_loss"] == pytest.approx(loss.item() / y.numel(), rel=1e-4)
        assert record["val_loss"] == pytest.approx(val_loss.item() / y_val.numel(), rel=1e-4)
        for name, measure in METRICS.items():
            assert record[name] == pytest.approx(measure(logits, y_val).item(), abs=0.5)
    for name, tensor in module.state_dict().items():
        torch.testing.assert_close(session.weights()[name].double(), tensor, rtol=1e-3, atol=1e-4)


def test_every_row_is_in_one_batch_of_an_epoch(tmp_path: Path, bundle: Bundle) -> None:
    """A learning rate of nearly 0 leaves the weights, so the loss is that of all rows once."""
    small = PLAIN.model_copy(update={"lr": 1e-12})
    whole = open_session(make_trainer(tmp_path, bundle), small).advance()
    for size in (219, 110, 64, 7):
        config = small.model_copy(update={"batch_size": size})
        record = open_session(make_trainer(tmp_path, bundle), config).advance()
        assert record["train_loss"] == pytest.approx(whole["train_loss"], rel=1e-6)


class Recorder(torch.nn.Linear):
    """Notes the row numbers, which are its input, of each micro-batch it is trained on."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        self.seen: list[list[int]] = []

    def forward(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        if self.training:
            self.seen.append(inputs["row"].flatten().int().tolist())
        return super().forward(inputs["row"] / 100)


def test_order_of_rows(tmp_path: Path, bundle: Bundle) -> None:
    """A new permutation each epoch, cut into batches, these into micro-batches."""
    part = Part({"row": torch.arange(100.0).unsqueeze(1)}, torch.ones(100, 1))

    def epochs(seed: int, batch_size: int) -> list[list[list[int]]]:
        trainer = make_trainer(tmp_path / "unused", bundle, micro_batch=20)
        config = CONFIG.model_copy(update={"batch_size": batch_size})
        (spec,) = trainer.model(config, seed).specs
        recorder = Recorder()
        data = RunData(part, part)
        session = Session(
            spec,
            data,
            open_device("cpu"),
            lambda: make_learner(spec, data, lambda _: recorder),
            METRICS,
            RunStore(tmp_path / "none"),
            checkpoint_every=50,
        )
        seen = []
        for _ in range(2):
            session.advance()
            seen.append(recorder.seen[:])
            recorder.seen.clear()
        return seen

    first, second = epochs(0, 30)
    assert [len(rows) for rows in first] == [20, 10, 20, 10, 20, 10, 10]
    flat = [[row for rows in epoch for row in rows] for epoch in (first, second)]
    assert all(sorted(rows) == list(range(100)) for rows in flat)
    assert flat[0] != flat[1]
    assert flat[0] != sorted(flat[0])
    assert epochs(0, 30) == [first, second]
    assert epochs(1, 30)[0] != first
    whole = [list(range(start, start + 20)) for start in range(0, 100, 20)]
    assert epochs(0, 100) == epochs(1, 100) == [whole, whole]


def test_average_of_weights_is_equation_6(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    plain = open_session(trainer, CONFIG)
    averaged = open_session(trainer, CONFIG.model_copy(update={"ema_decay": 0.8}))
    expected: dict[str, torch.Tensor] = {}
    for epoch in range(6):
        plain.advance()
        record = averaged.advance()
        for name, value in plain.weights().items():
            value = value.double()
            expected[name] = value if epoch == 0 else 0.8 * expected[name] + 0.2 * value
        for name, value in averaged.weights().items():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-5, atol=1e-6)
        assert (
            record["train_loss"]
            == trainer.store.history(plain.spec.address).records[-1]["train_loss"]
        )
    # What is scored is the average.
    module = trainer.build(averaged.spec, torch.Generator())
    module.load_state_dict(averaged.weights())
    val = trainer.data.run_data("none", "train").val
    assert val is not None
    logits = forward(module, val.inputs, 50)
    assert scores_of(record) == tuple(m(logits, val.targets).item() for m in METRICS.values())


def test_average_counts_steps_not_epochs(tmp_path: Path, bundle: Bundle) -> None:
    config = CONFIG.model_copy(update={"ema_decay": 0.8, "batch_size": 110, "dropout": 0.0})
    trainer = make_trainer(tmp_path, bundle, checkpoint_every=1)
    session = open_session(trainer, config)
    session.advance()
    state = trainer.store.state(session.spec.address, 1)
    assert state is not None and state.tensors["ema/n_averaged"] == 2


def test_gradient_of_micro_batches_is_that_of_the_batch(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    config = CONFIG.model_copy(update={"fusion": "concat", "hidden": (16, 7)})
    data = trainer.data.run_data("none", "train").train
    module = build_module("concat", config, trainer.data.widths, 5, torch.Generator())

    def gradient(size: int) -> torch.Tensor:
        seed_dropout(module, 1, 1)
        module.zero_grad()
        for start in range(0, data.rows, size):
            rows = slice(start, start + size)
            inputs = {name: x[rows] for name, x in data.inputs.items()}
            asymmetric_loss(module(inputs), data.targets[rows], 0, 0, 0).backward()
        return torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])

    whole = gradient(data.rows)
    for size in (1, 37, 64):
        assert (gradient(size) - whole).norm() < 1e-5 * whole.norm()


@pytest.mark.parametrize("batch_size", [1000, 100])
def test_micro_batches_change_only_the_last_bits(
    tmp_path: Path, bundle: Bundle, batch_size: int
) -> None:
    config = CONFIG.model_copy(update={"batch_size": batch_size})

    def run(size: int) -> tuple[torch.Tensor, list[float]]:
        session = open_session(make_trainer(tmp_path, bundle, micro_batch=size), config)
        record = session.advance()
        return torch.cat([x.flatten() for x in session.weights().values()]), list(record.values())

    weights, record = run(1000)
    for size in (1, 37, 64):
        others, other_record = run(size)
        assert (others - weights).norm() < 1e-5 * weights.norm()
        assert other_record == pytest.approx(record, rel=1e-5)


@pytest.mark.parametrize("changes", [{}, {"batch_size": 60, "ema_decay": 0.9}])
def test_fresh_trainers_give_the_same_bits(tmp_path: Path, changes: dict[str, object]) -> None:
    config = CONFIG.model_copy(update={"fusion": "concat", **changes})
    curves, weights = [], []
    for folder in ("a", "b"):
        torch.manual_seed(len(curves))  # the global generator is not used
        session = open_session(make_trainer(tmp_path / folder), config)
        curves.append(train(session, 6))
        weights.append(session.weights())
        assert session.trained == 6
    assert curves[0] == curves[1]
    assert same_bits(*weights)


def test_seeds_inputs_and_epochs_differ(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    starts = [open_session(trainer, CONFIG, seed).weights() for seed in (0, 1)]
    assert not torch.equal(starts[0]["head.0.weight"], starts[1]["head.0.weight"])
    losses = [open_session(trainer, CONFIG, seed).advance()["train_loss"] for seed in (0, 1)]
    assert losses[0] != losses[1]
    still = CONFIG.model_copy(update={"lr": 1e-12})
    first, second = train(open_session(trainer, still), 2)
    assert first["train_loss"] != second["train_loss"]  # another mask
    assert first["val_loss"] == pytest.approx(second["val_loss"], rel=1e-6)


def test_heads_of_equal_width_start_from_different_weights(tmp_path: Path, bundle: Bundle) -> None:
    features = copy.copy(bundle.features)
    text = bundle.features.train["text"]
    object.__setattr__(features, "train", {"image": text, "text": text})
    twin = copy.copy(bundle)
    object.__setattr__(twin, "features", features)
    trainer = make_trainer(tmp_path, twin)
    image, words = (
        open_session(trainer, CONFIG.model_copy(update={"fusion": fusion}))
        for fusion in ("image", "text")
    )
    assert not torch.equal(image.weights()["head.0.weight"], words.weights()["head.0.weight"])


def test_weights_are_not_changed_by_further_training(tmp_path: Path, bundle: Bundle) -> None:
    session = open_session(make_trainer(tmp_path, bundle))
    session.advance()
    weights = session.weights()
    kept = {name: tensor.clone() for name, tensor in weights.items()}
    session.advance()
    assert same_bits(weights, kept)
    assert not same_bits(session.weights(), kept)


def test_refit_has_no_validation_scores(tmp_path: Path, bundle: Bundle) -> None:
    model = make_trainer(tmp_path, bundle).model(CONFIG, 0, rows="all")
    (record, _) = train(model, 2)
    assert math.isfinite(record["train_loss"])
    assert len(record) == 6
    assert all(math.isnan(value) for name, value in record.items() if name != "train_loss")
    assert model.ended is None


def test_forward_evaluates_without_gradient(bundle: Bundle, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, bundle)
    module = build_module("image", Config(hidden=(4,)), {"image": 12}, 5, torch.Generator())
    inputs = trainer.data.run_data("none", "train").train.inputs
    logits = forward(module, inputs, 7)
    assert not logits.requires_grad
    torch.testing.assert_close(logits, module(inputs))  # still in evaluation mode: no dropout
