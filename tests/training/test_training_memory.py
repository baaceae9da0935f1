"""Rows that a worker doesn't hold: the numbers of those that it does, in less memory."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from training_samples import CONFIG, make_bundle, make_trainer, open_session, same_bits, train

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import HEADS, Config
from hpo.training import (
    MappedRows,
    ModelRun,
    TrainingData,
    copy_gb,
    memory_share_gb,
    open_device,
    refit,
)

pytestmark = pytest.mark.slow

LITTLE = 1e-9
MUCH = 1.0
CPU = open_device("cpu")
SCATTERED = {"train": [row for row in range(300) if row % 3], "val": list(range(0, 300, 6))}
BUNDLES = {"consecutive": make_bundle(), "scattered": make_bundle(**SCATTERED)}
FUSIONS = ("image", "concat", "sum", "mixed", "sum_joint", "mixed_joint", "gated")
SCALINGS = ("none", "auto", "l2", "standard")
#: Of 220 rows with 50 in flight: one batch, batches in pieces, batches of which the last is one row
BATCHES = (1000, 120, 73)


def finished(model: ModelRun) -> list[Any]:
    records = []
    while not model.done:
        records.append(model.advance())
    model.finish()
    return records


def is_mapped(data: TrainingData) -> bool:
    run = data.run_data("none", "train")
    assert run.val is not None
    found = {
        isinstance(x, MappedRows) for part in (run.train, run.val) for x in part.inputs.values()
    }
    found |= {isinstance(part.targets, MappedRows) for part in (run.train, run.val)}
    (mapped,) = found
    return mapped


def both(
    folder: Path, bundle: Bundle, config: Config, **options: Any
) -> tuple[list[list[Any]], list[Any]]:
    """Curves, and the weights of each run, once held and once mapped."""
    curves, weights = [], []
    for memory in (MUCH, LITTLE):
        trainer = make_trainer(folder / str(memory), bundle, memory_gb=memory, **options)
        assert trainer.data.in_memory == (memory == MUCH)
        model = trainer.model(config, 0)
        curves.append(finished(model))
        weights.append({s.address: trainer.weights(s, config.epochs) for s in model.specs})
    return curves, weights


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("split", BUNDLES)
def test_curves_and_weights_are_equal_to_the_last_bit(
    tmp_path: Path, split: str, fusion: str, scaling: str, batch: int
) -> None:
    config = CONFIG.replace(fusion=fusion, feature_scaling=scaling, batch_size=batch, epochs=2)
    (held, mapped), (first, second) = both(tmp_path, BUNDLES[split], config)
    assert mapped == held
    assert first.keys() == second.keys()
    assert all(same_bits(first[address], second[address]) for address in first)


@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.9, "optimizer": "adamw", "weight_decay": 0.1},
        {"input_dropout": 0.3, "modality_dropout": 0.4},
        {"head": "gmlp"},
        {"loss": "asl"},
    ],
)
def test_whatever_else_is_chosen(tmp_path: Path, changes: dict[str, Any]) -> None:
    config = CONFIG.replace(fusion="sum_joint", batch_size=60, epochs=3, **changes)
    (held, mapped), _ = both(tmp_path, BUNDLES["scattered"], config)
    assert mapped == held


def test_a_session_goes_on_where_the_other_kind_stopped(tmp_path: Path) -> None:
    bundle, config = BUNDLES["scattered"], CONFIG.replace(feature_scaling="auto", batch_size=60)
    whole = train(open_session(make_trainer(tmp_path / "a", bundle, memory_gb=MUCH), config), 6)
    first = open_session(make_trainer(tmp_path / "b", bundle, memory_gb=LITTLE), config)
    train(first, 3)
    first.finish()
    second = open_session(make_trainer(tmp_path / "b", bundle, memory_gb=MUCH), config)
    assert (second.known, train(second, 6), second.trained) == (3, whole, 3)


@pytest.mark.parametrize("fusion", ["concat", "mixed", "sum_joint"])
@pytest.mark.parametrize("scaling", SCALINGS)
def test_a_refit_is_equal_to_the_last_bit(tmp_path: Path, fusion: str, scaling: str) -> None:
    bundle = BUNDLES["scattered"]
    config = CONFIG.replace(fusion=fusion, feature_scaling=scaling, batch_size=60, epochs=2)
    held, mapped = (
        refit(
            make_trainer(tmp_path / str(memory), bundle, memory_gb=memory),
            config,
            seed=0,
            max_model_mb=1.0,
            origin={},
        )
        for memory in (MUCH, LITTLE)
    )
    assert same_bits(held.module.state_dict(), mapped.module.state_dict())
    expected = held.probabilities(bundle.features.train, CPU)
    np.testing.assert_array_equal(mapped.probabilities(bundle.features.train, CPU), expected)


def test_stored_logits_of_any_part_are_equal(tmp_path: Path) -> None:
    config = CONFIG.replace(fusion="sum", feature_scaling="standard", epochs=2)
    found = []
    for memory in (MUCH, LITTLE):
        trainer = make_trainer(
            tmp_path, BUNDLES["scattered"], memory_gb=memory, milestones=(config.epochs,)
        )
        finished(trainer.model(config, 0))
        found.append([trainer.stored_logits(config, 0, 2, part) for part in ("train", "val")])
    assert trainer.epochs_trained == 0  # they are the same runs
    for held, mapped in zip(*found, strict=True):
        assert held is not None and torch.equal(held, mapped)


def test_what_is_held_follows_from_what_it_takes() -> None:
    bundle = make_bundle()
    size = 300 * (12 + 8 + 5) * 4 / 1e9
    assert copy_gb(bundle) == pytest.approx(size)
    assert is_mapped(TrainingData(bundle, CPU, 0.99 * size))
    assert not is_mapped(TrainingData(bundle, CPU, 1.01 * size))
    assert not is_mapped(TrainingData(bundle, CPU))
    assert memory_share_gb("cpu", 4) == pytest.approx(memory_share_gb("cpu") / 4, rel=0.2)


@pytest.mark.parametrize(("copies", "kept"), [(1.5, 1), (2.5, 2)])
def test_no_more_copies_are_kept_than_may_be_held(copies: float, kept: int) -> None:
    bundle = make_bundle()
    data = TrainingData(bundle, CPU, copies * copy_gb(bundle))
    first = data.run_data("none", "train")
    data.run_data("auto", "train")
    again = data.run_data("none", "train")
    assert (again.train is first.train) == (kept == 2)


def test_a_part_that_is_read_once_is_not_copied() -> None:
    bundle = make_bundle(val=range(220, 260))
    split = type(bundle.split)(**bundle.split.parts, test=np.arange(260, 300))
    data = TrainingData(type(bundle)(**{**vars(bundle), "split": split}), CPU, MUCH)
    assert isinstance(data.part("test", "auto", "train").targets, MappedRows)
    assert isinstance(data.part("val", "auto", "train").targets, Tensor)


class Remembers(nn.Module):
    """A head that is fitted to all rows at once."""

    def __init__(self, width: int, hidden: Sequence[int], classes: int, **_: Any) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(classes))

    def fit(self, x: Tensor, targets: Tensor) -> None:
        self.mean = targets.mean(dim=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.mean.expand(len(x), -1)


def test_a_head_that_needs_all_rows_at_once_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    HEADS.register("remembers", Remembers)
    config = CONFIG.replace(fusion="concat", head="remembers")
    train(open_session(make_trainer(tmp_path, bundle, memory_gb=MUCH), config), 1)
    session = open_session(make_trainer(tmp_path / "b", bundle, memory_gb=LITTLE), config)
    message = (
        r"^The head 'remembers' is fitted to all training rows at once, but 220 rows are 1\.76e-05 "
        r"GB as float32, and the worker may not hold so many: allow more \(--memory-gb, or "
        r"memory_gb in Python\), or choose a head that is trained in steps\.$"
    )
    with pytest.raises(InputError, match=message):
        session.advance()


#: Trains on 200,000 rows of 64 + 64 and prints by how many MB the private memory grew, at most.
_MEASURED = """
import json, sys, threading, time
from pathlib import Path
import numpy as np
from hpo.data import Split, dataset_of_arrays
from hpo.features import Features, import_arrays, save_bundle
from hpo.models import Config
from hpo.training import RunStore, Trainer, open_device

