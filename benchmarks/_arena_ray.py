"""A contestant of the arena: Ray Tune's ASHA over the heads and the space of the tutorial's script.

    python -m benchmarks._arena_ray DATA TRIALS VALIDATION_ROWS PREDICTIONS

Plain PyTorch in Ray's workers, a trial a core; the best configuration is trained again on all rows.
"""

import csv
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks._arena_data import read_labels

_ACTIVATIONS = {"gelu": nn.GELU, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU}
_LONGEST = 200


class Net(nn.Module):
    """One head for each part of the fusion; their logits are added."""

    def __init__(self, values: dict[str, Any], widths: tuple[int, int], classes: int) -> None:
        super().__init__()
        image, text = widths
        parts = {"image": image, "text": text, "concat": image + text}
        used = {"sum": ("image", "text"), "mixed": ("image", "text", "concat")}
        names = used.get(values["fusion"], (values["fusion"],))
        self.heads = nn.ModuleDict({name: _head(values, parts[name], classes) for name in names})

    def forward(self, image: Tensor, text: Tensor) -> Tensor:
        """Return logits [rows, K]."""
        inputs = {"image": image, "text": text, "concat": torch.cat([image, text], 1)}
        logits = [head(inputs[name]) for name, head in self.heads.items()]
        return torch.stack(logits).sum(0)


def main() -> None:
    """Search, refit the best, write predictions and print the epochs that were trained."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.optuna import OptunaSearch

    data, trials, held, out = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    arrays = _load(data)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    placed = ray.put(arrays)

    def objective(values: dict[str, Any]) -> None:
        torch.set_num_threads(1)
        image, text, targets = (torch.from_numpy(a) for a in ray.get(placed)[:3])
        cut = len(targets) - held
        train, val = (image[:cut], text[:cut], targets[:cut]), (image[cut:], text[cut:])
        truth = targets[cut:] > 0.5

        def report(net: Net, epoch: int) -> None:
            net.eval()
            with torch.no_grad():
                predicted = net(*val) > 0
            hits, both = int((predicted & truth).sum()), int(predicted.sum() + truth.sum())
            tune.report({"micro_f1": 200 * hits / both, "epochs_done": epoch})

        _train(values, train, report)

    search_space = {
        "fusion": tune.choice(["image", "text", "sum", "concat", "mixed"]),
        "hidden": tune.choice(["512", "512-128", "512-256-128"]),
        "activation": tune.choice(["gelu", "relu", "leaky_relu"]),
        "dropout": tune.uniform(0, 0.8),
        "lr": tune.loguniform(1e-4, 1e-1),
        "batch_size": tune.choice([5000, 2500, 1000, 500]),
        "epochs": tune.choice([20, 50, 100, _LONGEST]),
    }
    scheduler = ASHAScheduler(max_t=_LONGEST, grace_period=10, reduction_factor=3)
    tuner = tune.Tuner(
        tune.with_resources(objective, {"cpu": 1}),
        param_space=search_space,
        tune_config=tune.TuneConfig(
            metric="micro_f1",
            mode="max",
            num_samples=trials,
            scheduler=scheduler,
            search_alg=OptunaSearch(seed=0),
        ),
        run_config=tune.RunConfig(verbose=0, storage_path=str(Path(out).parent.resolve())),
    )
    results = tuner.fit()
    trained = [(results[n].metrics or {}).get("epochs_done", 0) for n in range(len(results))]
    best = results.get_best_result()
    assert best.config is not None and best.metrics is not None
    values = {**best.config, "epochs": int(best.metrics["epochs_done"])}
    torch.set_num_threads(2)
    image, text, targets, image_test, text_test = (torch.from_numpy(a) for a in arrays)
    net = _train(values, (image, text, targets), lambda net, epoch: None)
    net.eval()
    with torch.no_grad():
        predicted = (net(image_test, text_test) > 0).numpy()
    _write(Path(out), data, predicted)
    print(f"end {sum(trained) + values['epochs']} epochs")


def _head(values: dict[str, Any], width: int, classes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for hidden in map(int, values["hidden"].split("-")):
        layers += [nn.Linear(width, hidden), _ACTIVATIONS[values["activation"]]()]
        layers.append(nn.Dropout(values["dropout"]))
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, classes))


def _train(values: dict[str, Any], rows: tuple[Tensor, Tensor, Tensor], report: Any) -> Net:
    image, text, targets = rows
    torch.manual_seed(0)
    net = Net(values, (image.shape[1], text.shape[1]), targets.shape[1])
    optimizer = torch.optim.Adam(net.parameters(), values["lr"])
    for epoch in range(1, values["epochs"] + 1):
        net.train()
        for batch in torch.randperm(len(targets)).split(values["batch_size"]):  # type: ignore[no-untyped-call]
            logits = net(image[batch], text[batch])
            loss = functional.binary_cross_entropy_with_logits(logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        report(net, epoch)
    return net


def _load(data: Path) -> tuple[np.ndarray[Any, Any], ...]:
    """Return image, text and targets of the labelled rows, image and text of the untouched."""

    def array(name: str) -> np.ndarray[Any, Any]:
        return np.asarray(np.load(data / "features" / f"{name}.npy"), np.float32)

    targets = read_labels(data / "train.csv", data).astype(np.float32)
    return array("image"), array("text"), targets, array("image_test"), array("text_test")


def _write(path: Path, data: Path, predicted: np.ndarray[Any, Any]) -> None:
    with (data / "train.csv").open(newline="", encoding="utf-8") as file:
        classes = sorted({lab for row in csv.DictReader(file) for lab in row["Labels"].split()})
    with (data / "test.csv").open(newline="", encoding="utf-8") as file:
        ids = [row["ImageID"] for row in csv.DictReader(file)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ImageID", "Labels"])
        for row_id, row in zip(ids, predicted, strict=True):
            writer.writerow([row_id, " ".join(classes[k] for k in np.flatnonzero(row))])


if __name__ == "__main__":
    main()
