"""Configuration and feature widths in, an ``nn.Module`` that maps embeddings to logits out."""

from hpo.models._assembled import AssembledModel
from hpo.models._config import FUSIONS, TWO_STEP, Config, modalities_of
from hpo.models._dropout import Dropout, seed_dropout
from hpo.models._fusion import MetaClassifier, build_meta, build_module
from hpo.models._heads import HEADS, GatedHead, MLPHead
from hpo.models._losses import LOSSES, AsymmetricLoss
from hpo.models._scaling import FeatureScaling

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
