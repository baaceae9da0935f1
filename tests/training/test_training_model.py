"""Trainer and ModelRun: single heads, two-step fusions that share them, and the refit."""

from pathlib import Path

import pytest
import torch
from training_samples import (
    BOTH,
    CONFIG,
    FIRST_METRICS,
    make_bundle,
    make_trainer,
    scores_of,
    train,
)

from hpo.features import Bundle
from hpo.models import FUSIONS, Config, head_names, is_two_step
from hpo.training import (
    EpochRecord,
    Interrupted,
    ModelRun,
    constant_micro_f1,
    forward,
    metric_functions,
)

SUM = CONFIG.model_copy(update={"fusion": "sum"})


def fused(fusion: str, **changes: object) -> Config:
    return CONFIG.model_copy(update={"fusion": fusion, **changes})


def complete(model: ModelRun) -> list[EpochRecord]:
    records = []
    while not model.done:
        records.append(model.advance())
    model.finish()
    return records


@pytest.mark.parametrize("fusion", [*BOTH, *FUSIONS])
def test_steps(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    trainer = make_trainer(tmp_path, bundle)
    model = trainer.model(fused(fusion), 0)
    steps = 12 if is_two_step(fusion) else 6
    assert model.steps == steps
    assert (model.step, model.record, model.ended, model.done) == (0, None, None, False)
    records = complete(model)
    assert len(records) == model.step == steps
    assert model.record == records[-1]
    assert model.done
    assert trainer.epochs_trained == {"sum": 18, "mixed": 24}.get(fusion, 6)


@pytest.mark.parametrize("fusion", ["sum", "mixed"])
def test_heads_are_the_runs_alone(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    trainer = make_trainer(tmp_path, bundle)
    specs = trainer.model(fused(fusion), 0).specs
    alone = [trainer.model(fused(name), 0).specs[0].address for name in head_names(fusion, BOTH)]
    assert [spec.address for spec in specs[:-1]] == alone
    assert specs[-1].inputs == "meta"
    assert [spec.address for spec, _ in specs[-1].sources] == alone
    assert {epoch for _, epoch in specs[-1].sources} == {CONFIG.epochs}


def test_stored_heads_are_not_trained_again(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    alone = {name: complete(trainer.model(fused(name), 0)) for name in ("image", "text")}
    assert trainer.epochs_trained == 2 * CONFIG.epochs
    model = trainer.model(SUM, 0)
    records = complete(model)
    assert trainer.epochs_trained == 3 * CONFIG.epochs  # of the meta-classifier
    best = [
        max(pair, key=lambda record: record["micro_f1"])
        for pair in zip(alone["image"], alone["text"], strict=True)
    ]
    assert records[:6] == best
    mixed = trainer.model(fused("mixed"), 0)
    complete(mixed)
    assert trainer.epochs_trained == 5 * CONFIG.epochs  # concat, meta-classifier
    fresh = make_trainer(tmp_path / "fresh", bundle)
    assert complete(fresh.model(SUM, 0)) == records
    assert fresh.epochs_trained == 3 * CONFIG.epochs
    again = trainer.model(SUM, 0)
    assert complete(again) == records
    assert trainer.epochs_trained == 5 * CONFIG.epochs


def test_sum_is_late_fusion_of_trained_heads(tmp_path: Path, bundle: Bundle) -> None:
    """With a meta-classifier that stays the identity, its logits are the heads' added."""
    trainer = make_trainer(tmp_path, bundle)
    val = trainer.data.run_data("none", "train").val
    assert val is not None
    model = trainer.model(SUM, 0)
    complete(model)
    total = torch.zeros(val.targets.shape)
    for spec in model.specs[:-1]:
        module = trainer.build(spec, torch.Generator())
        stored = trainer.store.weights(spec.address, CONFIG.epochs)
        assert stored is not None
        module.load_state_dict(stored.tensors)
        total += forward(module, val.inputs, 50)
    meta = trainer.open(model.specs[-1])
    start = meta.weights()
    assert torch.equal(start["head.weight"], torch.eye(5))
    train(meta, CONFIG.epochs)
    end = meta.weights()
    assert not torch.equal(end["head.weight"], start["head.weight"])
    logits = total @ end["head.weight"].T + end["head.bias"]
    expected = [
        measure(logits, val.targets).item() for measure in metric_functions(FIRST_METRICS).values()
    ]
    assert model.record is not None
    assert scores_of(model.record) == pytest.approx(expected, abs=1e-9)


def test_meta_classifiers_depend_on_the_heads_length(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle, milestones=[4])
    long = trainer.model(SUM, 0)
    complete(long)
    short = trainer.model(fused("sum", epochs=4), 0)
    assert short.specs[:-1] == long.specs[:-1]
    assert short.specs[-1].address != long.specs[-1].address
    before = trainer.epochs_trained
    records = complete(short)
    assert trainer.epochs_trained - before == 4
    fresh = make_trainer(tmp_path / "fresh", bundle).model(fused("sum", epochs=4), 0)
    assert complete(fresh) == records


def test_heads_whose_weights_were_not_kept(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    complete(trainer.model(SUM, 0))
    before = trainer.epochs_trained
    records = complete(trainer.model(fused("sum", epochs=4), 0))
    assert trainer.epochs_trained - before == 12  # both heads again, meta-classifier
    fresh = make_trainer(tmp_path / "fresh", bundle).model(fused("sum", epochs=4), 0)
    assert complete(fresh) == records


class StopOnce:
    """A poll that raises at one call."""

    def __init__(self) -> None:
        self.left: int | None = None

    def __call__(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                self.left = None
                raise Interrupted


@pytest.mark.parametrize("calls", [0, 7, 12, 59, 60, 63, 88])
def test_interrupted_two_step_fusion(tmp_path: Path, bundle: Bundle, calls: int) -> None:
    undisturbed = complete(make_trainer(tmp_path / "undisturbed", bundle).model(SUM, 0))
    poll = StopOnce()
    poll.left = calls
    first = make_trainer(tmp_path, bundle, poll=poll)
    model = first.model(SUM, 0)
    with pytest.raises(Interrupted):
        complete(model)
    model.checkpoint()
    second = make_trainer(tmp_path, bundle)
    assert complete(second.model(SUM, 0)) == undisturbed
    assert first.epochs_trained + second.epochs_trained == 18


def test_interrupted_while_heads_are_made_again(tmp_path: Path, bundle: Bundle) -> None:
    poll = StopOnce()
    trainer = make_trainer(tmp_path, bundle, poll=poll)
    complete(trainer.model(SUM, 0))
    short = fused("sum", epochs=4)
    model = trainer.model(short, 0)
    train(model, 4)
    poll.left = 13  # in the third epoch of the image head
    with pytest.raises(Interrupted):
        model.advance()
    model.checkpoint()
    assert trainer.store.state(model.specs[0].address, 4).epoch == 2
    records = complete(trainer.model(short, 0))
    fresh = make_trainer(tmp_path / "fresh", bundle).model(short, 0)
    assert complete(fresh) == records


def test_batch_size_above_the_rows_is_the_full_batch(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    sizes = (219, 220, 221, 25_000)
    addresses = [trainer.model(fused("sum", batch_size=n), 0).specs[-1].address for n in sizes]
    assert addresses[0] != addresses[1]
    assert len(set(addresses[1:])) == 1
    sizes_of = {
        (size, rows): trainer.model(fused("image", batch_size=size), 0, rows).specs[0].config
        for size, rows in ((25_000, "train"), (25_000, "all"), (60, "all"))
    }
    assert [config.batch_size for config in sizes_of.values()] == [220, 300, 60]


@pytest.mark.parametrize("fusion", ["image", "sum"])
def test_refit_trains_on_all_rows(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    trainer = make_trainer(tmp_path, bundle)
    config = fused(fusion, dropout=0.0)
    model = trainer.model(config, 0, rows="all")
    assert {spec.rows for spec in model.specs} == {"all"}
    assert {spec.config.batch_size for spec in model.specs} == {300}
    assert not {spec.address for spec in model.specs} & {
        spec.address for spec in trainer.model(config, 0).specs
    }
    records = complete(model)
    assert model.ended is None
    assert len(records) == model.steps
    assert all(record["micro_f1"] != record["micro_f1"] for record in records)
    # The loss of the first epoch is that of the initial weights on every row.
    (spec, *_) = model.specs
    module = trainer.build(spec, torch.Generator())
    module.load_state_dict(trainer.open(spec).weights())
    every = trainer.data.part("all", "none", "all")
    assert every.rows == 300
    logits = forward(module, every.inputs, 50)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, every.targets)
    first = trainer.store.history(spec.address).records[0]
    assert first["train_loss"] == pytest.approx(loss.item(), rel=1e-5)


def test_one_modality_is_enough_for_its_fusion(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, make_bundle(["text"]))
    assert trainer.data.modalities == ("text",)
    records = complete(trainer.model(fused("text"), 0))
    both = make_trainer(tmp_path / "both", bundle)
    assert records == complete(both.model(fused("text"), 0))


def test_constant_score(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    val = torch.from_numpy(bundle.labels[220:])
    assert trainer.constant_score() == constant_micro_f1(val)
    assert trainer.constant_score() > 0


def test_widths_of_the_modalities_may_differ(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle)
    assert trainer.data.widths == {"image": 12, "text": 8}
    for name, width in {"image": 12, "text": 8, "concat": 20}.items():
        (spec,) = trainer.model(fused(name), 0).specs
        assert trainer.open(spec).weights()["head.0.weight"].shape == (16, width)
