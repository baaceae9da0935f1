"""A model as one ONNX file, compared with PyTorch before it is there."""

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from hpo._versions import package_version
from hpo.errors import InputError
from hpo.export._graph import Probabilities
from hpo.export._inputs import GraphInput, graph_inputs
from hpo.export._probes import probes, undecided_rows
from hpo.features import Encoder, LateModel
from hpo.files import atomic_write
from hpo.models import plugins_of_config
from hpo.training import TrainedModel

if TYPE_CHECKING:
    import onnx

__all__ = ["TOLERANCE", "export_onnx"]

TOLERANCE = 1e-5
"""How far a probability of the file may be from PyTorch's, from embeddings."""

#: An encoder's last bits can make another float16 of an embedding, which is a thousandth of it.
_WITH_ENCODER = 1e-3
#: Protocol buffers hold no more, and a file of ONNX is one.
_MOST_BYTES = 2**31 - 2**20
_LACKING = "Exporting needs onnx, onnxruntime and onnxscript; pip install 'hpo[onnx]'."


def export_onnx(
    model: TrainedModel, path: Path, encoders: Mapping[str, Encoder] | None = None
) -> float:
    """Write a model as an ONNX file, from embeddings or from pixels and tokens.

    Its inputs are named as the modalities, float32 [rows, D]; a row of NaN stands for an
    embedding that the row lacks. With encoders they are ``pixels``, float32 [rows, 3, H, W], and
    ``tokens``, int64 [rows, context], a row of 0 for a caption that is lacking; with several
    encoders ``pixels.NAME`` and so on. Its output is ``probabilities``, float32 [rows, K],
    calibrated as those of the model. What else one must know is in its metadata, as JSON.

    Before the file is there, onnxruntime computes it for rows with and without all modalities, and
    the probabilities are compared with PyTorch's.

    Args:
        model: The model.
        path: The file.
        encoders: Encoders to put into it, by the source of the embeddings.

    Returns:
        The largest difference between a probability of the file and PyTorch's, of those rows.

    Raises:
        InputError: What the extra ``onnx`` installs isn't there, a part of the model can't be
            exported, the file would be too large, or it computes something else; nothing is
            written.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 - PyTorch's exporter needs it
    except ImportError:
        raise InputError(_LACKING) from None
    if path.is_dir():
        raise InputError(f"{path} is a folder, but must be a file")
    encoders = encoders or {}
    inputs = graph_inputs(model, encoders)
    module = Probabilities(model, inputs, {s: _loaded(e) for s, e in encoders.items()}).eval()
    _check_size(module)
    given = probes(model, inputs)
    with _quiet():
        found = _exported(model, module, inputs, given)
        _describe(found, model, inputs, encoders)
        try:
            onnx.checker.check_model(found)
            content = found.SerializeToString()
            session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        except Exception as error:  # both raise whatever they like
            raise InputError(_refused(model, error)) from error
    difference = _difference(session, module, inputs, given)
    limit = _WITH_ENCODER if encoders else TOLERANCE
    if not difference <= limit:
        raise InputError(
            f"The model can't be exported to ONNX: the file's probabilities differ by up to "
            f"{difference:.1g} from PyTorch's, but may by {limit:g}{_own(model)}."
        )
    with atomic_write(path) as file:
        file.write(content)
    return difference


def _exported(
    model: TrainedModel,
    module: Probabilities,
    inputs: Sequence[GraphInput],
    given: Sequence[NDArray[np.generic]],
) -> "onnx.ModelProto":
    """Return the graph of a module.

    PyTorch has two exporters. The older one runs the module once and writes down what it saw, so
    that a branch or a loop that depends on values is fixed without a word, and it is deprecated.
    This one (``dynamo=True``) refuses such a module, and keeps the number of rows open by proof.
    """
    rows = torch.export.Dim("rows")
    # A few rows are enough, but neither 0 nor 1, which it would take for a number of its own.
    few = tuple(torch.from_numpy(x[:3]) for x in given)
    try:
        program: Any = torch.onnx.export(
            module,
            few,
            dynamo=True,
            input_names=[one.name for one in inputs],
            output_names=["probabilities"],
            dynamic_shapes=(tuple({0: rows} for _ in few),),
            verbose=False,
        )
        proto: onnx.ModelProto = program.model_proto
    except Exception as error:  # the exporter raises whatever an operation does
        raise InputError(_refused(model, error)) from error
    return proto


def _difference(
    session: Any,
    module: Probabilities,
    inputs: Sequence[GraphInput],
    given: Sequence[NDArray[np.generic]],
) -> float:
    """Return the largest difference between the file's probabilities and the module's.

    It is infinite if one of them is no number. Some rows are asked for one by one.
    """
    tensors = [torch.from_numpy(x) for x in given]
    with torch.no_grad():
        expected = module(*tensors).numpy()
    counted = ~undecided_rows(module, tensors)
    feed = {one.name: x for one, x in zip(inputs, given, strict=True)}
    (found,) = session.run(["probabilities"], feed)
    singly = [
        session.run(["probabilities"], {name: x[row : row + 1] for name, x in feed.items()})[0]
        for row in range(3)
    ]
    gaps = np.abs(found - expected)[counted]
    gaps_singly = np.abs(np.concatenate(singly) - expected[:3])[counted[:3]]
    worst = max((float(x.max()) for x in (gaps, gaps_singly) if x.size), default=0.0)
    return worst if np.isfinite(worst) else float("inf")


def _describe(
    proto: "onnx.ModelProto",
    model: TrainedModel,
    inputs: Sequence[GraphInput],
    encoders: Mapping[str, Encoder],
) -> None:
    """Put into the metadata what one must know to use the file, as JSON."""
    sources = {
        part.name: {
            "encoder": part.info.encoder,
            "sha256": part.info.weights_hash,
            "preprocessing": part.info.preprocessing,
            "long_captions": part.info.long_captions,
            "inside": part.name in encoders,
        }
        for parts in model.parts.values()
        for part in parts
    }
    about = {
        "classes": list(model.classes),
        "thresholds": list(model.thresholds),
        "inputs": {
            one.name: {"kind": one.kind, "shape": ["rows", *one.shape], "modality": one.modality}
            for one in inputs
        },
        "encoders": sources,
        "calibration": None if model.calibration is None else model.calibration.method,
    }
    del proto.metadata_props[:]
    for key, value in about.items():
        proto.metadata_props.add(key=key, value=json.dumps(value, ensure_ascii=False))
    proto.producer_name, proto.producer_version = "hpo", package_version("hpo")
    proto.doc_string = "Probabilities of labels; a label is given above its threshold."


def _loaded(encoder: Encoder) -> nn.Module:
    """Return open_clip's model of an encoder, on the CPU."""
    return LateModel(encoder, "cpu", threads=1).get().module


