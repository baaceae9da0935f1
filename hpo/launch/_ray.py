"""Workers as actors of a Ray cluster: Ray places them and starts them again on another node.

The ledger decides who trains what, as with workers that are processes; Ray is asked for places to
run only. Features, labels and split are put into Ray's object store once. A node gets them over
Ray's network, once for all its workers, which map the same memory read-only.
"""

import contextlib
import dataclasses
import logging
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hpo.data import Split
from hpo.errors import InputError
from hpo.features import Bundle, Features
from hpo.launch._ray_plan import RayPlan
from hpo.launch._reached import check_reached
from hpo.queue import StoreAwayError
from hpo.search import NoCandidateError
from hpo.study import StoredStudy, load_plugins
from hpo.training import Interrupted, memory_share_gb
from hpo.worker import Worker, WorkerSettings

__all__ = ["RayWorkers"]

_log = logging.getLogger(__name__)
#: Deaths of one worker, by a kill or with its node, after which it is not started again.
_RESTARTS = 20
#: A worker that hasn't answered for so long has no place, or its node is gone.
_SILENT_S = 10.0
_TELL_AFTER_S = 30.0
_ANSWER_S = 5.0
_DONE, _CRASHED, _LEFT_EARLY, _NO_CANDIDATE = 0, 1, 3, 4


