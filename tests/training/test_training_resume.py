"""However a run is stopped and gone on with, it ends with the same bits."""

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

import hpo.training._session as session_module
from hpo.features import Bundle
from hpo.models import Config
from hpo.training import EpochRecord, Interrupted, RunStore, Session, Trainer

EPOCHS = 6
SINGLE = {"full batch": {}, "batches": {"batch_size": 60}}  # 5 and 7 micro-batches an epoch
CONFIGS = [
    CONFIG.model_copy(update={**batches, **changes})
    for batches in SINGLE.values()
    for changes in (
        {"optimizer": "adam"},
        {"optimizer": "adamw", "weight_decay": 0.1, "ema_decay": 0.9},
    )
]
IDS = [
    f"{'full batch' if config.batch_size > 60 else 'batches'}-{config.optimizer}"
    for config in CONFIGS
]


class StopAfter:
    """A poll that raises once, at the call after ``calls``."""

    def __init__(self, calls: int) -> None:
        self.left: int | None = calls

    def __call__(self) -> None:
        if self.left == 0:
            self.left = None
            raise Interrupted
        if self.left is not None:
            self.left -= 1


class Undisturbed:
    """Curve, weights and state of a run that nothing happened to."""

    def __init__(self, folder: Path, bundle: Bundle, config: Config) -> None:
        trainer = make_trainer(folder, bundle)
        session = open_session(trainer, config)
        self.records = train(session, EPOCHS)
        self.weights = session.weights()
        session.finish()
        self.state = state_of(trainer.store, session)

    def check(self, trainer: Trainer, session: Session, records: list[EpochRecord]) -> None:
        assert records == self.records
        assert same_bits(session.weights(), self.weights)
        session.finish()
        assert same_bits(state_of(trainer.store, session), self.state)


def state_of(store: RunStore, session: Session) -> Mapping[str, Tensor]:
    snapshot = store.state(session.spec.address, EPOCHS)
    assert snapshot is not None and snapshot.epoch == EPOCHS
    return snapshot.tensors


def files(store: RunStore, session: Session) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in (store.folder / session.spec.address).iterdir()
    }


@pytest.fixture(scope="module")
def undisturbed(
    tmp_path_factory: pytest.TempPathFactory, bundle: Bundle
) -> Callable[[Config], Undisturbed]:
    made: dict[Config, Undisturbed] = {}

    def get(config: Config) -> Undisturbed:
        if config not in made:
            made[config] = Undisturbed(tmp_path_factory.mktemp("undisturbed"), bundle, config)
        return made[config]

    return get


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("calls", [0, 3, 5, 6, 16, 28])
def test_interrupted_and_opened_again(
    tmp_path: Path, bundle: Bundle, undisturbed, config: Config, calls: int
) -> None:
    first = open_session(make_trainer(tmp_path, bundle, poll=StopAfter(calls)), config)
    with pytest.raises(Interrupted):
        train(first, EPOCHS)
    first.checkpoint()
    trainer = make_trainer(tmp_path, bundle)
    second = open_session(trainer, config)
    assert second.known == first.epoch == first.trained
    records = train(second, EPOCHS)
    assert second.trained == EPOCHS - first.trained
    undisturbed(config).check(trainer, second, records)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
def test_interrupted_again_and_again(
    tmp_path: Path, bundle: Bundle, undisturbed, config: Config
) -> None:
    trained = 0
    for _ in range(2 * EPOCHS):
        session = open_session(make_trainer(tmp_path, bundle, poll=StopAfter(9)), config)
        with contextlib.suppress(Interrupted):
            train(session, EPOCHS)
        session.checkpoint()
        trained += session.trained
    assert trained == EPOCHS
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer, config)
    undisturbed(config).check(trainer, session, train(session, EPOCHS))


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("calls", [0, 3, 16])
def test_interrupted_and_gone_on_with(
    tmp_path: Path, bundle: Bundle, undisturbed, config: Config, calls: int
) -> None:
    trainer = make_trainer(tmp_path, bundle, poll=StopAfter(calls))
    session = open_session(trainer, config)
    records: list[EpochRecord] = []
    with pytest.raises(Interrupted):
        records.extend(iter(session.advance, None))
    session.finish()  # also harmless when there is nothing to keep
    records += train(session, EPOCHS - len(records))
    undisturbed(config).check(trainer, session, records)


