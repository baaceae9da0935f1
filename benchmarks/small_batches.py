"""Epochs of the heads that a search prefers, in small batches, against their matrix products alone.

The heads are those of ``search_spaces/best.yaml``. The products are what such an epoch multiplies,
with its shapes and by the same operators, in the same process and in turn with it; gathering rows,
masks, activations, Adam, averaged weights and all else count against the ratio. Beside it stands
what the ratio would be if nothing were added to the products but the updates of the weights after
each step, by AdamW and by the average: no epoch that has both can be better. One thread, by
processor time; validation is left out.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from benchmarks._result import Result, main
from benchmarks._sides import Side, alternate, ratio
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
from hpo.training._adam import Adam
from hpo.training._average import WeightAverage

__all__ = ["run"]

_ROWS = 5_000
_WIDTHS = {"image": 768, "text": 768}
_CLASSES = 18
_BATCHES = (250, 500, 1000, 2500)
_BEST = Config(
    hidden=(512,),
    dropout=0.8,
    input_dropout=0.3,
    optimizer="adamw",
    ema_decay=0.98,
    epochs=20,
)


def run(arguments: argparse.Namespace) -> list[Result]:
    """Measure both fusions at each batch size, in float32 and bf16."""
    results = []
    for fusion in ("sum_joint", "mixed_joint"):
        for batch in _BATCHES:
            config = _BEST.replace(fusion=fusion, batch_size=batch)
            results += _against_products(config, max(5, 3 * arguments.rounds))
    return results


def _against_products(config: Config, rounds: int) -> list[Result]:
    with Side(epoch, config, "float32") as exact, Side(epoch, config, "bf16") as half:
        times = alternate(
            {
                "products": (exact, "products"),
                "updates": (exact, "updates"),
                "float32": (exact, "step"),
                "bf16": (half, "step"),
            },
            rounds,
        )
    share, ours, products = ratio(times["float32"], times["products"])
    most, least, _ = ratio(times["updates"], times["products"])
    half_share, _, _ = ratio(times["bf16"], times["products"])
    faster, mixed, plain = ratio(times["bf16"], times["float32"])
    name = f"{config.fusion}, batches of {config.batch_size}"
    note = f"{_ROWS} x (768 + 768) -> 512 -> 18, dropout 0.8, input dropout 0.3, AdamW, EMA"
    return [
        Result(
            f"small batches: {name}: share of the products' rate",
            share,
            1000 * ours,
            1000 * products,
            "ms",
            "the epoch's matrix products alone, in float32",
            0.85,
            note=note,
        ),
        Result(
            f"small batches: {name}: share of the products' rate with updates of weights alone",
            most,
            1000 * least,
            1000 * products,
            "ms",
            "the epoch's matrix products alone, in float32",
            note=note,
        ),
        Result(
            f"small batches: {name}: share of the products' rate, in bf16 as `best` trains",
            half_share,
            1000 * mixed,
            1000 * products,
            "ms",
            "the epoch's matrix products alone, in float32",
            0.85,
            note=note,
        ),
        Result(
            f"small batches: {name}: bf16 against float32",
            faster,
            1000 * mixed,
            1000 * plain,
            "ms",
            "the same epoch in float32",
            note=note,
        ),
    ]


def epoch(config: Config, precision: str) -> Mapping[str, Callable[[], Any]]:
    """Make an epoch, and parts of one.

    Returns:
        ``step``, the epoch; ``products``, its matrix products in float32; and ``updates``, these
        with what AdamW and the average of the weights do after each step.
    """
    device = open_device("cpu", Arithmetic(precision=precision))
    generator = torch.Generator().manual_seed(0)
    inputs = {
        name: torch.randn(_ROWS, width, generator=generator) for name, width in _WIDTHS.items()
    }
    targets = (torch.rand(_ROWS, _CLASSES, generator=generator) < 0.09).float()

    def build(seeded: torch.Generator) -> nn.Module:
        return build_module(config.fusion, config, _WIDTHS, _CLASSES, seeded)

    spec = RunSpec("benchmark", "all", config.fusion, config, 0, device.numerics())
    learner = make_learner(spec, RunData(Part(inputs, targets), None), build)
    tune_allocator()
    pieces = list(_pieces(config.batch_size, spec.numerics.micro_batch))
    module = build(torch.Generator())
    layers = _layers(module)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, 1e-3)
    adamw = Adam(
        module.parameters(), lr=config.lr, weight_decay=config.weight_decay, decoupled=True
    )
    average = WeightAverage(module, config.ema_decay or 0.98)
    operands = {rows: [_Operands(layer, rows) for layer in layers] for rows in set(pieces)}

    def step() -> None:
        with device.in_use():
            learner.train_epoch(lambda: None)

    def products() -> None:
        for rows in pieces:
            for each in operands[rows]:
                each.multiply()

    def updates() -> None:
        products()
        for _ in range(0, _ROWS, config.batch_size):
            adamw.step()
            average.update()

    return {"step": step, "products": products, "updates": updates}


class _Operands:
    """The three products of a layer on some rows; the first layer's inputs need no gradient."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        # what comes from another layer has no width of embeddings here
        self._first = layer.in_features in (*_WIDTHS.values(), sum(_WIDTHS.values()))
        self._x = torch.ones(rows, layer.in_features)
        self._dy = torch.ones(rows, layer.out_features)
        self._weight = layer.weight.detach()
        self._bias = layer.bias.detach()

    def multiply(self) -> None:
        onednn_product(self._x, self._weight, self._bias)
        onednn_product(self._dy.t(), self._x.t())
        if not self._first:
            onednn_product(self._dy, self._weight.t())


def _layers(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def _pieces(batch: int, micro_batch: int) -> Iterator[int]:
    """Yield the rows of every product of an epoch."""
    for start in range(0, _ROWS, batch):
        size = min(batch, _ROWS - start)
        for inner in range(0, size, micro_batch):
            yield min(micro_batch, size - inner)


if __name__ == "__main__":
    main(run, __doc__)
