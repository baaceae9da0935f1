"""One trial: a configuration over all seeds, advanced together epoch by epoch."""

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from hpo.models import Config
from hpo.search._pruning import Divergence
from hpo.search._space import Space
from hpo.training import EpochRecord, ModelRun, Trainer

__all__ = ["TrialOutcome", "TrialProgress", "run_trial"]


@dataclasses.dataclass(frozen=True)
class TrialProgress:
    """After one step of all seeds: step, steps in all, mean metric in percent."""

    step: int
    steps: int
    value: float


@dataclasses.dataclass(frozen=True)
class TrialOutcome:
    """The result of a trial.

    Attributes:
        value: Mean over seeds of the metric at the last epoch, in percent.
        std: Standard deviation over seeds (n − 1), 0 for one seed.
        scores: The metric of each seed.
        metrics: Mean over seeds of every metric at the last epoch.
        steps: Steps done.
        epochs_trained: Epochs of single runs trained here, not taken from the run store.
        runs: Addresses of the runs of each seed.
        pruned: Why it ended before its last step; None if it didn't.
    """

    value: float
    std: float
    scores: tuple[float, ...]
    metrics: dict[str, float]
    steps: int
    epochs_trained: int
    runs: tuple[tuple[str, ...], ...]
    pruned: str | None


def run_trial(
    trainer: Trainer,
    space: Space,
    config: Config,
    *,
    on_step: Callable[[TrialProgress], str | None],
) -> TrialOutcome:
    """Train a configuration with each seed, all seeds in lockstep, so that each step has a mean.

    Args:
        trainer: The worker's.
        space: Gives seeds, metric and the divergence rule.
        config: The configuration.
        on_step: Called after each step; a text it returns is the reason to prune.

    Raises:
        Interrupted: The trainer's ``poll`` asked for it. Whatever is raised here, everything that
            was trained before is in the run store.
    """
    trained_before = trainer.epochs_trained
    models = [trainer.model(config, seed) for seed in range(space.seeds)]
    watches = [Divergence(space.divergence, trainer.constant_score()) for _ in models]
    pruned: str | None = None
    try:
        while pruned is None and not models[0].done:
            records = [model.advance() for model in models]
            pruned = _diverged(models, watches, records)
            value = statistics.fmean(getattr(record, space.metric) for record in records)
            progress = TrialProgress(models[0].step, models[0].steps, value)
            reason = on_step(progress)
            pruned = pruned or reason
    except BaseException:
        for model in models:
            model.checkpoint()
        raise
    trained = trainer.epochs_trained - trained_before
    outcome = _outcome(models, records, space, pruned, trained)
    for model in models:
        model.finish()
    return outcome


def _diverged(
    models: Sequence[ModelRun], watches: Sequence[Divergence], records: Sequence[EpochRecord]
) -> str | None:
    """Return why the configuration is given up, from the first seed that gives a reason."""
    for seed, (model, watch, record) in enumerate(zip(models, watches, records, strict=True)):
        reason = model.ended or watch.update(record.train_loss, record.micro_f1)
        if reason is not None:
            return f"diverged: {reason} (seed {seed}, epoch {model.step})"
    return None


def _outcome(
    models: Sequence[ModelRun],
    records: Sequence[EpochRecord],
    space: Space,
    pruned: str | None,
    trained: int,
) -> TrialOutcome:
    # One seed whose loss is not finite makes the configuration a diverging one: it scores 0.
    not_finite = any(model.ended for model in models)
    scores = tuple(0.0 if not_finite else getattr(record, space.metric) for record in records)
    metrics = {
        name: statistics.fmean(getattr(record, name) for record in records)
        for name in EpochRecord._fields
    }
    return TrialOutcome(
        value=statistics.fmean(scores),
        std=statistics.stdev(scores) if len(scores) > 1 else 0.0,
        scores=scores,
        metrics=metrics,
        steps=models[0].step,
        epochs_trained=trained,
        runs=tuple(tuple(spec.address for spec in model.specs) for model in models),
        pruned=pruned,
    )
