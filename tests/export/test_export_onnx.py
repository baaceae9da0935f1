"""The ONNX file: what PyTorch computes, for whatever a model is made of, or a refusal."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import hpo
from hpo.export import TOLERANCE, export_onnx
from hpo.models import AssembledModel, Config, EnsembleModel
from hpo.training import Calibration, Member, TrainedModel, open_device

WIDTHS = {"image": 12, "text": 10}
CLASSES = ("cat", "dog", "a ü|b", "bird")
IMPORTED = {"source": "import", "encoder": "", "weights_hash": "", "preprocessing": ""}


def config(**values: Any) -> Config:
    return Config.model_validate({"fusion": "sum", "hidden": (8,), **values})


def module_of(config: Config, seed: int = 0) -> AssembledModel:
    """A module with made-up weights, and scaling that does something."""
    single = {
        k: v for k, v in WIDTHS.items() if config.fusion in (k,) or config.fusion not in WIDTHS
    }
    module = AssembledModel(config, single, len(CLASSES))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
        for name, buffer in module.named_buffers():
            if name.endswith(("factor", "std", "mean")):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    for head in module.heads.values():
        if hasattr(head, "fit") and hasattr(getattr(head, "head", None), "fit"):
            rows = {n: torch.randn(200, w, generator=generator) for n, w in single.items()}
            head.fit(rows, (torch.rand(200, len(CLASSES), generator=generator) < 0.3).float())
    return module


def model_of(*configs: Config, calibration: Calibration | None = None) -> TrainedModel:
    """A model, or the average of several."""
    modules = [module_of(one, seed) for seed, one in enumerate(configs)]
    members = tuple(Member(one, 1.0 + n, n) for n, one in enumerate(configs))
    several = len(configs) > 1
    read = {n: w for n, w in WIDTHS.items() if any(n in m.scaling for m in modules)}
    return TrainedModel(
        EnsembleModel(modules, [m.weight for m in members]) if several else modules[0],
        configs[0],
        read,
        CLASSES,
        (0.5, 0.4, 0.6, 0.25),
        IMPORTED,
        {},
        members if several else (),
        calibration,
    )


def embeddings(model: TrainedModel, rows: int = 300) -> dict[str, np.ndarray]:
    """Rows that float16 doesn't hold; some lack something, and of some the model is sure."""
    rng = np.random.default_rng(3)
    found = {n: rng.normal(size=(rows, w)).astype(np.float32) for n, w in model.widths.items()}
    for array in found.values():
        array[rows // 2 :] *= np.geomspace(1, 30, rows - rows // 2, dtype=np.float32)[:, None]
    if len(found) > 1:
        for start, array in enumerate(found.values()):
            array[start::5] = np.nan
    return found


def computed(path: Path, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], feed)
    return np.asarray(found)


