"""Configuration and feature widths in, an ``nn.Module`` that maps embeddings to logits out."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.models._config import FUSIONS, TWO_STEP, Config, modalities_of

if TYPE_CHECKING:
    from hpo.models._assembled import AssembledModel
    from hpo.models._dropout import Dropout, seed_dropout
    from hpo.models._fusion import MetaClassifier, build_meta, build_module
    from hpo.models._heads import HEADS, GatedHead, MLPHead
    from hpo.models._losses import LOSSES, AsymmetricLoss
    from hpo.models._scaling import FeatureScaling
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_assembled": ("AssembledModel",),
            "_dropout": (
                "Dropout",
                "seed_dropout",
            ),
            "_fusion": (
                "MetaClassifier",
                "build_meta",
                "build_module",
            ),
            "_heads": (
                "HEADS",
                "GatedHead",
                "MLPHead",
            ),
            "_losses": (
                "LOSSES",
                "AsymmetricLoss",
            ),
            "_scaling": ("FeatureScaling",),
        },
    )

__all__ = [
    "FUSIONS",
    "HEADS",
    "LOSSES",
    "TWO_STEP",
    "AssembledModel",
    "AsymmetricLoss",
    "Config",
    "Dropout",
    "FeatureScaling",
    "GatedHead",
    "MLPHead",
    "MetaClassifier",
    "build_meta",
    "build_module",
    "modalities_of",
    "seed_dropout",
]
