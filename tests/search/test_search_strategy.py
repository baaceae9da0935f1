"""Strategies: what they open on which board, in which places, and what they find best."""

import math
from typing import Any

import pytest
from search_samples import BOTH, greedy_space, outcome, sampled_space, task_of, tasks_of

from hpo.models import Config
from hpo.search import (
    Decision,
    FixedBoard,
    NewTask,
    NoCandidateError,
    Progress,
    Space,
    Strategy,
    Task,
    TaskState,
    Verdict,
    make_strategy,
)
from hpo.training import head_runs

LOSSES = {"name": "loss", "params": {"loss": ["bce", "focal", "asl"]}}
DROPOUTS = {"name": "dropout", "params": {"dropout": [0.2, 0.4]}}


def strategy_of(space: Space) -> Strategy:
    return make_strategy(space, BOTH)


def greedy(*stages: dict[str, Any], **changes: Any) -> Strategy:
    return strategy_of(greedy_space(*stages, **changes))


def opened(strategy: Strategy, tasks: list[Task], limit: int | None = None) -> tuple[NewTask, ...]:
    """What is opened on a board; a process of its own decides the same."""
    found = strategy.next(FixedBoard(tasks, limit))
    other = make_strategy(Space.from_stored(strategy.space.model_dump(mode="json")), BOTH)
    assert other.next(FixedBoard(list(tasks), limit)) == found
    return found.tasks


def test_a_greedy_study_opens_a_stage_when_the_one_before_is_decided() -> None:
    strategy = greedy(LOSSES, DROPOUTS)
    first = opened(strategy, [])
    assert [(new.position, new.stage) for new in first] == [(0, 0), (1, 0), (2, 0)]
    assert [new.config for new in first] == [Config(loss=x) for x in ("bce", "focal", "asl")]
    assert [new.key for new in first] == [new.config.key for new in first if new.config]
    assert first[1].runs == head_runs(Config(loss="focal"), BOTH)
    assert opened(strategy, tasks_of(first, [1.0, 3.0, None])) == ()
    done = tasks_of(first, [1.0, 3.0, 2.0])
    second = opened(strategy, done)
    assert [(new.position, new.stage) for new in second] == [(3, 1), (4, 1)]
    assert [new.config for new in second] == [Config(loss="focal", dropout=d) for d in (0.2, 0.4)]
    board = [*done, *tasks_of(second, [5.0, 4.0])]
    assert not strategy.next(FixedBoard(done)).complete
    assert strategy.next(FixedBoard(board)).complete
    assert opened(strategy, board) == ()
    best = strategy.best(board)
    assert best is not None and best.position == 3
    assert strategy.best(done) is None


def test_positions_go_on_after_the_highest_one() -> None:
    """Wherever the stages before were put: an older version began each at a thousand."""
    three = {"name": "third", "params": {"lr": [0.1, 0.2]}}
    strategy = greedy(LOSSES, DROPOUTS, three)
    first = opened(strategy, [])
    board = tasks_of(first, [1.0, 3.0, 2.0])
    second = [
        task_of(new, 4.0, position=position)
        for new, position in zip(opened(strategy, board), (1000, 1002), strict=True)
    ]
    third = opened(strategy, [*board, *second])
    assert [(new.position, new.stage) for new in third] == [(1003, 2), (1004, 2)]


def test_a_stage_that_was_opened_in_part_is_completed() -> None:
    strategy = greedy(LOSSES)
    first = opened(strategy, [])
    rest = opened(strategy, [task_of(first[1], 2.0)])
    assert [(new.position, new.config) for new in rest] == [
        (2, Config(loss="bce")),
        (3, Config(loss="asl")),
    ]


def test_what_an_earlier_stage_ran_is_not_opened_again() -> None:
    again = {"name": "again", "params": {"loss": ["focal", "asl"], "dropout": [0.5, 0.2]}}
    strategy = greedy(LOSSES, again)
    done = tasks_of(opened(strategy, []), [1.0, 3.0, 2.0])
    second = opened(strategy, done)
    assert [new.config for new in second] == [
        Config(loss="focal", dropout=0.2),
        Config(loss="asl", dropout=0.2),
    ]
    board = [*done, *tasks_of(second, [2.0, 1.0])]
    best = strategy.best(board)
    assert best is not None and best.position == 1
    assert [[row.trial for row in table.rows] for table in strategy.tables(board, cited=True)] == [
        [0, 1, 2],
        [1, 3, 2, 4],
    ]


def test_a_stage_of_more_than_a_thousand_candidates_hides_none_of_the_next() -> None:
    many = [round(0.0001 * n, 4) for n in range(1, 1202)]
    strategy = greedy({"name": "many", "params": {"lr": many}}, LOSSES, DROPOUTS)
    first = opened(strategy, [])
    assert [new.position for new in first] == list(range(1201))
    board = tasks_of(first, [float(n) for n in range(1201)])
    second = opened(strategy, board)
    assert [new.config for new in second] == [
        Config(lr=many[-1], loss=loss) for loss in ("focal", "asl")
    ]  # bce is the winner itself
    board += tasks_of(second, [9000.0, 1.0])
    third = opened(strategy, board)
    positions = [task.position for task in board] + [new.position for new in third]
    assert positions == list(range(1205))
    board += tasks_of(third, [1.0, 9001.0])
    best = strategy.best(board)
    assert best is not None and best.position == 1204