folder, memory = Path(sys.argv[1]), float(sys.argv[2])
rows = 200_000
rng = np.random.default_rng(0)
if not (folder / "bundles").exists():
    shape = (rows, 64)
    arrays = {name: rng.standard_normal(shape, np.float32) for name in ("image", "text")}
    dataset = dataset_of_arrays((rng.random((rows, 4)) < 0.4).astype(np.uint8))
    features = import_arrays(arrays, rows, folder)
    index = rng.permutation(rows)
    split = Split(train=np.sort(index[:190_000]), val=np.sort(index[190_000:]))
    save_bundle(folder, dataset, features, split)
    sys.exit()

from hpo.features import load_bundle
(path,) = (folder / "bundles").iterdir()
bundle = load_bundle(path)

def private():
    fields = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(fields["RssAnon"].split()[0]) / 1000

peak = 0.0
def watch():
    global peak
    while True:
        peak = max(peak, private())
        time.sleep(0.002)

threading.Thread(target=watch, daemon=True).start()

config = Config(
    fusion="concat", hidden=(8,), epochs=1, batch_size=2000, feature_scaling=sys.argv[3]
)
def train(data, folder):
    trainer = Trainer(data, open_device("cpu"), RunStore(folder), memory_gb=memory)
    model = trainer.model(config, 0)
    while not model.done:
        record = model.advance()
    return record

from training_samples import make_bundle
train(make_bundle(), folder / "warm")
peak = before = private()
record = train(bundle, folder / sys.argv[2] / sys.argv[3])
print(json.dumps({"mb": peak - before, "record": record}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel says what is private memory")
def test_private_memory_stays_below_the_copy(tmp_path: Path) -> None:
    def measure(memory: float, scaling: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURED, str(tmp_path), str(memory), scaling],
            cwd=Path(__file__).resolve().parents[1],
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    measure(MUCH, "none")  # makes the data
    for scaling in ("auto", "standard"):
        held, mapped = measure(MUCH, scaling), measure(LITTLE, scaling)
        assert mapped["record"] == held["record"]
        assert held["mb"] > 100  # the copy, 200,000 × 128 × 4 bytes
        assert mapped["mb"] < 0.75 * held["mb"]
