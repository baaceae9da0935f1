"""A device carries how it computes, and leaves the process as it found it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from training_samples import CONFIG, make_trainer, open_session

from hpo.errors import InputError
from hpo.features import Bundle
from hpo.models import AssembledModel, Registry
from hpo.training import METRICS, Arithmetic, open_device, refit

TWO = Arithmetic(threads=2)


def test_what_an_address_records_of_a_cpu() -> None:
    device = open_device("cpu")
    assert device.torch == torch.device("cpu")
    assert device.arithmetic == Arithmetic(threads=1, precision="float32", compiler="off")
    numerics = device.numerics(77)
    assert (numerics.device, numerics.threads, numerics.micro_batch) == ("cpu", 1, 77)
    assert numerics.torch == torch.__version__
    assert device.numerics().micro_batch == 1024
    assert open_device("cpu", TWO).numerics().threads == 2
    assert torch.get_num_threads() == 1  # opening sets nothing


@pytest.mark.parametrize("before", [1, 2, 3])
def test_threads_are_given_back(before: int) -> None:
    torch.set_num_threads(before)
    device = open_device("cpu", TWO)
    with device.in_use():
        assert torch.get_num_threads() == 2
        with open_device("cpu").in_use():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before
    with pytest.raises(KeyboardInterrupt), device.in_use():
        raise KeyboardInterrupt
    assert torch.get_num_threads() == before


@contextmanager
def noting(registry: Registry[object], name: str) -> Iterator[list[int]]:
    """A metric that notes with how many threads it is computed."""
    seen: list[int] = []

    def threads(logits: Tensor, targets: Tensor) -> float:
        seen.append(torch.get_num_threads())
        return 0.0

    registry.register(name, threads)
    try:
        yield seen
    finally:
        registry.forget(name)


@pytest.mark.parametrize("threads", [1, 2])
def test_all_is_computed_with_the_threads_that_the_address_states(
    tmp_path: Path, bundle: Bundle, threads: int
) -> None:
    torch.set_num_threads(3)  # as a process of the user's may have
    with noting(METRICS, "threads") as seen:
        arithmetic = Arithmetic(threads=threads)
        polled: list[int] = []
        trainer = make_trainer(
            tmp_path,
            bundle,
            arithmetic=arithmetic,
            poll=lambda: polled.append(torch.get_num_threads()),
        )
        session = open_session(trainer, CONFIG)
        assert session.spec.numerics.threads == threads
        session.advance()
        session.weights()
        model = trainer.model(CONFIG.replace(fusion="sum", epochs=2), 0)
        while not model.done:
            model.advance()
        assert {*seen} == {*polled} == {threads}
        assert torch.get_num_threads() == 3


def test_refit_and_predictions_leave_the_threads(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(tmp_path, bundle, arithmetic=TWO)
    model = refit(trainer, CONFIG, seed=0, max_model_mb=1.0, origin={})
    assert torch.get_num_threads() == 1
    seen: list[int] = []
    inner = AssembledModel.forward

    def note(*arguments: Any) -> Tensor:
        seen.append(torch.get_num_threads())
        return inner(*arguments)

    monkeypatch.setattr(AssembledModel, "forward", note)
    model.probabilities(bundle.features.train, open_device("cpu", TWO))
    assert (seen, torch.get_num_threads()) == ([2], 1)


def test_an_interrupted_epoch_gives_the_threads_back(tmp_path: Path, bundle: Bundle) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    session = open_session(make_trainer(tmp_path, bundle, arithmetic=TWO, poll=stop))
    with pytest.raises(KeyboardInterrupt):
        session.advance()
    assert torch.get_num_threads() == 1


def test_the_compilers_limit_is_given_back() -> None:
    from torch._dynamo import config

    before = config.recompile_limit
    with open_device("cpu", Arithmetic(compiler="default")).in_use():
        assert config.recompile_limit > before
    assert config.recompile_limit == before


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Two CUDA devices that aren't there, as far as the calls to PyTorch go."""
    used: list[object] = []

    @contextmanager
    def device(which: object) -> Iterator[None]:
        used.append(which)
        yield

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", device)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda which: f"name of {which}")
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    return used


def settings() -> tuple[bool, bool, bool, str | None]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.utils.deterministic.fill_uninitialized_memory,  # type: ignore[attr-defined]
        os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
    )


@pytest.mark.parametrize("error", [False, True])
def test_cuda_is_deterministic_while_it_is_in_use(fake_cuda: list[object], error: bool) -> None:
    arithmetic = Arithmetic(threads=9, precision="tf32", compiler="reduce-overhead")
    device = open_device("cuda:1", arithmetic)
    assert device.torch == torch.device("cuda", 1)
    assert (settings(), fake_cuda) == ((False, False, True, None), [])
    try:
        with device.in_use():
            assert (settings(), fake_cuda) == ((True, True, False, ":4096:8"), [device.torch])
            assert torch.get_num_threads() == 1
            assert not error or 1 // 0
    except ZeroDivisionError:
        assert error
    assert settings() == (False, False, True, None)
    numerics = device.numerics()
    assert (numerics.device, numerics.threads) == ("name of cuda:1", 0)
    assert (numerics.precision, numerics.compiler) == ("tf32", "reduce-overhead")


def test_a_users_own_settings_of_cuda_come_back(
    fake_cuda: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    torch.use_deterministic_algorithms(True)
    try:
        with open_device("cuda").in_use():
            assert settings() == (True, True, False, ":16:8")
        assert settings() == (True, False, True, ":16:8")
    finally:
        torch.use_deterministic_algorithms(False)
    assert fake_cuda == [torch.device("cuda", 0)]


@pytest.mark.parametrize("name", ["gpu", "tpu:0", "meta", "mps"])
def test_device_that_is_none(name: str) -> None:
    with pytest.raises(InputError, match=rf"^The device is '{name}', but must be cpu or cuda:N\.$"):
        open_device(name)


def test_device_that_is_not_here() -> None:
    count = torch.cuda.device_count()
    message = f"The device is 'cuda:99', but this machine has {count} CUDA devices."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        open_device("cuda:99")
