"""The greedy study: stages as a pure function of the space and of what has been scored so far."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

from hpo.errors import InputError
from hpo.models import Config
from hpo.search._space import GreedySearch, Space, config_key

__all__ = ["Candidate", "GreedyStage", "NoCandidateError", "greedy_stages"]


class NoCandidateError(RuntimeError):
    """All candidates of a stage failed, so that there is nothing to go on with."""


@dataclasses.dataclass(frozen=True)
class Candidate:
    """One point of a stage's grid.

    Attributes:
        config: The whole configuration.
        params: The values that this stage varies.
        reference: Published score in percent, or None.
    """

    config: Config
    params: Mapping[str, Any]
    reference: float | None

    @property
    def key(self) -> str:
        """Shared by equal configurations of all stages."""
        return config_key(self.config)


@dataclasses.dataclass(frozen=True)
class GreedyStage:
    """A stage whose candidates are known.

    Attributes:
        index: From 0.
        name: As in the space.
        candidates: In the order of the grid; equal ones stand once.
        winner: The best candidate; None while one has no score yet.
    """

    index: int
    name: str
    candidates: tuple[Candidate, ...]
    winner: Candidate | None


def greedy_stages(
    space: Space,
    score: Callable[[Candidate], float | None],
    normalise: Callable[[Config], Config],
    modalities: tuple[str, ...],
) -> list[GreedyStage]:
    """Return the stages that are decided, and the first one that isn't.

    Args:
        space: A greedy space, scaled.
        score: Gives the score of a finished candidate, NaN for one that failed for good, None for
            one that has no result yet.
        normalise: Makes equal what trains equally, such as batch sizes above the rows there are.
        modalities: Those that the features have; fusions that need others are left out.

    Raises:
        NoCandidateError: A stage has only failures.
        InputError: A stage has no candidate for these modalities.
    """
    assert isinstance(space.search, GreedySearch)
    best = space.fixed.model_dump()
    if not _possible(best["fusion"], modalities):
        best["fusion"] = modalities[0]
    stages: list[GreedyStage] = []
    for index, stage in enumerate(space.search.stages):
        grid: dict[str, Candidate] = {}
        for position, values in enumerate(itertools.product(*stage.params.values())):
            params = dict(zip(stage.params, values, strict=True))
            config = normalise(Config.model_validate({**best, **stage.fixed, **params}))
            if _possible(config.fusion, modalities):
                reference = stage.reference[position] if stage.reference else None
                shown = {field: getattr(config, field) for field in params}
                candidate = Candidate(config, shown, reference)
                grid.setdefault(candidate.key, candidate)
        if not grid:
            raise InputError(
                f"The stage '{stage.name}' has no candidate for features with "
                f"{', '.join(modalities)} alone."
            )
        candidates = tuple(grid.values())
        scores = [score(candidate) for candidate in candidates]
        winner = _winner(candidates, scores, stage.name)
        stages.append(GreedyStage(index, stage.name, candidates, winner))
        if winner is None:
            break
        best |= {field: getattr(winner.config, field) for field in winner.params}
    return stages


def _winner(
    candidates: tuple[Candidate, ...], scores: list[float | None], stage: str
) -> Candidate | None:
    if any(score is None for score in scores):
        return None
    scored = [
        (score, candidate)
        for score, candidate in zip(scores, candidates, strict=True)
        if score is not None and score == score  # NaN marks a failure
    ]
    if not scored:
        raise NoCandidateError(f"All candidates of the stage '{stage}' failed.")
    return max(scored, key=lambda pair: pair[0])[1]  # the first of equal ones


def _possible(fusion: str, modalities: tuple[str, ...]) -> bool:
    return fusion in modalities if fusion in ("image", "text") else len(modalities) == 2
