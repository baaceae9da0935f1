"""Metrics against scikit-learn, and the best constant prediction against all subsets."""

import itertools
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score
from torch import Tensor
from training_samples import FIRST_METRICS

from hpo.data import load_dataset
from hpo.training import METRICS, constant_micro_f1, curve_columns, metric_functions

SHARED = Path(__file__).resolve().parents[3] / "shared"


def multilabel_metrics(logits: Tensor, targets: Tensor) -> Tensor:
    """All metrics of the package, in the order in which they are declared."""
    values = [measure(logits, targets) for measure in metric_functions(FIRST_METRICS).values()]
    assert all(value.shape == () and value.dtype == torch.float64 for value in values)
    return torch.stack(values)


def reference(logits: Tensor, targets: Tensor) -> list[float]:
    scores, truth = logits.numpy(), targets.numpy().astype(int)
    predicted = (scores > 0).astype(int)
    values = [
        f1_score(truth, predicted, average=average, zero_division=0)
        for average in ("micro", "samples", "macro")
    ]
    occurring = truth.any(axis=0)
    precision = (
        average_precision_score(truth[:, occurring], scores[:, occurring], average="macro")
        if occurring.any()
        else 0.0
    )
    return [100 * value for value in (*values, precision)]


def sample(seed: int, rows: int, classes: int, *, ties: bool) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = (torch.rand(rows, classes, generator=generator) < 0.3).float()
    logits = torch.randn(rows, classes, generator=generator) + targets - 0.3
    return (logits * 2).round() if ties else logits, targets


def check(logits: Tensor, targets: Tensor) -> None:
    metrics = multilabel_metrics(logits, targets)
    assert metrics.shape == (4,)
    assert metrics.dtype == torch.float64
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = reference(logits, targets)
    np.testing.assert_allclose(metrics.numpy(), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("shape", [(1, 2), (2, 3), (50, 6), (301, 18)])
def test_random_predictions(shape: tuple[int, int], ties: bool) -> None:
    for seed in range(5):
        check(*sample(seed, *shape, ties=ties))


def test_rows_without_labels_and_without_predictions() -> None:
    logits, targets = sample(0, 60, 6, ties=True)
    targets[:20] = 0
    logits[10:30] = -1  # some of both, some of each
    check(logits, targets)


def test_classes_that_never_occur_or_are_never_predicted() -> None:
    logits, targets = sample(0, 60, 6, ties=True)
    targets[:, [0, 1]] = 0
    logits[:, [1, 2]] = -2
    targets[:, 3] = 1
    check(logits, targets)


def test_nothing_and_everything() -> None:
    logits, targets = sample(0, 30, 4, ties=False)
    assert multilabel_metrics(logits, torch.zeros_like(targets)).tolist() == [0, 0, 0, 0]
    perfect = multilabel_metrics(2 * targets - 1, targets)
    assert perfect[0] == 100
    check(2 * targets - 1, targets)
    assert multilabel_metrics(torch.full_like(logits, -1), targets)[:3].tolist() == [0, 0, 0]


def test_logit_zero_is_not_a_prediction() -> None:
    ones = torch.ones(3, 2)
    assert multilabel_metrics(torch.zeros(3, 2), ones)[0] == 0
    assert multilabel_metrics(torch.full((3, 2), 1e-30), ones)[0] == 100


def test_nan_predicts_nothing() -> None:
    _, targets = sample(0, 30, 4, ties=False)
    assert multilabel_metrics(torch.full((30, 4), torch.nan), targets)[:3].tolist() == [0, 0, 0]


def test_constant_score_against_all_subsets() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        rate = torch.rand(6, generator=generator) ** 2
        targets = (torch.rand(40, 6, generator=generator) < rate).float()
        subsets = [
            torch.tensor(choice, dtype=torch.float32).expand(40, 6)
            for choice in itertools.product([0, 1], repeat=6)
        ]
        best = max(multilabel_metrics(subset - 0.5, targets)[0].item() for subset in subsets)
        assert constant_micro_f1(targets) == pytest.approx(best, abs=1e-9)


def test_constant_score_without_labels() -> None:
    assert constant_micro_f1(torch.zeros(10, 4)) == 0


@pytest.mark.skipif(
    not (SHARED / "datasets" / "comp5329").is_dir(), reason="../shared/datasets is not here"
)
def test_constant_score_of_the_papers_validation_rows() -> None:
    dataset = load_dataset(SHARED / "datasets" / "comp5329", images="ignore")
    targets = torch.from_numpy(dataset.labels[-5000:].astype(np.float32))
    assert constant_micro_f1(targets) == pytest.approx(59.163, abs=5e-4)
    person = torch.full_like(targets, -1.0)
    person[:, dataset.classes.index("1")] = 1.0
    micro, samples = multilabel_metrics(person, targets)[:2].tolist()
    assert micro == pytest.approx(59.163, abs=5e-4)
    assert samples == pytest.approx(63.227, abs=5e-4)


def test_columns_of_a_curve() -> None:
    assert FIRST_METRICS == ("micro_f1", "samples_f1", "macro_f1", "map")
    expected = ("train_loss", "val_loss", *FIRST_METRICS)
    assert curve_columns(tuple(METRICS)) == expected
