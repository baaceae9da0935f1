"""Promotion under limits, with more trials later, at a scale, with several seeds; and its plan."""

import math

import pytest
from promote_samples import EPOCHS, Queue, never, promote_space, strategy_of
from search_samples import outcome, task_of

from hpo.models import Config
from hpo.search import Decision, FixedBoard, NewTask, Progress, Space, TaskState, load_space

FIXED = {"lr": 0.5}  # not among the values that are searched


@pytest.mark.parametrize("workers", [1, 3])
def test_a_limit_below_what_is_open_ends_the_study_all_the_same(workers: int) -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=9)), limit=4)
    queue.limit = None
    assert len(queue.open_next().tasks) == 9
    queue.limit = 4
    queue.run(workers)
    assert queue.states() == "DDDDOOOOO"
    assert sum(steps == EPOCHS for steps in queue.reached().values()) >= 2


def test_a_limit_below_what_was_begun_lets_that_end() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=9)))
    queue.open_next()
    for _ in range(6):
        queue.claim()
    queue.limit = 2
    for position in range(2):
        queue.change(position, state=TaskState.DONE, outcome=outcome(1.0))
    assert not queue.open_next().complete
    for position in range(2, 6):
        queue.change(position, state=TaskState.DONE, outcome=outcome(1.0))
    assert queue.open_next().complete


def test_more_trials_later_are_compared_with_those_before() -> None:
    strategy = strategy_of(promote_space(FIXED, trials=6, finalists=1))
    queue = Queue(strategy, lambda position, step: float(-abs(position - 7)), limit=6).run()
    before = queue.reached()
    assert sorted(before) == list(range(6))
    queue.limit = 9
    assert [new.position for new in queue.open_next().tasks] == [6, 7, 8]
    queue.run()
    after = queue.reached()
    assert {position: after[position] for position in before} == before
    assert after[7] == EPOCHS
    assert queue.pruned()[8] == "not among the best 1/3 of 7 at step 6"
    best = strategy.best([*queue.tasks.values()])
    assert best is not None and best.position == 7


def test_the_first_rung_is_scaled_with_the_epochs() -> None:
    space = promote_space({"epochs": 40}, first_rung=10).model_dump(mode="json")
    scaled = load_space({**space, "scale": {"epochs": 0.2}}).scaled()
    assert (scaled.search.first_rung, scaled.fixed.epochs) == (2, 8)
    assert scaled.scored_epochs() == {2, 6, 8}
    tiny = load_space({**space, "scale": {"epochs": 0.01}}).scaled()
    assert (tiny.search.first_rung, tiny.scored_epochs()) == (1, {1})


def scored(fixed: int, evaluate_every: int | None = None, **search: object) -> set[int] | None:
    space = promote_space({"epochs": fixed}, **search).model_dump(mode="json")
    found = Space.from_stored({**space, "evaluate_every": evaluate_every}).scored_epochs()
    return None if found is None else set(found)


def test_only_rungs_and_ends_are_scored_unless_a_curve_is_asked_for() -> None:
    assert scored(20) == {2, 6, 18, 20}
    assert scored(6) == {2, 6}
    assert scored(20, evaluate_every=5) == {2, 5, 6, 10, 15, 18, 20}
    assert scored(20, evaluate_every=1) is None


def test_each_epoch_that_a_trial_may_end_with_is_scored() -> None:
    """Where the search varies the length, and also where that is a range."""
    lr = {"low": 0.001, "high": 0.1}
    choices = {"lr": lr, "epochs": {"choices": [10, 40]}}
    assert scored(20, params=choices) == {2, 6, 18, 10, 20, 40}
    steps = {"lr": lr, "epochs": {"low": 10, "high": 60, "step": 25}}
    assert scored(20, params=steps) == {2, 6, 18, 54, 10, 20, 35, 60}
    assert scored(2, params={"epochs": {"low": 7, "high": 9}}) == {2, 6, 7, 8, 9}


def test_the_end_of_the_first_seed_is_a_rung_where_there_are_more() -> None:
    strategy = strategy_of(promote_space(FIXED, seeds=3))
    task = task_of(NewTask(0, 0), state=TaskState.CLAIMED, token=1)

    def decided(step: int, pauses: dict[int, tuple[Progress, ...]]) -> Decision:
        progress = Progress(step, EPOCHS + 1, 5.0)
        return strategy.decide(task, progress, FixedBoard([task], None, pauses), never).decision

    assert decided(EPOCHS, {}) is Decision.PAUSE
    assert decided(EPOCHS - 1, {}) is Decision.CONTINUE
    assert decided(EPOCHS, {0: (Progress(EPOCHS, EPOCHS + 1, 5.0),)}) is Decision.CONTINUE
    assert decided(EPOCHS + 1, {0: (Progress(EPOCHS, EPOCHS + 1, 5.0),)}) is Decision.CONTINUE


def test_only_finalists_get_all_seeds() -> None:
    strategy = strategy_of(promote_space(FIXED, seeds=3, trials=9, finalists=2))
    queue = Queue(strategy, lambda position, step: float(-position)).run()
    assert [queue.reached()[p] for p in range(9)] == [EPOCHS + 1] * 2 + [6] + [2] * 6


def test_the_best_has_all_seeds_whatever_a_single_one_scores() -> None:
    strategy = strategy_of(promote_space(FIXED, seeds=3))
    config = Config(epochs=EPOCHS)
    tasks = [task_of(NewTask(p, 0, config), 60.0 + p) for p in range(3)]
    one = tasks[0].outcome
    assert one is not None
    three = type(one)(**{**vars(one), "scores": (60.0, 60.0, 60.0)})
    board = [task_of(NewTask(0, 0, config), 60.0, outcome=three), *tasks[1:]]
    best = strategy.best(board)
    assert best is not None and best.position == 0
    lucky = task_of(NewTask(3, 0, config), 99.0, outcome=outcome(99.0, "not among the best …"))
    best = strategy.best([*board, lucky])
    assert best is not None and best.position == 0
    best = strategy.best([lucky])  # there is no other
    assert best is not None and best.position == 3


def test_the_plan_counts_what_is_promoted() -> None:
    strategy = strategy_of(promote_space(FIXED, trials=9, finalists=1))
    plan = strategy.plan(FixedBoard([]))
    # 9 to epoch 2, a third of them to 6, a ninth to 18 and 20
    assert (plan.asked, plan.trained) == (9 * EPOCHS, 9 * 2 + 3 * 4 + 1 * 12 + 1 * 2)
    several = strategy_of(promote_space(FIXED, trials=9, finalists=3)).plan(FixedBoard([], 6))
    assert (several.configurations, several.trained) == (6, 6 * 2 + 3 * 18)


def test_a_score_that_is_no_number_pauses_nothing() -> None:
    """As in the second step of a two-step fusion, whose epochs are scored elsewhere."""
    queue = Queue(strategy_of(promote_space(FIXED, trials=3)), lambda p, step: math.nan).run()
    assert queue.pauses == {}
    assert queue.reached() == dict.fromkeys(range(3), EPOCHS)
