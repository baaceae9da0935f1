"""The greedy study as a pure function of the space and the scores."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from search_samples import BOTH, greedy_space

from hpo.errors import InputError
from hpo.models import Config
from hpo.search import (
    Candidate,
    FixedBoard,
    GreedyStage,
    GreedyStrategy,
    NoCandidateError,
    Space,
    load_space,
    make_strategy,
)

PAPER = Path(__file__).resolve().parents[2] / "search_spaces" / "greedy.yaml"


def space_of(*stages: dict[str, Any], **fixed: Any) -> Space:
    return greedy_space(*stages, fixed=fixed)


def stages_of(
    space: Space,
    score: Callable[[Candidate], float | None],
    modalities: tuple[str, ...] = BOTH,
    rows: int = 25_000,
) -> list[GreedyStage]:
    strategy = make_strategy(space.capped(rows), modalities)
    assert isinstance(strategy, GreedyStrategy)
    return strategy.stages(score)


def reference(candidate: Candidate) -> float:
    return candidate.reference or 0.0


LOSSES = {"name": "loss", "params": {"loss": ["bce", "focal", "asl"]}}
DROPOUTS = {"name": "dropout", "params": {"dropout": [0.2, 0.4]}}


def test_the_first_stage_is_known_before_anything_is() -> None:
    (stage,) = stages_of(space_of(LOSSES, DROPOUTS, lr=0.01), lambda candidate: None)
    assert (stage.index, stage.name, stage.winner) == (0, "loss", None)
    assert [candidate.params for candidate in stage.candidates] == [
        {"loss": "bce"},
        {"loss": "focal"},
        {"loss": "asl"},
    ]
    assert [candidate.config for candidate in stage.candidates] == [
        Config(lr=0.01, loss=loss) for loss in ("bce", "focal", "asl")
    ]


def test_a_stage_is_decided_when_all_its_candidates_are_scored() -> None:
    space = space_of(LOSSES, DROPOUTS)
    scores = {"bce": 1.0, "focal": 3.0, "asl": None}
    assert len(stages_of(space, lambda c: scores[c.config.loss])) == 1
    scores["asl"] = 2.0
    first, second = stages_of(
        space, lambda c: scores[c.config.loss] if c.config.dropout == 0.5 else None
    )
    assert first.winner is not None
    assert first.winner.params == {"loss": "focal"}
    assert [candidate.config for candidate in second.candidates] == [
        Config(loss="focal", dropout=0.2),
        Config(loss="focal", dropout=0.4),
    ]
    assert second.winner is None


def test_ties_go_to_the_earlier_candidate() -> None:
    (stage,) = stages_of(space_of(LOSSES), lambda c: {"bce": 1.0}.get(c.config.loss, 2.0))
    assert stage.winner is stage.candidates[1]
    (stage,) = stages_of(space_of(LOSSES), lambda c: 0.0)
    assert stage.winner is stage.candidates[0]


def test_a_failure_never_wins_and_only_failures_end_the_study() -> None:
    (stage,) = stages_of(space_of(LOSSES), lambda c: {"focal": -1.0}.get(c.config.loss, math.nan))
    assert stage.winner is stage.candidates[1]
    with pytest.raises(NoCandidateError, match=r"^All candidates of the stage 'loss' failed\.$"):
        stages_of(space_of(LOSSES), lambda c: math.nan)


def test_fixed_values_of_a_stage_hold_in_it_alone() -> None:
    space = space_of({**LOSSES, "fixed": {"epochs": 300, "lr": 0.1}}, DROPOUTS, epochs=100)
    first, second = stages_of(space, lambda c: 1.0)
    assert {(c.config.epochs, c.config.lr) for c in first.candidates} == {(300, 0.1)}
    assert {(c.config.epochs, c.config.lr) for c in second.candidates} == {(100, 0.001)}


def test_the_incumbent_reappears_as_the_same_candidate() -> None:
    again = {"name": "again", "params": {"loss": ["asl", "focal"], "dropout": [0.5, 0.2]}}
    first, second = stages_of(space_of(LOSSES, again), lambda c: float(c.config.loss == "focal"))
    assert first.winner is not None
    assert first.winner.key == second.candidates[2].key == Config(loss="focal").key
    assert first.winner.key not in {second.candidates[i].key for i in (0, 1, 3)}


def test_the_first_parameter_varies_slowest() -> None:
    grid = {"batch_size": [300, 100], "lr": [0.1, 0.2]}
    stage = {"name": "grid", "params": grid, "reference": [1.0, 2.0, None, 4.0]}
    (found,) = stages_of(space_of(stage), reference)
    assert [(c.params["batch_size"], c.params["lr"], c.reference) for c in found.candidates] == [
        (300, 0.1, 1.0),
        (300, 0.2, 2.0),
        (100, 0.1, None),
        (100, 0.2, 4.0),
    ]


def test_batch_sizes_above_the_rows_are_one_candidate() -> None:
    stage = {"name": "batch", "params": {"batch_size": [1000, 100, 500, 200]}}
    (found,) = stages_of(space_of(stage), lambda c: 1.0, rows=200)
    assert [candidate.config.batch_size for candidate in found.candidates] == [200, 100]
    assert found.winner is found.candidates[0]


FUSIONS = {
    "name": "fusion",
    "params": {"fusion": ["image", "text", "sum", "concat", "mixed", "sum_joint"]},
    "reference": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
}


@pytest.mark.parametrize("modality", BOTH)
def test_fusions_that_need_an_absent_modality_are_left_out(modality: str) -> None:
    first, second = stages_of(space_of(LOSSES, FUSIONS), reference, (modality,))
    assert {candidate.config.fusion for candidate in first.candidates} == {modality}
    (only,) = second.candidates
    assert (only.config.fusion, only.reference) == (modality, 1.0 + (modality == "text"))


def test_a_stage_without_candidates_says_why() -> None:
    stage = {"name": "both", "params": {"fusion": ["sum", "concat"]}}
    with pytest.raises(InputError) as caught:
        stages_of(space_of(stage), reference, ("text",))
    assert str(caught.value) == ("The stage 'both' has no candidate for features with text alone.")


def test_the_paper_s_scores_give_the_paper_s_winners() -> None:
    stages = stages_of(load_space(PAPER), reference)
    winners = [stage.winner.params for stage in stages if stage.winner is not None]
    assert winners == [
        {"head": "mlp"},
        {"fusion": "sum"},
        {"loss": "bce"},
        {"hidden": (2048, 512)},
        {"batch_size": 25000, "lr": 0.001},
        {"epochs": 300},
        {"activation": "gelu"},
        {"activation": "gelu", "dropout": 0.6},
    ]
    last = stages[-1].winner
    assert last is not None
    assert last.reference == 86.606
    assert last.config == Config(
        fusion="sum", hidden=(2048, 512), epochs=300, dropout=0.6, feature_scaling="none"
    )
    assert [len(stage.candidates) for stage in stages] == [2, 5, 3, 3, 9, 4, 3, 8]


def test_the_plan_of_the_paper_counts_shared_epochs_once() -> None:
    strategy = make_strategy(load_space(PAPER).capped(25_000), BOTH)
    plan = strategy.plan(FixedBoard([]))
    assert plan.in_stages
    # 2 × 200 + 5 × 200 + 3 × 300 + 3 × 200 + 9 × 200 + (100 + 200 + 300 + 400) + 3 × 300 + 8 × 300,
    # the last two with the 300 epochs that won
    assert [stage.asked for stage in plan.stages] == [
        400,
        1000,
        900,
        600,
        1800,
        1000,
        900,
        2400,
    ]
    assert (plan.asked, plan.trained, plan.seeds, plan.assumed) == (9000, 6100, 3, True)
    assert [stage.new for stage in plan.stages] == [2, 4, 3, 2, 8, 3, 2, 6]
