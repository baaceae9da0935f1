"""What a Ray cluster is asked for, and what is refused before anything starts."""

import socket
import sys
from pathlib import Path

import pytest

from hpo.errors import InputError
from hpo.launch import connect_ray
from hpo.launch._ray_plan import _plan

pytest.importorskip("ray")


def test_sqlite_stays_on_the_only_node(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    nodes = [{"Resources": {"CPU": 4.0}}]
    plan = _plan(nodes, "id", "sqlite:///studies.db", "auto", None, 2, None)
    assert plan.url == f"sqlite:///{tmp_path}/studies.db"
    assert (plan.only_node, plan.workers, plan.cpus, plan.gpus) == ("id", 2, 2, 0)
    assert plan.sharing == 2
    assert _plan(nodes, "id", "sqlite:///studies.db", "auto", 1, 2, None).sharing == 1


@pytest.mark.parametrize(
    ("devices", "gpus", "workers", "device", "sharing"),
    [("auto", None, 2, "cuda:0", 1), ("auto", 0.4, 4, "cuda:0", 2), ("cpu", None, 20, "cpu", 16)],
)
def test_room_for_workers(
    devices: str, gpus: float | None, workers: int, device: str, sharing: int
) -> None:
    nodes = [{"Resources": {"CPU": 16.0, "GPU": 2.0}}, {"Resources": {"CPU": 4.0}}]
    plan = _plan(nodes, "id", "postgresql://host/db", devices, None, 1, gpus)
    assert (plan.workers, plan.device, plan.only_node) == (workers, device, None)
    assert plan.sharing == sharing  # the most on one node, or on one GPU


def test_a_cluster_without_room_is_refused() -> None:
    nodes = [{"Resources": {"CPU": 4.0}}, {"Resources": {"CPU": 2.0, "GPU": 1.0}}]
    message = (
        r"A worker needs 3 CPUs and 0\.5 GPUs, but no node of the Ray cluster has that; CPUs and "
        r"GPUs of its nodes: 4 and 0, 2 and 1\."
    )
    with pytest.raises(InputError, match=message):
        _plan(nodes, "id", "postgresql://host/db", "auto", None, 3, 0.5)


def test_options_that_do_not_fit_are_listed_together() -> None:
    with pytest.raises(InputError) as caught:
        connect_ray(
            "ray://host:1", "sqlite:///a.db", devices="cuda:0", gpus_per_worker=1.5, threads=1
        )
    assert str(caught.value).splitlines() == [
        "--ray-address ray://host:1: must be auto or HOST:PORT, and this machine a node of the "
        "cluster.",
        "--devices cuda:0: must be auto or cpu with --backend ray, which hands out GPUs itself "
        "(--gpus-per-worker).",
        "--gpus-per-worker 1.5: must be above 0 and at most 1; a worker trains on one GPU, or on "
        "a part of it.",
    ]
    with pytest.raises(InputError, match=r"--gpus-per-worker 0\.5: must be left out with --dev"):
        connect_ray("auto", "sqlite:///a.db", devices="cpu", gpus_per_worker=0.5)


def test_no_cluster_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and doesn't listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"^--ray-address {address}: no Ray cluster answers"):
            connect_ray(address, "postgresql://host/db")


def test_ray_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"not installed; pip install 'hpo\[ray\]'"):
        connect_ray("auto", "postgresql://host/db")
