"""Fusion modules and the configuration that names them."""

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from hpo.errors import InputError
from hpo.models import (
    FUSIONS,
    Config,
    MetaClassifier,
    build_meta,
    build_module,
    check_fusion,
    head_names,
    is_two_step,
    modalities_read,
)

WIDTHS = {"image": 12, "text": 8}
INPUTS = {name: torch.randn(10, width) for name, width in WIDTHS.items()}
CONFIG = Config(hidden=(6,))


def build(fusion: str, config: Config = CONFIG, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    return build_module(fusion, config, WIDTHS, 5, generator).eval()


@pytest.mark.parametrize("head", ["mlp", "gmlp"])
@pytest.mark.parametrize(
    "fusion", ["image", "text", *(name for name in FUSIONS if not is_two_step(name))]
)
def test_logits_for_modalities_of_different_widths(fusion: str, head: str) -> None:
    config = CONFIG.model_copy(update={"head": head})
    assert build(fusion, config)(INPUTS).shape == (10, 5)


@pytest.mark.parametrize("fusion", ["image", "text"])
def test_one_modality_reads_nothing_else(fusion: str) -> None:
    module = build(fusion)
    logits = module({fusion: INPUTS[fusion]})
    assert torch.equal(logits, module(INPUTS))
    assert torch.equal(logits, module.head(INPUTS[fusion]))
    widths = {fusion: WIDTHS[fusion]}
    alone = build_module(fusion, CONFIG, widths, 5, torch.Generator().manual_seed(0)).eval()
    assert torch.equal(alone(INPUTS), logits)


def test_concat_puts_image_before_text() -> None:
    module = build("concat")
    beside = torch.cat([INPUTS["image"], INPUTS["text"]], dim=1)
    turned = {"text": INPUTS["text"], "image": INPUTS["image"]}
    assert torch.equal(module(INPUTS), module.head(beside))
    assert torch.equal(module(turned), module.head(beside))


@pytest.mark.parametrize(
    ("fusion", "names"),
    [("sum_joint", ["image", "text"]), ("mixed_joint", ["concat", "image", "text"])],
)
def test_joint_is_the_meta_classifier_of_the_sum(fusion: str, names: list[str]) -> None:
    module = build(fusion)
    assert list(module.heads) == names
    total = sum(module.heads[name](INPUTS) for name in names)
    torch.testing.assert_close(module(INPUTS), total)  # the meta-classifier is the identity yet
    with torch.no_grad():
        module.meta.weight.normal_()
        module.meta.bias.normal_()
    expected = torch.einsum("nk,jk->nj", total, module.meta.weight) + module.meta.bias
    torch.testing.assert_close(module(INPUTS), expected)
    module(INPUTS).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_gated_starts_as_the_plain_sum_and_weighs_row_by_row() -> None:
    module = build("gated")
    plain = build("sum_joint")
    assert torch.equal(module(INPUTS), plain(INPUTS))  # the weights are 1 yet
    with torch.no_grad():
        module.gate.weight.normal_()
        module.gate.bias.normal_()
        module.meta.weight.normal_()
    beside = torch.cat([INPUTS["image"], INPUTS["text"]], dim=1)
    weights = 2 * torch.softmax(beside @ module.gate.weight.T + module.gate.bias, dim=1)
    image, text = (module.heads[name](INPUTS) for name in WIDTHS)
    total = weights[:, :1] * image + weights[:, 1:] * text
    torch.testing.assert_close(module(INPUTS), total @ module.meta.weight.T)
    module(INPUTS).sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


def test_heads_of_a_joint_module_start_differently() -> None:
    config = Config(hidden=(6,))
    module = build_module(
        "sum_joint", config, {"image": 8, "text": 8}, 5, torch.Generator().manual_seed(0)
    )
    first, second = (head.head[0].weight for head in module.heads.values())
    assert not torch.equal(first, second)


def test_meta_classifier_starts_as_the_identity() -> None:
    meta = MetaClassifier(5)
    logits = torch.randn(10, 5)
    assert torch.equal(meta(logits), logits)
    assert meta.weight.requires_grad and meta.bias.requires_grad
    assert torch.equal(build_meta(5)({"outputs": logits}), logits)


BOTH = ("image", "text")


def test_modalities() -> None:
    assert modalities_read("image", BOTH) == ("image",)
    assert modalities_read("text", BOTH) == ("text",)
    for fusion in FUSIONS:
        assert modalities_read(fusion, BOTH) == BOTH
        assert modalities_read(fusion, ("text",)) is None
    assert modalities_read("audio", BOTH) is None
    heads = {name: head_names(name, BOTH) for name in (*BOTH, *FUSIONS) if is_two_step(name)}
    assert heads == {"sum": ("image", "text"), "mixed": ("concat", "image", "text")}
    assert head_names("concat", BOTH) == ("concat",)


@pytest.mark.parametrize(
    ("fusion", "modalities", "message"),
    [
        (
            "video",
            BOTH,
            "The fusion is 'video', but must be a modality of the features (image, text) or one "
            "of: concat, sum, mixed, sum_joint, mixed_joint, gated.",
        ),
        (
            "mixd",
            BOTH,
            "The fusion is 'mixd' (did you mean 'mixed'?), but must be a modality of the features "
            "(image, text) or one of: concat, sum, mixed, sum_joint, mixed_joint, gated.",
        ),
        (
            "concat",
            ("text",),
            "The fusion is 'concat', which needs two modalities or more, but the features have "
            "text.",
        ),
        (
            "image",
            ("image", "concat"),
            "'concat' names a modality of the features and a fusion, but must be one of them; "
            "rename one.",
        ),
    ],
)
def test_a_fusion_that_the_features_cannot_have(
    fusion: str, modalities: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        check_fusion(fusion, modalities)
    assert str(caught.value) == message


def test_defaults_are_the_papers_starting_values_but_for_scaling() -> None:
    assert Config().model_dump() == {
        "fusion": "image",
        "head": "mlp",
        "hidden": (2048,),
        "activation": "gelu",
        "dropout": 0.5,
        "feature_scaling": "auto",
        "loss": "bce",
        "optimizer": "adam",
        "lr": 0.001,
        "weight_decay": 0.0,
        "batch_size": 25_000,
        "epochs": 200,
        "ema_decay": None,
        "input_dropout": 0.0,
        "modality_dropout": 0.0,
        "encoder": None,
        "class_weight": "none",
        "oversample": 0.0,
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("fusion", "Late", "'concat', 'sum', 'mixed', 'sum_joint', 'mixed_joint', 'gated'"),
        ("head", "mpl", "Input should be 'mlp', 'gmlp'"),
        ("loss", "bse", "Input should be 'bce', 'focal', 'asl', 'two_way'"),
        ("dropout", 1.0, "Input should be less than 1"),
        ("input_dropout", 1.0, "Input should be less than 1"),
        ("modality_dropout", -0.1, "Input should be greater than or equal to 0"),
        ("class_weight", "auto", "Input should be 'none', 'balanced' or 'sqrt'"),
        ("oversample", 1.0, "Input should be less than 1"),
        ("feature_scaling", "l1", "Input should be 'none', 'auto', 'l2' or 'standard'"),
        ("lr", 0, "Input should be greater than 0"),
        ("hidden", [16, 0], "Input should be greater than 0"),
        ("ema_decay", 1, "Input should be less than 1"),
        ("epochs", 0, "Input should be greater than 0"),
        ("batch", 10, "Extra inputs are not permitted"),
    ],
)
def test_values_outside_their_range(field: str, value: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        Config.model_validate({field: value})
    assert caught.value.errors()[0]["loc"][0] == field


def test_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError, match="Instance is frozen"):
        Config().lr = 0.1
