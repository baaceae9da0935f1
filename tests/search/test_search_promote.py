"""The promoting strategy as a function of boards: who goes on, who is ended, when all is done."""

import math
import random

import pytest
from promote_samples import EPOCHS, Queue, never, promote_space, strategy_of
from search_samples import BOTH, outcome, task_of

from hpo.models import Config
from hpo.search import (
    Decision,
    FixedBoard,
    NewTask,
    Progress,
    Space,
    Strategy,
    Task,
    TaskState,
    Verdict,
    make_strategy,
)

FIXED = {"lr": 0.5}  # not among the values that are searched


def at(step: int, *values: float) -> dict[int, tuple[Progress, ...]]:
    """Tasks from position 0 on that paused at a step with these values."""
    return {p: (Progress(step, EPOCHS, value),) for p, value in enumerate(values)}


def tasks_in(*states: TaskState) -> list[Task]:
    return [task_of(NewTask(p, 0), state=s, token=1) for p, s in enumerate(states)]


def paused(count: int) -> list[Task]:
    return tasks_in(*[TaskState.PAUSED] * count)


def resumed(strategy: Strategy, board: FixedBoard) -> tuple[int, ...]:
    """Who is opened again; a process of its own that reads the same decides the same."""
    found = strategy.next(board)
    other = make_strategy(Space.from_stored(strategy.space.model_dump(mode="json")), BOTH)
    turned = dict(reversed(list(board.paused.items())))
    assert other.next(FixedBoard(board.read, board.limit, turned)) == found
    return found.resumed


def test_the_first_trial_has_the_fixed_values_where_the_search_allows_them() -> None:
    first, second, *_ = strategy_of(promote_space({"lr": 0.01})).next(FixedBoard([])).tasks
    assert first.config == Config(lr=0.01, epochs=EPOCHS)
    assert (first.position, len(first.runs), second.config) == (0, 1, None)
    tasks = strategy_of(promote_space(FIXED)).next(FixedBoard([])).tasks
    assert len(tasks) == 9
    assert {task.config for task in tasks} == {None}


def test_parameters_of_choices_not_taken_don_t_matter_for_the_first_trial() -> None:
    params = {"loss": {"choices": ["bce", "focal"]}, "focal.gamma": {"low": 1, "high": 2}}
    bce = strategy_of(promote_space({"loss": "bce"}, params=params))
    assert bce.next(FixedBoard([])).tasks[0].config == Config(epochs=EPOCHS)
    focal = strategy_of(promote_space({"loss": "focal"}, params=params))  # whose gamma is 3
    assert focal.next(FixedBoard([])).tasks[0].config is None


@pytest.mark.parametrize(
    ("values", "due"),
    [
        ((5.0, 6.0), ()),
        ((5.0, 6.0, 4.0), (1,)),
        ((6.0, 6.0, 6.0), (0,)),  # the earlier of equal ones
        ((1.0, 2.0, 3.0, 4.0, 5.0, 6.0), (4, 5)),
    ],
)
def test_one_in_so_many_of_a_rung_is_due(values: tuple[float, ...], due: tuple[int, ...]) -> None:
    strategy = strategy_of(promote_space(FIXED, trials=9))
    waiting = [*paused(len(values)), task_of(NewTask(9, 0), state=TaskState.CLAIMED, token=1)]
    assert resumed(strategy, FixedBoard(waiting, None, at(2, *values))) == due


def test_those_that_went_on_still_count_at_the_rung() -> None:
    strategy = strategy_of(promote_space(FIXED))
    pauses = at(2, 9.0, 8.0, 7.0, 6.0, 5.0)
    pauses[0] += (Progress(6, EPOCHS, 9.0),)
    board = [*paused(5), *tasks_in(TaskState.CLAIMED)]
    assert resumed(strategy, FixedBoard(board, None, pauses)) == ()
    pauses[5] = (Progress(2, EPOCHS, 4.0),)
    board = [*paused(6), *tasks_in(TaskState.CLAIMED)]
    assert resumed(strategy, FixedBoard(board, None, pauses)) == (1,)


def test_a_trial_pauses_where_it_gets_to_a_rung_first_and_goes_on_from_there() -> None:
    strategy = strategy_of(promote_space(FIXED))
    (task,) = tasks_in(TaskState.CLAIMED)
    others = at(2, 50.0, 40.0, 30.0)

    def decided(step: int, value: float = 50.0, steps: int = EPOCHS) -> Decision:
        board = FixedBoard([task, *paused(3)[1:]], None, others)
        return strategy.decide(task, Progress(step, steps, value), board, never).decision

    assert decided(1) is Decision.CONTINUE
    assert decided(2) is Decision.CONTINUE  # where it was promoted
    assert decided(5) is Decision.CONTINUE
    assert decided(6) is Decision.PAUSE
    assert decided(18) is Decision.PAUSE
    assert decided(18, steps=18) is Decision.CONTINUE  # the end
    assert decided(6, math.nan) is Decision.CONTINUE  # no score, no rung


