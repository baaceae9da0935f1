"""A loss, a head, a fusion, a metric and a modality of one's own, without touching the package."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_samples import (
    CONFIG,
    WIDTHS,
    make_bundle,
    make_trainer,
    open_session,
    same_bits,
    scores_of,
    train,
)

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import FUSIONS, HEADS, LOSSES, Config, is_two_step
from hpo.training import (
    METRICS,
    EpochRecord,
    ModelRun,
    TrainedModel,
    curve_columns,
    metric_label,
    open_device,
    refit,
)

ALL = ("image", "text", "audio")


def squared(logits: Tensor, targets: Tensor, *, weight: float = 1.0) -> Tensor:
    return weight * ((logits.sigmoid() - targets) ** 2).sum()


def low_rank(
    width: int,
    hidden: tuple[int, ...],
    classes: int,
    *,
    activation: str,
    dropout: float,
    generator: torch.Generator,
    rank: int = 3,
) -> nn.Module:
    layers = nn.Sequential(nn.Linear(width, rank, bias=False), nn.Linear(rank, classes))
    for parameter in layers.parameters():
        with torch.no_grad():
            parameter.uniform_(-0.3, 0.3, generator=generator)
    return layers


class Weighted(nn.Module):
    """The heads' outputs, each by a weight that is learned."""

    def __init__(
        self,
        make_head: Any,
        widths: Mapping[str, int],
        classes: int,
        *,
        generator: torch.Generator,
        start: float = 1.0,
    ) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({name: make_head(name) for name in widths})
        self.weights = nn.Parameter(torch.full((len(widths),), start))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        outputs = torch.stack([head(inputs) for head in self.heads.values()])
        return (self.weights.view(-1, 1, 1) * outputs).sum(dim=0)


def f2(logits: Tensor, targets: Tensor, *, beta: float = 2.0) -> float:
    hits = float(((logits > 0) & (targets > 0)).sum())
    return (1 + beta**2) * hits / float(beta**2 * targets.sum() + (logits > 0).sum())


def complete(model: ModelRun) -> list[EpochRecord]:
    records = []
    while not model.done:
        records.append(model.advance())
    model.finish()
    return records


def of(**values: Any) -> Config:
    return CONFIG.replace(**{key.replace("__", "."): value for key, value in values.items()})


def test_a_loss(tmp_path: Path, bundle: Bundle) -> None:
    LOSSES.register("squared", squared)
    trainer = make_trainer(tmp_path, bundle)
    records = train(open_session(trainer, of(loss="squared")), 30)
    assert records[-1]["train_loss"] < 0.8 * records[0]["train_loss"]
    assert records[-1]["micro_f1"] > trainer.constant_score() + 5
    still = of(loss="squared", lr=1e-12)
    (one,) = train(open_session(trainer, still), 1)
    (two,) = train(open_session(trainer, still.replace(**{"squared.weight": 2})), 1)
    for column in ("train_loss", "val_loss"):
        assert two[column] == pytest.approx(2 * one[column], rel=1e-6)


@pytest.mark.parametrize("fusion", ["image", "concat", "sum", "mixed_joint"])
def test_a_head(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    HEADS.register("low_rank", low_rank)
    config = of(head="low_rank", fusion=fusion, low_rank__rank=2)
    model = make_trainer(tmp_path, bundle).model(config, 0)
    assert complete(model)
    again = make_trainer(tmp_path / "again", bundle).model(config, 0)
    complete(again)
    assert again.record == model.record
    weights = make_trainer(tmp_path, bundle).open(model.specs[0]).weights()
    assert {tensor.shape[0] for name, tensor in weights.items() if "head.0.weight" in name} == {2}


def test_a_head_goes_into_a_model_folder_and_back(tmp_path: Path, bundle: Bundle) -> None:
    HEADS.register("low_rank", low_rank)
    config = of(head="low_rank", fusion="sum")
    model = refit(make_trainer(tmp_path, bundle), config, seed=0, max_model_mb=1.0, origin={})
    model.save(tmp_path / "model")
    expected = model.probabilities(bundle.features.train, open_device("cpu"))
    loaded = TrainedModel.load(tmp_path / "model")
    found = loaded.probabilities(bundle.features.train, open_device("cpu"))
    np.testing.assert_array_equal(found, expected)
    HEADS.forget("low_rank")
    with pytest.raises(
        InputError,
        match=r"can't be used: the head 'low_rank' of the module .* is not here; .*--plugin",
    ):
        TrainedModel.load(tmp_path / "model")


def test_a_fusion(tmp_path: Path, bundle: Bundle) -> None:
    FUSIONS.register("weighted", Weighted)
    trainer = make_trainer(tmp_path, bundle)
    config = of(fusion="weighted", weighted__start=0.5)
    session = open_session(trainer, config)
    assert session.weights()["weights"].tolist() == [0.5, 0.5]
    first = train(session, 2)
    session.finish()
    assert session.spec.inputs == "weighted"
    again = open_session(make_trainer(tmp_path, bundle), config)
    assert (again.known, train(again, 2)) == (2, first)
    records = first + train(again, 4)
    whole = open_session(make_trainer(tmp_path / "whole", bundle), config)
    assert train(whole, 6) == records
    assert same_bits(whole.weights(), again.weights())
    assert again.weights()["weights"].tolist() != [0.5, 0.5]
    model = refit(trainer, config, seed=0, max_model_mb=1.0, origin={})
    assert model.modalities == ("image", "text")
    assert model.probabilities(bundle.features.train, open_device("cpu")).shape == (300, 5)


def test_a_metric_is_in_every_record(tmp_path: Path, bundle: Bundle) -> None:
    METRICS.register("f2", f2)
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer)
    records = train(session, 3)
    session.finish()
    columns = ("train_loss", "val_loss", "micro_f1", "samples_f1", "macro_f1", "map", "f2")
    assert all(tuple(record) == columns for record in records)
    assert curve_columns(tuple(METRICS)) == columns
    assert metric_label("f2") == "f2" and metric_label("map") == "map (%)"
    val = trainer.data.run_data("none", "train").val
    assert val is not None
    module = trainer.build(session.spec, torch.Generator())
    module.load_state_dict(session.weights())
    module.eval()
    with torch.no_grad():
        assert records[-1]["f2"] == pytest.approx(f2(module(val.inputs), val.targets))
    # The store keeps the column, and the other numbers are those of a run without it.
    assert list(trainer.store.history(session.spec.address).records) == records
    replayed = open_session(make_trainer(tmp_path, bundle))
    assert (train(replayed, 3), replayed.trained) == (records, 0)
    METRICS.forget("f2")
    plain = open_session(make_trainer(tmp_path, bundle))
    assert plain.known == 0
    assert [scores_of(record) for record in train(plain, 3)] == [*map(scores_of, records)]


