"""Class weights and oversampling, against scikit-learn and by hand, and in training."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor, nn
from training_samples import CONFIG, make_trainer, open_session, train

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import LOSSES
from hpo.training import plan_model
from hpo.training._classes import Oversampling, class_weights
from hpo.training._spec import Numerics


def labels(bundle: Bundle) -> Tensor:
    return torch.from_numpy(bundle.labels_of("train")).float()


def test_balanced_weights_are_the_ratio_of_scikit_learns(bundle: Bundle) -> None:
    targets = labels(bundle)
    found = class_weights("balanced", targets)
    for k, weight in enumerate(found.tolist()):
        negative, positive = compute_class_weight(
            "balanced", classes=np.array([0, 1]), y=targets[:, k].numpy().astype(int)
        )
        assert weight == pytest.approx(positive / negative)
    torch.testing.assert_close(class_weights("sqrt", targets), found.sqrt())


def test_a_class_with_one_side_only_weighs_one() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    for kind, third in (("balanced", 2.0), ("sqrt", 2**0.5)):
        found = class_weights(kind, targets)
        assert found.tolist() == pytest.approx([1, 1, third])


def test_the_factor_of_a_row_is_that_of_its_rarest_class() -> None:
    targets = torch.zeros(100, 4)
    targets[:50, 0] = 1
    targets[:4, 1] = 1
    targets[3, 2] = 1  # one of the four; nobody has the last class
    factors = Oversampling(0.16, targets).factors
    assert factors[:3] == pytest.approx(2)  # √(0.16 / 0.04)
    assert factors[3] == pytest.approx(4)  # √(0.16 / 0.01)
    assert (factors[4:] == 1).all()


def test_rows_are_drawn_as_often_as_their_factor_says() -> None:
    targets = torch.zeros(1000, 1)
    targets[:50] = 1
    sampling = Oversampling(0.32, targets)  # √(0.32 / 0.05) = 2.53
    drawn = [sampling.rows(np.random.default_rng((7, epoch))) for epoch in range(40)]
    counts = np.stack([np.bincount(rows, minlength=1000) for rows in drawn])
    assert {*counts[:, :50].ravel().tolist()} == {2, 3}
    assert counts[:, :50].mean() == pytest.approx(6.4**0.5, abs=0.04)
    assert (counts[:, 50:] == 1).all()
    np.testing.assert_array_equal(sampling.rows(np.random.default_rng((7, 3))), drawn[3])
    assert not np.array_equal(drawn[3], drawn[4])


def still(bundle: Bundle, folder: Path, **changes: object) -> dict[str, float]:
    """The first record of a run that hardly moves and drops nothing."""
    config = CONFIG.replace(**{"lr": 1e-12, "dropout": 0.0, **changes})
    (record,) = train(open_session(make_trainer(folder, bundle), config), 1)
    return dict(record)


def initial_logits(bundle: Bundle, folder: Path, part: str) -> Tensor:
    """The logits that ``still`` begins with."""
    trainer = make_trainer(folder, bundle)
    session = open_session(trainer, CONFIG.replace(lr=1e-12, dropout=0.0))
    train(session, 1)
    module = trainer.build(session.spec, torch.Generator())
    module.load_state_dict(session.weights())
    with torch.no_grad():
        logits: Tensor = module.eval()(trainer.data.part(part, "none", "train").inputs)
    return logits


@pytest.mark.parametrize("batch", [1000, 60])
def test_both_losses_have_the_weights_of_the_training_rows(
    tmp_path: Path, bundle: Bundle, batch: int
) -> None:
    record = still(bundle, tmp_path / "run", class_weight="balanced", batch_size=batch)
    weights = class_weights("balanced", labels(bundle))
    for part, column in (("train", "train_loss"), ("val", "val_loss")):
        logits = initial_logits(bundle, tmp_path / part, part)
        targets = torch.from_numpy(bundle.labels_of(part)).float()
        expected = nn.functional.binary_cross_entropy_with_logits(
            logits, targets, pos_weight=weights
        )
        assert record[column] == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("batch", [1000, 60])
def test_the_loss_is_the_mean_over_the_rows_as_often_as_they_are_drawn(
    tmp_path: Path, bundle: Bundle, batch: int
) -> None:
    trainer = make_trainer(tmp_path / "run", bundle)
    config = CONFIG.replace(lr=1e-12, dropout=0.0, oversample=0.4, batch_size=batch)
    session = open_session(trainer, config)
    first, second = train(session, 2)
    assert first["train_loss"] != second["train_loss"]  # other rows are drawn
    logits = initial_logits(bundle, tmp_path / "plain", "train")
    by_row = nn.functional.binary_cross_entropy_with_logits(
        logits, labels(bundle), reduction="none"
    ).mean(dim=1)
    for epoch, record in ((1, first), (2, second)):
        generator = np.random.default_rng((session.spec.stream, epoch))
        rows = Oversampling(0.4, labels(bundle)).rows(generator)
        assert len(rows) > 1.2 * len(by_row)
        assert record["train_loss"] == pytest.approx(by_row[rows].mean().item(), rel=1e-4)


def test_a_full_batch_stays_one_step(tmp_path: Path, bundle: Bundle) -> None:
    session = open_session(make_trainer(tmp_path, bundle), CONFIG.replace(oversample=0.4))
    train(session, 3)
    session.finish()
    state = make_trainer(tmp_path, bundle).store.state(session.spec.address, 3)
    assert state is not None
    assert state.tensors["optimizer/0/step"].item() == 3


def test_rare_classes_are_given_more_often(tmp_path: Path, bundle: Bundle) -> None:
    found = {}
    changes = {"plain": {}, "weights": {"class_weight": "sqrt"}, "rows": {"oversample": 0.4}}
    for name, change in changes.items():
        trainer = make_trainer(tmp_path / name, bundle)
        session = open_session(trainer, CONFIG.replace(batch_size=60, **change))
        train(session, 6)
        module = trainer.build(session.spec, torch.Generator())
        module.load_state_dict(session.weights())
        with torch.no_grad():
            logits = module.eval()(trainer.data.part("val", "none", "train").inputs)
        found[name] = (logits[:, 2:] > 0).sum().item()
    assert found["plain"] < min(found["weights"], found["rows"])


def test_the_meta_classifier_is_trained_with_them_as_well() -> None:
    config = CONFIG.replace(fusion="sum", class_weight="sqrt", oversample=0.1)
    arguments = {"bundle": "", "rows": "train", "seed": 0, "numerics": Numerics("cpu", 1, 1, "")}
    heads, meta = plan_model(config, ("image", "text"), **arguments)
    assert meta is not None
    for spec in (*heads, meta):
        assert (spec.config.class_weight, spec.config.oversample) == ("sqrt", 0.1)
    plain, _ = plan_model(CONFIG.replace(fusion="sum"), ("image", "text"), **arguments)
    assert "class_weight" not in plain[0].describe()["config"]


def test_two_way_sees_a_batch_at_once(tmp_path: Path, bundle: Bundle) -> None:
    config = CONFIG.replace(loss="two_way", batch_size=100)
    small, large = (
        train(open_session(make_trainer(tmp_path / str(n), bundle, micro_batch=n), config), 3)
        for n in (10, 100)
    )
    assert [r["train_loss"] for r in small] == [r["train_loss"] for r in large]
    assert small[-1]["map"] > small[0]["map"]


def plain_loss(logits: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="sum")


def weighing_loss(
    logits: Tensor, targets: Tensor, *, positive_weights: Tensor | None = None
) -> Tensor:
    return nn.functional.binary_cross_entropy_with_logits(
        logits, targets, reduction="sum", pos_weight=positive_weights
    )


def test_a_users_loss_gets_them_if_it_takes_them(tmp_path: Path, bundle: Bundle) -> None:
    LOSSES.register("plain_loss", plain_loss)
    LOSSES.register("weighing_loss", weighing_loss)
    expected = still(bundle, tmp_path / "bce", class_weight="sqrt")
    assert not LOSSES["weighing_loss"].parameters
    assert still(bundle, tmp_path / "own", loss="weighing_loss", class_weight="sqrt") == expected
    with pytest.raises(InputError) as caught:
        still(bundle, tmp_path / "plain", loss="plain_loss", class_weight="sqrt")
    assert str(caught.value) == (
        "class_weight is 'sqrt', but the loss 'plain_loss' takes no weights; give it a keyword "
        "argument positive_weights, or leave class_weight at 'none'."
    )
