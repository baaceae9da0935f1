"""Which device each worker gets, and what its process sees of the machine."""

import functools
import os
from collections.abc import Callable

import pytest

from hpo.errors import InputError
from hpo.launch import Placement, place_workers, resolve_devices
from hpo.training import memory_share_gb

GB = 2.5
place = functools.partial(place_workers, memory_gb=GB)


def count(devices: int) -> Callable[[], int]:
    return lambda: devices


def never() -> int:
    raise AssertionError("nobody needs to know how many CUDA devices there are")


@pytest.fixture(autouse=True)
def no_visible_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def cuda(visible: str, threads: int = 1) -> Placement:
    return Placement(
        "cuda:0",
        {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "CUDA_VISIBLE_DEVICES": visible,
        },
        GB,
    )


def cpu(threads: int = 1) -> Placement:
    return Placement(
        "cpu",
        {
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            "CUDA_VISIBLE_DEVICES": "",
        },
        GB,
    )


@pytest.mark.parametrize(
    ("text", "here", "devices"),
    [
        ("auto", 0, ("cpu",)),
        ("auto", 3, ("cuda:0", "cuda:1", "cuda:2")),
        ("cuda:1,cuda:0", 2, ("cuda:1", "cuda:0")),
        ("cuda", 1, ("cuda:0",)),
        ("cuda:0, cuda:0 ,cpu", 1, ("cuda:0", "cuda:0", "cpu")),
    ],
)
def test_devices_are_resolved(text: str, here: int, devices: tuple[str, ...]) -> None:
    assert resolve_devices(text, count(here)) == devices


def test_cuda_is_not_asked_for_a_cpu() -> None:
    assert resolve_devices("cpu", never) == ("cpu",)


@pytest.mark.parametrize(
    ("text", "here", "message"),
    [
        ("cuda:2", 2, "--devices cuda:2: 'cuda:2' is not here; CUDA devices: 2"),
        ("cuda", 0, "--devices cuda: 'cuda' is not here; CUDA devices: 0"),
        ("gpu", 2, "--devices gpu: 'gpu' must be auto, cpu or cuda:N"),
        ("cuda:-1", 2, "--devices cuda:-1: 'cuda:-1' must be auto, cpu or cuda:N"),
        ("cuda:", 2, "--devices cuda:: 'cuda:' must be auto, cpu or cuda:N"),
        (
            "cuda:0,cuda:5,tpu,cuda:x",
            2,
            "--devices cuda:0,cuda:5,tpu,cuda:x: 'cuda:5' is not here; CUDA devices: 2\n"
            "--devices cuda:0,cuda:5,tpu,cuda:x: 'tpu' must be auto, cpu or cuda:N\n"
            "--devices cuda:0,cuda:5,tpu,cuda:x: 'cuda:x' must be auto, cpu or cuda:N",
        ),
    ],
)
def test_unknown_devices_are_all_named(text: str, here: int, message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolve_devices(text, count(here))
    assert str(caught.value) == message


def test_a_worker_sees_its_own_device_alone() -> None:
    assert place(("cuda:0", "cuda:1"), None, 1) == [cuda("0"), cuda("1")]


def test_more_workers_than_devices_take_turns() -> None:
    placed = place(("cuda:0", "cuda:1"), 4, 2)
    assert placed == [cuda("0", 2), cuda("1", 2), cuda("0", 2), cuda("1", 2)]
    assert place(("cuda:0", "cpu"), 3, 1) == [cuda("0"), cpu(), cuda("0")]


def test_fewer_workers_than_devices_take_the_first() -> None:
    assert place(("cuda:3", "cuda:1"), 1, 1) == [cuda("3")]


@pytest.mark.parametrize("visible", ["4,6", "GPU-aaaa,GPU-bbbb"])
def test_devices_are_counted_among_those_visible(
    visible: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    first, second = visible.split(",")
    assert place(("cuda:1", "cuda:0"), None, 1) == [cuda(second), cuda(first)]


@pytest.mark.parametrize(("threads", "workers"), [(1, 8), (3, 2), (8, 1), (16, 1)])
def test_a_cpu_has_a_worker_for_as_many_threads(
    threads: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    assert place(("cpu",), None, threads) == [cpu(threads)] * workers
    assert place(("cpu",), 3, threads) == [cpu(threads)] * 3


def test_workers_share_the_memory_of_their_device() -> None:
    asked: list[tuple[str, int]] = []

    def share(device: str, workers: int) -> float:
        asked.append((device, workers))
        return {"cpu": 16.0, "cuda:0": 40.0, "cuda:1": 10.0}[device] / workers

    devices = ("cuda:0", "cpu", "cuda:1")
    placed = place_workers(devices, 5, 1, share=share)
    assert [placement.memory_gb for placement in placed] == [20.0, 8.0, 10.0, 20.0, 8.0]
    assert asked == [("cuda:0", 2), ("cpu", 2), ("cuda:1", 1)]
    placed = place_workers(devices, 2, 1, memory_gb=3.0, share=share)
    assert [placement.memory_gb for placement in placed] == [3.0, 3.0]
    assert len(asked) == 3
    with_default = place_workers(("cpu",), 4, 1)
    assert len({placement.memory_gb for placement in with_default}) == 1
    assert with_default[0].memory_gb == pytest.approx(memory_share_gb("cpu", 4), rel=0.2)
