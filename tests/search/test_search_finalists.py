"""The end of a promoting study: finalists are trained side by side, the longest first."""

import pytest
from promote_samples import EPOCHS, Queue, promote_space, strategy_of
from search_samples import task_of

from hpo.search import FixedBoard, NewTask, Progress, Task, TaskState

FIXED = {"lr": 0.5}


def at(step: int, value: float) -> tuple[Progress, ...]:
    return (Progress(step, EPOCHS, value),)


def task(position: int, state: TaskState = TaskState.PAUSED) -> Task:
    return task_of(NewTask(position, 0), state=state, token=1)


def resumed(tasks: list[Task], pauses: dict[int, tuple[Progress, ...]], finalists: int) -> object:
    space = promote_space(FIXED, trials=len(tasks), finalists=finalists, reduction_factor=9)
    return strategy_of(space).next(FixedBoard(tasks, None, pauses)).resumed


def test_who_is_sure_to_be_a_finalist_goes_on_while_another_is_trained() -> None:
    pauses = {0: at(18, 5.0), 1: at(2, 9.0), 2: at(2, 8.0), 3: at(2, 7.0)}
    running = task(0, TaskState.CLAIMED)
    board = [running, task(1), task(2), task(3)]
    # The running one may come before all others; of two finalists the other one is known.
    assert resumed(board, pauses, 2) == (1,)
    assert resumed(board, pauses, 1) == ()
    assert resumed([running, task(1, TaskState.CLAIMED), task(2), task(3)], pauses, 2) == ()


def test_who_has_the_most_left_to_train_is_first() -> None:
    pauses = {0: at(18, 5.0), 1: at(2, 9.0), 2: at(6, 8.0)}
    board = [task(0), task(1), task(2)]
    assert resumed(board, pauses, 3) == (1,)
    board[1] = task(1, TaskState.CLAIMED)
    assert resumed(board, pauses, 3) == (2,)
    board[2] = task(2, TaskState.CLAIMED)
    assert resumed(board, pauses, 3) == (0,)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_all_workers_have_finalists_at_the_end(workers: int) -> None:
    """In steps of time in which each worker trains one epoch, none but the last few are idle."""
    space = promote_space(FIXED, trials=9, finalists=3)
    queue = Queue(strategy_of(space), lambda position, step: float(-position))
    crew = [queue.work() for _ in range(workers)]
    idle = [0] * workers
    for index in range(workers):
        next(crew[index])
    time = 0
    alive = [*range(workers)]
    while alive:
        time += 1
        for index in [*alive]:
            before = sum(queue.trained.values())
            try:
                next(crew[index])
            except StopIteration:
                alive.remove(index)
                continue
            idle[index] += sum(queue.trained.values()) == before
    trained = sum(queue.trained.values())
    assert time <= 2.2 * trained / workers + 2 * EPOCHS
    assert sum(steps == EPOCHS for steps in queue.reached().values()) == 3