@pytest.mark.parametrize("config", CONFIGS, ids=IDS)
@pytest.mark.parametrize("epoch", [1, 4])
def test_error_after_the_last_step_of_an_epoch(
    tmp_path: Path,
    bundle: Bundle,
    undisturbed,
    monkeypatch: pytest.MonkeyPatch,
    config: Config,
    epoch: int,
) -> None:
    """The weights have moved on, but the epoch is not counted: what stands there is of no use."""
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer, config)
    records = train(session, epoch - 1)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(session_module, "multilabel_metrics", fail)
        with pytest.raises(MemoryError):
            session.advance()
    session.checkpoint()
    assert trainer.store.state(session.spec.address, EPOCHS) is None
    records += train(session, EPOCHS - len(records))
    undisturbed(config).check(trainer, session, records)


def test_nothing_half_done_is_kept(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tmp_path, bundle)
    session = open_session(trainer)
    train(session, 2)

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(session_module, "multilabel_metrics", fail)
    with pytest.raises(KeyboardInterrupt):
        session.advance()
    session.finish()
    assert trainer.store.weights(session.spec.address, 2) is None


@pytest.mark.parametrize("config", CONFIGS[1:3], ids=IDS[1:3])
def test_longer_run_contains_the_shorter(tmp_path: Path, bundle: Bundle, config: Config) -> None:
    long = open_session(make_trainer(tmp_path / "long", bundle), config)
    records = train(long, 30)
    short = open_session(make_trainer(tmp_path / "short", bundle), config)
    assert train(short, 20) == records[:20]
    short.finish()
    assert short.trained == 20
    extended = open_session(make_trainer(tmp_path / "short", bundle), config)
    assert extended.known == 20
    assert train(extended, 30) == records
    assert extended.trained == 10
    assert same_bits(extended.weights(), long.weights())


@pytest.mark.parametrize(("milestones", "trained"), [([4], 0), ([], 4)])
def test_weights_of_an_epoch_in_the_middle(
    tmp_path: Path, bundle: Bundle, milestones: list[int], trained: int
) -> None:
    trainer = make_trainer(tmp_path, bundle, milestones=milestones)
    first = open_session(trainer)
    train(first, 4)
    train(first, 2)
    first.finish()
    other = open_session(make_trainer(tmp_path / "other", bundle))
    train(other, 4)
    again = open_session(trainer)
    train(again, 4)
    assert again.trained == 0
    assert same_bits(again.weights(), other.weights())
    assert again.trained == trained
    assert trainer.store.weights(again.spec.address, 4) is not None


def test_checkpoints_come_as_often_as_said(tmp_path: Path, bundle: Bundle) -> None:
    trainer = make_trainer(tmp_path, bundle, checkpoint_every=2)
    session = open_session(trainer)
    known = []
    for _ in range(5):
        session.advance()
        known.append(len(trainer.store.history(session.spec.address).records))
    assert known == [0, 2, 2, 4, 4]


CHILD = """
import sys
from pathlib import Path
import torch
from training_samples import make_trainer, open_session
torch.set_num_threads(1)
session = open_session(make_trainer(Path(sys.argv[1]), checkpoint_every=1))
while True:
    session.advance()
"""


