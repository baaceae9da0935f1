"""Hyperparameter optimization for multimodal multi-label classification on cached CLIP features.

import hpo

data = hpo.load_data("my-data", encoder="ViT-L-14/openai")
study = hpo.create_study(data, space="greedy")
study.optimize()
model = study.refit()
model.predict(images=["a.jpg"], captions=["a dog on a beach"])
"""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late

if TYPE_CHECKING:
    from hpo.errors import InputError
    from hpo.features import Data, load_data
    from hpo.library import (
        Model,
        Run,
        Study,
        create_study,
        fit,
        load_model,
        load_space,
        load_study,
        register_fusion,
        register_head,
        register_loss,
        register_metric,
        train,
    )
    from hpo.models import Config
    from hpo.search import NoCandidateError, Space
else:
    __getattr__ = exported_late(
        __name__,
        {
            "errors": ("InputError",),
            "features": ("Data", "load_data"),
            "library": (
                *("Model", "Run", "Study", "create_study", "fit", "load_model", "load_space"),
                "load_study",
                *("register_fusion", "register_head", "register_loss", "register_metric", "train"),
            ),
            "models": ("Config",),
            "search": ("NoCandidateError", "Space"),
        },
    )

__all__ = [
    "Config",
    "Data",
    "InputError",
    "Model",
    "NoCandidateError",
    "Run",
    "Space",
    "Study",
    "create_study",
    "fit",
    "load_data",
    "load_model",
    "load_space",
    "load_study",
    "register_fusion",
    "register_head",
    "register_loss",
    "register_metric",
    "train",
]