def test_the_metrics_of_every_run_are_there_whatever_is_asked_for(
    tmp_path: Path, bundle: Bundle
) -> None:
    METRICS.register("f2", f2)
    for metrics, further in ((("map",), []), (("f2",), ["f2"]), ((), [])):
        trainer = make_trainer(tmp_path, bundle, metrics=metrics)
        (record,) = train(open_session(trainer), 1)
        assert [*record] == ["train_loss", "val_loss", *METRIC_NAMES, *further]


METRIC_NAMES = ["micro_f1", "samples_f1", "macro_f1", "map"]


@pytest.mark.parametrize(
    ("fusion", "inputs"),
    [
        ("audio", ["audio"]),
        ("concat", ["concat"]),
        ("sum", ["image", "text", "audio", "meta"]),
        ("mixed", ["concat", "image", "text", "audio", "meta"]),
        ("sum_joint", ["sum_joint"]),
        ("mixed_joint", ["mixed_joint"]),
    ],
)
def test_a_third_modality(tmp_path: Path, bundle: Bundle, fusion: str, inputs: list[str]) -> None:
    three = make_bundle(ALL)
    trainer = make_trainer(tmp_path, three)
    assert trainer.data.widths == WIDTHS
    model = trainer.model(of(fusion=fusion), 0)
    records = complete(model)
    assert [spec.inputs for spec in model.specs] == inputs
    assert len(records) == (12 if is_two_step(fusion) else 6)
    again = make_trainer(tmp_path / "again", three).model(of(fusion=fusion), 0)
    assert complete(again) == records
    whole = refit(trainer, of(fusion=fusion), seed=0, max_model_mb=1.0, origin={})
    read = ("audio",) if fusion == "audio" else ALL
    assert whole.modalities == read
    whole.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    arrays = three.features.train
    expected = whole.probabilities(arrays, open_device("cpu"))
    np.testing.assert_array_equal(loaded.probabilities(arrays, open_device("cpu")), expected)
    # Each modality that it reads is in its predictions.
    for name in ALL:
        changed = {**arrays, name: arrays[name] + np.float16(1)}
        found = loaded.probabilities(changed, open_device("cpu"))
        assert (found != expected).any() == (name in read)


def test_two_of_three_modalities(tmp_path: Path, bundle: Bundle) -> None:
    """Heads on one modality are those of data with fewer modalities."""
    both = complete(make_trainer(tmp_path / "both", bundle).model(of(fusion="text"), 0))
    three = make_trainer(tmp_path / "three", make_bundle(ALL))
    assert complete(three.model(of(fusion="text"), 0)) == both
    other = make_trainer(tmp_path / "other", make_bundle(("text", "audio")))
    model = other.model(of(fusion="sum"), 0)
    assert [spec.inputs for spec in model.specs] == ["text", "audio", "meta"]
    complete(model)
    message = (
        r"^The fusion is 'image', but must be a modality of the features \(text, audio\) or one "
        r"of: concat, sum, mixed, sum_joint, mixed_joint, gated\.$"
    )
    with pytest.raises(InputError, match=message):
        other.model(of(fusion="image"), 0)
