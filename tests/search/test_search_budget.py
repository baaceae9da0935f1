"""Budgets in epochs: never more is promised than there is, and what there is buys whole trials."""

import random

import pytest
from promote_samples import EPOCHS, Queue, promote_space, strategy_of
from pydantic import ValidationError
from search_samples import BOTH, outcome, task_of

from hpo._duration import seconds_of
from hpo.errors import InputError
from hpo.models import Config
from hpo.search import (
    Budget,
    FixedBoard,
    NewTask,
    Space,
    TaskState,
    costliest,
    last_step,
    load_space,
    make_strategy,
    refit_epochs,
    trained_epochs,
)
from hpo.search._space import Thresholds

FIXED = {"lr": 0.5}


def cost_of(queue: Queue) -> int:
    """Epochs of single runs that were trained."""
    space = queue.strategy.space
    config = Config(epochs=EPOCHS)
    return sum(trained_epochs(space, config, BOTH, step) for step in queue.trained.values())


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("epochs", [20, 41, 63, 97, 150, 1000])
@pytest.mark.parametrize("seed", range(3))
def test_a_budget_is_kept_and_spent_on_whole_trials(workers: int, epochs: int, seed: int) -> None:
    rng = random.Random(seed)
    quality = [rng.random() for _ in range(13)]
    strategy = strategy_of(promote_space(FIXED, trials=13, finalists=3))
    queue = Queue(strategy, lambda p, step: quality[p] * step, epochs=epochs).run(workers, rng)
    assert cost_of(queue) <= epochs
    whole = [p for p, steps in queue.reached().items() if steps == EPOCHS]
    assert len(whole) >= min(3, max(1, epochs // 40))
    assert {t.state for t in queue.tasks.values()} <= {
        *(TaskState.OPEN, TaskState.PAUSED, TaskState.DONE)
    }
    if epochs == 1000:  # more than enough
        assert queue.states() == "D" * 13
    else:  # too little is left for anything
        begun = sum(task.begun for task in queue.tasks.values())
        assert begun == 13 or epochs - cost_of(queue) < 20 + 2
    best = strategy.best_so_far([*queue.tasks.values()])
    assert best is not None and best.position in whole


@pytest.mark.parametrize("epochs", [70, 140])
def test_with_several_seeds_all_of_them_are_paid_for(epochs: int) -> None:
    strategy = strategy_of(promote_space(FIXED, seeds=3, trials=9, finalists=2))
    queue = Queue(strategy, lambda p, step: float(-p), epochs=epochs).run(2)
    assert cost_of(queue) <= epochs
    assert [steps for steps in queue.reached().values() if steps == EPOCHS + 1]


def test_a_larger_budget_goes_on_where_the_smaller_one_ended() -> None:
    strategy = strategy_of(promote_space(FIXED, trials=9, finalists=2))
    queue = Queue(strategy, epochs=50).run()
    paused = [p for p, task in queue.tasks.items() if task.state is TaskState.PAUSED]
    assert paused  # nobody was ended for want of epochs
    assert queue.pruned() == {}
    before = cost_of(queue)
    queue.epochs = 500
    queue.run()
    assert queue.states() == "D" * 9
    assert before < cost_of(queue) < 500
    assert sum(steps == EPOCHS for steps in queue.reached().values()) >= 2


def test_what_is_needed_buys_one_whole_trial_and_begins_nothing() -> None:
    """As when time runs out, however fast: the budget falls to what is needed at once."""
    strategy = strategy_of(promote_space(FIXED, trials=50, finalists=3))
    queue = Queue(strategy, lambda p, step: float(p % 7), epochs=300)
    worker = queue.work()
    while queue.states().count("P") < 9:
        next(worker)
    queue.epochs = strategy.needed_epochs(queue.board)
    begun = sum(task.begun for task in queue.tasks.values())
    for _turn in worker:  # it goes on with what it has in its hands
        assert sum(task.begun for task in queue.tasks.values()) <= begun + 1
    assert sum(steps == EPOCHS for steps in queue.reached().values()) >= 1


def test_a_budget_of_a_study_without_rungs_is_for_whole_trials() -> None:
    search = {"kind": "optuna", "trials": 9, "params": {"lr": {"low": 0.001, "high": 0.1}}}
    space = load_space({"name": "o", "seeds": 2, "fixed": {"epochs": 10}, "search": search})
    strategy = make_strategy(space, BOTH)
    tasks = [task_of(new) for new in strategy.next(FixedBoard([])).tasks]
    opening = strategy.next(FixedBoard(tasks, epochs=59))
    assert (opening.allotted, opening.exhausted) == (2, False)
    config = Config(epochs=10)
    ended = task_of(
        NewTask(0, 0, config), state=TaskState.DONE, token=1, outcome=outcome(50.0, "fell behind")
    )
    begun = task_of(NewTask(1, 0, config), state=TaskState.CLAIMED, token=1)
    opening = strategy.next(FixedBoard([ended, begun, *tasks[2:]], epochs=59))
    # the pruned one took 1 step of two seeds, and the one that is trained will take 20
    assert (opening.allotted, opening.exhausted) == (3, False)
    opening = strategy.next(FixedBoard([ended, begun, *tasks[2:]], epochs=41))
    assert (opening.allotted, opening.exhausted) == (2, False)
    done = task_of(NewTask(1, 0, config), 60.0, token=1)
    done = type(done)(
        **{**vars(done), "outcome": type(ended.outcome)(**{**vars(outcome(60.0)), "steps": 10})}
    )
    board = FixedBoard([ended, done, *tasks[2:]], epochs=41)
    assert strategy.next(board).exhausted
    assert strategy.is_exhausted(board)


@pytest.mark.parametrize(
    ("fusion", "epochs"),
    [("image", 20), ("sum_joint", 20), ("sum", 20 * 2 + 20), ("mixed", 20 * 3 + 20)],
)
def test_costs_are_epochs_of_single_runs(fusion: str, epochs: int) -> None:
    space = promote_space({"fusion": fusion})
    config = Config(fusion=fusion, epochs=EPOCHS)
    assert trained_epochs(space, config, BOTH, last_step(space, config)) == epochs
    assert refit_epochs(space, BOTH) == epochs
    folds = Thresholds(metrics=("micro_f1",), folds=4)
    folded = space.model_copy(update={"thresholds": folds})
    assert refit_epochs(folded, BOTH) == 5 * epochs
    heads = {"image": 1, "sum_joint": 1, "sum": 2, "mixed": 3}[fusion]
    assert trained_epochs(space, config, BOTH, 6) == 6 * heads


def test_the_costliest_configuration_is_that_of_the_most_heads_and_epochs() -> None:
    params = {
        "fusion": {"choices": ["image", "mixed", "sum_joint"]},
        "epochs": {"low": 10, "high": 40, "step": 10},
    }
    space = promote_space(params=params)
    assert costliest(space, BOTH) == Config(fusion="mixed", epochs=40)
    assert costliest(space, ("text",)).epochs == 40


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), (45.5, 45.5)],
)
def test_lengths_of_time(text: str | float, seconds: float) -> None:
    assert seconds_of(text) == seconds
    assert Budget(time_limit=text).time_limit == seconds  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["", "10 minutes", "m", "10m5", "1d", "-5m", True])
def test_what_is_no_length_of_time(text: str) -> None:
    with pytest.raises(ValueError, match="but must be a time such as 90s, 10m or 1h30m"):
        seconds_of(text)


def test_no_time_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="is '0s', but must be above 0"):
        seconds_of("0s")
    with pytest.raises(ValidationError, match="time_limit is '10x', but must be a time such as"):
        Budget(time_limit="10x")  # type: ignore[arg-type]


def test_a_greedy_space_has_no_budget_in_epochs() -> None:
    stage = {"name": "s", "params": {"lr": [0.1, 0.2]}}
    raw = {"name": "g", "search": {"kind": "greedy", "stages": [stage]}}
    with pytest.raises(InputError) as caught:
        load_space({**raw, "budget": {"epochs": 100}})
    assert str(caught.value) == (
        "The search space: budget.epochs is 100, but search kind greedy decides nothing before "
        "its last trial; leave it out, or give a time_limit"
    )
    assert load_space({**raw, "budget": {"time_limit": "2m"}}).budget.time_limit == 120


def test_a_space_of_an_earlier_version_has_no_budget() -> None:
    stored = promote_space().model_dump(mode="json")
    del stored["budget"]
    assert Space.from_stored(stored).budget == Budget()
