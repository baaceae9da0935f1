"""The refit: a configuration trained on all rows in use, as a model that stands alone."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from hpo.errors import DivergedError, InputError
from hpo.features import parts_record
from hpo.models import (
    AssembledModel,
    Config,
    check_fusion,
    head_names,
    is_two_step,
    load_weights,
)
from hpo.training._fits import check_fits
from hpo.training._folder import TrainedModel, widths_read
from hpo.training._trainer import Trainer

__all__ = ["refit", "refit_config"]


def refit_config(
    config: Config, train_rows: int, all_rows: int, epochs: Literal["keep", "steps"] = "keep"
) -> Config:
    """Return how a configuration is trained on more rows than it was tried on.

    A batch as large as the training part means all rows here as well, and there the epochs are the
    steps. With smaller batches the same epochs are more steps.

    Args:
        config: As it was tried.
        train_rows: Rows that it was tried on.
        all_rows: Rows that it is to be trained on.
        epochs: ``keep`` them, or keep the ``steps``: then there are fewer epochs, rounded.
    """
    if config.batch_size >= train_rows:
        return config.replace(batch_size=all_rows)
    if epochs == "steps":
        return config.replace(epochs=max(1, round(config.epochs * train_rows / all_rows)))
    return config


def refit(
    trainer: Trainer,
    config: Config,
    *,
    seed: int,
    max_model_mb: float,
    origin: Mapping[str, Any],
    epochs: Literal["keep", "steps"] = "keep",
    on_step: Callable[[int, int], None] = lambda step, steps: None,
    enough: Callable[[], bool] = lambda: False,
) -> TrainedModel:
    """Train ``config`` on training and validation rows together and assemble the model.

    Args:
        trainer: Holds data and run store, which makes the refit resumable like any run.
        config: As it was tried; ``refit_config`` says how it is trained here.
        seed: Of the run.
        max_model_mb: Limit in 10⁶ bytes.
        origin: Kept with the model.
        epochs: ``keep`` or ``steps``; see ``refit_config``.
        on_step: Called with steps done and steps in all.
        enough: Whether to stop here, asked from half of the epochs on. The model is then that of a
            configuration with fewer epochs, and its origin says ``cut_short``. A two-step fusion
            isn't cut.

    Raises:
        InputError: The model is larger than ``max_model_mb``; nothing was trained, unless its
            size only followed from that. Or it can't be trained in the memory that is free.
        DivergedError: The training diverged.
    """
    data = trainer.data_of(config)
    check_fusion(config.fusion, data.modalities)
    widths = widths_read(config, data.widths)
    check_fits(config, data.widths, data.classes, str(trainer.device.torch))
    module = AssembledModel(config, widths, data.classes, data.parts)
    _check_size(module, max_model_mb)
    config = refit_config(config, data.rows("train"), data.rows("all"), epochs)
    run = trainer.model(config, seed, rows="all")
    can_be_cut, cut_short = not is_two_step(config.fusion), {}
    while not run.done:
        run.advance()
        on_step(run.step, run.steps)
        if can_be_cut and not run.done and 2 * run.step >= run.steps and enough():
            cut_short = {"cut_short": f"{run.step:,} of {run.steps:,} epochs"}
            break
    if run.ended is not None:
        raise DivergedError(f"The refit diverged: {run.ended}.")
    run.finish()
    if cut_short:
        config = config.replace(epochs=run.step)
    heads = head_names(config.fusion, data.modalities)
    for name, spec in zip(heads, run.specs, strict=False):
        load_weights(module.heads[name], trainer.weights(spec, config.epochs))
    if module.meta is not None:
        module.meta.load_state_dict(trainer.weights(run.specs[-1], config.epochs))
    with trainer.device.in_use():
        for name, scaling in data.scaling(config.feature_scaling, "all").items():
            if name in module.scaling:
                module.scaling[name].load_state_dict(scaling.state_dict())
    _check_size(module, max_model_mb)  # only now it is known of a head that remembers its rows
    return TrainedModel(
        module=module,
        config=config,
        widths=widths,
        classes=tuple(data.bundle.classes),
        thresholds=(0.5,) * data.classes,
        features=parts_record(data.bundle.parts),
        origin={**origin, "seed": seed, "rows": data.rows("all"), **cut_short},
    )


def _check_size(module: AssembledModel, max_model_mb: float) -> None:
    if module.megabytes() > max_model_mb:
        raise InputError(
            f"The model of the best trial has {module.megabytes():.1f} MB, but max_model_mb is "
            f"{max_model_mb:g}."
        )
