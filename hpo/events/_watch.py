"""From what the store has of a study, again and again, to what happened in between."""

import dataclasses
import math
import threading
import time
from collections.abc import Sequence

from hpo.events._events import (
    Best,
    Decision,
    FloorKnown,
    Planned,
    StageBegun,
    StageDecided,
    StudyBegun,
    Totals,
    TrialBegun,
    TrialEnded,
    TrialPaused,
    TrialProgress,
    Waiting,
)
from hpo.events._pace import Pace
from hpo.events._stream import Tell
from hpo.events._why import why_it_goes_on, why_it_won
from hpo.results import stored_floor
from hpo.search import FixedBoard, Plan, Progress, Task, TaskState
from hpo.study import StoredStudy

__all__ = ["StudyWatch"]


class StudyWatch:
    """Tells what happens to a study, whoever works on it.

    Everything comes from the store, so that it tells the same of workers in other processes and on
    other machines. What happened between two looks is told at the second one; of several steps of a
    trial only the last one is known. Nothing is read or written by those who train.

    Args:
        study: The study.
        tell: Is told.
        seconds: How long the study may go on; None without a limit.
        about: Lines about data, limits and workers.
    """

    def __init__(
        self,
        study: StoredStudy,
        tell: Tell,
        seconds: float | None = None,
        about: Sequence[str] = (),
    ) -> None:
        self._study = study
        self._tell = tell
        self._seconds = seconds
        self._about = tuple(about)
        self._plan: Plan = study.plan()
        self._pace = Pace(study)
        self._began = time.monotonic()
        self._seen: dict[int, _Seen] = {}
        self._looked = False
        self._stages: set[int] = set()
        self._decided = 0
        self._best: Best | None = None
        self._stopped: str | None = None
        self._floor = False
        self._lock = threading.Lock()

    def begin(self) -> None:
        """Tell what the study is, before anything is trained."""
        study, space = self._study, self._study.space
        done = sum(count for state, count in study.counts().items() if state.ended)
        parameters = tuple(study.strategy.distributions)
        self._tell(
            StudyBegun(
                study=study.name,
                space=space.name,
                metric=space.metric,
                seeds=space.seeds,
                done=done,
                seconds=self._seconds,
                parameters=parameters,
                identity=study.identity,
            )
        )
        self._tell(Planned(self._plan, space, self._about))

    def wait(self, reason: str | None) -> None:
        """Tell that the store is waited for; without a reason, that it is there again."""
        self._tell(Waiting(reason))

    def update(self, tasks: Sequence[Task]) -> None:
        """Tell what happened since the last look.

        Args:
            tasks: All tasks of the study, as they were just read.
        """
        self._look_for_floor()
        ended, changed, resumed = False, False, []
        for task in tasks:
            known = self._seen.get(task.position)
            if known is not None and known.state.ended and task.state.ended:
                continue  # unless it is tried again
            seen = _Seen(task.state, task.token, task.trial, task.progress)
            if seen == known:
                continue
            before = known or _Seen()
            self._seen[task.position] = seen
            changed = changed or task.state is not TaskState.CLAIMED
            self._open(task, tasks)
            # one that is resumed only to be ended doesn't go on
            if before.progress is not None and _is_resumed(task, before) and not task.ending:
                resumed.append((task, before.progress.step))
            if task.state.ended:
                self._end(task)
                ended = True
            else:
                self._move(task, before)
        self._pace.update(tasks, self._plan, time.monotonic())
        if resumed:
            self._explain(resumed)
        if ended or not self._looked:
            self._decide(tasks)
        if changed:
            self._look_for_best(tasks)
        self._look_for_stop()
        self._looked = True
        self._tell(self._totals(tasks))

    def know_interval(self, trial: int | None, low: float, high: float) -> None:
        """Tell how sure the score of the best so far is, if it is still this trial."""
        with self._lock:
            best = self._best
            if best is None or best.trial != trial or best.step is not None:
                return
            self._best = best = dataclasses.replace(best, low=low, high=high)
        self._tell(best)

    def _open(self, task: Task, tasks: Sequence[Task]) -> None:
        """Tell that a stage begins, at its first task."""
        if task.stage in self._stages:
            return
        self._stages.add(task.stage)
        strategy, stages = self._study.strategy, self._plan.stages
        count, parameters = self._plan.configurations, tuple(strategy.distributions)
        if self._plan.in_stages:
            count = stages[task.stage].candidates
            # where a failed trial of an earlier stage is tried again, this one has no table
            for table in strategy.tables(tasks, cited=False)[task.stage : task.stage + 1]:
                parameters = tuple(dict.fromkeys(n for row in table.rows for n in row.params))
        name = strategy.stage_name(task)
        self._tell(StageBegun(name, task.stage + 1, len(stages), count, parameters))

    def _move(self, task: Task, before: "_Seen") -> None:
        """Tell how a trial goes on that has not ended."""
        trained = before.state is TaskState.CLAIMED and before.trial is not None
        if task.state is not TaskState.CLAIMED:
            if trained or (task.state is TaskState.PAUSED and task.token != before.token):
                self._leave(task.trial, task.progress or before.progress)
            return
        if task.trial is None or task.config is None:
            return
        if trained and before.trial != task.trial:
            self._leave(before.trial, before.progress)
        if (before.state, before.token, before.trial) != (task.state, task.token, task.trial):
            params = self._study.strategy.params(task.config)
            stage = self._study.strategy.stage_name(task)
            self._tell(TrialBegun(task.trial, task.position, stage, params, task.owner))
        progress = task.progress
        if progress is not None and progress != before.progress:
            rate = self._pace.steps_per_second(task)
            value = _finite(progress.value)
            self._tell(TrialProgress(task.trial, progress.step, progress.steps, value, rate))

    def _leave(self, trial: int | None, progress: Progress | None) -> None:
        """Tell that a trial pauses, was handed back, or was taken from its worker."""
        if trial is None:
            return
        if progress is None:
            self._tell(TrialPaused(trial, 0, None, None))
        else:
            value = _finite(progress.value)
            self._tell(TrialPaused(trial, progress.step, progress.steps, value))

    def _end(self, task: Task) -> None:
        outcome, strategy = task.outcome, self._study.strategy
        state = "failed" if outcome is None else "pruned" if outcome.pruned else "done"
        scored = outcome is not None and outcome.is_scored
        reason = task.reason if outcome is None else outcome.pruned
        self._tell(
            TrialEnded(
                trial=task.trial,
                position=task.position,
                stage=strategy.stage_name(task),
                params={} if task.config is None else strategy.params(task.config),
                state=state,
                value=outcome.value if outcome is not None and scored else None,
                std=outcome.std if outcome is not None and scored else None,
                metrics={} if outcome is None else dict(outcome.metrics),
                steps=0 if outcome is None else outcome.steps,
                epochs_trained=0 if outcome is None else outcome.epochs_trained,
                reason=reason,
                earlier=not self._looked,
                config={} if task.config is None else task.config.model_dump(mode="json"),
                runs=() if outcome is None else outcome.runs,
            )
        )
        if self._looked and reason is not None:
            what = "fails" if outcome is None else "is pruned"
            self._tell(Decision(f"trial {task.trial} {what}", reason))

    def _explain(self, resumed: Sequence[tuple[Task, int]]) -> None:
        """Tell why paused trials are resumed.

        Args:
            resumed: Each with the step where it was paused.
        """
        pauses = self._study.pauses()
        for task, step in resumed:
            what = f"trial {task.trial} goes on"
            self._tell(Decision(what, why_it_goes_on(task, step, pauses)))

    def _decide(self, tasks: Sequence[Task]) -> None:
        """Tell which stages have a winner now."""
        tables = self._study.tables(list(tasks))
        over = sum(task.state.ended for task in tasks) >= self._plan.configurations
        for table in tables[self._decided :]:
            if not table.decided or not (self._plan.in_stages or over):
                break
            self._decided += 1
            winner = next(row for row in table.rows if row.winner)
            self._tell(
                StageDecided(table.name, dict(winner.params), winner.trial, winner.value, table)
            )
            if self._looked and self._plan.in_stages:
                self._tell(Decision(f"stage {table.name}: {winner.label} wins", why_it_won(table)))
        if self._plan.in_stages:  # what later stages take follows from the winners
            self._plan = self._study.strategy.plan(FixedBoard(list(tasks)))

    def _look_for_best(self, tasks: Sequence[Task]) -> None:
        found = self._best_of(tasks)
        if found is None:
            return
        found = dataclasses.replace(found, epochs=self._pace.epochs)
        with self._lock:
            known = self._best
            if known is not None and (known.trial, known.value, known.step) == (
                *(found.trial, found.value, found.step),
            ):
                return
            if known is not None and _is_behind(found, known):
                return  # the one that was ahead is being trained on
            self._best = found
        self._tell(found)

    def _best_of(self, tasks: Sequence[Task]) -> Best | None:
        """Return the best whole trial; before there is one, the best of those that got furthest."""
        strategy = self._study.strategy
        whole = strategy.best_so_far(tasks)
        if whole is not None and whole.outcome is not None and whole.outcome.is_scored:
            params = {} if whole.config is None else strategy.params(whole.config)
            return Best(whole.trial, params, whole.outcome.value, whole.outcome.std)
        reached = [
            (task, step, value)
            for task in tasks
            if (found := _reached(task)) is not None
            for step, value in [found]
        ]
        if not reached:
            return None
        task, step, value = max(reached, key=lambda one: one[1:])
        params = {} if task.config is None else strategy.params(task.config)
        return Best(task.trial, params, value, None, step)

    def _look_for_stop(self) -> None:
        row = self._study.ledger.study(self._study.name)
        stopped = None if row is None else row.stopped
        if stopped is not None and stopped != self._stopped:
            self._tell(Decision("no more trials are begun", stopped))
        self._stopped = stopped

    def _look_for_floor(self) -> None:
        if not self._floor and (floor := stored_floor(self._study)) is not None:
            self._floor = True
            self._tell(FloorKnown(floor))

    def _totals(self, tasks: Sequence[Task]) -> Totals:
        states = [task.state for task in tasks]
        now = time.monotonic()
        limit = None if self._seconds is None else max(self._began + self._seconds - now, 0.0)
        left = self._pace.seconds_left()
        if limit is not None:
            left = limit if left is None else min(left, limit)
        failed = states.count(TaskState.FAILED)
        return Totals(
            ended=states.count(TaskState.DONE) + failed,
            failed=failed,
            paused=states.count(TaskState.PAUSED),
            total=max(self._plan.configurations, len(tasks)),
            epochs=self._pace.epochs,
            epochs_per_second=self._pace.epochs_per_second,
            seconds=now - self._began,
            seconds_left=left,
        )


@dataclasses.dataclass(frozen=True)
class _Seen:
    """What was last known of a task."""

    state: TaskState = TaskState.OPEN
    token: int = 0
    trial: int | None = None
    progress: Progress | None = None


def _reached(task: Task) -> tuple[int, float] | None:
    """Return where a task that isn't whole has a score, and which; None without one."""
    if task.outcome is not None:
        return (task.outcome.steps, task.outcome.value) if task.outcome.is_scored else None
    if task.state is not TaskState.PAUSED or task.progress is None:
        return None
    value = _finite(task.progress.value)
    return None if value is None else (task.progress.step, value)


def _is_resumed(task: Task, before: _Seen) -> bool:
    """Tell whether a task that was paused went on since, perhaps to pause again."""
    if before.state is not TaskState.PAUSED:
        return False
    return task.state is not TaskState.PAUSED or task.token != before.token


def _is_behind(found: Best, known: Best) -> bool:
    """Tell whether a trial that isn't whole is less far than another one was."""
    if found.step is None or known.step is None:
        return found.step is not None
    return (found.step, found.value) < (known.step, known.value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
