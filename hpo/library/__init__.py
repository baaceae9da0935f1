"""The library behind ``import hpo`` and behind the command line."""

from hpo.library._checks import check_memory
from hpo.library._create import create_study, define_study, load_study, open_study
from hpo.library._embeddings import checked_embeddings
from hpo.library._limits import Limits
from hpo.library._model import Model, load_model
from hpo.library._register import (
    register_fusion,
    register_head,
    register_loss,
    register_metric,
)
from hpo.library._spaces import load_space, space_of
from hpo.library._study import Study
from hpo.library._train import Run, fit, train

__all__ = [
    "Limits",
    "Model",
    "Run",
    "Study",
    "check_memory",
    "checked_embeddings",
    "create_study",
    "define_study",
    "fit",
    "load_model",
    "load_space",
    "load_study",
    "open_study",
    "register_fusion",
    "register_head",
    "register_loss",
    "register_metric",
    "space_of",
    "train",
]
