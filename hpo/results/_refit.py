"""The best configuration of a study, trained on all its rows."""

import math
from collections.abc import Callable
from pathlib import Path

from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.models import Config
from hpo.search import Task
from hpo.study import StoredStudy
from hpo.training import RunStore, TrainedModel, Trainer, open_device, refit

__all__ = ["refit_best"]


def refit_best(
    study: StoredStudy,
    best: Task,
    device: str,
    *,
    seed: int = 0,
    kept: Path | None = None,
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> tuple[TrainedModel, int]:
    """Return the model of a task's configuration, trained on training and validation rows.

    The second value is how many epochs of single runs were trained for it.

    Args:
        study: The study.
        best: Its best task.
        device: ``cpu`` or ``cuda:N``.
        seed: Of the run.
        kept: A model folder; the model in it is returned if it is this one.
        on_step: Called with steps done and steps in all.

    Raises:
        InputError: The model would be larger than the space allows, or the space meant something
            else when the study was made; nothing was trained.
        RuntimeError: The training diverged.
    """
    assert best.config is not None  # it has an outcome
    definition = study.definition
    definition.check_meaning(study.name)
    origin = {"study": study.name, "trial": best.trial, "bundle": definition.bundle_key}
    if kept is not None:
        try:
            model = TrainedModel.load(kept)
            same = all(model.origin.get(key) == value for key, value in origin.items())
            if same and model.origin.get("seed") == seed and _agree(model.config, best.config):
                return model, 0
        except InputError:
            pass  # there is none yet, or it is damaged; it can be made again
    trainer = Trainer(
        load_bundle(definition.bundle),
        open_device(device, definition.arithmetic),
        RunStore(definition.run_store),
        metrics=definition.metrics,
        checkpoint_every=definition.checkpoint_every,
        milestones=(best.config.epochs,),
    )
    model = refit(
        trainer,
        best.config,
        seed=seed,
        max_model_mb=study.space.constraints.max_model_mb or math.inf,
        origin=origin,
        on_step=on_step,
    )
    return model, trainer.epochs_trained


def _agree(a: Config, b: Config) -> bool:
    """Tell whether configurations agree; a full batch grows in the refit."""
    return a.replace(batch_size=b.batch_size) == b