def _check_size(module: nn.Module) -> None:
    """Refuse what one file can't hold.

    Raises:
        InputError: It is too large.
    """
    size = sum(x.numel() * x.element_size() for x in module.state_dict().values())
    if size > _MOST_BYTES:
        raise InputError(
            f"The model can't be exported to ONNX: it has {size / 1e9:.1f} GB of weights, but one "
            "file of ONNX holds 2.1 GB at most; export it without its encoder."
        )


def _refused(model: TrainedModel, error: Exception) -> str:
    """Say what can't be exported, and why."""
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), repr(error))
    cause: BaseException | None = error.__cause__
    while cause is not None:  # the innermost says what it is
        reason = next((line.strip() for line in str(cause).splitlines() if line.strip()), reason)
        cause = cause.__cause__
    return f"The model can't be exported to ONNX{_own(model)}: {reason}"


def _own(model: TrainedModel) -> str:
    """Name the parts of a model, those of the user's own if there are any."""
    configs = [member.config for member in model.members] or [model.config]
    own = {
        f"{use.kind} '{use.name}'"
        for config in configs
        for use in plugins_of_config(config)
        if use.kind in ("head", "fusion")
    }
    if own:
        return f", which has parts of your own ({', '.join(sorted(own))})"
    heads = {f"head '{config.head}' with fusion '{config.fusion}'" for config in configs}
    return f" ({', '.join(sorted(heads))})"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters tell their own developers from the screen."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
