"""AssembledModel: scaling, heads and meta-classifier in one module."""

import pytest
import torch

from hpo.models import (
    FUSIONS,
    AssembledModel,
    Config,
    FeatureScaling,
    head_names,
    modalities_read,
)

WIDTHS = {"image": 12, "text": 8}


def read_by(fusion: str) -> tuple[str, ...]:
    read = modalities_read(fusion, tuple(WIDTHS))
    assert read is not None
    return read


def assemble(fusion: str, scaling: str = "none") -> AssembledModel:
    config = Config(fusion=fusion, hidden=(6,), feature_scaling=scaling)
    widths = {name: WIDTHS[name] for name in read_by(fusion)}
    return AssembledModel(config, widths, 5).eval()


@pytest.mark.parametrize("scaling", ["none", "auto", "l2", "standard"])
@pytest.mark.parametrize("fusion", [*WIDTHS, *FUSIONS])
def test_stored_embeddings_to_logits(fusion: str, scaling: str) -> None:
    module = assemble(fusion, scaling)
    raw = {name: torch.randn(9, WIDTHS[name]).half() for name in read_by(fusion)}
    assert module.scaling.keys() == raw.keys()
    for name, layer in module.scaling.items():
        layer.fit(raw[name])
    logits = module(raw)
    assert logits.shape == (9, 5)
    assert logits.dtype == torch.float32
    scaled = {name: FeatureScaling(scaling, x.shape[1]).fit(x)(x) for name, x in raw.items()}
    total = sum(head(scaled) for head in module.heads.values())
    torch.testing.assert_close(logits, total)  # the meta-classifier is the identity yet
    assert tuple(module.heads) == head_names(fusion, tuple(WIDTHS))
    if module.meta is not None:
        with torch.no_grad():
            module.meta.head.weight.mul_(2)
            module.meta.head.bias.fill_(3)
        torch.testing.assert_close(module(raw), 2 * total + 3)


def test_state_rebuilds_the_model() -> None:
    module, other = assemble("mixed", "standard"), assemble("mixed", "standard")
    raw = {name: torch.randn(9, width) for name, width in WIDTHS.items()}
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.uniform_(0.5, 1.5)
    assert not torch.equal(other(raw), module(raw))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(raw), module(raw))


def test_size_of_the_papers_model() -> None:
    config = Config(fusion="sum", hidden=(2048, 512), feature_scaling="none")
    size = AssembledModel(config, {"image": 768, "text": 768}, 18).megabytes()
    assert size == pytest.approx(4 * (2 * 2_633_234 + 18 * 18 + 18) / 1e6, abs=1e-9)
    assert size < 25


def test_scaling_counts_towards_the_size() -> None:
    bare, scaled = assemble("image"), assemble("image", "standard")
    assert scaled.megabytes() - bare.megabytes() == pytest.approx(2 * 12 * 4 / 1e6)