PLATT = Calibration("platt", (1.3, 0.6, 1.0, 2.0), (0.2, -0.4, 0.0, 0.1))
MODELS = {
    "one modality": lambda: model_of(config(fusion="text", hidden=())),
    "concat": lambda: model_of(config(fusion="concat", activation="relu")),
    "two steps": lambda: model_of(config(fusion="mixed", activation="leaky_relu")),
    "joint": lambda: model_of(config(fusion="mixed_joint", modality_dropout=0.2)),
    "gated": lambda: model_of(config(fusion="gated", feature_scaling="l2")),
    "gmlp": lambda: model_of(config(head="gmlp", hidden=(8, 6), feature_scaling="standard")),
    "neighbours": lambda: model_of(config(fusion="concat", head="knn", **{"knn.k": 7})),
    "products by oneDNN": lambda: model_of(config(fusion="concat", hidden=(512,))),
    "none scaled": lambda: model_of(config(feature_scaling="none"), calibration=PLATT),
    "ensemble": lambda: model_of(
        config(fusion="concat"),
        config(fusion="image", head="knn", **{"knn.k": 5}),
        config(fusion="sum", feature_scaling="standard"),
        calibration=PLATT,
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_pytorch_computes(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    path = tmp_path / "a.onnx"
    assert export_onnx(model, path) <= TOLERANCE
    assert [file.name for file in tmp_path.iterdir()] == ["a.onnx"]
    feed = embeddings(model)
    expected = model.probabilities(feed, open_device("cpu"))
    assert not np.isnan(expected).any()
    for rows in (300, 1):  # the number of rows is open
        some = {key: x[:rows] for key, x in feed.items()}
        np.testing.assert_allclose(computed(path, some), expected[:rows], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("members", [1, 2])
def test_calibration_where_the_model_is_sure(members: int, tmp_path: Path) -> None:
    """A slope below 1 brings out what float32 and onnxruntime's sigmoid lose next to 0 and 1."""
    flat = Calibration("platt", (0.5, 0.6, 0.7, 1.0), (-0.8, 0.0, 0.3, 0.0))
    one = config(fusion="text", hidden=(), feature_scaling="none")
    model = model_of(*[one] * members, calibration=flat)
    direction = np.random.default_rng(4).normal(size=WIDTHS["text"]).astype(np.float32)
    feed = {"text": np.linspace(-30, 30, 2001, dtype=np.float32)[:, None] * direction}
    expected = model.probabilities(feed, open_device("cpu"))
    assert expected.min() < 1e-5
    assert expected.max() > 1 - 1e-5
    # where rows are computed in other batches, products have other last bits
    shuffled = {"text": feed["text"][::-1][: len(expected) - 3].copy()}
    again = model.probabilities(shuffled, open_device("cpu"))[::-1]
    np.testing.assert_allclose(again, expected[3:], atol=TOLERANCE / 5, rtol=0)
    export_onnx(model, tmp_path / "a.onnx")
    np.testing.assert_allclose(
        computed(tmp_path / "a.onnx", feed), expected, atol=TOLERANCE / 5, rtol=0
    )


def test_the_file_says_what_one_must_know(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    export_onnx(model_of(config(), calibration=PLATT), path)
    session = onnxruntime.InferenceSession(path)
    shapes = {one.name: (one.shape, one.type) for one in session.get_inputs()}
    assert shapes == {
        "image": (["rows", 12], "tensor(float)"),
        "text": (["rows", 10], "tensor(float)"),
    }
    (output,) = session.get_outputs()
    assert (output.name, output.shape, output.type) == (
        "probabilities",
        ["rows", 4],
        "tensor(float)",
    )
    about = {k: json.loads(v) for k, v in session.get_modelmeta().custom_metadata_map.items()}
    assert about["classes"] == list(CLASSES)
    assert about["thresholds"] == [0.5, 0.4, 0.6, 0.25]
    assert about["calibration"] == "platt"
    assert about["encoders"][""]["inside"] is False
    assert onnx.load(path).producer_name == "hpo"


def test_the_same_model_gives_the_same_bytes(tmp_path: Path) -> None:
    model = model_of(config())
    for name in ("a", "b"):
        export_onnx(model, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.fixture
def own_head() -> Any:
    """Heads of a user's own: one that can be exported, and one that looks at values."""
    from hpo.models import HEADS

    class Halved(torch.nn.Module):
        def __init__(self, width, hidden, classes, *, activation, dropout, generator):  # type: ignore[no-untyped-def]
            super().__init__()
            self.layer = torch.nn.Linear(width, classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) / 2

    class Looking(Halved):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.layer(x) * (1 if float(x.abs().max()) > 3 else 2)

    hpo.register_head("halved")(Halved)
    hpo.register_head("looking")(Looking)
    yield
    HEADS.forget("halved")
    HEADS.forget("looking")


@pytest.mark.usefixtures("own_head")
def test_parts_of_ones_own(tmp_path: Path) -> None:
    model = model_of(config(fusion="concat", head="halved"))
    export_onnx(model, tmp_path / "a.onnx")
    feed = embeddings(model)
    expected = model.probabilities(feed, open_device("cpu"))
    np.testing.assert_allclose(computed(tmp_path / "a.onnx", feed), expected, atol=1e-5, rtol=0)
    with pytest.raises(hpo.InputError) as caught:
        export_onnx(model_of(config(fusion="concat", head="looking")), tmp_path / "b.onnx")
    assert str(caught.value).startswith(
        "The model can't be exported to ONNX, which has parts of your own (head 'looking'): "
    )
    assert not (tmp_path / "b.onnx").exists()


def test_a_file_that_computes_something_else_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hpo.export import _onnx

    whole = _onnx._exported

    def wrong(*arguments: Any) -> onnx.ModelProto:
        proto = whole(*arguments)
        for one in proto.graph.initializer:
            values = onnx.numpy_helper.to_array(one)
            if values.dtype == np.float32 and values.size > 1:
                one.CopyFrom(onnx.numpy_helper.from_array(values * np.float32(1.01), one.name))
        return proto

    monkeypatch.setattr(_onnx, "_exported", wrong)
    with pytest.raises(
        hpo.InputError, match=r"differ by up to 0\.\d+ from PyTorch's, but may by 1e"
    ):
        export_onnx(model_of(config()), tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(hpo.InputError, match=r"pip install 'hpo\[onnx\]'"):
        export_onnx(model_of(config()), tmp_path / "a.onnx")
