"""The ensemble of a study: different trials averaged, where that is better than the best alone."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo.features import load_bundle
from hpo.models import Config
from hpo.results._forward_selection import (
    Comparison,
    compare,
    forward_selection,
    weighted_mean,
)
from hpo.results._intervals import F1_SCORES, Groups
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.training import Member, RunStore, Trainer, open_device, refitted_megabytes

__all__ = ["Selection", "select_ensemble"]

#: Trials that are candidates at most, the best ones.
_TRIALS = 20

Probabilities = NDArray[np.float32]


@dataclasses.dataclass(frozen=True)
class Selection:
    """What came of looking for an ensemble.

    Attributes:
        members: What is to be refitted and averaged; empty where the best trial alone stays.
        looked_at: How many models were candidates.
        comparison: With the best one alone, on rows that chose neither; None where there were not
            two candidates to average.
        epochs_trained: For candidates that the study hadn't trained.
        probabilities: Of the validation rows, by the average; None without members.
        truth: Of the validation rows, [rows, K].
        groups: The picture of each of them, where pictures may have several rows.
    """

    members: tuple[Member, ...]
    looked_at: int
    comparison: Comparison | None
    epochs_trained: int
    probabilities: Probabilities | None
    truth: NDArray[np.bool_]
    groups: Groups

    def to_json(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        found: dict[str, Any] = {
            "kept": bool(self.members),
            "looked_at": self.looked_at,
            "members": [member.to_json() for member in self.members],
        }
        if self.comparison is not None:
            gain = self.comparison.gain
            found["metric"] = self.comparison.metric
            found["gain"] = {name: dataclasses.asdict(gain[name]) for name in F1_SCORES}
        return found


@dataclasses.dataclass(frozen=True)
class _Candidate:
    member: Member
    probabilities: Probabilities
    megabytes: float


def select_ensemble(
    study: StoredStudy,
    best: Task,
    tasks: Sequence[Task],
    device: str,
    *,
    memory_gb: float | None = None,
    most: int | None = None,
) -> Selection | None:
    """Choose which trials to average, and whether to.

    Those that read the same encoders as the best one are looked at, since a model has one input for
    each modality. The weights of the trials come from the run store, and a vote of neighbours is
    fitted to the training rows; no epoch of a trial is trained.

    Args:
        study: A complete study.
        best: The task that is to be refitted.
        tasks: All its tasks.
        device: Where to compute.
        memory_gb: What the rows may take, see ``WorkerSettings``.
        most: So many models may be refitted; None for any number. The vote of neighbours counts
            as one.

    Returns:
        None if the space asks for no ensemble, only one model may be refitted, another trial than
        the best one is picked, or the run store doesn't have the best trial's weights any more.
    """
    space = study.space
    top = study.best(list(tasks))
    if space.ensemble is None or space.refit is None or top is None:
        return None
    members = space.ensemble.members if most is None else min(space.ensemble.members, most)
    if top.position != best.position or members < 2:
        return None
    limit = space.constraints.max_model_mb or math.inf
    definition = study.definition
    bundle = load_bundle(definition.bundle)
    trainer = Trainer(
        bundle,
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        metrics=definition.metrics,
        scored=space.scored_epochs(),
        memory_gb=memory_gb,
    )
    candidates = _trials(trainer, best, tasks)
    if not candidates or candidates[0].member.trial != best.trial or best.config is None:
        return None
    if space.ensemble.neighbours:
        candidates += _neighbours(trainer, best.config, limit)
    probabilities = [candidate.probabilities for candidate in candidates]
    truth, groups = bundle.labels_of("val") > 0, bundle.groups_of("val")
    metric = space.metric if space.metric in F1_SCORES else "micro_f1"
    select = functools.partial(
        forward_selection,
        metric=metric,
        members=members,
        sizes=[space.refit.seeds * candidate.megabytes for candidate in candidates],
        size_limit=limit,
    )
    comparison = None
    kept: list[Member] = []
    mean: Probabilities | None = None
    if len(candidates) > 1:
        comparison = compare(probabilities, truth, metric, select, groups)
    if comparison is not None and comparison.keeps:
        weights = select(probabilities, truth)
        chosen = [
            dataclasses.replace(candidate.member, weight=weight)
            for candidate, weight in zip(candidates, weights, strict=True)
            if weight > 0
        ]
        kept = chosen if len(chosen) > 1 else []
        if kept:
            mean = weighted_mean(probabilities, weights)
    return Selection(
        tuple(kept),
        len(candidates),
        comparison,
        trainer.epochs_trained,
        mean,
        truth,
        groups,
    )


def _trials(trainer: Trainer, best: Task, tasks: Sequence[Task]) -> list[_Candidate]:
    """Return the best of the trials that have all their epochs as candidates, the winner first."""
    others = [
        (task.outcome.value, task)
        for task in tasks
        if task.outcome is not None
        and task.outcome.pruned is None
        and task.position != best.position
    ]
    others.sort(key=lambda item: (math.isnan(item[0]), -item[0]))
    assert best.config is not None  # it has an outcome
    read = trainer.data_of(best.config).bundle.key
    found: list[_Candidate] = []
    for task in [best, *(task for _, task in others)]:
        assert task.config is not None and task.outcome is not None
        if len(found) == _TRIALS:
            break
        if trainer.data_of(task.config).bundle.key != read:
            continue  # a model reads the embeddings of one choice of encoders
        logits = [
            trainer.stored_logits(task.config, seed, task.config.epochs, "val")
            for seed in range(len(task.outcome.scores))
        ]
        stored = [x.sigmoid().cpu().numpy() for x in logits if x is not None]
        if stored and len(stored) == len(logits):
            member = Member(task.config, 1.0, 0, task.trial)
            found.append(_candidate(trainer, member, np.mean(stored, axis=0)))
    return found


def _neighbours(trainer: Trainer, best: Config, limit: float) -> list[_Candidate]:
    """Return the vote of the nearest rows by the best trial's encoder, fitted to the training rows.

    There is none if it would be too large, or the rows are not held in memory.
    """
    data = trainer.data_of(best)
    modalities = data.modalities
    config = Config(
        fusion="concat" if len(modalities) > 1 else modalities[0],
        head="knn",
        hidden=(),
        feature_scaling="l2",
        epochs=1,
        encoder=best.encoder,
    )
    size = refitted_megabytes(config, data.widths, data.classes, data.rows("all"))
    if size > limit or not data.in_memory:
        return []
    run = trainer.model(config, 0)
    while not run.done:
        run.advance()
    run.finish()
    logits = trainer.stored_logits(config, 0, config.epochs, "val")
    assert logits is not None  # it was just fitted
    return [_candidate(trainer, Member(config, 1.0, 0), logits.sigmoid().cpu().numpy())]


def _candidate(trainer: Trainer, member: Member, probabilities: Probabilities) -> _Candidate:
    data = trainer.data_of(member.config)
    size = refitted_megabytes(member.config, data.widths, data.classes, data.rows("all"))
    return _Candidate(member, probabilities, size)
