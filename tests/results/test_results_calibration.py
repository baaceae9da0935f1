"""Calibration: against definitions, scikit-learn's Platt scaling, and what it promises."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from hpo.results import calibrate, calibration_error, reliability
from hpo.results._calibration import kept
from hpo.training import Calibration


def sample(
    rows: int, slope: float, seed: int = 0, shift: float = 0.0
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Probabilities whose logits are ``slope`` times too large, and ``shift`` too high."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 4)) * 1.5 - [0.0, 1.0, 1.5, 2.0]
    truth = rng.random(logits.shape) < 1 / (1 + np.exp(-logits))
    return (1 / (1 + np.exp(-(slope * logits + shift)))).astype(np.float32), truth


def by_definition(p: NDArray[np.floating], y: NDArray[np.bool_]) -> float:
    total, p, y = 0.0, p.ravel().astype(float), y.ravel()
    for b in range(15):
        chosen = (p >= b / 15) & ((p < (b + 1) / 15) | ((b == 14) & (p == 1)))
        if chosen.any():
            total += chosen.mean() * abs(p[chosen].mean() - y[chosen].mean())
    return 100 * float(total)


def test_the_error_is_that_of_the_definition() -> None:
    p, y = sample(700, 1.7)
    p[0], p[1] = 1.0, 0.0
    found = calibration_error([p], y)
    assert found.value == pytest.approx(by_definition(p, y), abs=1e-9)
    assert 0 <= found.low < found.value < found.high
    other, _ = sample(700, 0.8)
    both = np.concatenate([p, other]), np.concatenate([y, y])
    assert calibration_error([p, other], y).value == pytest.approx(by_definition(*both))


def test_its_interval_is_about_where_other_rows_end() -> None:
    true = by_definition(*sample(400_000, 1.7, seed=1))
    held = 0
    for seed in range(60):
        p, y = sample(1500, 1.7, seed=100 + seed)
        found = calibration_error([p], y)
        held += found.low <= true <= found.high
    assert held >= 50


def test_the_bins_are_those_of_the_error() -> None:
    p, y = sample(500, 1.7)
    bins = reliability([p], y)
    cells = sum(b.cells for b in bins)
    assert (cells, bins[0].low, bins[-1].high) == (2000, 0.0, 1.0)
    error = sum(b.cells * abs(b.probability - b.frequency) for b in bins if b.cells) / cells
    assert 100 * error == pytest.approx(calibration_error([p], y).value)


def test_temperature_finds_the_slope_back() -> None:
    p, y = sample(20_000, 2.0)
    temperature, platt = calibrate([p], y)
    assert temperature.calibration.method == "temperature"
    assert temperature.calibration.slopes == pytest.approx([0.5] * 4, abs=0.02)
    assert temperature.calibration.offsets == (0.0,) * 4
    assert platt.calibration.slopes == pytest.approx([0.5] * 4, abs=0.04)
    assert temperature.before.value > 4 * temperature.after.value
    assert kept([temperature, platt]) is not None
    assert temperature.gain.low > 0
    assert temperature.gain.value == pytest.approx(
        temperature.before.value - temperature.after.value
    )


def test_platt_is_a_logistic_regression_on_the_logits() -> None:
    p, y = sample(6000, 1.5, shift=1.0)
    _, platt = calibrate([p], y)
    z = np.log(p.astype(float)) - np.log1p(-p.astype(float))
    for k in range(4):
        model = LogisticRegression(C=1e9).fit(z[:, [k]], y[:, k])
        # Platt's targets are a little inside 0 and 1
        assert platt.calibration.slopes[k] == pytest.approx(model.coef_[0, 0], abs=0.01)
        assert platt.calibration.offsets[k] == pytest.approx(model.intercept_[0], abs=0.01)
    used = kept(calibrate([p], y))
    assert used is not None and used.calibration.method == "platt"


def test_what_is_calibrated_stays_as_it_is() -> None:
    """Nothing to gain: one in forty of such samples may gain by chance."""
    used = [kept(calibrate([p], y)) for p, y in (sample(2000, 1.0, seed) for seed in range(12))]
    assert sum(one is not None for one in used) <= 1


def test_a_class_without_positives_is_no_trouble() -> None:
    p, y = sample(300, 1.7)
    y[:, 2] = False
    p[:, 3] = 0.25
    for tried in calibrate([p], y):
        assert np.isfinite(tried.calibration.apply(p)).all()
        assert min(tried.calibration.slopes) > 0
    assert calibrate([p[:4]], y[:4]) == []  # fewer rows than folds


def test_labels_stay_as_the_thresholds_move() -> None:
    p, _ = sample(5000, 1.7)
    calibration = Calibration("platt", (0.5, 1.3, 0.9, 2.0), (0.3, -0.4, 0.0, 1.0))
    thresholds = (0.5, 0.31, 0.7, 0.44)
    moved = calibration.moved(thresholds)
    assert np.array_equal(calibration.apply(p) > np.array(moved), p > np.array(thresholds))
    order = np.argsort(p[:, 0], kind="stable")
    assert (np.diff(calibration.apply(p)[order, 0]) >= 0).all()
    ends = calibration.apply(np.array([[0.0] * 4, [1.0] * 4, [np.nan] * 4], dtype=np.float32))
    assert np.isfinite(ends[:2]).all() and np.isnan(ends[2]).all()
    assert Calibration.from_json(calibration.to_json(), 4) == calibration


def test_the_rows_of_a_picture_are_drawn_and_fitted_together() -> None:
    p, y = sample(400, 1.7)
    rows = np.repeat(np.arange(400), 3)
    assert calibration_error([p], y, np.arange(400)) == calibration_error([p], y)
    assert calibrate([p], y, np.arange(400)) == calibrate([p], y)
    one, three = calibration_error([p], y), calibration_error([p[rows]], y[rows], rows)
    assert (three.low, three.high) == pytest.approx((one.low, one.high))
    # the fits of a fold see none of its rows, also not as copies
    (temperature, _), (copied, _) = calibrate([p], y), calibrate([p[rows]], y[rows], rows)
    assert copied.after.value == pytest.approx(temperature.after.value)
    assert copied.gain.low == pytest.approx(temperature.gain.low)
    assert calibrate([p[:12]], y[:12], np.arange(12) // 3) == []  # fewer pictures than folds
