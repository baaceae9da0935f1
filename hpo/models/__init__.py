"""Configuration and feature widths in, an ``nn.Module`` that maps embeddings to logits out."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.models._choices import (
    CHOICES,
    FUSIONS,
    HEADS,
    LOSSES,
    check_fusion,
    class_weight_fault,
    head_names,
    is_trained_as_one,
    is_two_step,
    modalities_read,
    option_names,
    owner_of,
    sees_whole_batches,
)
from hpo.models._config import (
    Config,
    FixedValues,
    default_of,
    field_names,
    is_value_name,
    neutral,
    typed_value,
)
from hpo.models._numbers import is_number, is_whole_number
from hpo.models._plugins import PluginUse, plugin_uses, plugins_of_config
from hpo.models._registry import Entry, Origin, Parameter, Registry, all_registries
from hpo.models._rules import holds_truth, rule_in_words, rule_of
from hpo.models._size import architecture, counts_weights, model_megabytes

if TYPE_CHECKING:
    from hpo.models._assembled import AssembledModel
    from hpo.models._dropout import Dropout, seed_dropout
    from hpo.models._ensemble import EnsembleModel
    from hpo.models._fusion import (
        MetaClassifier,
        build_meta,
        build_module,
        is_fitted,
        load_weights,
    )
    from hpo.models._heads import GatedHead, MLPHead
    from hpo.models._linear import Linear
    from hpo.models._losses import asymmetric_loss, build_loss
    from hpo.models._neighbours import NeighboursHead
    from hpo.models._scaling import FeatureScaling
else:
    __getattr__ = exported_late(
        __name__,
        {
            "_assembled": ("AssembledModel",),
            "_dropout": ("Dropout", "seed_dropout"),
            "_ensemble": ("EnsembleModel",),
            "_fusion": (
                "MetaClassifier",
                "build_meta",
                "build_module",
                "is_fitted",
                "load_weights",
            ),
            "_heads": ("GatedHead", "MLPHead"),
            "_linear": ("Linear",),
            "_losses": ("asymmetric_loss", "build_loss"),
            "_neighbours": ("NeighboursHead",),
            "_scaling": ("FeatureScaling",),
        },
    )

__all__ = [
    "CHOICES",
    "FUSIONS",
    "HEADS",
    "LOSSES",
    "AssembledModel",
    "Config",
    "Dropout",
    "EnsembleModel",
    "Entry",
    "FeatureScaling",
    "FixedValues",
    "GatedHead",
    "Linear",
    "MLPHead",
    "MetaClassifier",
    "NeighboursHead",
    "Origin",
    "Parameter",
    "PluginUse",
    "Registry",
    "all_registries",
    "architecture",
    "asymmetric_loss",
    "build_loss",
    "build_meta",
    "build_module",
    "check_fusion",
    "class_weight_fault",
    "counts_weights",
    "default_of",
    "field_names",
    "head_names",
    "holds_truth",
    "is_fitted",
    "is_number",
    "is_trained_as_one",
    "is_two_step",
    "is_value_name",
    "is_whole_number",
    "load_weights",
    "modalities_read",
    "model_megabytes",
    "neutral",
    "option_names",
    "owner_of",
    "plugin_uses",
    "plugins_of_config",
    "rule_in_words",
    "rule_of",
    "seed_dropout",
    "sees_whole_batches",
    "typed_value",
]