def test_failures_are_passed_over_and_only_failures_end_the_study() -> None:
    strategy = greedy(LOSSES, DROPOUTS)
    first = opened(strategy, [])
    failed = [task_of(new, state=TaskState.FAILED, reason="no memory") for new in first]
    board = [failed[0], task_of(first[1], 1.0), failed[2]]
    assert {new.config.loss for new in opened(strategy, board) if new.config} == {"focal"}
    (table, _) = strategy.tables(board, cited=False)
    assert [row.note for row in table.rows] == ["failed: no memory", "", "failed: no memory"]
    with pytest.raises(NoCandidateError, match=r"^All candidates of the stage 'loss' failed\.$"):
        strategy.next(FixedBoard(failed))


@pytest.mark.parametrize("state", [TaskState.OPEN, TaskState.CLAIMED, TaskState.PAUSED])
def test_a_task_that_goes_on_leaves_its_stage_open(state: TaskState) -> None:
    strategy = greedy(LOSSES, DROPOUTS)
    first = opened(strategy, [])
    board = [*tasks_of(first[:2], [1.0, 2.0]), task_of(first[2], state=state)]
    opening = strategy.next(FixedBoard(board))
    assert (opening.tasks, opening.complete) == ((), False)


def test_a_limit_on_a_greedy_study_exhausts_it() -> None:
    strategy = greedy(LOSSES)
    first = opened(strategy, [])
    board = tasks_of(first, [1.0, None, None])
    assert not strategy.is_exhausted(FixedBoard(board))
    assert not strategy.is_exhausted(FixedBoard(board, limit=2))
    assert strategy.is_exhausted(FixedBoard(board, limit=1))


def sampled(trials: int = 4) -> Strategy:
    return strategy_of(sampled_space({"lr": {"low": 0.1, "high": 0.2}}, trials=trials))


def test_a_sampled_study_opens_its_trials_at_once() -> None:
    strategy = sampled(4)
    first = opened(strategy, [])
    assert first == tuple(NewTask(position, 0) for position in range(4))
    assert opened(strategy, [], limit=2) == first[:2]
    board = tasks_of(first[:3], [1.0, 2.0, None])
    assert opened(strategy, board) == first[3:]
    assert opened(strategy, board, limit=6) == tuple(NewTask(n, 0) for n in (3, 4, 5))
    assert opened(strategy, board, limit=2) == ()
    assert strategy.next(FixedBoard(board, 2)).complete
    assert not strategy.next(FixedBoard(board, 3)).complete
    failed = [*board[:2], task_of(first[2], state=TaskState.FAILED)]
    assert strategy.next(FixedBoard(failed, 3)).complete


def test_the_best_of_a_sampled_study_is_a_number_and_the_first_of_equal_ones() -> None:
    strategy = sampled(5)
    first = [NewTask(n, 0, Config(lr=0.1 + n / 100)) for n in range(5)]
    board = tasks_of(first, [math.nan, 1.0, 2.0, 2.0, None])
    best = strategy.best(board)
    assert best is not None and best.position == 2
    (table,) = strategy.tables(board, cited=False)
    assert [row.trial for row in table.rows] == [2, 3, 1, 0]
    assert [row.winner for row in table.rows] == [True, False, False, False]
    assert (table.name, table.selected) == ("best 4 of 4 trials", True)
    assert strategy.best([]) is None


def test_a_pruned_trial_counts_with_its_value() -> None:
    strategy = greedy(LOSSES)
    board = tasks_of(opened(strategy, []), [1.0, 2.0, 3.0])
    board[2] = task_of(opened(strategy, [])[2], 3.0, outcome=outcome(3.0, "MedianPruner at step 2"))
    best = strategy.best(board)
    assert best is not None and best.position == 2
    (table,) = strategy.tables(board, cited=False)
    assert table.rows[2].note == "MedianPruner at step 2"


def test_plan_of_a_sampled_study() -> None:
    strategy = sampled(4)
    board = FixedBoard(tasks_of(opened(strategy, []), [1.0, None, None, None]))
    plan = strategy.plan(board)
    assert (plan.asked, plan.trained, plan.configurations) == (800, 800, 4)
    assert (plan.stages[0].done, plan.in_stages, plan.assumed) == (1, False, False)


@pytest.mark.parametrize(
    ("step", "prune", "asked", "decision"),
    [
        (1, True, False, Verdict(Decision.CONTINUE)),  # no rung: the pruner isn't even asked
        (2, True, True, Verdict(Decision.PRUNE, "SuccessiveHalvingPruner at step 2")),
        (2, False, True, Verdict(Decision.CONTINUE)),
        (8, True, False, Verdict(Decision.CONTINUE)),  # the last step
    ],
)
def test_what_follows_from_a_step(step: int, prune: bool, asked: bool, decision: Verdict) -> None:
    space = sampled_space(
        {"lr": {"low": 0.1, "high": 0.2}},
        pruner={"name": "SuccessiveHalvingPruner", "min_resource": 2, "reduction_factor": 4},
    )
    calls: list[None] = []

    def should_prune() -> bool:
        calls.append(None)
        return prune

    task, board = task_of(NewTask(0, 0), state=TaskState.CLAIMED), FixedBoard([])
    assert strategy_of(space).decide(task, Progress(step, 8, 50.0), board, should_prune) == decision
    assert len(calls) == asked
