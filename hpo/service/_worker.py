"""A worker: claims tasks of a study, trains them on its device, and commits what comes out."""

import dataclasses
import logging
import math
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Any

import torch
from optuna.distributions import distribution_to_json
from optuna.exceptions import UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpo.features import Bundle, load_bundle
from hpo.models import Config
from hpo.search import (
    Draw,
    GreedySearch,
    TrialOutcome,
    TrialProgress,
    config_key,
    decision_steps,
    distributions_of,
    param_value,
    run_trial,
    sample_config,
    should_prune,
)
from hpo.service._patience import Patience
from hpo.service._pulse import Pulse, WorkerSettings
from hpo.service._reading import Database
from hpo.service._study import Study, head_runs
from hpo.service._tables import Fenced, NewTrial, Task
from hpo.training import (
    Interrupted,
    RunStore,
    Trainer,
    open_device,
    trim_store,
)

__all__ = ["Worker"]

_log = logging.getLogger(__name__)
_ATTEMPTS_TO_DRAW = 20
_PATIENCE_TO_HAND_BACK_S = 3.0
_TRIM_EVERY_S = 60.0
#: What of an outcome stands on the Optuna trial as user attributes.
_SHOWN = ("std", "scores", "metrics", "runs", "epochs_trained", "pruned")


