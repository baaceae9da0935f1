"""The refit: a configuration trained on all rows in use, as a model that stands alone."""

from collections.abc import Callable, Mapping
from typing import Any

from hpo.errors import InputError
from hpo.features import parts_record
from hpo.models import (
    AssembledModel,
    Config,
    check_fusion,
    head_names,
    load_weights,
    modalities_read,
)
from hpo.training._folder import TrainedModel
from hpo.training._trainer import Trainer

__all__ = ["refit"]


def refit(
    trainer: Trainer,
    config: Config,
    *,
    seed: int,
    max_model_mb: float,
    origin: Mapping[str, Any],
    on_step: Callable[[int, int], None] = lambda step, steps: None,
) -> TrainedModel:
    """Train ``config`` on training and validation rows together and assemble the model.

    A batch as large as the training part means all rows here as well.

    Args:
        trainer: Holds data and run store, which makes the refit resumable like any run.
        config: As it was tried.
        seed: Of the run.
        max_model_mb: Limit in 10⁶ bytes.
        origin: Kept with the model.
        on_step: Called with steps done and steps in all.

    Raises:
        InputError: The model is larger than ``max_model_mb``; nothing was trained, unless its
            size only followed from that.
        RuntimeError: The training diverged.
    """
    data = trainer.data_of(config)
    check_fusion(config.fusion, data.modalities)
    read = modalities_read(config.fusion, data.modalities) or ()
    widths = {name: data.widths[name] for name in read}
    parts = {name: data.bundle.parts[name] for name in read}
    module = AssembledModel(config, widths, data.classes, {name: data.parts[name] for name in read})
    _check_size(module, max_model_mb)
    if config.batch_size >= data.rows("train"):
        config = config.replace(batch_size=data.rows("all"))
    run = trainer.model(config, seed, rows="all")
    while not run.done:
        run.advance()
        on_step(run.step, run.steps)
    if run.ended is not None:
        raise RuntimeError(f"The refit diverged: {run.ended}.")
    run.finish()
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
        features=parts_record(parts),
        origin={**origin, "seed": seed, "rows": data.rows("all")},
    )


def _check_size(module: AssembledModel, max_model_mb: float) -> None:
    if module.megabytes() > max_model_mb:
        raise InputError(
            f"The model of the best trial has {module.megabytes():.1f} MB, but max_model_mb is "
            f"{max_model_mb:g}."
        )
