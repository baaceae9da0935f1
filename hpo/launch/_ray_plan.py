"""What a Ray cluster is asked for, checked against what it has before any work starts."""

import dataclasses
import logging
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy.engine import make_url

from hpo.errors import InputError
from hpo.trials import redact

__all__ = ["RayPlan", "connect_ray"]


@dataclasses.dataclass(frozen=True)
class RayPlan:
    """What is asked of a Ray cluster.

    Attributes:
        url: The storage URL, as every node can use it.
        workers: How many actors.
        cpus: CPUs that each reserves: the threads that it computes with.
        gpus: GPUs that each reserves, 1 or a fraction; 0 for workers on the CPU.
        sharing: How many may share the memory of a node, or of a GPU.
        nodes: Nodes of the cluster at present.
        only_node: The id of the only node that may have workers; None for any.
    """

    url: str
    workers: int
    cpus: int
    gpus: float
    sharing: int
    nodes: int
    only_node: str | None

    def __str__(self) -> str:
        each = f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")
        return f"workers {self.workers} with {each} each · Ray nodes {self.nodes}"

    @property
    def device(self) -> str:
        """The device as a worker names it; Ray shows it no GPU but its own."""
        return "cuda:0" if self.gpus else "cpu"


def connect_ray(
    address: str,
    url: str,
    *,
    devices: str = "auto",
    workers: int | None = None,
    threads: int = 1,
    gpus_per_worker: float | None = None,
) -> RayPlan:
    """Connect this process to a Ray cluster and say which workers to start there.

    Args:
        address: ``auto`` for the cluster that this machine is a node of, or ``HOST:PORT``.
        url: The storage URL.
        devices: ``auto`` for GPUs if the cluster has any, or ``cpu``.
        workers: By default as many as the cluster has room for.
        threads: Of each worker.
        gpus_per_worker: By default 1 if workers are to use GPUs.

    Raises:
        InputError: Ray is not installed, there is no such cluster, it has no node that is large
            enough, or its nodes can't share the storage.
    """
    try:
        import ray
    except ImportError:
        raise InputError("--backend ray: Ray is not installed; pip install 'hpo[ray]'.") from None
    _check_options(address, devices, gpus_per_worker)
    try:
        _reach(address)
        ray.init(address=address, logging_level=logging.WARNING)
    except (OSError, RuntimeError, ValueError) as error:
        raise InputError(
            f"--ray-address {address}: {_first_line(error)} (ray start --head starts a cluster, "
            "ray start --address HOST:PORT adds a node)"
        ) from None
    try:
        list_nodes: Any = ray.nodes  # has no types
        nodes = [node for node in list_nodes() if node["Alive"]]
        here = ray.get_runtime_context().get_node_id()
        return _plan(nodes, here, url, devices, workers, threads, gpus_per_worker)
    except BaseException:
        ray.shutdown()
        raise


def _check_options(address: str, devices: str, gpus: float | None) -> None:
    problems = []
    if address != "auto" and ("://" in address or not address.rpartition(":")[2].isdigit()):
        problems.append(
            f"--ray-address {address}: must be auto or HOST:PORT, and this machine a node of the "
            "cluster."
        )
    if devices not in ("auto", "cpu"):
        problems.append(
            f"--devices {devices}: must be auto or cpu with --backend ray, which hands out GPUs "
            "itself (--gpus-per-worker)."
        )
    if gpus is not None and not 0 < gpus <= 1:
        problems.append(
            f"--gpus-per-worker {gpus:g}: must be above 0 and at most 1; a worker trains on one "
            "GPU, or on a part of it."
        )
    if gpus is not None and devices == "cpu":
        problems.append(f"--gpus-per-worker {gpus:g}: must be left out with --devices cpu.")
    if problems:
        raise InputError(problems)


def _reach(address: str) -> None:
    """Raise an OSError if nobody listens at the address; Ray would try for ten minutes."""
    from ray._private.services import canonicalize_bootstrap_address

    # What `auto` stands for; Ray finds it in a file, which may tell of a cluster that is gone.
    found = canonicalize_bootstrap_address(address)
    if found is not None:
        host, _, port = found.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=5).close()
        except OSError as error:
            raise ConnectionError(
                f"no Ray cluster answers at {found}: {error.strerror or error}"
            ) from None


def _plan(
    nodes: Sequence[Mapping[str, Any]],
    here: str,
    url: str,
    devices: str,
    workers: int | None,
    threads: int,
    gpus: float | None,
) -> RayPlan:
    """Return the plan for a cluster with these nodes, of which ``here`` is this machine's."""
    resources = [node["Resources"] for node in nodes]
    if gpus is None:
        gpus = 1.0 if devices == "auto" and any(r.get("GPU", 0) for r in resources) else 0.0
    rooms = [_room(r.get("CPU", 0), r.get("GPU", 0), threads, gpus) for r in resources]
    room = sum(rooms)
    problems = []
    if not room:
        most = ", ".join(f"{r.get('CPU', 0):g} and {r.get('GPU', 0):g}" for r in resources)
        problems.append(
            f"A worker needs {threads} CPUs and {gpus:g} GPUs, but no node of the Ray cluster has "
            f"that; CPUs and GPUs of its nodes: {most}."
        )
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and len(nodes) > 1:
        problems.append(
            f"--storage {redact(url)}: must be postgresql or grpc, since the Ray cluster has "
            f"{len(nodes)} nodes and SQLite serves one machine."
        )
    if problems:
        raise InputError(problems)
    if sqlite:
        # Actors have a working directory of their own.
        parsed = parsed.set(database=str(Path(parsed.database or "").absolute()))
    count = room if workers is None else workers
    return RayPlan(
        url=parsed.render_as_string(hide_password=False),
        workers=count,
        cpus=threads,
        gpus=gpus,
        sharing=int(1 / gpus) if gpus else min(max(rooms), count),
        nodes=len(nodes),
        # A node that joins later could not reach the file.
        only_node=here if sqlite else None,
    )


def _room(cpus: float, gpus: float, threads: int, gpus_per_worker: float) -> int:
    """Return how many workers a node has room for; a part of a GPU must fit on one GPU."""
    by_cpu = int(cpus // threads)
    return min(by_cpu, int(gpus) * int(1 / gpus_per_worker)) if gpus_per_worker else by_cpu


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
