"""How fast a study gets on, and how long it will take."""

import dataclasses
from collections import deque
from collections.abc import Sequence

from hpo.search import Plan, PromoteStrategy, Task, TaskState, trained_epochs
from hpo.study import StoredStudy

__all__ = ["Pace", "share_done"]

#: Seconds over which a rate is taken.
_WINDOW_S = 20.0
#: Looks below these are too few to say how long the rest takes.
_LEAST_S = 3.0
_LEAST_SHARE = 0.005


class Pace:
    """Takes rates from what it is shown again and again.

    Args:
        study: The study.
    """

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self._counts: dict[int, _Count] = {}
        self._trials: dict[int, _Track] = {}
        self._all = _Track()
        self._shares = deque[tuple[float, float]]()
        self._share = 0.0

    @property
    def epochs(self) -> int:
        """Epochs of single runs that were trained for trials that ended or are in progress."""
        return sum(count.before + count.here for count in self._counts.values())

    @property
    def epochs_per_second(self) -> float | None:
        """Epochs of single runs that all workers together train a second; None before it is known.

        What is taken from the run store is not counted as far as that is known: of a trial in
        progress, what it had when it was first seen.
        """
        return self._all.rate

    def steps_per_second(self, task: Task) -> float | None:
        """Return how many steps a trial does a second; None before that is known."""
        track = self._trials.get(task.position)
        return None if track is None else track.rate

    def update(self, tasks: Sequence[Task], plan: Plan, now: float) -> None:
        """Take in what there is.

        Args:
            tasks: All tasks of the study.
            plan: Its plan.
            now: By ``time.monotonic``.
        """
        first = not self._shares
        for task in tasks:
            if task.state is not TaskState.OPEN or task.progress is not None:
                self._count(task, now, first)
        self._all.add(now, sum(count.here for count in self._counts.values()))
        # of what is planned more may turn out to be needed, which takes nothing away
        self._share = max(share_done(self._study, plan, tasks), self._share)
        self._shares.append((now, self._share))
        if len(self._shares) > 2:
            self._shares = deque([self._shares[0], self._shares[-1]])

    def seconds_left(self) -> float | None:
        """Return how long the rest takes at the pace so far; None before that can be said."""
        if not self._shares:
            return None
        (began, share), (now, latest) = self._shares[0], self._shares[-1]
        if now - began < _LEAST_S or latest - share < _LEAST_SHARE or latest >= 1:
            return None  # or more is trained than was planned
        return (now - began) * (1 - latest) / (latest - share)

    def _count(self, task: Task, now: float, first: bool) -> None:
        count = self._counts.setdefault(task.position, _Count())
        if count.ended:
            return
        if task.outcome is not None:
            trained = task.outcome.epochs_trained
            count.ended = True
            if first:
                count.before = trained
            count.here = max(trained - count.before, count.here)
            self._trials.pop(task.position, None)
        elif task.progress is not None and task.config is not None:
            space, modalities = self._study.space, self._study.definition.modalities
            done = trained_epochs(space, task.config, modalities, task.progress.step)
            if count.start is None:
                count.start = done  # what it had before may come from the run store
                count.before = done if first else 0
            count.here = max(done - count.start, count.here)
            track = self._trials.setdefault(task.position, _Track())
            if task.state is TaskState.CLAIMED:
                track.add(now, task.progress.step, task.token)


@dataclasses.dataclass
class _Count:
    """Epochs of single runs of one task.

    Attributes:
        before: Those that were there when the study was first looked at.
        here: Those since.
        start: Those that were there when its progress was first seen.
        ended: Whether no more will come.
    """

    before: int = 0
    here: int = 0
    start: int | None = None
    ended: bool = False


class _Track:
    """A number that grows, and how fast it did lately."""

    def __init__(self) -> None:
        self._seen = deque[tuple[float, float]]()
        self._owner = 0

    def add(self, now: float, number: float, owner: int = 0) -> None:
        """Note the number; what another owner noted says nothing of the pace of this one."""
        if owner != self._owner:
            self._seen.clear()
            self._owner = owner
        if self._seen and len(self._seen) > 1 and self._seen[-1][1] == number:
            # Numbers come in jumps, with the heartbeat; a rate is taken from jump to jump.
            if now - self._seen[-1][0] > _WINDOW_S:
                self._seen.clear()
            else:
                return
        self._seen.append((now, number))
        while len(self._seen) > 2 and now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()

    @property
    def rate(self) -> float | None:
        """How much it grows a second; None before that is known."""
        if len(self._seen) < 2:
            return None
        (began, first), (now, last) = self._seen[0], self._seen[-1]
        return (last - first) / (now - began) if now > began and last > first else None


def share_done(study: StoredStudy, plan: Plan, tasks: Sequence[Task]) -> float:
    """Return how much of a study's work is done, from 0 to 1.

    In stages, each counts by the epochs that it adds. Where trials are promoted, it is the epochs
    of all trials among those that are planned. Elsewhere each trial counts the same.
    """
    if plan.in_stages:
        total = sum(stage.trained for stage in plan.stages) or 1
        done = 0.0
        for index, stage in enumerate(plan.stages):
            mine = [_part(task) for task in tasks if task.stage == index]
            done += stage.trained * min(sum(mine) / (stage.new or 1), 1.0) if mine else 0.0
        return min(done / total, 1.0)
    if isinstance(study.strategy, PromoteStrategy) and any(not t.state.ended for t in tasks):
        return min(sum(map(_steps, tasks)) / max(plan.trained, 1), 1.0)
    return min(sum(map(_part, tasks)) / max(plan.configurations, len(tasks), 1), 1.0)


def _steps(task: Task) -> int:
    if task.outcome is not None:
        return task.outcome.steps
    return 0 if task.progress is None else task.progress.step


def _part(task: Task) -> float:
    if task.state.ended:
        return 1.0
    return 0.0 if task.progress is None else task.progress.step / max(task.progress.steps, 1)
