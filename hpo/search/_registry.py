"""The samplers and pruners that a search space can name; names never reach an import."""

import contextlib
import warnings
from collections.abc import Callable, Iterator

from optuna import pruners, samplers
from optuna.exceptions import ExperimentalWarning

__all__ = ["PRUNERS", "SAMPLERS", "experimental"]

SAMPLERS: dict[str, Callable[..., samplers.BaseSampler]] = {
    "TPESampler": samplers.TPESampler,
    "RandomSampler": samplers.RandomSampler,
    "GPSampler": samplers.GPSampler,
    "NSGAIISampler": samplers.NSGAIISampler,
}

PRUNERS: dict[str, Callable[..., pruners.BasePruner]] = {
    "NopPruner": pruners.NopPruner,
    "MedianPruner": pruners.MedianPruner,
    "PercentilePruner": pruners.PercentilePruner,
    "SuccessiveHalvingPruner": pruners.SuccessiveHalvingPruner,
    "HyperbandPruner": pruners.HyperbandPruner,
    "PatientPruner": pruners.PatientPruner,
    "ThresholdPruner": pruners.ThresholdPruner,
    "WilcoxonPruner": pruners.WilcoxonPruner,
}


@contextlib.contextmanager
def experimental() -> Iterator[None]:
    """Use something that Optuna calls experimental, or will drop, without a warning.

    What is used here is known and tested with the version that is installed; each draw would warn.
    """
    with warnings.catch_warnings():
        for kind in (ExperimentalWarning, FutureWarning):
            warnings.simplefilter("ignore", kind)
        yield