class Worker:
    """Works on one study until it is complete, its limits are reached, or a signal comes.

    Args:
        study: The study.
        settings: See there.
        bundle: The study's features, labels and split, where somebody loaded them already; by
            default they are read from the study's cache.
    """

    def __init__(
        self, study: Study, settings: WorkerSettings, bundle: Bundle | None = None
    ) -> None:
        self._study = study
        self._settings = settings
        self._bundle = bundle
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        self._stop = threading.Event()
        self._lost = threading.Event()
        # Waiting for the store or for a full disk is not a stall, and ends like training does.
        self._patience = Patience(self._poll)
        self._pulse: Pulse | None = None
        self._trainer: Trainer | None = None
        self._trimmed = 0.0
        self._deadline: float | None = None
        self._decides = decision_steps(study.space.search.pruner)

    def run(self) -> bool:
        """Work; return True if the study is complete, False if it was left before.

        In the main thread of a process, SIGTERM and SIGINT do what ``stop`` does.

        Raises:
            NoCandidateError: All candidates of a stage failed.
        """
        # Python takes signals in the main thread only; an actor of Ray works in another one.
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._on_signal)
            signal.signal(signal.SIGINT, self._on_signal)
        try:
            while True:
                self._raise_if_stopped()
                if self._limits_reached():
                    return False
                task = self._patience(
                    lambda: self._study.ledger.claim(
                        self._study.name, self._owner, self._settings.grace
                    )
                )
                if task is not None:
                    self._work_on(task)
                elif self._patience(self._study.open_next):
                    return True
                else:
                    self._stop.wait(0.2)
        except Interrupted:
            return False

    def stop(self) -> None:
        """Ask ``run``, from any thread, to checkpoint, hand the trial back and return."""
        self._stop.set()

    def _limits_reached(self) -> bool:
        row = self._patience(lambda: self._study.ledger.study(self._study.name))
        if row is None:
            return True
        if row.seconds_left is not None:
            self._deadline = time.monotonic() + row.seconds_left
            if row.seconds_left <= 0:
                return True
        if row.max_tasks is not None and isinstance(self._study.space.search, GreedySearch):
            tasks = self._patience(lambda: self._study.ledger.tasks(self._study.name))
            started = sum(task.state in ("done", "failed") for task in tasks)
            return started >= row.max_tasks
        return False

    def _work_on(self, task: Task) -> None:
        """Bring a claimed task to its end, or hand it back."""
        self._lost.clear()
        self._pulse = Pulse(self._study, task, self._settings, self._lost, self._stop)
        try:
            self._close_former_trial(task)
            self._train(task, self._begin(task))
        except Fenced:
            _log.warning("Task %d was taken over by another worker.", task.position)
        finally:
            self._hold(None)
            self._pulse.stop()
            self._pulse = None
            self._lost.clear()

    def _close_former_trial(self, task: Task) -> None:
        """Fail the trials that earlier owners of the task left running: they can't write then."""
        if task.token == 1:
            return

        def close() -> None:
            for trial in self._trials_of(task, TrialState.RUNNING):
                self._fail_trial(trial._trial_id, "its worker died; another one went on with it")

        self._patience(close)

    def _trials_of(self, task: Task, state: TrialState) -> list[FrozenTrial]:
        trials = self._study.optuna.get_trials(deepcopy=False, states=(state,))
        return [trial for trial in trials if trial.user_attrs.get("task") == task.position]

    def _begin(self, task: Task) -> FrozenTrial:
        """Return the running Optuna trial of the task, with all its attributes set."""
        if task.token > 1:
            waiting = self._patience(lambda: self._trials_of(task, TrialState.WAITING))
            if waiting:
                return self._go_on_with(task, waiting[0]._trial_id)
        for configured, draw in self._configured(task):
            trial = self._create_trial(configured, draw)
            if trial is not None:
                return trial
        raise AssertionError("a configuration without a key is always accepted")

    def _go_on_with(self, task: Task, trial_id: int) -> FrozenTrial:
        """Take up a trial that was handed back."""
        study = self._study
        self._patience(lambda: study.storage.set_trial_state_values(trial_id, TrialState.RUNNING))
        trial = self._patience(lambda: study.storage.get_trial(trial_id))
        self._patience(lambda: study.ledger.attach(study.name, task, trial.number))
        return trial

    def _configured(self, task: Task) -> Iterator[tuple[Task, Draw | None]]:
        """Yield the task with its configuration, or else with one after the other drawn for it."""
        if task.config is not None:
            yield task, None
            return
        study = self._study
        for attempt in range(_ATTEMPTS_TO_DRAW):
            sample = partial(sample_config, study.optuna, study.space, task.position, attempt)
            drawn, draw = self._patience(sample)
            config = study.normalise(drawn)
            raw = config.model_dump(mode="json")
            yield (
                dataclasses.replace(
                    task, config_key=config_key(config), config=raw, runs=head_runs(config)
                ),
                draw,
            )
        # Few configurations are left to draw; the run store gives a repeat its result for free.
        yield dataclasses.replace(task, config=raw), draw

    def _create_trial(self, task: Task, draw: Draw | None) -> FrozenTrial | None:
        """Create the running trial of a task; return None if its configuration is another's."""
        study = self._study
        # One that was created although the store went away before it said so is found by this.
        attributes: dict[str, Any] = {
            "task": task.position,
            "worker": self._owner,
            "token": task.token,
        }
        if isinstance(study.space.search, GreedySearch):
            attributes["stage"] = study.space.search.stages[task.stage].name
        if draw is not None:
            attributes["draw"] = dataclasses.asdict(draw)
        attributes["config"] = task.config
        distributions = distributions_of(study.space)
        params = study.params(Config.model_validate(task.config))
        trial = create_trial(
            state=TrialState.RUNNING,
            params={name: param_value(value) for name, value in params.items()},
            distributions=distributions,
            user_attrs=attributes,
        )
        stored = {
            name: (domain.to_internal_repr(trial.params[name]), distribution_to_json(domain))
            for name, domain in distributions.items()
        }
        new = NewTrial(study.optuna._study_id, stored, attributes)
        tried = False

        def begin() -> tuple[int, int] | None:
            nonlocal tried
            if tried:
                for there in self._trials_of(task, TrialState.RUNNING):
                    if there.user_attrs.get("token") == task.token:
                        return there._trial_id, there.number
            tried = True
            return study.ledger.begin(study.name, task, new)

        begun = self._patience(begin)
        if begun is None:
            return None
        trial._trial_id, trial.number = begun
        return trial

    def _train(self, task: Task, trial: FrozenTrial) -> None:
        """Train a task.

        Args:
            task: As it was claimed.
            trial: Its trial. While the claim holds nobody else writes to it, so that it is kept
                up to date here and not read back.
        """
        study, pulse = self._study, self._pulse
        assert pulse is not None
        trial_id = trial._trial_id
        pulse.begin(trial_id, trial.number)
        self._hold(trial_id)

        def on_step(progress: TrialProgress) -> str | None:
            pulse.advance(progress)
            # the first value of a step stays, in the storage as well
            value = progress.value if math.isfinite(progress.value) else math.nan
            trial.intermediate_values.setdefault(progress.step, value)
            if progress.step < progress.steps and self._decides(progress.step):
                pruned, noted = self._patience(lambda: should_prune(study.optuna, trial))
                # what was decided on, and what was decided, before anything follows from it
                self._patience(lambda: pulse.flush(noted))
                trial.system_attrs.update(noted)
                if pruned:
                    name = study.space.search.pruner.name
                    return f"{name} at step {progress.step}"
            return None

        try:
            outcome = self._run(Config.model_validate(trial.user_attrs["config"]), on_step)
        except Interrupted:
            # If the store is away now, the trial is taken over later like that of a dead worker.
            patience = Patience(_give_up_after(_PATIENCE_TO_HAND_BACK_S))
            pulse.stop()
            patience(pulse.flush)
            patience(lambda: study.storage.set_trial_state_values(trial_id, TrialState.WAITING))
            patience(lambda: study.ledger.release(study.name, task))
            raise
        except Fenced:
            raise
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            _log.warning("Trial %d failed: %s", trial.number, reason)
            trace = traceback.format_exc()
            self._patience(lambda: self._fail_trial(trial_id, reason, trace))
            self._patience(lambda: study.ledger.fail(study.name, task, reason))
            return
        self._trim_run_store()
        record = dataclasses.asdict(outcome)
        shown = {key: record[key] for key in _SHOWN if record[key] is not None}
        values = pulse.take()
        self._patience(
            lambda: study.ledger.complete(study.name, task, trial_id, record, shown, values)
        )

    def _run(self, config: Config, on_step: Callable[[TrialProgress], str | None]) -> TrialOutcome:
        """Train, with smaller and smaller micro-batches if the memory is not enough."""
        micro_batch: int | None = None
        try:
            while True:
                trainer = self._open_trainer(micro_batch)
                try:
                    return run_trial(trainer, self._study.space, config, on_step=on_step)
                except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                    micro_batch = trainer.numerics.micro_batch // 2
                    if not _out_of_memory(error) or micro_batch < 1:
                        raise
                    _log.warning("Out of memory; trying again with %d rows at once.", micro_batch)
                del trainer
                self._trainer = None
        finally:
            # The size changes last bits, so that of one trial must not reach the next one.
            if micro_batch is not None:
                self._trainer = None

    def _open_trainer(self, micro_batch: int | None = None) -> Trainer:
        """Load the bundle onto the device, once."""
        if self._trainer is None:
            definition = self._study.definition
            device = open_device(self._settings.device, definition.arithmetic)
            bundle = self._bundle
            self._trainer = Trainer(
                load_bundle(definition.bundle) if bundle is None else bundle,
                device,
                RunStore(definition.run_store, self._patience),
                arithmetic=definition.arithmetic,
                micro_batch=micro_batch,
                checkpoint_every=definition.checkpoint_every,
                milestones=definition.space.lengths(),
                poll=self._poll,
            )
        return self._trainer

    def _trim_run_store(self) -> None:
        """Keep the run store within its limit; looking costs time, so once a minute will do."""
        if time.monotonic() - self._trimmed > _TRIM_EVERY_S and self._trainer is not None:
            trim_store(self._trainer.store, self._study.definition.run_store_gb)
            self._trimmed = time.monotonic()

    def _hold(self, trial_id: int | None) -> None:
        """Spare the storage the reading of this worker's own trial, which ``_train`` has."""
        if isinstance(self._study.storage, Database):
            self._study.storage.held = trial_id

    def _fail_trial(self, trial_id: int, reason: str, trace: str | None = None) -> None:
        storage = self._study.storage
        try:
            storage.set_trial_user_attr(trial_id, "failed", reason)
            if trace is not None:
                storage.set_trial_user_attr(trial_id, "traceback", trace)
            storage.set_trial_state_values(trial_id, TrialState.FAIL)
        except UpdateFinishedTrialError:
            return

    def _poll(self) -> None:
        """Called by the training loop before every micro-batch."""
        if self._pulse is not None:
            self._pulse.touch()
        if self._lost.is_set():
            raise Fenced("The task was taken over.")
        if self._deadline is not None and time.monotonic() > self._deadline:
            raise Interrupted
        self._raise_if_stopped()

    def _raise_if_stopped(self) -> None:
        if self._stop.is_set():
            raise Interrupted

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._stop.is_set() and number == signal.SIGINT:
            os._exit(130)  # a second Ctrl-C
        self._stop.set()


def _give_up_after(seconds: float) -> Callable[[], None]:
    """Return a poll that raises ``Interrupted`` when the time is over."""
    end = time.monotonic() + seconds

    def poll() -> None:
        if time.monotonic() > end:
            raise Interrupted

    return poll


def _out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out; on a CPU it is a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "can't allocate memory" in str(error)
