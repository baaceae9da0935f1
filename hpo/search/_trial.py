"""One trial: a configuration over all seeds."""

import dataclasses
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.models import Config
from hpo.search._pruning import Divergence
from hpo.search._space import Space
from hpo.training import EpochRecord

if TYPE_CHECKING:
    from hpo.training import ModelRun, Trainer

__all__ = ["TrialOutcome", "TrialProgress", "run_trial"]


@dataclasses.dataclass(frozen=True)
class TrialProgress:
    """After one step: its number from 1, steps in all, the (mean) metric in percent."""

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
    trainer: "Trainer",
    space: Space,
    config: Config,
    *,
    on_step: Callable[[TrialProgress], str | None],
) -> TrialOutcome:
    """Train a configuration with each seed.

    All seeds advance in lockstep, so that each epoch has a mean over seeds to report. With the
    Wilcoxon pruner, which compares trials seed by seed, they are trained one after the other, and
    a step is a seed.

    Args:
        trainer: The worker's.
        space: Gives seeds, metric, pruner and the divergence rule.
        config: The configuration.
        on_step: Called after each step; a text it returns is the reason to prune.

    Raises:
        Interrupted: The trainer's ``poll`` asked for it. Whatever is raised here, everything that
            was trained before is in the run store.
    """
    by_seed = space.search.pruner.name == "WilcoxonPruner"
    seeds = range(space.seeds)
    trained_before = trainer.epochs_trained
    models: list[ModelRun] = []
    pruned: str | None = None
    for group in [[seed] for seed in seeds] if by_seed else [list(seeds)]:
        started = {seed: trainer.model(config, seed) for seed in group}
        models += started.values()
        watches = {seed: Divergence(space.divergence, trainer.constant_score()) for seed in group}
        try:
            while pruned is None and not all(model.done for model in started.values()):
                for model in started.values():
                    model.advance()
                pruned = _diverged(started, watches)
                if not by_seed:
                    step, steps = models[0].step, models[0].steps
                    reason = on_step(TrialProgress(step, steps, _mean(models, space)))
                    pruned = pruned or reason
        except BaseException:
            for model in started.values():
                model.checkpoint()
            raise
        if by_seed:
            value = _scores(started.values(), space)[0]
            reason = on_step(TrialProgress(len(models), len(seeds), value))
            pruned = pruned or reason
        for model in started.values():
            model.finish()
        if pruned is not None:
            break
    trained = trainer.epochs_trained - trained_before
    return _outcome(models, space, pruned, trained)


def _diverged(models: Mapping[int, "ModelRun"], watches: Mapping[int, Divergence]) -> str | None:
    """Return why the configuration is given up, from the first seed that gives a reason."""
    for seed, model in models.items():
        assert model.record is not None
        reason = model.ended or watches[seed].update(model.record.train_loss, model.record.micro_f1)
        if reason is not None:
            return f"diverged: {reason} (seed {seed}, epoch {model.step})"
    return None


def _scores(models: Iterable["ModelRun"], space: Space) -> tuple[float, ...]:
    return tuple(float(getattr(model.record, space.metric)) for model in models)


def _mean(models: Iterable["ModelRun"], space: Space) -> float:
    return statistics.fmean(_scores(models, space))


def _outcome(
    models: Sequence["ModelRun"], space: Space, pruned: str | None, trained: int
) -> TrialOutcome:
    scores = _scores(models, space)
    if any(model.ended for model in models):
        # One seed whose loss is not finite makes the configuration a diverging one: it scores 0.
        scores = (0.0,) * len(models)
    records = [model.record for model in models if model.record is not None]
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
