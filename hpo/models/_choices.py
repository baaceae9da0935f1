"""The fusions, heads and losses that come with the package, by name, without importing PyTorch."""

import inspect
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field, PositiveInt

from hpo.errors import InputError, did_you_mean
from hpo.models import _weights
from hpo.models._registry import Entry, Parameter, Registry

__all__ = [
    "CHOICES",
    "FUSIONS",
    "HEADS",
    "LOSSES",
    "check_fusion",
    "class_weight_fault",
    "head_names",
    "is_trained_as_one",
    "is_two_step",
    "modalities_read",
    "option_names",
    "option_parameter",
    "owner_of",
    "sees_whole_batches",
]

_NotNegative = Annotated[float, Field(ge=0)]
_Positive = Annotated[float, Field(gt=0)]
_Probability = Annotated[float, Field(ge=0, lt=1)]


def _even_widths(hidden: Sequence[int]) -> str | None:
    """Say what gmlp needs of the hidden widths, if they don't have it."""
    odd = [width for width in hidden if width % 2]
    return f"widths must be even, but one is {odd[0]}" if odd else None


#: ``loss(logits, targets, **own)`` → scalar, summed over rows and classes; both [rows, K]. One
#: that has an argument ``positive_weights`` gets those of ``class_weight``, [K]. The trait
#: ``across_rows`` says that it compares rows, so that it must see a whole batch at once.
LOSSES: Registry[Callable[..., Any]] = Registry("loss", ("positive_weights",))
LOSSES.declare("bce", "hpo.models._losses:bce")
LOSSES.declare("focal", "hpo.models._losses:focal", {"gamma": Parameter(_NotNegative, 3.0)})
LOSSES.declare(
    "asl",
    "hpo.models._losses:asl",
    {
        "gamma_neg": Parameter(_NotNegative, 4.0),
        "gamma_pos": Parameter(_NotNegative, 1.0),
        "clip": Parameter(_Probability, 0.05),
    },
)
LOSSES.declare(
    "two_way",
    "hpo.models._losses:two_way",
    {"temp_pos": Parameter(_Positive, 4.0), "temp_neg": Parameter(_Positive, 1.0)},
    across_rows=True,
)

#: ``head(width, hidden, classes, *, activation, dropout, generator, **own)`` → module that maps
#: [rows, width] to logits [rows, classes]. The trait ``widths`` says what is wrong with hidden
#: widths, ``weights(width, hidden, classes)`` counts its weights; a head whose module has
#: ``fit(x, targets)`` is fitted once instead of trained by steps, and
#: ``row_bytes(width, classes)`` says what it keeps of each row that it was fitted to.
HEADS: Registry[Callable[..., Any]] = Registry("head", ("activation", "dropout", "generator"))
HEADS.declare("mlp", "hpo.models._heads:MLPHead", weights=_weights.of_mlp)
HEADS.declare("gmlp", "hpo.models._heads:GatedHead", widths=_even_widths, weights=_weights.of_gmlp)
HEADS.declare(
    "knn",
    "hpo.models._neighbours:NeighboursHead",
    {"k": Parameter(PositiveInt, 30)},
    row_bytes=lambda width, classes: 2 * width + classes,
)

#: ``fusion(make_head, widths, classes, *, generator, **own)`` → module that maps embeddings by
#: modality to logits. The trait ``heads`` gives, for the fusions of the paper that train heads
#: first and a meta-classifier on their summed outputs second (section 3.2), the heads that they
#: need for these modalities. The trait ``weights(of_head, widths, classes)`` counts the weights of
#: all of it. A modality's own name is a fusion as well: that modality alone.
FUSIONS: Registry[Callable[..., Any]] = Registry("fusion", ("generator",))
FUSIONS.declare("concat", "hpo.models._fusion:concat", weights=_weights.of_concat)
FUSIONS.declare(
    "sum",
    "hpo.models._fusion:sum_joint",
    heads=lambda names: tuple(names),
    weights=_weights.of_sum,
)
FUSIONS.declare(
    "mixed",
    "hpo.models._fusion:mixed_joint",
    heads=lambda names: ("concat", *names),
    weights=_weights.of_mixed,
)
FUSIONS.declare("sum_joint", "hpo.models._fusion:sum_joint", weights=_weights.of_sum)
FUSIONS.declare("mixed_joint", "hpo.models._fusion:mixed_joint", weights=_weights.of_mixed)
FUSIONS.declare("gated", "hpo.models._fusion:gated", weights=_weights.of_gated)