def test_killed_at_any_moment(tmp_path: Path, bundle: Bundle) -> None:
    here = Path(__file__).resolve().parent
    path = os.pathsep.join([str(here), str(here.parents[1]), os.environ.get("PYTHONPATH", "")])
    trainer = make_trainer(tmp_path / "runs", bundle)
    address = open_session(trainer).spec.address
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path / "runs")],
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        deadline = time.monotonic() + 120
        while len(trainer.store.history(address).records) < 12:
            assert child.poll() is None, "the child ended by itself"
            assert time.monotonic() < deadline, "the child trained nothing"
            time.sleep(0.003)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    session = open_session(trainer)
    assert session.known >= 12
    epochs = session.known + 5
    undisturbed = open_session(make_trainer(tmp_path / "undisturbed", bundle))
    assert train(session, epochs) == train(undisturbed, epochs)
    assert session.trained == 5
    assert same_bits(session.weights(), undisturbed.weights())


def test_slow_owner_that_comes_back(tmp_path: Path, bundle: Bundle, undisturbed) -> None:
    config = CONFIGS[3]
    old_trainer = make_trainer(tmp_path, bundle, checkpoint_every=2, milestones=[4])
    old = open_session(old_trainer, config)
    train(old, 2)  # and then nobody hears of it
    new_trainer = make_trainer(tmp_path, bundle, checkpoint_every=1)
    new = open_session(new_trainer, config)
    assert new.known == 2
    records = train(new, EPOCHS)
    new.finish()
    before = files(new_trainer.store, new)
    train(old, 2)  # writes state and weights of epoch 4, while there is a state of epoch 6
    after = files(new_trainer.store, new)
    assert before.items() <= after.items()
    assert len(new_trainer.store.history(new.spec.address).records) == EPOCHS
    train(old, EPOCHS - 4)
    old.finish()
    after = files(new_trainer.store, new)
    assert before.items() <= after.items()
    assert sorted(after.keys() - before.keys()) == ["000004.weights.safetensors"]
    last = open_session(new_trainer, config)
    assert train(last, EPOCHS) == records
    assert last.trained == 0
    undisturbed(config).check(new_trainer, last, records)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
@pytest.mark.parametrize("config", CONFIGS[1:3], ids=IDS[1:3])
def test_damaged_files_are_made_again(
    tmp_path: Path,
    bundle: Bundle,
    undisturbed,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes],
    config: Config,
) -> None:
    trainer = make_trainer(tmp_path, bundle)
    first = open_session(trainer, config)
    train(first, 3)
    first.weights()
    train(first, EPOCHS - 3)
    first.finish()
    before = files(trainer.store, first)
    folder = trainer.store.folder / first.spec.address
    for name in before:
        if name.startswith(f"{EPOCHS:06d}"):
            (folder / name).write_bytes(damage(before[name]))
    with caplog.at_level(logging.WARNING):
        again = open_session(trainer, config)
    for kind in ("state", "weights"):
        path = folder / f"{EPOCHS:06d}.{kind}.safetensors"
        assert f"The run file {path} can't be read and is passed over: " in caplog.text
    assert again.known == 3  # from the weights file of epoch 3
    undisturbed(config).check(trainer, again, train(again, EPOCHS))
    assert files(trainer.store, again) == before
    caplog.clear()
    open_session(trainer, config)
    assert caplog.text == ""


def test_state_of_another_run_is_not_taken(tmp_path: Path, bundle: Bundle) -> None:
    """Whatever changes a number changes the address."""
    trainer = make_trainer(tmp_path, bundle)
    train(open_session(trainer), 2)
    others = [
        open_session(trainer, CONFIG, seed=1),
        open_session(trainer, CONFIG.model_copy(update={"lr": 0.02})),
        open_session(make_trainer(tmp_path, bundle, micro_batch=60)),
        trainer.open(trainer.model(CONFIG, 0, rows="all").specs[0]),
    ]
    torch.set_num_threads(2)
    others.append(open_session(make_trainer(tmp_path, bundle)))
    torch.set_num_threads(1)
    addresses = {session.spec.address for session in (open_session(trainer), *others)}
    assert len(addresses) == 6
    assert all(session.known == 0 for session in others)
