"""One epoch of the paper's head as `hpo`, plain PyTorch, skorch, Lightning and scikit-learn do it.

Each function makes what ``Side`` times; data are random, since their values don't matter here.
"""

import itertools
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpo.models import Config, build_module
from hpo.models._linear import onednn_product
from hpo.training import (
    Arithmetic,
    Part,
    RunData,
    RunSpec,
    make_learner,
    open_device,
    tune_allocator,
)

__all__ = [
    "Shape",
    "flops",
    "hpo_epoch",
    "lightning_epoch",
    "plain_epoch",
    "sklearn_epoch",
    "skorch_epoch",
    "square_flops",
]

Things = Mapping[str, Callable[[], Any]]
#: The number of rows, of features and of classes.
Shape = tuple[int, int, int]

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
_SQUARE = 2048


def flops(shape: Shape, hidden: tuple[int, ...]) -> float:
    """Return the operations that an epoch of an MLP head needs: its matrix products alone.

    Forward and weight gradient of every layer, input gradient of all but the first; 2 operations
    a multiplication and addition.
    """
    rows, width, classes = shape
    widths = (width, *hidden, classes)
    layers = [a * b for a, b in itertools.pairwise(widths)]
    return 2.0 * rows * (3 * sum(layers) - layers[0])


def square_flops() -> float:
    """Return the operations of the product that ``hpo_epoch`` times as ``product``."""
    return 2.0 * _SQUARE**3


def hpo_epoch(
    shape: Shape, config: Config, arithmetic: Arithmetic | None = None, name: str = "cpu"
) -> Things:
    """Make an epoch of ``hpo.training`` (``step``) and a matrix product (``product``).

    ``name`` is that of the device. ``onednn`` is the same product by oneDNN, which PyTorch has
    beside its BLAS and ``hpo.models`` multiplies with; on processors that the BLAS doesn't know
    well it may be twice as fast.
    """
    arithmetic = arithmetic or Arithmetic(torch.get_num_threads())
    device = open_device(name, arithmetic)
    inputs, targets = (tensor.to(device.torch) for tensor in _tensors(shape))
    spec = RunSpec("benchmark", "all", "image", config, 0, device.numerics())
    learner = make_learner(
        spec,
        RunData(Part({"image": inputs}, targets), None),
        lambda generator: build_module("image", config, {"image": shape[1]}, shape[2], generator),
    )
    tune_allocator()
    a, b, c = (torch.ones(_SQUARE, _SQUARE) for _ in range(3))

    def step() -> None:
        with device.in_use():
            learner.train_epoch(lambda: None)

    def product() -> None:
        torch.mm(a, b, out=c)

    def onednn() -> None:
        onednn_product(a, b)

    return {"step": step, "product": product, "onednn": onednn}


def plain_epoch(shape: Shape, config: Config, device: str = "cpu") -> Things:
    """Make an epoch of the loop that everybody writes, with all rows on the device."""
    inputs, targets = (tensor.to(device) for tensor in _tensors(shape))
    module = plain_module(shape, config).to(device)
    optimizer = torch.optim.Adam(module.parameters(), lr=config.lr)
    criterion = nn.BCEWithLogitsLoss(reduction="sum")
    rows, size = shape[0], config.batch_size

    def train(x: Tensor, y: Tensor) -> None:
        optimizer.zero_grad()
        criterion(module(x), y).backward()
        optimizer.step()

    def step() -> None:
        if size >= rows:
            train(inputs, targets)
            return
        for part in torch.split(torch.randperm(rows, device=device), size):
            train(inputs[part], targets[part])

    return {"step": step}


def skorch_epoch(shape: Shape, config: Config) -> Things:
    """Make an epoch of skorch's ``NeuralNet``, its validation and its printing left out."""
    from skorch import NeuralNet

    inputs, targets = _tensors(shape)
    net = NeuralNet(
        plain_module(shape, config),
        criterion=nn.BCEWithLogitsLoss,
        optimizer=torch.optim.Adam,
        lr=config.lr,
        batch_size=config.batch_size,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    ).initialize()
    return {"step": lambda: _nothing(net.partial_fit(inputs, targets, epochs=1))}


def lightning_epoch(shape: Shape, config: Config) -> Things:
    """Make an epoch of Lightning's ``Trainer``, timed between the hooks at its two ends."""
    import lightning
    from torch.utils.data import DataLoader, TensorDataset

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    inputs, targets = _tensors(shape)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=config.batch_size, shuffle=True)

    class Head(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.head = plain_module(shape, config)
            self.taken = (0.0, 0.0)

        def training_step(self, batch: tuple[Tensor, Tensor], _index: int) -> Tensor:
            x, y = batch
            return nn.functional.binary_cross_entropy_with_logits(self.head(x), y)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), lr=config.lr)

        def on_train_epoch_start(self) -> None:
            self.started = time.perf_counter(), time.process_time()

        def on_train_epoch_end(self) -> None:
            wall, cpu = self.started
            self.taken = time.perf_counter() - wall, time.process_time() - cpu

    head = Head()
    trainer = lightning.Trainer(
        max_epochs=0,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )

    def step() -> tuple[float, float]:
        trainer.fit_loop.max_epochs = (trainer.fit_loop.max_epochs or 0) + 1
        trainer.fit(head, loader)
        return head.taken

    return {"step": step}


def sklearn_epoch(shape: Shape, config: Config) -> Things:
    """Make an epoch of ``MLPClassifier``, which has no GELU and no dropout."""
    from sklearn.neural_network import MLPClassifier

    inputs, targets = (tensor.numpy() for tensor in _tensors(shape))
    classifier = MLPClassifier(
        hidden_layer_sizes=config.hidden,
        activation="relu",
        learning_rate_init=config.lr,
        batch_size=config.batch_size,
        alpha=0.0,
        random_state=0,
    )
    labels = targets.astype(np.int64)
    classes = np.arange(shape[2])
    return {"step": lambda: _nothing(classifier.partial_fit(inputs, labels, classes=classes))}


def plain_module(shape: Shape, config: Config) -> nn.Module:
    """Return the head written with PyTorch's own layers."""
    layers: list[nn.Module] = []
    width = shape[1]
    for units in config.hidden:
        layers += [nn.Linear(width, units), _ACTIVATIONS[config.activation]()]
        if config.head == "gmlp":
            layers.append(_Gate(units))
            units //= 2
        layers.append(nn.Dropout(config.dropout))
        width = units
    return nn.Sequential(*layers, nn.Linear(width, shape[2]))


class _Gate(nn.Module):
    def __init__(self, units: int) -> None:
        super().__init__()
        self.linear = nn.Linear(units // 2, units // 2)

    def forward(self, z: Tensor) -> Tensor:
        first, second = z.chunk(2, dim=-1)
        gated: Tensor = first * self.linear(second)
        return gated


def _tensors(shape: Shape) -> tuple[Tensor, Tensor]:
    rows, width, classes = shape
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(rows, width, generator=generator)
    return inputs, (torch.rand(rows, classes, generator=generator) < 0.09).float()


def _nothing(_value: object) -> None:
    """Drop a value, so that ``Side`` doesn't take it for a time."""