#: The fields of a configuration that name a choice with parameters of its own.
CHOICES: dict[str, Registry[Any]] = {"fusion": FUSIONS, "head": HEADS, "loss": LOSSES}


def is_two_step(fusion: str) -> bool:
    """Tell whether a fusion trains its heads first and a meta-classifier second."""
    return fusion in FUSIONS and "heads" in FUSIONS[fusion].traits


def is_trained_as_one(fusion: str) -> bool:
    """Tell whether the heads of a fusion of several modalities are trained together."""
    return fusion in FUSIONS and not is_two_step(fusion)


def head_names(fusion: str, modalities: Sequence[str]) -> tuple[str, ...]:
    """Return the modules of a fusion that are trained by themselves: its heads, or it alone."""
    if is_two_step(fusion):
        names: tuple[str, ...] = FUSIONS[fusion].traits["heads"](tuple(modalities))
        return names
    return (fusion,)


def modalities_read(fusion: str, modalities: Sequence[str]) -> tuple[str, ...] | None:
    """Return which of the modalities that there are a fusion reads; None if it lacks any.

    A modality's name reads that modality; every other fusion reads all, of which there must be
    two or more.
    """
    if fusion in FUSIONS:
        return tuple(modalities) if len(modalities) >= 2 else None
    return (fusion,) if fusion in modalities else None


def check_fusion(fusion: str, modalities: Sequence[str]) -> None:
    """Check that a fusion can be used on features with these modalities.

    Raises:
        InputError: It is neither registered nor one of them, or needs more than there are; or a
            modality has the name of a registered one.
    """
    both = [name for name in modalities if name in FUSIONS]
    if both:
        raise InputError(
            f"'{both[0]}' names a modality of the features and a fusion, but must be one of them; "
            "rename one."
        )
    if modalities_read(fusion, modalities) is not None:
        return
    there = ", ".join(modalities) or "none"
    if fusion in FUSIONS:
        raise InputError(
            f"The fusion is '{fusion}', which needs two modalities or more, but the features have "
            f"{there}."
        )
    known = [*modalities, *FUSIONS]
    raise InputError(
        f"The fusion is '{fusion}'{did_you_mean(fusion, known)}, but must be a modality of the "
        f"features ({there}) or one of: {', '.join(FUSIONS)}."
    )


def class_weight_fault(class_weight: str, loss: str) -> str | None:
    """Say what is wrong with a ``class_weight`` for a loss: a user's may take no weights."""
    entry = LOSSES[loss]
    if class_weight == "none" or entry.origin is None:
        return None
    if "positive_weights" in inspect.signature(entry.load()).parameters:
        return None
    return (
        f"class_weight is '{class_weight}', but the loss '{loss}' takes no weights; give it a "
        "keyword argument positive_weights, or leave class_weight at 'none'"
    )


def sees_whole_batches(loss: str) -> bool:
    """Tell whether a loss compares the rows of a batch, so that no batch may be cut for it."""
    return bool(LOSSES[loss].traits.get("across_rows", False))


def owner_of(option: str) -> tuple[str, Entry[Any]] | None:
    """Return the field and the choice that a parameter such as ``focal.gamma`` belongs to."""
    name, _, parameter = option.partition(".")
    for field, registry in CHOICES.items():
        if name in registry and parameter in registry[name].parameters:
            return field, registry[name]
    return None


def option_names() -> tuple[str, ...]:
    """Return the names of all parameters of choices, such as ``focal.gamma``."""
    return tuple(
        f"{name}.{key}"
        for registry in CHOICES.values()
        for name in registry
        for key in registry[name].parameters
    )


def option_parameter(option: str) -> Parameter | None:
    """Return the parameter that such as ``focal.gamma`` stands for; None if there is none."""
    owner = owner_of(option)
    return None if owner is None else owner[1].parameters[option.partition(".")[2]]
