"""One point of the search: everything that a user can choose about a head and its training."""

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

__all__ = ["FUSIONS", "TWO_STEP", "Config", "modalities_of"]

Fusion = Literal["image", "text", "concat", "sum", "mixed", "sum_joint", "mixed_joint"]
FUSIONS: tuple[str, ...] = get_args(Fusion)

#: The fusions of the paper that train modality heads first and a meta-classifier on their summed
#: outputs second (section 3.2), and the heads that each needs.
TWO_STEP: dict[str, tuple[str, ...]] = {
    "sum": ("image", "text"),
    "mixed": ("concat", "image", "text"),
}


class Config(BaseModel):
    """A configuration, as trials carry it. Defaults are the paper's starting values (Table 1).

    Attributes:
        fusion: How the modalities are combined (section 3.2 of the paper).
        head: ``mlp`` or ``gmlp`` (section 3.5).
        hidden: Widths of the hidden layers; empty means a linear head.
        activation: After each hidden layer.
        dropout: Probability that a hidden unit is dropped, in [0, 1).
        feature_scaling: ``l2`` divides each embedding by its norm, ``standard`` subtracts the mean
            of the training rows and divides by their standard deviation, by column.
        loss: ``bce``, ``focal`` or ``asl`` (section 4.2.3).
        optimizer: ``adam``, or ``adamw`` with decoupled weight decay.
        lr: Learning rate.
        weight_decay: L2 penalty (adam) or decoupled decay (adamw).
        batch_size: Rows in a step; more than there are means all of them.
        epochs: Passes over the training rows; a two-step fusion trains its heads and then its
            meta-classifier for this many each.
        ema_decay: α of the averaged weights that are evaluated instead (Eq. 6); None for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fusion: Fusion = "image"
    head: Literal["mlp", "gmlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (2048,)
    activation: Literal["gelu", "relu", "leaky_relu"] = "gelu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    feature_scaling: Literal["none", "l2", "standard"] = "none"
    loss: Literal["bce", "focal", "asl"] = "bce"
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: Annotated[float, Field(gt=0)] = 0.001
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    batch_size: PositiveInt = 25_000
    epochs: PositiveInt = 200
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None


def modalities_of(fusion: str) -> tuple[str, ...]:
    """Return the modalities whose embeddings ``fusion`` reads."""
    return (fusion,) if fusion in ("image", "text") else ("image", "text")
