"""One task in the hands of a worker, from its claim to its end or its return."""

import dataclasses
import logging
import time
import traceback
from collections.abc import Callable, Iterator

from hpo.models import Config
from hpo.queue import Fenced, Patience, StoreAwayError, StoreUnfitError
from hpo.search import COSTS, Progress, Task, TrialOutcome, Verdict, broken_by, run_trial
from hpo.study import TRAINED, StoredStudy
from hpo.training import Interrupted, Trainer, head_runs, trained_by
from hpo.trials import Draw, LiveTrial
from hpo.worker._bench import Workbench
from hpo.worker._pulse import Pulse
from hpo.worker._settings import Stopping, WorkerSettings
from hpo.worker._trouble import WorkerTroubleError, own_trouble

__all__ = ["Assignment"]

_log = logging.getLogger(__name__)
_ATTEMPTS_TO_DRAW = 20
_PATIENCE_TO_HAND_BACK_S = 3.0


class Assignment:
    """A claimed task: kept alive, trained, and then completed, failed, paused or handed back.

    Args:
        study: The study; its ledger and trials don't wait for a store that is away.
        task: As it was claimed.
        settings: The worker's.
        stopping: What can end it early.
    """

    def __init__(
        self, study: StoredStudy, task: Task, settings: WorkerSettings, stopping: Stopping
    ) -> None:
        self._study = study
        self._patience = Patience(self.poll, study.wait)
        self._patient = study.patient(self._patience)
        self._task = task
        self._stopping = stopping
        self._pulse = Pulse(study, task, settings, stopping)
        self._progress: Progress | None = None
        self._trained = 0

    def poll(self) -> None:
        """Called before every micro-batch, and while the store is waited for.

        Raises:
            Fenced: The task was taken over.
            Interrupted: The worker should stop.
        """
        # Waiting for the store or for a full disk is not a stall, and ends like training does.
        self._pulse.touch()
        if self._pulse.lost:
            raise Fenced("The task was taken over.")
        self._stopping.check()

    def carry_out(self, bench: Workbench) -> None:
        """Bring the task to its end, or hand it back.

        Raises:
            Interrupted: The worker should stop; the task was handed back.
            KeyboardInterrupt: Likewise.
            WorkerTroubleError: The worker can't work; likewise, and no attempt was counted.
            StoreAwayError: The store was waited for in vain; likewise, as soon as it is back.
        """
        trial: LiveTrial | None = None
        try:
            self._patient.trials.close_former(self._task)
            trial = self._patient.trials.take_up(self._task) or self._begin(bench)
            self._pulse.begin(trial)
            self._train(trial, bench)
        except Fenced:
            self._leave(trial)
        except (
            Interrupted,
            KeyboardInterrupt,
            WorkerTroubleError,
            StoreAwayError,
            StoreUnfitError,
        ):
            self._hand_back(trial)
            raise
        finally:
            self._pulse.stop()
            self._patient.trials.leave()

    def _begin(self, bench: Workbench) -> LiveTrial:
        """Create the trial of the task, with what its model costs."""
        attributes = self._study.strategy.attributes(self._task)
        for configured, draw in self._configured():
            assert configured.config is not None
            about = {**attributes, **bench.costs(configured.config)}
            trial = self._patient.trials.begin(configured, about, draw)
            if trial is not None:
                return trial
        raise AssertionError("a configuration without a key is always accepted")

    def _configured(self) -> Iterator[tuple[Task, Draw | None]]:
        """Yield the task with its configuration, or else with one after the other drawn for it."""
        task = self._task
        if task.config is not None:
            yield task, None
            return
        for attempt in range(_ATTEMPTS_TO_DRAW):
            config, draw = self._patient.trials.draw(task.position, attempt)
            task = self._with(config)
            yield task, draw
        # Few configurations are left to draw; the run store gives a repeat its result for free.
        yield dataclasses.replace(task, key=None), draw

    def _with(self, config: Config) -> Task:
        runs = head_runs(config, self._study.definition.modalities)
        return dataclasses.replace(self._task, key=config.key, config=config, runs=runs)

    def _train(self, trial: LiveTrial, bench: Workbench) -> None:
        try:
            outcome = self._rejected(trial)
            if outcome is None:
                outcome = bench.carry_out(lambda trainer: self._run(trainer, trial))
        except (Interrupted, Fenced, StoreAwayError, StoreUnfitError):
            raise
        except Exception as error:
            self._check_there()
            trouble = own_trouble(error) or bench.trouble()
            if trouble is not None:
                raise WorkerTroubleError(trouble) from error
            reason = f"{type(error).__name__}: {error}"
            _log.warning("Trial %d failed: %s", trial.number, reason)
            self._patient.trials.fail(self._task, trial, reason, traceback.format_exc())
            return
        bench.tidy(self._waiting)
        values = self._pulse.take()
        if outcome is not None:
            costs = _costs_of(trial)
            here = trained_by(self._study.definition.precision)
            whole = dataclasses.replace(
                outcome,
                epochs_trained=outcome.epochs_trained + self._trained_before(trial),
                model_mb=costs["model_mb"],
                latency_ms=costs["latency_ms"],
                trained_by=here if outcome.is_scored else None,
            )
            self._patient.trials.complete(self._task, trial, whole, values)
            return
        assert self._progress is not None  # only a step can decide to pause
        self._patient.trials.append(trial, values, {})
        self._patient.trials.pause(self._task, trial, self._progress)

    def _rejected(self, trial: LiveTrial) -> TrialOutcome | None:
        """Return the outcome of a trial that breaks a constraint, so that it is not trained.

        Raises:
            ValueError: The second objective of the study isn't known of it.
        """
        costs, against = _costs_of(trial), self._study.space.against
        if against is not None and costs[against] is None:
            raise ValueError(f"{against} of this configuration can't be known before it is trained")
        if all(excess <= 0 for excess in trial.frozen.constraints.values()):
            return None
        broken = broken_by(costs, self._study.strategy.sizes.limits)
        return TrialOutcome.untrained(f"not trained: {broken}")

    def _run(self, trainer: Trainer, trial: LiveTrial) -> TrialOutcome | None:
        def should_prune() -> bool:
            pruned, noted = self._patient.trials.should_prune(trial)
            # what was decided on, and what was decided, before anything follows from it
            self._patience(lambda: self._pulse.flush(noted))
            trial.remember(noted)
            return pruned

        def on_step(progress: Progress) -> Verdict:
            self._progress = progress
            self._pulse.advance(progress)
            trial.note(progress.step, progress.value)
            board = self._patient.board()
            return self._study.strategy.decide(self._task, progress, board, should_prune)

        before = trainer.epochs_trained
        try:
            outcome = run_trial(trainer, self._study.space, trial.config, on_step=on_step)
        finally:
            self._trained = trainer.epochs_trained - before
        if outcome is None and self._progress is not None:
            self._progress = dataclasses.replace(self._progress, trained=self._trained)
        return outcome

    def _waiting(self) -> list[Config]:
        """Return the configurations that were begun and have no end yet."""
        tasks = self._patient.tasks()
        return [t.config for t in tasks if t.begun and not t.state.ended and t.config is not None]

    def _trained_before(self, trial: LiveTrial) -> int:
        """Return the epochs that were trained for the task before it was paused or handed back."""
        if self._task.token == 1:
            return 0
        pauses = self._patient.pauses().get(self._task.position, ())
        handed_back = int(trial.frozen.system_attrs.get(TRAINED, 0))
        return handed_back + sum(past.trained for past in pauses)

    def _hand_back(self, trial: LiveTrial | None) -> None:
        """Let another worker go on; if the store is away now, as with the task of a dead one."""
        self._pulse.stop()
        until = f"for {_PATIENCE_TO_HAND_BACK_S:g} s, to hand the trial back"
        patience = Patience(_give_up_after(_PATIENCE_TO_HAND_BACK_S), until=until)
        noted: dict[str, int] = {}
        if trial is not None and self._trained:
            before = int(trial.frozen.system_attrs.get(TRAINED, 0))
            noted[TRAINED] = before + self._trained
        try:
            patience(lambda: self._pulse.flush(noted))
            if trial is not None:
                trial.remember(noted)
            self._study.patient(patience).trials.hand_back(self._task, trial)
        except (Interrupted, Fenced, KeyError, StoreUnfitError):  # the study may be gone
            return

    def _leave(self, trial: LiveTrial | None) -> None:
        """Say why the task was lost; where its trial alone was, let anybody train it again.

        Raises:
            StudyGoneError: The study was deleted.
        """
        self._pulse.stop()
        self._check_there()
        try:
            self._patient.ledger.release(self._study.name, self._task)
        except Fenced:
            _log.warning("Task %d was taken over by another worker.", self._task.position)
        else:
            _log.warning(
                "Trial %s was ended from outside (by Study.tell, or in the dashboard), or its "
                "heartbeat failed; its configuration is trained as another trial.",
                "?" if trial is None else trial.number,
            )

    def _check_there(self) -> None:
        self._study.patient(Patience(self._stopping.check, self._study.wait)).check_there()


def _costs_of(trial: LiveTrial) -> dict[str, float | None]:
    """Return what the model of a trial costs, as it was measured when the trial was begun."""
    return {cost: trial.frozen.user_attrs.get(cost) for cost in COSTS}


def _give_up_after(seconds: float) -> Callable[[], None]:
    """Return a poll that raises ``Interrupted`` when the time is over."""
    end = time.monotonic() + seconds

    def poll() -> None:
        if time.monotonic() > end:
            raise Interrupted

    return poll
