"""What other processes and broken disks do to a run: it ends with the same bits all the same."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from training_runs import CONFIGS, EPOCHS, IDS, files
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.models import Config
from hpo.training import Arithmetic

CHILD = """
import sys
from pathlib import Path
from training_samples import make_trainer, open_session
session = open_session(make_trainer(Path(sys.argv[1]), checkpoint_every=1))
while True:
    session.advance()
"""


def test_killed_at_any_moment(tmp_path: Path, bundle: Bundle) -> None:
    here = Path(__file__).resolve().parent
    path = os.pathsep.join(
        [str(here.parent), str(here.parents[1]), os.environ.get("PYTHONPATH", "")]
    )
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
        assert f"The run file {path} is damaged and is passed over: " in caplog.text
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
    two = Arithmetic(threads=2)
    others.append(open_session(make_trainer(tmp_path, bundle, arithmetic=two)))
    addresses = {session.spec.address for session in (open_session(trainer), *others)}
    assert len(addresses) == 6
    assert all(session.known == 0 for session in others)
