"""What ends a study before it is complete: a budget in epochs, or the time of one command."""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

from hpo._duration import seconds_of
from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.models import Config
from hpo.search import (
    Budget,
    Task,
    TaskState,
    costliest,
    last_step,
    reached_length,
    refit_epochs,
    refit_epochs_of,
    trained_epochs,
)
from hpo.study import Definition, StoredStudy

__all__ = ["Exhaustion", "Limits", "TimeLimit", "shown_time"]

#: What reading, judging and writing the results take, beside the refit: seconds, and as a share.
_MARGIN_S = 6.0
_MARGIN_SHARE = 0.05
#: The share of the time that is kept back at most while nobody knows how long an epoch takes.
_UNKNOWN_SHARE = 0.3
#: Of the epochs that the time is enough for, so many are promised.
_PROMISED = 0.9
_REFIT_SLACK = 1.2
#: The share of that which comes after the refit.
_AFTER_REFIT = 0.5
#: Before the deadline nothing is begun any more, so that finalists can be brought to their end.
_CLOSING_S = 2.0
_CLOSING_SHARE = 0.05
#: Seconds with nothing to do after which a budget is taken to be used up.
_IDLE_S = 2.0
#: Changes of the deadline below this are not written.
_SECONDS = 0.3


@dataclasses.dataclass(frozen=True)
class Limits:
    """How far a study may go on.

    Attributes:
        timeout: Stop the search at once after so many seconds; the refit comes on top.
        trials: Trials that may be begun; None for those that the space asks for.
        epochs: Epochs of single runs, the refit included.
        time_limit: Seconds for everything, results included.
        began: When that time began, by ``time.monotonic``; None for now.
        refit: Whether there will be a refit.
    """

    timeout: float | None = None
    trials: int | None = None
    epochs: int | None = None
    time_limit: float | None = None
    began: float | None = None
    refit: bool = True

    @staticmethod
    def of(
        budget: Budget,
        timeout: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        time_limit: float | str | None = None,
        **more: Any,
    ) -> "Limits":
        """Return limits; a budget that isn't given is the space's.

        Raises:
            InputError: The time is no length of time.
        """
        try:
            seconds = budget.time_limit if time_limit is None else seconds_of(time_limit)
        except ValueError as error:
            raise InputError(f"time_limit {error}.") from None
        if timeout is not None and seconds is not None:
            raise InputError(
                "--timeout is the time of the search alone, and --time-limit that of the whole "
                "command; give one of them."
            )
        return Limits(timeout, trials, epochs or budget.epochs, seconds, **more)

    def __str__(self) -> str:
        """Say what may end the study before it is complete; empty if nothing will."""
        named = []
        if self.epochs is not None:
            included = ", refit included" if self.refit else ""
            named.append(f"budget {_epochs(self.epochs)}{included}")
        if self.timeout is not None:
            named.append(f"timeout {shown_time(self.timeout)}, refit and results not included")
        if self.time_limit is not None:
            shown = f"time limit {shown_time(self.time_limit)}"
            if self.refit:
                shown += (
                    "; if no trial can be whole by then, the furthest is refitted as far as it got"
                )
            named.append(shown)
        return " · ".join(named)

    @property
    def seconds_left(self) -> float | None:
        """How long a command that begins to train now may go on; None without a limit."""
        if self.time_limit is None or self.began is None:
            return self.timeout if self.time_limit is None else self.time_limit
        return max(self.began + self.time_limit - time.monotonic(), 0.0)

    def reached(self, study: StoredStudy, over: bool, searched: float) -> str | None:
        """Return which limit ended the work on a study, in words; None if something else did.

        Args:
            study: The study, which nobody works on now.
            over: Whether the time for trials is over, or there was nothing to do for a while.
            searched: Seconds since ``set`` was called; the store's clock may have been set.
        """
        row = study.ledger.study(study.name)
        own = self.trial_epochs(study.definition)
        exhausted = study.strategy.is_exhausted(study.board(row))
        rationed = exhausted and row is not None and row.epochs == own
        if rationed and self.epochs is not None:
            return f"the budget of {_epochs(self.epochs)}"
        # workers may see the deadline a little before others do
        left = None if row is None else row.seconds_left
        if left is not None and self.timeout is not None:
            left = min(left, self.timeout - searched)
        over = over or exhausted or (left is not None and left < _SECONDS)
        if self.time_limit is not None and over:
            return f"the time limit of {shown_time(self.time_limit)}"
        return self._cut(left, exhausted)

    def _cut(self, left: float | None, exhausted: bool) -> str | None:
        """Return which limit that plans no end has ended the work."""
        if self.timeout is not None and left is not None and left < _SECONDS:
            return f"the timeout of {shown_time(self.timeout)}"
        if self.trials is not None and exhausted:
            return f"the limit of {self.trials} trial{'' if self.trials == 1 else 's'}"
        return None

    def is_budget(self, ended_by: str | None) -> bool:
        """Tell whether what ended the work is a budget, which is planned for, or a mere stop."""
        return ended_by is not None and ended_by not in (
            self._cut(0.0, False),
            self._cut(None, True),
        )

    def set(self, study: StoredStudy) -> None:
        """Write the limits to the study's queue.

        Raises:
            InputError: The budget is not enough for a trial and the refit.
        """
        trials = study.trials_asked if self.trials is None else self.trials
        study.ledger.limit(study.name, self.timeout, trials, self.trial_epochs(study.definition))

    def refit_is_over(self) -> bool:
        """Tell whether a refit that goes on would leave no time for the predictions."""
        if self.time_limit is None or self.began is None:
            return False
        kept_back = _AFTER_REFIT * _margin(self.time_limit)
        return time.monotonic() > self.began + self.time_limit - kept_back

    def models(self, study: StoredStudy, trained: int) -> int | None:
        """Return how many models the budget lets be refitted; None for any number.

        Args:
            study: The study, which nobody works on now.
            trained: Epochs of single runs that were trained for it.
        """
        one = max(refit_epochs(study.space, study.definition.modalities), 1)
        room = []
        if self.epochs is not None:
            # one epoch is kept for the vote of neighbours, which is fitted before it is chosen
            room.append(max(self.epochs - trained - 1, 0) // one)
        if self.time_limit is not None and self.began is not None:
            split = load_bundle(study.definition.bundle).split
            growth = (len(split["train"]) + len(split["val"])) / len(split["train"])
            now = time.monotonic()
            left = max(self.began + self.time_limit - _margin(self.time_limit) - now, 0.0)
            rate = trained / max(now - self.began, _SECONDS)
            room.append(int(left * rate / (_REFIT_SLACK * growth * one)))
        return min(room, default=None)

    def trial_epochs(self, definition: Definition) -> int | None:
        """Return what of the budget is for trials; None without one.

        Raises:
            InputError: It is not enough for a trial and the refit; or the study's search counts no
                epochs.
        """
        if self.epochs is None:
            return None
        space, modalities = definition.space, definition.modalities
        if not space.search.counts_epochs:
            raise InputError(
                f"--epoch-budget {self.epochs}: search kind {space.search.kind} decides nothing "
                "before its last trial; leave it out, or give --time-limit."
            )
        config = costliest(space, modalities)
        trial = trained_epochs(space, config, modalities, last_step(space, config))
        last = refit_epochs(space, modalities) if self.refit else 0
        if self.epochs < trial + last:
            refit = f", and the refit {last}" if self.refit else ""
            raise InputError(
                f"The budget is {_epochs(self.epochs)}, but must be at least {trial + last}: a "
                f"trial of this space may take {trial}{refit}."
            )
        return self.epochs - last


class TimeLimit:
    """Turns what is left of a command's time into a budget in epochs, again and again.

    How many epochs a second all workers train together is measured while they do. What the refit
    will take follows from that, and is kept back. The workers keep to the budget (``Costs``), so
    that trials are whole in time; where the estimate was wrong, a deadline stops them.

    Args:
        study: The study.
        limits: With a ``time_limit``.
        growth: How many times as many rows the refit trains on.
    """

    def __init__(self, study: StoredStudy, limits: Limits, growth: float) -> None:
        assert limits.time_limit is not None
        self._study = study
        self._limits = limits
        self._growth = growth
        began = time.monotonic() if limits.began is None else limits.began
        self._end = began + limits.time_limit
        self._margin = _margin(limits.time_limit)
        self._closing = _CLOSING_S + _CLOSING_SHARE * limits.time_limit
        self._unknown = _UNKNOWN_SHARE * limits.time_limit
        self._claimed: float | None = None
        #: When so many epochs were trained, each time that there were more.
        self._seen: list[tuple[float, int]] = []
        self._workers = 1
        self._deadline: float | None = None
        self._promised: int | None = None

    @property
    def over(self) -> bool:
        """Whether the time for trials is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def update(self, tasks: Sequence[Task]) -> None:
        """Take in what was trained so far, and tell the workers what they may still train."""
        now, reached = time.monotonic(), self._reached(tasks)
        trained = sum(self._epochs(config, step) for _, config, step in reached)
        at_work = sum(task.state is TaskState.CLAIMED for task in tasks)
        if self._claimed is None and at_work:
            self._claimed = now
        self._workers = max(self._workers, at_work)
        if not self._seen or trained > self._seen[-1][1]:
            self._seen.append((now, trained))
        epochs, refit = None, self._unknown_seconds(now)
        if len(self._seen) > 2:
            # Before the first epochs are seen there is much to read and to set up.
            (began, before), (ended, after) = self._seen[1], self._seen[-1]
            rate = (after - before) / (ended - began) / self._workers
            spare = self._end - self._margin - self._closing - now
            refit = self._refit_seconds(reached, rate, spare)
            left = max(spare - refit, 0.0)
            epochs = trained + int(_PROMISED * rate * self._workers * left)
            # What one whole trial needs is promised to the last; the deadline is still there.
            epochs = max(epochs, self._study.strategy.needed_epochs(self._study.board()))
        budget = self._limits.trial_epochs(self._study.definition)
        if not self._study.space.search.counts_epochs:
            epochs = None
        elif budget is not None:
            epochs = budget if epochs is None else min(epochs, budget)
        self._tell(now, self._end - self._margin - refit, epochs)

    def _unknown_seconds(self, now: float) -> float:
        """Return what is kept back for the refit while nobody knows how long an epoch takes.

        That of what is being trained takes as long as that has taken by now.
        """
        if self._claimed is None or not self._limits.refit:
            return 0.0
        so_far = _REFIT_SLACK * self._growth * self._workers * (now - self._claimed)
        return min(so_far, self._unknown)

    def _refit_seconds(
        self, reached: Sequence[tuple[Task, Config, int]], rate: float, left: float
    ) -> float:
        """Return what is to be kept back for the refit.

        Args:
            reached: The tasks, and how far they are.
            rate: Epochs a second of one worker, or of the refit.
            left: Seconds for trials and the refit.
        """
        if not self._limits.refit:
            return 0.0
        space, modalities = self._study.space, self._study.definition.modalities
        of_an_epoch = _REFIT_SLACK * self._growth / rate
        whole = of_an_epoch * refit_epochs(space, modalities)
        begun = [
            (config, step) for task, config, step in reached if task.outcome is None and step > 0
        ]
        tasks = [task for task, _, _ in reached]
        if not begun or self._study.strategy.best_so_far(tasks) is not None:
            return whole
        to_go = [
            self._epochs(config, last_step(space, config)) - self._epochs(config, step)
            for config, step in begun
        ]
        if min(to_go) / rate + whole <= left:
            return whole
        # No trial can be whole in time. The furthest one will be refitted for as long as it got.
        furthest = max(
            refit_epochs_of(
                space, config.replace(epochs=reached_length(space, config, step)), modalities
            )
            for config, step in begun
        )
        return min(whole, of_an_epoch * furthest)

    def _tell(self, now: float, deadline: float, epochs: int | None) -> None:
        if self._deadline is not None and now >= self._deadline - _SECONDS:
            return  # workers see it, and end
        moved = self._deadline is None or abs(deadline - self._deadline) > _SECONDS
        if moved or epochs != self._promised:
            self._deadline, self._promised = deadline, epochs
            self._study.ledger.ration(self._study.name, deadline - now, epochs)

    def _reached(self, tasks: Sequence[Task]) -> list[tuple[Task, Config, int]]:
        """Return the tasks that have a configuration, with it and the step that they got to."""
        pauses = self._study.pauses()
        found = []
        for task in tasks:
            if task.config is None:
                continue
            steps = [past.step for past in pauses.get(task.position, ())]
            steps += [task.progress.step] if task.progress is not None else []
            steps += [task.outcome.steps] if task.outcome is not None else []
            found.append((task, task.config, max(steps, default=0)))
        return found

    def _epochs(self, config: Config, step: int) -> int:
        """Return the epochs of single runs that a trial has trained by a step."""
        space, modalities = self._study.space, self._study.definition.modalities
        return trained_epochs(space, config, modalities, step)


class Exhaustion:
    """Tells when the budget of a study has left nothing to do for a while.

    Args:
        study: The study.
    """

    def __init__(self, study: StoredStudy) -> None:
        self._study = study
        self._since: float | None = None

    def long_enough(self) -> bool:
        """Look at the study; to be called again and again."""
        board = self._study.board()
        if board.epochs is None or not self._study.strategy.is_exhausted(board):
            self._since = None
            return False
        self._since = time.monotonic() if self._since is None else self._since
        return time.monotonic() - self._since >= _IDLE_S


def _margin(time_limit: float) -> float:
    """Return the seconds of a limit that are kept back for the results, beside the refit."""
    return _MARGIN_S + _MARGIN_SHARE * time_limit


def _epochs(number: int) -> str:
    return "1 epoch" if number == 1 else f"{number} epochs"


def shown_time(seconds: float) -> str:
    """Return a length of time as people write it."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    parts = [(hours, "h"), (minutes, "m"), (rest, "s")]
    return "".join(f"{number:g}{unit}" for number, unit in parts if number)
