"""Studies from Python: created, worked on, looked at, and refitted."""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._kinds import check_kinds
from hpo.errors import InputError
from hpo.features import Bundle
from hpo.launch import Workers, place_workers, resolve_devices
from hpo.library._checks import check_importable, check_memory, check_positive
from hpo.library._frames import class_frame, front_frame, leaderboard_frame, without_frame
from hpo.library._limits import Limits
from hpo.library._model import Model
from hpo.library._progress import StudyProgress
from hpo.library._work import Crew, Observer, work_on
from hpo.models import Config
from hpo.results import Floor, compute_floor
from hpo.search import Task
from hpo.study import (
    StoredStudy,
    add_candidate,
    as_far_as_it_got,
    best_so_far,
    check_bundle,
    concerns,
    epochs_trained,
    retry_failed,
    warm_start,
)
from hpo.worker import WorkerSettings

if TYPE_CHECKING:
    import optuna
    import pandas as pd

__all__ = ["Study"]

_log = logging.getLogger(__name__)


class Study:
    """A search over configurations, in a storage that any number of processes can share.

    ``create_study`` and ``load_study`` make one.

    Attributes:
        stored: The study's definition, queue and trials.
    """

    def __init__(self, stored: StoredStudy, bundle: Bundle | None = None) -> None:
        self.stored = stored
        self._bundle = bundle
        self._ended_by: str | None = None
        self._limits: Limits | None = None

    @property
    def name(self) -> str:
        """Its name in the storage."""
        return self.stored.name

    @property
    def optuna(self) -> "optuna.Study":
        """The plain Optuna study, for everything that Optuna can do with one."""
        return self.stored.optuna

    @property
    def is_complete(self) -> bool:
        """Whether the study has all that its space asks for."""
        return self.stored.strategy.next(self.stored.board()).complete

    def optimize(
        self,
        workers: int | None = None,
        *,
        devices: str = "auto",
        timeout: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        time_limit: float | str | None = None,
        memory_gb: float | None = None,
        plugins: Sequence[str] = (),
        progress: bool = True,
    ) -> bool:
        """Work on the study until it is complete or a limit is reached.

        What was done before is not done again; a study that is complete returns at once. Ctrl-C
        hands back what was being trained, and the next call goes on from there.

        Args:
            workers: How many. One works in this process, more are processes of their own; by
                default one a device, and on a CPU one a core.
            devices: ``auto`` (all CUDA devices, or else the CPU), ``cpu``, or ``cuda:0,cuda:1``.
            timeout: Stop at once after so many seconds.
            trials: Stop after so many trials, those of earlier calls included. A sampled study is
                complete with so many, instead of those that its space asks for.
            epochs: Budget in epochs of single runs, those of earlier calls and of a refit included;
                by default the space's ``budget.epochs``.
            time_limit: Seconds, or such as ``"10m"``, for this call and a refit: trials are begun
                and promoted so that some are whole in time. By default the space's
                ``budget.time_limit``. ``ended_by`` says which limit it was.
            memory_gb: What a worker's copy of the rows as float32 may take, in 10⁹ bytes; larger
                ones are read from the mapped files, batch by batch, with the same results. By
                default half of what is free, divided by the workers.
            plugins: Modules or files that worker processes import for losses, heads, fusions and
                metrics of your own.
            progress: Whether to show what happens: below the cell in a notebook, live on a
                terminal, and elsewhere as a line for each trial, on standard error.

        Returns:
            Whether the study is complete. It may be so with failed trials, see ``concerns``.

        Raises:
            InputError: A device doesn't exist, a number is not above 0, workers in other processes
                would lack a part that was registered in this one, the study's space meant something
                else when it was made, or not even its smallest model fits into the memory.
            NoCandidateError: All candidates of a stage failed.
        """
        check_positive(
            workers=workers, timeout=timeout, trials=trials, epochs=epochs, memory_gb=memory_gb
        )
        check_kinds(
            devices=(devices, (str,), "text, such as 'auto' or 'cuda:0,cuda:1'"),
            plugins=(plugins, (list, tuple), "a list of modules or files"),
        )
        limits = self.limits(timeout, trials, epochs, time_limit)
        check_bundle(self.stored.definition)
        placed = resolve_devices(devices)
        stored = self.stored
        settings = WorkerSettings(device=placed[0], memory_gb=memory_gb, wait_for_store=stored.wait)
        alone = workers == 1
        if not alone:
            check_importable(stored, plugins)

        shown = StudyProgress(stored, limits.seconds_left, shown=progress)

        def start() -> Crew:
            check_memory(stored, placed[0])
            if alone:
                from hpo.launch import ThreadWorker  # PyTorch takes a second, see hpo/_lazy.py

                return ThreadWorker(stored, settings, self._bundle)
            placements = place_workers(placed, workers, stored.definition.threads, memory_gb)
            cache = Path(stored.definition.cache)
            return Workers(
                *(stored.name, stored.url, placements, cache, plugins, settings),
                relayed=shown.is_live,
            )

        with shown:
            complete = self.run(start, shown.update, limits)
            shown.stop(complete, self._ended_by)
        for line in self.concerns:
            _log.warning("%s", line)
        return complete

    def run(
        self,
        start: Callable[[], Crew],
        observe: Observer,
        limits: Limits | None = None,
    ) -> bool:
        """Do what ``optimize`` does, with workers of your own.

        Args:
            start: Starts them; only called if there is anything to do.
            observe: Is shown the tasks.
            limits: What may end it; by default the space's budget.

        Returns:
            Whether the study is complete.
        """
        self._limits = limits = limits or self.limits()
        self._ended_by = None
        complete, self._ended_by = work_on(self.stored, start, observe, limits, self._bundle)
        return complete

    def limits(
        self,
        timeout: float | None = None,
        trials: int | None = None,
        epochs: int | None = None,
        time_limit: float | str | None = None,
        *,
        began: float | None = None,
        refit: bool = True,
    ) -> Limits:
        """Return limits; what isn't given is as the space has it.

        Raises:
            InputError: The time is no length of time.
        """
        return Limits.of(
            self.stored.budget, timeout, trials, epochs, time_limit, began=began, refit=refit
        )

    @property
    def ended_by(self) -> str | None:
        """Which limit ended the last ``optimize``, in words; None if it was none of the budget."""
        return self._ended_by

    @property
    def concerns(self) -> list[str]:
        """What is to be known before any of its results is used, a line each.

        Configurations that failed, and so took no part; trials that different versions of the
        trainer or of PyTorch trained. Nothing if all is well.
        """
        return concerns(self.stored, self.stored.tasks())

    def retry(self) -> int:
        """Open failed trials again, once their cause is mended; return how many.

        The next ``optimize`` trains them, from where they got to.
        """
        return len(retry_failed(self.stored))

    @property
    def stopped(self) -> str | None:
        """Why no more trials were begun (``stop_when``), in words; None if it was not so."""
        row = self.stored.ledger.study(self.name)
        return None if row is None else row.stopped

    def add(self, values: Mapping[str, Any] | None = None, **more: Any) -> bool:
        """Queue a candidate as the next trial, beyond the number of trials that the space asks for.

            >>> study.add(lr=0.002, dropout=0.6)
            >>> study.add({"loss": "focal", "focal.gamma": 2.0})

        A study that is being worked on takes it up; one that is complete goes on with the next
        ``optimize``.

        Args:
            values: By name; what is left out has the fixed value of the space.
            more: The same as keywords.

        Returns:
            Whether it is new; False if the study has this configuration.

        Raises:
            InputError: It is no point of the search space; all problems are listed.
        """
        return add_candidate(self.stored, {**(values or {}), **more})

    def start_from(self, other: str) -> list[str]:
        """Queue the best configurations of another study of the storage, as far as they fit.

        A study that was begun is left as it is.

        Args:
            other: Name of the other study.

        Returns:
            What was taken and what doesn't fit, a line a configuration.

        Raises:
            InputError: There is no such study, or it has no whole trial.
        """
        wait = self.stored.wait
        found = StoredStudy.join(self.stored.url, other, option="--warm-start", wait=wait)
        return warm_start(self.stored, found)

    @property
    def best_task(self) -> Task:
        """The best trial's task.

        Raises:
            InputError: It isn't decided yet.
        """
        best = self.stored.best()
        if best is None and self._ended_by is not None:
            best = best_so_far(self.stored, self.stored.tasks())
        if best is None or best.outcome is None:
            raise InputError(
                f"The study '{self.name}' has no best configuration yet; call optimize() until it "
                "returns True."
            )
        return best

    @property
    def best_config(self) -> Config:
        """The best configuration."""
        config = self.best_task.config
        assert config is not None  # it has an outcome
        return config

    @property
    def best_value(self) -> float:
        """The mean over seeds of the best configuration's metric; F1 and mAP in percent."""
        outcome = self.best_task.outcome
        assert outcome is not None
        return outcome.value

    def leaderboard(self, *, floor: bool = False) -> "pd.DataFrame":
        """Return all trials with a result, the best first.

        Args:
            floor: Whether to add the scores to beat, as rows without rank and trial.

        Returns:
            A row each: ``rank``, ``score`` and ``std`` (over seeds), ``trial`` (its number in
            Optuna), the parameters that were tried, ``steps``, ``epochs_trained`` (the cost: epochs
            of single runs that were not in the run store yet), ``model_mb`` and ``latency_ms`` (a
            row, as it was measured) and ``pruned`` (why, or empty). Trials that broke a constraint
            come last, with no score. Where encoders were tried, ``images_per_s`` and ``encoder_mb``
            are what each costs: images that it encodes a second, and the size of its weights in 10⁶
            bytes. With ``floor``, its rows have their name in the column ``floor``.

        Raises:
            InputError: With ``floor``, if the space says ``floor: false`` or the metric is no F1
                score.
        """
        return leaderboard_frame(self.stored, self.floor() if floor else None)

    def floor(self) -> Floor:
        """Return scores that take no search, to be beaten: they are computed once.

        ``to_json()`` of what is returned has the scores on the validation rows with their
        intervals, for a linear head, zero-shot labels (where the encoder has embedded the class
        names) and the most frequent labels.

        Raises:
            InputError: The study's space has ``floor: false``.
        """
        if not self.stored.space.floor:
            raise InputError(
                f"The study '{self.name}' has no floor, as its space says floor: false."
            )
        return compute_floor(self.stored)

    def class_scores(self, model: Model | None = None, *, device: str = "auto") -> "pd.DataFrame":
        """Return how well the winner tells each class.

        Args:
            model: What ``refit`` returned, to score it on the test part of the split, if there is
                one.
            device: ``auto``, ``cpu`` or ``cuda:N``.

        Returns:
            A row for each part and class: ``part`` (``validation`` at a probability of 0.5,
            ``validation_tuned`` at the thresholds that the space wants, ``test`` and
            ``test_at_half`` of the model likewise), ``class``, ``precision``, ``recall`` and ``f1``
            (in percent, the mean over seeds), ``support`` (rows that have it), ``threshold``.

        Raises:
            InputError: The study isn't decided yet, or its winner's weights are gone.
        """
        return class_frame(self.stored, self.best_task, model, device)

    def scores_without(self, model: Model | None = None, *, device: str = "auto") -> "pd.DataFrame":
        """Return how good the winner is where all rows lack one of the modalities.

        Args:
            model: See ``class_scores``; likewise ``device``.

        Returns:
            A row for each part (``validation``, and ``test`` of the model) and modality: ``part``,
            ``without``, ``micro_f1``, ``macro_f1`` and ``samples_f1`` in percent.

        Raises:
            InputError: The study isn't decided yet, or its winner's weights are gone.
        """
        return without_frame(self.stored, self.best_task, model, device)

    def front(self, against: str | None = None) -> "pd.DataFrame":
        """Return the trials that no other one beats in both score and cost, the cheapest first.

        Any study has one. It is found out on purpose where ``against`` stands in its space.

        Args:
            against: The cost: ``model_mb`` or ``latency_ms``; by default the study's second
                objective, or else ``model_mb``.

        Returns:
            A row each, with the columns of ``leaderboard`` but the rank.

        Raises:
            InputError: There is no such cost.
        """
        return front_frame(self.stored, against)

    def refit(
        self,
        *,
        pick: str | int | None = None,
        seed: int | None = None,
        device: str = "auto",
        memory_gb: float | None = None,
    ) -> Model:
        """Train a configuration on training and validation rows together.

        After a time limit by which no trial was whole, it is trained for as many epochs as the
        furthest was scored at. Thresholds and calibration are chosen as the space says; where that
        takes weights of the search that the run store has dropped, a warning says so, and the
        thresholds are 0.5.

        Args:
            pick: Which one: ``best`` score; ``smallest_tied``, the smallest model of those that
                can't be told from the best (the fastest one in a study against the latency); or
                the number of a trial. By default what the space says, or else the best.
            seed: Of weights, masks and order; by default the space's.
            device: ``auto``, ``cpu`` or ``cuda:N``.
            memory_gb: See ``optimize``.

        Raises:
            InputError: The study isn't decided yet, the trial has no result, or the model would be
                too large.
            DivergedError: The training diverged.
        """
        from hpo.features import load_bundle
        from hpo.results import (
            decide,
            decide_on,
            model_card,
            pick_task,
            refit_best,
            select_ensemble,
            study_metrics,
        )

        check_positive(memory_gb=memory_gb)
        check_bundle(self.stored.definition)
        space, placed = self.stored.space, resolve_devices(device)[0]
        tasks, limits = self.stored.tasks(), self._limits or self.limits()
        if isinstance(pick, int) or self.stored.best(tasks) is not None:
            picked = pick_task(self.stored, tasks, placed, pick)
        else:
            picked = self.best_task  # so far; or says what is missing
        tried = picked
        if limits.is_budget(self._ended_by) and picked.outcome and picked.outcome.pruned:
            tried = as_far_as_it_got(self.stored, picked)
        most = limits.models(self.stored, epochs_trained(self.stored, tasks))
        selection = select_ensemble(
            self.stored, picked, tasks, placed, memory_gb=memory_gb, most=most
        )
        members = () if selection is None else selection.members
        trained, _ = refit_best(
            self.stored, tried, placed, members=members, seed=seed, memory_gb=memory_gb
        )
        if space.thresholds is not None or space.calibrate:
            decision = (
                decide_on(selection, space)
                if selection is not None and members
                else decide(self.stored, picked, placed, folds=tried is picked, memory_gb=memory_gb)
            )
            if decision is None:
                _log.warning(
                    "The run store has dropped the weights of the best trial, so the thresholds "
                    "of the model are 0.5 and it is not calibrated."
                )
            else:
                trained = dataclasses.replace(trained, thresholds=decision.thresholds)
                trained = trained.calibrated(decision.calibration)
        found = study_metrics(self.stored, tasks, picked)
        card = model_card(trained, found, load_bundle(self.stored.definition.bundle))
        return Model(trained, cache=Path(self.stored.definition.cache), card=card)

    def __repr__(self) -> str:
        counts = self.stored.counts()
        counted = ", ".join(f"{n} {state.value}" for state, n in counts.items() if n)
        return f"Study({self.name!r}, {self.stored.space.name!r}: {counted or 'no tasks yet'})"
