"""Where workers run: processes on this machine's devices, or actors of a Ray cluster."""

from typing import TYPE_CHECKING

from hpo._lazy import exported_late
from hpo.launch._devices import Placement, cuda_devices, place_workers, resolve_devices
from hpo.launch._precision import resolve_precision
from hpo.launch._processes import Workers, relay
from hpo.launch._ray_plan import RayPlan, connect_ray

if TYPE_CHECKING:
    from hpo.launch._ray import RayWorkers
    from hpo.launch._thread import ThreadWorker
else:
    __getattr__ = exported_late(__name__, {"_ray": ("RayWorkers",), "_thread": ("ThreadWorker",)})

__all__ = [
    "Placement",
    "RayPlan",
    "RayWorkers",
    "ThreadWorker",
    "Workers",
    "connect_ray",
    "cuda_devices",
    "place_workers",
    "relay",
    "resolve_devices",
    "resolve_precision",
]
