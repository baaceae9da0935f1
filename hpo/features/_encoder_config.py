"""What a config of open_clip's form may say where a folder, a file or the hub brings it.

Such a config can name a tokenizer or a text tower of Hugging Face's, whose files may hold Python;
arguments of those, ``trust_remote_code`` among them; and models that are fetched from anywhere. So
its keys are allowed by a list: those that describe the architecture of open_clip's own towers, or
of a tower that timm knows by name. All others are refused by their names.
"""

import re
from collections.abc import Mapping
from typing import Any

from hpo.errors import did_you_mean

__all__ = ["config_faults"]

_NUMBERS = {"eps", "approximate"}  # of layers' arguments: GELU's is none or tanh
_BLOCK = {
    *("act_kwargs", "norm_kwargs", "block_type", "qk_norm", "scaled_cosine_attn", "scale_heads"),
    *("scale_attn_inner", "scale_attn", "scale_fc"),
}
_TOWER = {
    *("layers", "width", "mlp_ratio", "ls_init_value", "final_ln_after_pool", "pool_type"),
    *("output_tokens", *_BLOCK),
}
_TEXT = {
    *("context_length", "vocab_size", "heads", "embed_cls", "pad_id", "eos_id", "no_causal_mask"),
    *("proj_bias", "proj_type", *_TOWER),
}
_ALLOWED = {
    "": {"model_cfg", "preprocess_cfg"},
    "model_cfg": {
        *("embed_dim", "vision_cfg", "text_cfg", "multimodal_cfg", "quick_gelu", "custom_text"),
        *("init_logit_scale", "init_logit_bias", "nonscalar_logit_scale", "output_dict"),
    },
    "vision_cfg": {
        *("head_width", "patch_size", "image_size", "patch_dropout", "attentional_pool"),
        *("attn_pooler_queries", "attn_pooler_heads", "no_ln_pre", "pos_embed_type", *_TOWER),
        *("timm_model_name", "timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias"),
        *("timm_drop", "timm_drop_path"),
    },
    "text_cfg": _TEXT,
    "multimodal_cfg": {"dim_head", "n_queries", "attn_pooler_heads", *_TEXT},
    "preprocess_cfg": {
        *("size", "mode", "mean", "std", "interpolation", "resize_mode", "fill_color"),
    },
    "act_kwargs": _NUMBERS,
    "norm_kwargs": _NUMBERS,
}
# Of numbers and of lists, such as the layers of a ResNet's four stages.
_MOST = 1_000_000
_LONGEST = 16
_SECTIONS = frozenset(_ALLOWED)
# What those who want such a model can do.
_WAY_ON = (
    "nothing that a config brings may choose code or a download. Name the model as open_clip does, "
    "MODEL/PRETRAINED, or extract embeddings elsewhere and give them with --features"
)
_CHOOSE = re.compile(r"hf_\w+|tokenizer\w*|trust\w*|pretrained\w*")
_TIMM_NAME = re.compile(r"\w[\w.-]*")


def config_faults(content: Mapping[str, Any], known: Mapping[str, Any] | None = None) -> list[str]:
    """Return what a config says that it may not, one message for each key.

    Args:
        content: What ``open_clip_config.json`` holds.
        known: open_clip's own ``model_cfg`` of the model, if the config is for weights of one: what
            that says as well is allowed.
    """
    faults: list[str] = []
    _check("", content, {"model_cfg": known or {}}, faults)
    return faults


def _check(
    section: str, content: Mapping[str, Any], known: Mapping[str, Any], faults: list[str]
) -> None:
    allowed = _ALLOWED[section.rpartition(".")[2]]
    for key, value in content.items():
        place = f"{section}.{key}".removeprefix(".")
        ours = known.get(key)
        if (key in known and ours == value) or (not value and _CHOOSE.fullmatch(key)):
            continue
        if key not in allowed:
            if _CHOOSE.fullmatch(key):
                faults.append(f"'{place}' is set, but {_WAY_ON}")
            else:
                hint = did_you_mean(key, sorted(allowed))
                faults.append(f"'{place}' is no key that a config may have{hint}")
        elif key in _SECTIONS:
            if isinstance(value, Mapping):
                _check(place, value, ours if isinstance(ours, Mapping) else {}, faults)
            elif value is not None:
                faults.append(f"'{place}' is {_short(value)}, but must be an object")
        elif key == "timm_model_name" and value is not None:
            if not isinstance(value, str) or not _TIMM_NAME.fullmatch(value):
                faults.append(
                    f"'{place}' is {_short(value)}, but must be a model that timm knows by its "
                    f"name alone; {_WAY_ON}"
                )
        elif key == "timm_model_pretrained" and value:
            faults.append(f"'{place}' is {_short(value)}, but {_WAY_ON}")
        elif not _is_plain(value):
            faults.append(
                f"'{place}' is {_short(value)}, but must be a text, true, false, null, a number up "
                f"to {_MOST:,}, or a list of numbers"
            )


def _is_plain(value: object) -> bool:
    if isinstance(value, list):
        return len(value) < _LONGEST and all(
            isinstance(one, int | float) and _is_plain(one) for one in value
        )
    if isinstance(value, int | float):
        return abs(value) <= _MOST  # False for NaN
    return value is None or isinstance(value, str)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"