def test_a_promoted_trial_goes_on_even_if_others_come_before_it_meanwhile() -> None:
    strategy = strategy_of(promote_space(FIXED))
    task, *_ = board = [*tasks_in(TaskState.CLAIMED), *paused(6)[1:]]
    pauses = at(2, 3.0, 2.0, 1.0, 9.0, 8.0, 7.0)  # the last three came when it was promoted
    verdict = strategy.decide(
        task, Progress(2, EPOCHS, 3.0), FixedBoard(board, None, pauses), never
    )
    assert verdict == Verdict(Decision.CONTINUE)


def test_when_nobody_is_left_the_best_go_on_and_then_the_others_to_be_ended() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=4, finalists=2)))
    queue.tasks = {task.position: task for task in paused(4)}
    queue.pauses = at(2, 1.0, 2.0, 3.0, 4.0)
    assert queue.open_next().resumed == (3,)  # one in three of the rung
    queue.change(3, state=TaskState.PAUSED)
    queue.pauses[3] += (Progress(6, EPOCHS, 4.0),)
    # Two are to go all the way, at the same time; who has more to train is first.
    assert queue.open_next().resumed == (2,)
    assert queue.open_next().resumed == ()  # nobody has claimed it
    queue.change(2, state=TaskState.CLAIMED)
    assert queue.open_next().resumed == (3,)
    queue.change(3, state=TaskState.CLAIMED)
    assert queue.open_next().resumed == ()
    for position in (2, 3):
        queue.change(position, state=TaskState.DONE, outcome=outcome(4.0))
    last = queue.open_next()
    assert (last.resumed, last.complete) == ((), False)
    reason = "not among the best 1/3 of 4 at step 2"
    assert last.ended == ((0, reason), (1, reason))
    task = queue.claim()
    assert task is not None and task.position == 0
    verdict = queue.strategy.decide(task, Progress(2, EPOCHS, 1.0), queue.board, never)
    assert verdict == Verdict(Decision.PRUNE, reason)
    # also if more was added in the meantime, which is trained first
    queue.add(-1)
    verdict = queue.strategy.decide(task, Progress(2, EPOCHS, 1.0), queue.board, never)
    assert verdict == Verdict(Decision.PRUNE, reason)
    assert not queue.open_next().complete
    del queue.tasks[-1]
    queue.change(0, state=TaskState.DONE, outcome=outcome(1.0, verdict.reason))
    assert not queue.open_next().complete
    queue.change(1, state=TaskState.DONE, outcome=outcome(2.0, "likewise"))
    assert queue.open_next().complete


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_a_study_ends_with_whole_trials_and_reasons(workers: int, seed: int) -> None:
    rng = random.Random(seed)
    quality = [rng.random() for _ in range(13)]
    space = promote_space(FIXED, trials=13, finalists=3)
    queue = Queue(strategy_of(space), lambda p, step: quality[p] * step).run(workers, rng)
    assert queue.states() == "D" * 13
    reached = queue.reached()
    whole = [position for position, steps in reached.items() if steps == EPOCHS]
    assert len(whole) >= 3
    assert queue.pruned().keys() == reached.keys() - whole
    assert {reached[position] for position in queue.pruned()} <= {2, 6, 18}
    # the best is never left behind: at each of its rungs it is among the best of those there
    best = queue.strategy.best([*queue.tasks.values()])
    assert best is not None and best.position == max(range(13), key=quality.__getitem__)
    assert all(past[0].step == 2 for past in queue.pauses.values())


def test_one_worker_trains_few_to_the_end() -> None:
    space = promote_space(FIXED, trials=9, finalists=1)
    queue = Queue(strategy_of(space), lambda position, step: float(-position)).run()
    steps = sorted(queue.reached().values())
    assert steps == [2] * 6 + [6, 6, 20]
    assert queue.pruned()[8] == "not among the best 1/3 of 9 at step 2"


def test_more_finalists_than_trials_train_all_of_them() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=2, finalists=5))).run(2)
    assert queue.reached() == {0: EPOCHS, 1: EPOCHS}


def test_a_trial_shorter_than_the_first_rung_is_a_finalist_like_any_other() -> None:
    space = promote_space(FIXED, trials=3, first_rung=30, finalists=2)
    assert Queue(strategy_of(space)).run().reached() == dict.fromkeys(range(3), EPOCHS)


def test_who_fails_is_replaced_by_the_next_best() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=5, finalists=2)), failing=(4,)).run()
    assert queue.states() == "DDDDF"
    assert [p for p, steps in queue.reached().items() if steps == EPOCHS] == [2, 3]


def test_who_diverged_is_no_finalist() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=3, finalists=2)))
    queue.tasks = {task.position: task for task in paused(3)}
    queue.change(2, state=TaskState.DONE, outcome=outcome(9.0, "diverged: …"))
    queue.pauses = at(2, 1.0, 2.0, 9.0)
    assert queue.run().reached() == {0: EPOCHS, 1: EPOCHS, 2: 1}
    best = queue.strategy.best([*queue.tasks.values()])
    assert best is not None and best.position == 1


def test_a_study_of_failures_is_complete_and_has_no_best() -> None:
    queue = Queue(strategy_of(promote_space(FIXED, trials=3)), failing=(0, 1, 2)).run()
    assert queue.states() == "FFF"
    assert queue.strategy.best([*queue.tasks.values()]) is None
