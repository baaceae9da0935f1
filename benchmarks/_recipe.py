"""One configuration on a real data set: trained on its training rows, scored on untouched ones."""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hpo
from benchmarks._arena_data import SHARED
from hpo.data import SplitSpec, StratifiedSplit, TailSplit
from hpo.library import space_of
from hpo.training import Arithmetic, Lockstep, RunStore, Trainer, open_device

__all__ = ["EPOCHS", "SETS", "Bench", "opened", "recipe"]

#: 5,000 rows to train and 20,000 untouched; about 3,200 and 1,065. The rest validates.
SETS: dict[str, SplitSpec] = {
    "comp5329": TailSplit(kind="tail", val_rows=5000, test_rows=20_000),
    "movies": StratifiedSplit(kind="stratified", val_fraction=0.2, test_fraction=0.2),
}
#: For how long configurations may be trained.
EPOCHS = (20, 60)


def recipe(rows: int, changes: Mapping[str, Any] = MappingProxyType({})) -> hpo.Config:
    """Return the first trial of the recommended study on so many training rows, with changes."""
    return space_of("best").capped(rows).fixed.taken(changes)


class Bench:
    """Trains configurations on one data set; what it had before it doesn't train again.

    Args:
        name: One of ``SETS``.
        seeds: How many runs each configuration has.
        folder: Where runs are kept.
        threads: On the CPU.

    Attributes:
        recipe: The first trial of the recommended study.
    """

    def __init__(self, name: str, seeds: int, folder: Path, threads: int) -> None:
        source = SHARED / "datasets" / name
        data = hpo.load_data(source, features=source / "features", cache=folder)
        bundle = data.bundle(SETS[name])
        self.modalities = data.modalities
        self.classes = data.classes
        self.recipe = recipe(len(bundle.split["train"]))
        self._seeds = seeds
        self._truth = {part: bundle.labels_of(part) > 0 for part in ("train", "val", "test")}
        self._trainer = Trainer(
            bundle,
            open_device("cpu", Arithmetic(threads)),
            RunStore(folder / "runs"),
            scored=EPOCHS,
            milestones=EPOCHS,
        )

    def truth(self, part: str) -> NDArray[np.bool_]:
        """Return the labels of a part, [rows, K]."""
        return self._truth[part]

    def probabilities(
        self, config: hpo.Config, part: str = "test", without: str | None = None
    ) -> list[NDArray[np.float32]]:
        """Return the probabilities of each seed's model on a part, [rows, K].

        Args:
            config: To train, for a number of epochs that is in ``EPOCHS``.
            part: ``val`` or ``test``.
            without: A modality to take away from all rows.
        """
        together = Lockstep(self._trainer, config, range(self._seeds))
        while not together.done:
            together.advance()
        together.finish()
        found = []
        for seed in range(self._seeds):
            logits = self._trainer.stored_logits(config, seed, config.epochs, part, without=without)
            assert logits is not None
            found.append(logits.sigmoid().numpy())
        return found


@contextmanager
def opened(name: str, seeds: int, threads: int) -> Iterator[Bench]:
    """Return a bench whose runs are gone afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        yield Bench(name, seeds, Path(folder), threads)
