"""Runs that nothing happened to, to compare others with."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor
from training_samples import CONFIG, make_trainer, open_session, same_bits, train

from hpo.features import Bundle
from hpo.models import Config
from hpo.training import EpochRecord, RunStore, Session, Trainer

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
CONFIGS.append(
    CONFIG.replace(fusion="gated", batch_size=60, input_dropout=0.3, modality_dropout=0.4)
)
IDS.append("batches-dropout of inputs")
CONFIGS.append(CONFIG.replace(batch_size=60, class_weight="sqrt", oversample=0.3))
IDS.append("batches-unequal classes")


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
