"""A user's module with a metric, a loss, a head and a fusion, and a small study that takes them."""

from pathlib import Path

import numpy as np

MODULE = '''
import torch

import hpo


@hpo.register_metric("exact")
def exact(logits, targets):
    """The share of rows whose labels are all right."""
    return ((logits > 0) == (targets > 0)).all(dim=1).float().mean()


@hpo.register_loss("squared")
def squared(logits, targets, *, weight: float = 1.0):
    return weight * ((logits.sigmoid() - targets) ** 2).sum()


@hpo.register_head("flat")
def flat(width, hidden, classes, *, activation, dropout, generator):
    return torch.nn.Linear(width, classes)


@hpo.register_fusion("mean")
class Mean(torch.nn.Module):
    def __init__(self, make_head, widths, classes, *, generator):
        super().__init__()
        self.heads = torch.nn.ModuleDict({name: make_head(name) for name in widths})

    def forward(self, inputs):
        return torch.stack([head(inputs) for head in self.heads.values()]).mean(dim=0)
'''
SPACE = """
name: mine
metric: exact
seeds: 2
split: {kind: tail, val_rows: 40}
fixed: {hidden: [8], lr: 0.05, epochs: 5, fusion: mean, head: flat, loss: squared}
search:
  kind: greedy
  stages:
    - {name: loss, params: {loss: [squared, bce]}}
    - {name: head, params: {head: [flat, mlp]}}
    - {name: weight, params: {squared.weight: [1.0, 4.0]}}
"""
CLASSES = ("cat", "dog", "fish")


def write_files(folder: Path, rows: int = 140, test_rows: int = 30) -> Path:
    """Write the module, the space, and a data folder with embeddings."""
    rng = np.random.default_rng(0)
    labels = rng.random((rows + test_rows, len(CLASSES))) < [0.7, 0.4, 0.2]
    cells = [" ".join(np.array(CLASSES)[row]) or CLASSES[0] for row in labels]
    data = folder / "data"
    data.mkdir(parents=True)
    train = [f"{i}.jpg,{cell},a thing" for i, cell in enumerate(cells[:rows])]
    test = [f"{i}.jpg,a thing" for i in range(rows, rows + test_rows)]
    (data / "train.csv").write_text("\n".join(["ImageID,Labels,Caption", *train, ""]))
    (data / "test.csv").write_text("\n".join(["ImageID,Caption", *test, ""]))
    for name, width in (("image", 6), ("text", 4)):
        directions = rng.normal(size=(len(CLASSES), width))
        array = (labels @ directions + rng.normal(size=(len(labels), width))).astype(np.float32)
        np.save(data / f"{name}.npy", array[:rows])
        np.save(data / f"{name}_test.npy", array[rows:])
    (folder / "my_parts.py").write_text(MODULE)
    (folder / "mine.yaml").write_text(SPACE)
    return folder
