"""A head that is fitted in one go: nearest neighbours, which remember their rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_samples import (
    BOTH,
    CONFIG,
    WIDTHS,
    make_bundle,
    make_trainer,
    open_session,
    same_bits,
    train,
)

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import HEADS, Config, build_loss, build_module, is_fitted, load_weights
from hpo.training import Interrupted, ModelRun, TrainedModel, open_device, refit

CPU = open_device("cpu")


class Neighbours(nn.Module):
    """Logit of the share of each label among the nearest rows, which are kept in buffers."""

    rows: Tensor | None
    labels: Tensor

    def __init__(
        self,
        width: int,
        hidden: tuple[int, ...],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: torch.Generator,
        neighbours: int = 5,
    ) -> None:
        super().__init__()
        self.neighbours = neighbours
        self.register_buffer("rows", None)
        self.register_buffer("labels", torch.zeros((0, classes), dtype=torch.uint8))

    def fit(self, x: Tensor, targets: Tensor) -> None:
        self.rows, self.labels = x.clone(), targets.to(torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        assert self.rows is not None
        near = torch.cdist(x, self.rows).topk(self.neighbours, largest=False).indices
        return self.labels[near].float().mean(dim=1).clamp(0.01, 0.99).logit()


@pytest.fixture(autouse=True)
def registered() -> None:
    HEADS.register("near", Neighbours)


def of(fusion: str, **changes: Any) -> Config:
    return CONFIG.replace(fusion=fusion, head="near", **changes)


def complete(model: ModelRun) -> list[Any]:
    records = []
    while not model.done:
        records.append(model.advance())
    model.finish()
    return records


def reference(x: np.ndarray, rows: np.ndarray, labels: np.ndarray, neighbours: int) -> np.ndarray:
    """The share of each label among the nearest rows, row by row."""
    found = []
    for row in x.astype(np.float64):
        distance = ((rows.astype(np.float64) - row) ** 2).sum(axis=1)
        found.append(labels[np.argsort(distance, kind="stable")[:neighbours]].mean(axis=0))
    return np.clip(np.array(found), 0.01, 0.99)


@pytest.mark.parametrize("fusion", ["image", "concat"])
@pytest.mark.parametrize("neighbours", [1, 5])
def test_it_scores_what_the_nearest_rows_say(
    tmp_path: Path, bundle: Bundle, fusion: str, neighbours: int
) -> None:
    trainer = make_trainer(tmp_path, bundle)
    config = of(fusion, **{"near.neighbours": neighbours})
    session = open_session(trainer, config)
    first, second = train(session, 2)
    arrays = bundle.features.train
    x = arrays["image"] if fusion == "image" else np.hstack([arrays["image"], arrays["text"]])
    share = reference(x[220:], x[:220], bundle.labels[:220], neighbours)
    assert session.weights()["head.rows"].shape == (220, x.shape[1])
    truth = bundle.labels[220:]
    hits, counts = ((share > 0.5) & (truth > 0)).sum(), (share > 0.5).sum() + truth.sum()
    assert first["micro_f1"] == pytest.approx(100 * 2 * hits / counts, abs=0.5)
    loss = -np.where(truth > 0, np.log(share), np.log(1 - share)).mean()
    assert first["val_loss"] == pytest.approx(loss, rel=0.02)
    assert second == first  # nothing changes after the first epoch
    assert first["micro_f1"] > trainer.constant_score()


def test_its_losses_are_those_of_the_configuration(tmp_path: Path, bundle: Bundle) -> None:
    config = of("image", loss="focal")
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer, config)
    (record,) = train(session, 1)
    data = trainer.data.run_data("none", "train")
    head = Neighbours(12, (), 5, activation="", dropout=0, generator=torch.Generator())
    head.fit(data.train.inputs["image"], data.train.targets)
    for column, part in (("train_loss", data.train), ("val_loss", data.val)):
        assert part is not None
        loss = build_loss(config)(head(part.inputs["image"]), part.targets)
        assert record[column] == pytest.approx(loss.item() / part.targets.numel(), rel=1e-5)


def test_it_is_fitted_once_in_the_pieces_that_its_address_states(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted: list[int] = []
    scored: list[int] = []
    fit, forward = Neighbours.fit, Neighbours.forward

    def count(self: Neighbours, x: Tensor, targets: Tensor) -> None:
        fitted.append(len(x))
        fit(self, x, targets)

    def note(self: Neighbours, x: Tensor) -> Tensor:
        scored.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(Neighbours, "fit", count)
    monkeypatch.setattr(Neighbours, "forward", note)
    train(open_session(make_trainer(tmp_path, bundle, micro_batch=70), of("image")), 3)
    assert fitted == [220]
    assert scored == [70, 70, 70, 10, 70, 10] * 3


@pytest.mark.parametrize("fusion", ["image", "concat"])
def test_a_resumed_session_has_the_same_bits(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    whole = open_session(make_trainer(tmp_path / "a", bundle), of(fusion))
    records = train(whole, 6)
    first = open_session(make_trainer(tmp_path / "b", bundle), of(fusion))
    train(first, 2)
    first.finish()
    second = open_session(make_trainer(tmp_path / "b", bundle), of(fusion))
    assert (second.known, train(second, 6), second.trained) == (2, records, 4)
    assert same_bits(second.weights(), whole.weights())
    assert second.weights()["head.labels"].dtype == torch.uint8


def test_an_interrupted_session_is_fitted_later(tmp_path: Path, bundle: Bundle) -> None:
    def stop() -> None:
        raise Interrupted

    first = open_session(make_trainer(tmp_path, bundle, poll=stop), of("image"))
    with pytest.raises(Interrupted):
        first.advance()
    first.checkpoint()
    assert list(tmp_path.iterdir()) == []
    assert train(open_session(make_trainer(tmp_path, bundle), of("image")), 1)


@pytest.mark.parametrize("fusion", ["sum", "mixed"])
def test_a_meta_classifier_is_trained_on_its_outputs(
    tmp_path: Path, bundle: Bundle, fusion: str
) -> None:
    model = make_trainer(tmp_path / "a", bundle).model(of(fusion), 0)
    records = complete(model)
    assert records[-1]["train_loss"] < records[6]["train_loss"]
    # Its heads come from the store, in another process.
    alone = make_trainer(tmp_path / "b", bundle)
    for name in ("concat", *BOTH):
        complete(alone.model(of(name), 0))
    trained = alone.epochs_trained
    other = make_trainer(tmp_path / "b", bundle)
    assert complete(other.model(of(fusion), 0)) == records
    assert (trained, other.epochs_trained) == (18, 6)


@pytest.mark.parametrize("fusion", ["sum_joint", "mixed_joint"])
def test_it_cannot_be_trained_together_with_others(
    tmp_path: Path, bundle: Bundle, fusion: str
) -> None:
    session = open_session(make_trainer(tmp_path, bundle), of(fusion))
    message = (
        rf"^The fusion '{fusion}' trains its heads together, but the head 'near' is fitted, not "
        r"trained; use concat, sum, mixed or one modality with it\.$"
    )
    with pytest.raises(InputError, match=message):
        session.advance()


@pytest.mark.parametrize("fusion", ["image", "concat", "sum", "mixed"])
def test_a_model_folder_brings_its_rows_back(tmp_path: Path, bundle: Bundle, fusion: str) -> None:
    config = of(fusion, feature_scaling="standard", **{"near.neighbours": 3})
    trainer = make_trainer(tmp_path / "runs", bundle)
    model = refit(trainer, config, seed=0, max_model_mb=1.0, origin={})
    for head in model.module.heads.values():
        assert len(head.head.rows) == len(head.head.labels) == 300
    model.save(tmp_path / "model")
    loaded = TrainedModel.load(tmp_path / "model")
    assert loaded.config == model.config
    assert loaded.config.own("head") == {"neighbours": 3}
    expected = model.probabilities(bundle.features.train, CPU)
    np.testing.assert_array_equal(loaded.probabilities(bundle.features.train, CPU), expected)
    assert ((expected > 0.5) == bundle.labels).mean() > 0.8
    again = refit(
        make_trainer(tmp_path / "runs", bundle), config, seed=0, max_model_mb=1.0, origin={}
    )
    np.testing.assert_array_equal(again.probabilities(bundle.features.train, CPU), expected)


def test_a_model_whose_size_is_known_afterwards(tmp_path: Path, bundle: Bundle) -> None:
    size = (300 * 12 * 4 + 300 * 5) / 1e6
    trainer = make_trainer(tmp_path, bundle)
    message = r"^The model of the best trial has 0\.0 MB, but max_model_mb is 0\.015\.$"
    with pytest.raises(InputError, match=message):
        refit(trainer, of("image"), seed=0, max_model_mb=0.015, origin={})
    model = refit(trainer, of("image"), seed=0, max_model_mb=0.016, origin={})
    assert model.module.megabytes() == pytest.approx(size)


def test_other_shapes_are_still_told() -> None:
    """Only what a fitted head keeps may have any number of rows."""

    def build(config: Config) -> nn.Module:
        return build_module("concat", config, WIDTHS, 5, torch.Generator())

    plain = build(Config(hidden=(4,)))
    assert not is_fitted(plain) and is_fitted(build(of("concat")))
    state = {name: torch.cat([x, x]) for name, x in plain.state_dict().items()}
    with pytest.raises(RuntimeError, match="size mismatch"):
        load_weights(plain, state)
    fitted = build(of("concat"))
    rows = {"head.rows": torch.zeros(7, 26), "head.labels": torch.ones(7, 5, dtype=torch.uint8)}
    load_weights(fitted, rows)
    assert same_bits(fitted.state_dict(), rows)
    with pytest.raises(RuntimeError, match=r"Missing key.*head\.rows"):
        load_weights(fitted, {"head.labels": rows["head.labels"]})
    with pytest.raises(RuntimeError, match=r"Unexpected key.*head\.other"):
        load_weights(fitted, {**rows, "head.other": rows["head.rows"]})


def test_a_third_modality_is_remembered_as_well(tmp_path: Path) -> None:
    three = make_bundle(("image", "text", "audio"))
    (spec,) = make_trainer(tmp_path, three).model(of("concat"), 0).specs
    session = make_trainer(tmp_path, three).open(spec)
    session.advance()
    assert session.weights()["head.rows"].shape == (220, sum(WIDTHS.values()))
