"""The size of a model, from its configuration alone."""

from collections.abc import Callable, Mapping

from hpo.models._choices import FUSIONS, HEADS, modalities_read
from hpo.models._config import Config

__all__ = ["architecture", "counts_weights", "model_megabytes"]

#: The fields that decide what is built; of the others nothing is left in the model that is kept.
_ARCHITECTURE = ("fusion", "head", "hidden", "activation", "feature_scaling", "encoder")
_BYTES = 4  # float32
#: Weights that the scaling of a modality of some width has.
_SCALING: dict[str, Callable[[int], int]] = {
    "none": lambda width: 0,
    "auto": lambda width: 1,
    "l2": lambda width: 1,
    "standard": lambda width: 2 * width,
}


def architecture(config: Config) -> Config:
    """Return the configuration with all neutral that leaves no trace in the assembled model.

    Configurations with equal ones have the same size, and take the same time to predict.
    """
    return config.only(_ARCHITECTURE)


def counts_weights(fusion: str, head: str) -> bool:
    """Tell whether the size of such a model is known without building it."""
    return "weights" in HEADS[head].traits and (
        fusion not in FUSIONS or "weights" in FUSIONS[fusion].traits
    )


def model_megabytes(config: Config, widths: Mapping[str, int], classes: int) -> float | None:
    """Return the size of the assembled model in 10⁶ bytes, as ``AssembledModel.megabytes``.

    A model with a head or fusion of a user's own is built for it.

    Args:
        config: Its configuration.
        widths: Embedding width of each modality that there is.
        classes: Number of labels K.

    Returns:
        None if the size only follows from the training, as that of a head that is fitted, or if
        the features lack a modality that the fusion reads.
    """
    read = modalities_read(config.fusion, tuple(widths))
    if read is None:
        return None
    seen = {name: widths[name] for name in read}
    if not counts_weights(config.fusion, config.head):
        return _built(config, seen, classes)
    count = sum(_SCALING[config.feature_scaling](width) for width in seen.values())
    of_layers = HEADS[config.head].traits["weights"]

    def of_head(width: int) -> int:
        return int(of_layers(width, config.hidden, classes))

    if config.fusion in FUSIONS:
        count += FUSIONS[config.fusion].traits["weights"](of_head, seen, classes)
    else:
        count += of_head(seen[config.fusion])
    return float(count * _BYTES / 1e6)


def _built(config: Config, widths: Mapping[str, int], classes: int) -> float | None:
    from hpo.models._assembled import AssembledModel  # PyTorch takes a second, see hpo/_lazy.py
    from hpo.models._fusion import is_fitted

    module = AssembledModel(config, widths, classes)
    return None if is_fitted(module) else module.megabytes()
