"""Models that can't be trained in the memory that is free are refused before they are built."""

from collections.abc import Mapping

import pytest

import hpo
from hpo.models import Config, model_megabytes
from hpo.training import NoRoomError, check_fits
from hpo.training import _fits as module
from hpo.worker._trouble import own_trouble

WIDTHS: Mapping[str, int] = {"image": 8}
HUGE = Config(fusion="image", hidden=[20_000, 20_000])


def test_weights_gradients_and_moments_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    size = model_megabytes(HUGE, WIDTHS, 3)
    assert size is not None
    needed = 4 * size / 1000  # 6.4 GB
    monkeypatch.setattr(module, "available_memory", lambda: int(1e9 * needed) + 1)
    check_fits(HUGE, WIDTHS, 3, "cpu")
    with pytest.raises(hpo.InputError):  # the moving average is one more copy
        check_fits(HUGE.replace(ema_decay=0.9), WIDTHS, 3, "cpu")
    monkeypatch.setattr(module, "available_memory", lambda: 2_500_000_000)
    monkeypatch.setattr(module, "total_memory", lambda: 8_000_000_000)
    said = "hidden [20000, 20000] can't be trained here: weights, gradients and the moments of the "
    with pytest.raises(NoRoomError) as now:
        check_fits(HUGE, WIDTHS, 3, "cpu")
    assert str(now.value) == f"{said}optimizer take 6.4 GB, and 2.5 of 8.0 GB are free on cpu."
    trouble = own_trouble(now.value)  # others can train it, and it can be trained here later
    assert (
        trouble == f"{now.value} End what takes it, or let a machine with more work on the study."
    )
    monkeypatch.setattr(module, "total_memory", lambda: 4_000_000_000)
    with pytest.raises(hpo.InputError) as ever:
        check_fits(HUGE, WIDTHS, 3, "cpu")
    assert str(ever.value) == (
        f"{said}optimizer take 6.4 GB, and cpu has 4.0 GB. Use smaller hidden layers, or a machine "
        "with more."
    )
    assert own_trouble(ever.value) is None
    monkeypatch.setattr(module, "available_memory", lambda: None)  # the system doesn't say
    check_fits(HUGE, WIDTHS, 3, "cpu")


def test_small_models_ask_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "available_memory", lambda: pytest.fail("it was asked for"))
    check_fits(Config(fusion="image", hidden=[512]), WIDTHS, 3, "cpu")
    check_fits(Config(fusion="image", head="knn", hidden=[]), WIDTHS, 3, "cpu")  # size not known
