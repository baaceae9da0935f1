"""All seeds of a configuration, trained side by side."""

from collections.abc import Sequence

from hpo.models import Config
from hpo.training._curve import EpochRecord
from hpo.training._trainer import ModelRun, Trainer

__all__ = ["Lockstep"]


class Lockstep:
    """The models of one configuration with several seeds, which advance step by step together.

    So every step has a value for each seed, to be averaged, reported and decided on.

    Args:
        trainer: The worker's.
        config: What to train.
        seeds: One model each.

    Attributes:
        models: By seed, in the order given.
    """

    def __init__(self, trainer: Trainer, config: Config, seeds: Sequence[int]) -> None:
        self.models: dict[int, ModelRun] = {seed: trainer.model(config, seed) for seed in seeds}

    @property
    def step(self) -> int:
        """Steps done."""
        return next(iter(self.models.values())).step

    @property
    def steps(self) -> int:
        """Steps to the end, unless a seed ends early."""
        return next(iter(self.models.values())).steps

    @property
    def done(self) -> bool:
        """Whether no seed has anything left to do."""
        return all(model.done for model in self.models.values())

    def advance(self) -> dict[int, EpochRecord]:
        """Do one step of every seed and return the records, by seed."""
        return {seed: model.advance() for seed, model in self.models.items()}

    def checkpoint(self) -> None:
        """Store resumable states of the runs in progress."""
        for model in self.models.values():
            model.checkpoint()

    def finish(self) -> None:
        """Store states and weights where the runs stand, and give the memory back."""
        for model in self.models.values():
            model.finish()
