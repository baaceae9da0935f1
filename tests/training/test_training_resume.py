"""However a run is stopped and gone on with, it ends with the same bits."""

import contextlib
from pathlib import Path

import pytest
from training_runs import CONFIGS, EPOCHS, IDS
from training_samples import make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.models import Config
from hpo.training import EpochRecord, Interrupted


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
        patch.setitem(trainer.metrics, "macro_f1", fail)
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

    monkeypatch.setitem(trainer.metrics, "macro_f1", fail)
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
