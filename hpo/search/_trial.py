"""One trial: a configuration over all seeds."""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from hpo.models import Config
from hpo.search._pruning import Divergence
from hpo.search._space import Space
from hpo.search._strategy import Decision, Verdict
from hpo.search._task import Progress, TrialOutcome
from hpo.training import EpochRecord

if TYPE_CHECKING:
    from hpo.training import Lockstep, ModelRun, Trainer

__all__ = ["run_trial"]


def run_trial(
    trainer: "Trainer",
    space: Space,
    config: Config,
    *,
    on_step: Callable[[Progress], Verdict],
) -> TrialOutcome | None:
    """Train a configuration with each seed.

    All seeds advance in lockstep, so that each epoch has a mean over seeds to report. Where the
    space runs them one after the other, a step is a seed. Where they race, the epochs of the first
    seed are steps, and all the others together are one more.

    Args:
        trainer: The worker's.
        space: Gives seeds, metric, pruner and the divergence rule.
        config: The configuration.
        on_step: Called after each step; what it returns is done.

    Returns:
        The outcome, or None if the trial was paused.

    Raises:
        Interrupted: The trainer's ``poll`` asked for it. Whatever is raised here, everything that
            was trained before is in the run store.
    """
    from hpo.training import Lockstep  # PyTorch takes a second, see hpo/_lazy.py

    groups = space.seed_groups()
    trained_before = trainer.epochs_trained
    models: list[ModelRun] = []
    epochs_shown = 0
    verdict = Verdict(Decision.CONTINUE)
    for place, group in enumerate(groups):
        together = Lockstep(trainer, config, group)
        models += together.models.values()
        shows_epochs = place == 0 and not space.seeds_apart
        more = len(groups) - 1 if shows_epochs else 0

        def report(step: int, steps: int, value: float, more: int = more) -> Verdict:
            return on_step(Progress(step, steps + more, value))

        try:
            verdict = _advance(together, trainer, space, report if shows_epochs else None)
        except BaseException:
            together.checkpoint()
            raise
        if shows_epochs:
            epochs_shown = together.step
        else:
            shown = models[-1:] if space.seeds_apart else models
            step = place + 1 if space.seeds_apart else epochs_shown + place
            last = len(groups) if space.seeds_apart else epochs_shown + len(groups) - 1
            asked = on_step(Progress(step, last, statistics.fmean(_scores(shown, space))))
            verdict = asked if verdict.decision is Decision.CONTINUE else verdict
        # With the weights, so that the trial can be judged where it pauses.
        together.finish()
        if verdict.decision is Decision.PAUSE:
            return None
        if verdict.decision is Decision.PRUNE:
            break
    pruned = verdict.reason if verdict.decision is Decision.PRUNE else None
    return _outcome(models, space, pruned, trainer.epochs_trained - trained_before)


def _advance(
    together: "Lockstep",
    trainer: "Trainer",
    space: Space,
    report: Callable[[int, int, float], Verdict] | None,
) -> Verdict:
    """Train until the seeds are done or a decision ends it.

    Args:
        together: The seeds.
        trainer: The worker's.
        space: Gives metric and divergence rule.
        report: Called after each epoch with the step, the steps in all and the mean; None where
            epochs are no steps.
    """
    constant = trainer.constant_score()
    watches = {seed: Divergence(space.divergence, constant) for seed in together.models}
    verdict = Verdict(Decision.CONTINUE)
    while verdict.decision is Decision.CONTINUE and not together.done:
        together.advance()
        reason = _diverged(together.models, watches)
        if report is not None:
            value = statistics.fmean(_scores(list(together.models.values()), space))
            verdict = report(together.step, together.steps, value)
        if reason is not None:
            verdict = Verdict(Decision.PRUNE, reason)
    return verdict


def _diverged(models: Mapping[int, "ModelRun"], watches: Mapping[int, Divergence]) -> str | None:
    """Return why the configuration is given up, from the first seed that gives a reason."""
    for seed, model in models.items():
        record = _record(model)
        reason = model.ended or watches[seed].update(record["train_loss"], record["micro_f1"])
        if reason is not None:
            return f"diverged: {reason} (seed {seed}, epoch {model.step})"
    return None


def _record(model: "ModelRun") -> EpochRecord:
    assert model.record is not None
    return model.record


def _score(model: "ModelRun", space: Space) -> float:
    return float(_record(model)[space.metric])


def _scores(models: Sequence["ModelRun"], space: Space) -> tuple[float, ...]:
    return tuple(_score(model, space) for model in models)


def _outcome(
    models: Sequence["ModelRun"], space: Space, pruned: str | None, trained: int
) -> TrialOutcome:
    # A trial that is given up in an epoch that isn't scored has no score either.
    scores = tuple(s if math.isfinite(s) else 0.0 for s in _scores(models, space))
    if any(model.ended for model in models):
        # One seed whose loss is not finite makes the configuration a diverging one: it scores 0.
        scores = (0.0,) * len(models)
    records = [_record(model) for model in models]
    metrics = {name: statistics.fmean(record[name] for record in records) for name in records[0]}
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
