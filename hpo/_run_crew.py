"""The workers of a run: processes of this machine, or those of a Ray cluster."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hpo._run_screen import Shown
from hpo.errors import InputError
from hpo.features import Bundle
from hpo.launch import Placement, RayPlan, Workers, connect_ray
from hpo.library import Study
from hpo.worker import WorkerSettings

if TYPE_CHECKING:
    from hpo.launch import RayWorkers

__all__ = ["ray_plan_of", "ray_workers", "workers"]


def workers(
    arguments: argparse.Namespace,
    placements: Sequence[Placement],
    show: Shown,
    *,
    held: bool = False,
) -> Workers:
    """Start the worker processes of a study, which need not exist yet if they are held."""
    return Workers(
        arguments.study,
        arguments.storage,
        list(placements),
        arguments.cache.absolute(),
        arguments.plugin,
        _settings(arguments),
        held=held,
        relayed=show.live or show.machine,
    )


def ray_workers(
    arguments: argparse.Namespace, study: Study, bundle: Bundle, plan: RayPlan
) -> "RayWorkers":
    """Start the workers of a study on Ray."""
    from hpo.launch import RayWorkers

    cache = Path(study.stored.definition.cache)
    return RayWorkers(study.name, plan, _settings(arguments), bundle, cache, arguments.plugin)


def ray_plan_of(arguments: argparse.Namespace) -> RayPlan | None:
    """Connect to Ray if that is asked for; return what workers there will be.

    Raises:
        InputError: It can't be reached, or its options are given without it.
    """
    if arguments.backend == "ray":
        return connect_ray(
            arguments.ray_address or "auto",
            arguments.storage,
            devices=arguments.devices,
            workers=arguments.workers,
            threads=arguments.threads,
            gpus_per_worker=arguments.gpus_per_worker,
        )
    if arguments.ray_address is not None or arguments.gpus_per_worker is not None:
        raise InputError("--ray-address and --gpus-per-worker: must go with --backend ray.")
    return None


def _settings(arguments: argparse.Namespace) -> WorkerSettings:
    return WorkerSettings(
        heartbeat=arguments.heartbeat,
        grace=arguments.grace,
        stall_timeout=arguments.stall_timeout,
        memory_gb=arguments.memory_gb,
        wait_for_store=arguments.wait_for_store,
    )
