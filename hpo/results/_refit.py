"""The best configuration of a study, or its ensemble, trained on all its rows."""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from hpo.errors import InputError
from hpo.features import Bundle, load_bundle
from hpo.models import is_two_step
from hpo.search import Refit, Task
from hpo.study import StoredStudy
from hpo.training import (
    Member,
    RunStore,
    Steps,
    TrainedModel,
    Trainer,
    combined,
    open_device,
    refit,
    refit_config,
    refitted_megabytes,
    side_by_side,
)

__all__ = ["refit_best"]

_OnStep = Callable[[int, int], None]


def refit_best(
    study: StoredStudy,
    best: Task,
    device: str,
    *,
    members: Sequence[Member] = (),
    seed: int | None = None,
    memory_gb: float | None = None,
    kept: Path | None = None,
    on_step: _OnStep = lambda step, steps: None,
    enough: Callable[[], bool] = lambda: False,
) -> tuple[TrainedModel, int]:
    """Return the model of a task's configuration, trained on training and validation rows.

    Its thresholds are 0.5; see ``decide``.

    The second value is how many epochs of single runs were trained for it.

    Args:
        study: The study.
        best: Its best task.
        device: ``cpu`` or ``cuda:N``.
        members: What is averaged in place of the task's configuration; each is trained with all
            the seeds of ``refit``.
        seed: The first one; by default the space's.
        memory_gb: What the rows may take, see ``WorkerSettings``.
        kept: A model folder; the model in it is returned if it is this one.
        on_step: Called with steps done and steps in all.
        enough: Whether to cut the training short; see ``refit``.

    Raises:
        InputError: The model would be larger than the space allows, or the space meant something
            else when the study was made; nothing was trained.
        DivergedError: The training diverged.
    """
    assert best.config is not None  # it has an outcome
    definition, space = study.definition, study.space
    definition.check_meaning(study.name)
    rule = space.refit or Refit()
    rule = rule if seed is None else rule.model_copy(update={"seed": seed})
    bundle = load_bundle(definition.bundle)
    tried = _with_seeds(members or [Member(best.config, 1.0, 0, best.trial)], rule)
    planned = [_on_all_rows(member, rule, bundle) for member in tried]
    origin = {"study": study.name, "trial": best.trial, "bundle": definition.bundle_key}
    if kept is not None:
        try:
            model = TrainedModel.load(kept)
            same = all(model.origin.get(key) == value for key, value in origin.items())
            if same and _is_of(model, planned):
                return model.plain(), 0
        except InputError:
            pass  # there is none yet, or it is damaged; it can be made again
    limit = space.constraints.max_model_mb or math.inf
    _check_size(planned, bundle, limit)
    trainer = Trainer(
        bundle,
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        metrics=definition.metrics,
        memory_gb=memory_gb,
        checkpoint_every=definition.checkpoint_every,
        milestones={member.config.epochs for member in planned},
    )
    steps = Steps(sum(_steps(member) for member in planned), on_step)
    jobs = [
        functools.partial(
            refit,
            trainer,
            member.config,
            seed=member.seed,
            max_model_mb=limit,
            origin=origin,
            epochs=rule.epochs,
            on_step=steps.count,
            enough=enough,
        )
        for member in tried
    ]
    for member in planned:  # each kind of rows once, before any two need it
        data = trainer.data_of(member.config)
        data.run_data(member.config.feature_scaling, "all")
    models = side_by_side(jobs, trainer.device, steps.end)
    if len(models) == 1:
        return models[0], trainer.epochs_trained
    widths = trainer.data_of(planned[0].config).widths
    trained = [
        dataclasses.replace(member, config=model.config)
        for member, model in zip(planned, models, strict=True)
    ]
    whole = combined(models, trained, widths)
    cut = [model.origin["cut_short"] for model in models if "cut_short" in model.origin]
    if cut:
        whole = dataclasses.replace(whole, origin={**whole.origin, "cut_short": ", ".join(cut)})
    return whole, trainer.epochs_trained


def _with_seeds(members: Sequence[Member], rule: Refit) -> list[Member]:
    """Return each member with every seed of the refit, its weight divided among them."""
    return [
        dataclasses.replace(member, seed=rule.seed + n, weight=member.weight / rule.seeds)
        for member in members
        for n in range(rule.seeds)
    ]


def _on_all_rows(member: Member, rule: Refit, bundle: Bundle) -> Member:
    """Return a member with the configuration that it is trained with on all rows."""
    rows = len(bundle.split["train"]), len(bundle.split["train"]) + len(bundle.split["val"])
    config = refit_config(member.config, *rows, rule.epochs)
    return dataclasses.replace(member, config=config)


def _steps(member: Member) -> int:
    """Return how many steps the refit of a member has: one an epoch, two-step fusions twice."""
    return member.config.epochs * (2 if is_two_step(member.config.fusion) else 1)


def _is_of(model: TrainedModel, planned: Sequence[Member]) -> bool:
    """Tell whether a model is that of these members."""
    if len(planned) > 1:
        return model.members == tuple(planned)
    (only,) = planned
    same = model.config == only.config and model.origin.get("seed") == only.seed
    return same and not model.members


def _check_size(planned: Sequence[Member], bundle: Bundle, limit: float) -> None:
    """Check the size of several models together; that of one is checked when it is refitted."""
    if len(planned) == 1:
        return
    rows = len(bundle.split["train"]) + len(bundle.split["val"])
    chosen = bundle.choosing(planned[0].config.encoder)
    widths = {name: array.shape[1] for name, array in chosen.features.train.items()}
    size = sum(
        refitted_megabytes(member.config, widths, len(bundle.classes), rows) for member in planned
    )
    if size > limit:
        raise InputError(
            f"The {len(planned)} models that are averaged have {size:.1f} MB together, but "
            f"max_model_mb is {limit:g}; lower refit.seeds or raise it."
        )
