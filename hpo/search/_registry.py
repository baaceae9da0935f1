"""The samplers and pruners that a search space can name; names never reach an import."""

from collections.abc import Callable

from optuna import pruners, samplers

__all__ = ["PRUNERS", "SAMPLERS"]

SAMPLERS: dict[str, Callable[..., samplers.BaseSampler]] = {
    "TPESampler": samplers.TPESampler,
    "RandomSampler": samplers.RandomSampler,
    "GPSampler": samplers.GPSampler,
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