class RayWorkers:
    """The worker actors that a run starts, watches and stops; to be used like ``Workers``.

    They belong to this process: if it dies, Ray ends them, and what they were training is gone on
    with from its checkpoints by the next run.

    Args:
        study: Name of the study.
        plan: As ``connect_ray`` returned it.
        settings: Of each worker; the device is replaced by that of the plan.
        bundle: The study's.
        cache: Where the nodes keep the study's runs.
        plugins: Modules with the user's own parts, which the nodes can import.
    """

    def __init__(
        self,
        study: str,
        plan: RayPlan,
        settings: WorkerSettings,
        bundle: Bundle,
        cache: Path,
        plugins: Sequence[str] = (),
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self._plan = plan
        options: dict[str, Any] = {
            "num_cpus": plan.cpus,
            "num_gpus": plan.gpus,
            "max_restarts": _RESTARTS,
            # Calls are repeated as long as there are restarts, `run` among them.
            "max_task_retries": -1,
            # One thread works, the other one takes `stop` and `ping`.
            "max_concurrency": 2,
            "runtime_env": {"env_vars": _environment(plan)},
            "scheduling_strategy": "SPREAD"
            if plan.only_node is None
            else NodeAffinitySchedulingStrategy(plan.only_node, soft=False),
        }
        actor = ray.remote(**options)(_Actor)
        shared = ray.put(in_memory(bundle))
        settings = dataclasses.replace(settings, device=plan.device, own_process=True)
        place = _Place(study, plan.url, cache, tuple(plugins), plan.sharing)
        self._members = [
            _Member(index, actor.remote(place, settings), shared) for index in range(plan.workers)
        ]
        self._all_placed = time.monotonic()
        self._told = False

    def watch(self) -> bool:
        """Look at all workers; return whether any is running, or will be when Ray finds a place.

        Once a worker has found the study done, or its limits reached, those without a place are
        not waited for.

        Raises:
            StoreAwayError: All have ended, as none could reach the store; each has said so.
        """
        for member in self._members:
            member.update()
        unfinished = [member for member in self._members if member.code is None]
        waiting = [member for member in unfinished if not member.placed]
        self._tell(len(waiting))
        check_reached(self.exit_codes)
        if any(code in (_DONE, _LEFT_EARLY) for code in self.exit_codes):
            return len(unfinished) > len(waiting)
        return bool(unfinished)

    def stop(self, patience: float = 30.0) -> None:
        """Let the workers checkpoint and hand back their trials; kill who doesn't in time.

        Leaves the Ray cluster.
        """
        import ray

        running = [member for member in self._members if member.code is None]
        asked = {member.actor.stop.remote(): member for member in running}
        answered, _ = _wait(list(asked), _ANSWER_S)
        _wait([asked[ref].ended for ref in answered], patience)
        for member in self._members:
            member.update()
            with contextlib.suppress(ray.exceptions.RayError):
                ray.kill(member.actor, no_restart=True)
        ray.shutdown()

    @property
    def exit_codes(self) -> list[int | None]:
        """The status of each worker, as that of ``hpo.worker``; None while it runs or waits."""
        return [member.code for member in self._members]

    def _tell(self, waiting: int) -> None:
        """Say, once, that workers have had no place for a while."""
        if not waiting:
            self._all_placed, self._told = time.monotonic(), False
        elif not self._told and time.monotonic() - self._all_placed > _TELL_AFTER_S:
            self._told = True
            _log.warning(
                "%d of %d workers wait for a place in the Ray cluster; each needs %d CPUs and "
                "%g GPUs.",
                *(waiting, len(self._members), self._plan.cpus, self._plan.gpus),
            )


class _Member:
    """A worker actor as the run sees it."""

    def __init__(self, index: int, actor: Any, shared: Any) -> None:
        self.actor = actor
        # An argument of the call, not of the actor: Ray keeps it for as long as it may have to
        # repeat the call, while one of an actor is gone when the actor starts again elsewhere.
        self.ended = actor.run.remote(shared)
        self.code: int | None = None
        self._index = index
        self._ping = actor.ping.remote()
        self._heard: float | None = None

    @property
    def placed(self) -> bool:
        """Whether it answered a moment ago."""
        return self._heard is not None and time.monotonic() - self._heard < _SILENT_S

    def update(self) -> None:
        """Note an answer, or the end."""
        import ray

        if self.code is None and _wait([self.ended], 0)[0]:
            try:
                self.code, message = ray.get(self.ended)
            except ray.exceptions.RayError as error:
                self.code, message = _CRASHED, str(error)
            if message:
                _log.warning("Worker %d ended: %s", self._index + 1, message)
        if self.code is None and _wait([self._ping], 0)[0]:
            # It is an error where the node died in between.
            with contextlib.suppress(ray.exceptions.RayError):
                ray.get(self._ping)
                self._heard = time.monotonic()
            self._ping = self.actor.ping.remote()


@dataclasses.dataclass(frozen=True)
class _Place:
    """How a node finds the study, and how many workers may share its memory."""

    study: str
    url: str
    cache: Path
    plugins: tuple[str, ...]
    sharing: int


class _Actor:
    """One worker; its process, and its place, are Ray's matter."""

    def __init__(self, place: _Place, settings: WorkerSettings) -> None:
        self._place = place
        self._settings = settings
        self._worker: Worker | None = None
        self._stopped = False

    def run(self, bundle: Bundle) -> tuple[int, str]:
        """Work until the study is done; return the exit status, and what a person should know.

        An error that nobody foresaw ends the process, so that Ray starts a sound one.
        """
        try:
            place = self._place
            load_plugins(place.plugins)
            wait = self._settings.wait_for_store
            study = StoredStudy.join(
                place.url, place.study, place.cache, wait=wait, poll=self._poll
            )
            _check_folder(study.definition.run_store)
            settings = self._settings
            if settings.memory_gb is None:
                share = memory_share_gb(settings.device, place.sharing)
                settings = dataclasses.replace(settings, memory_gb=share)
            self._worker = Worker(study, settings, bundle)
            if self._stopped:  # before there was a worker to be told so
                self._worker.stop()
            return (_DONE if self._worker.run() else _LEFT_EARLY), ""
        except Interrupted:
            return _LEFT_EARLY, ""
        except NoCandidateError as error:
            return _NO_CANDIDATE, str(error)
        except StoreAwayError as error:  # one sentence for all workers is the run's to say
            return error.status, f"{error.reason}."
        except InputError as error:
            return error.status, str(error)
        except Exception:
            _log.exception("The worker ends, and Ray starts it again.")
            os._exit(_CRASHED)

    def stop(self) -> None:
        """Ask ``run`` to checkpoint, hand the trial back and return."""
        self._stopped = True
        if self._worker is not None:
            self._worker.stop()

    def ping(self) -> None:
        """Answer, which shows that the worker has a place."""

    def _poll(self) -> None:
        if self._stopped:
            raise Interrupted


def in_memory(bundle: Bundle) -> Bundle:
    """Return the bundle with plain arrays in place of memory maps.

    Ray puts the bytes of plain arrays into its store as they are, to be mapped by the readers;
    those of a subclass, such as a memory map, it would copy for each.
    """
    named = {
        name: dataclasses.replace(source, features=_plain(source.features))
        for name, source in bundle.named.items()
    }
    first = next((source.features for source in named.values()), None)
    return dataclasses.replace(
        bundle,
        features=_plain(bundle.features) if first is None else first,
        named=named,
        labels=np.asarray(bundle.labels),
        split=Split(**{name: np.asarray(rows) for name, rows in bundle.split.parts.items()}),
    )


def _plain(features: Features) -> Features:
    return dataclasses.replace(
        features,
        train={name: np.asarray(array) for name, array in features.train.items()},
        test={name: np.asarray(array) for name, array in features.test.items()},
    )


def _environment(plan: RayPlan) -> dict[str, str]:
    """Return the environment of a worker, the same as that of a worker process."""
    return {"OMP_NUM_THREADS": str(plan.cpus), "MKL_NUM_THREADS": str(plan.cpus)}


def _check_folder(run_store: Path) -> None:
    try:
        run_store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{platform.node()}: the folder {run_store} can't be made: {error.strerror}; "
            "--cache must name a folder that every node can write, shared or not."
        ) from None


def _wait(references: list[Any], timeout: float) -> tuple[list[Any], list[Any]]:
    """Return which references are there within ``timeout`` seconds, and which are not."""
    import ray

    if not references:
        return [], []
    ready, waiting = ray.wait(references, num_returns=len(references), timeout=timeout)
    return list(ready), list(waiting)
