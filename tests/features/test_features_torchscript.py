"""TorchScript archives, whose weights are read while none of their program is run."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from hpo.errors import InputError
from hpo.features._torchscript import is_torchscript, torchscript_weights
from hpo.features._weights import plain_weights


class Inner(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.small = torch.nn.Parameter(torch.randn(3, 4).half())
        self.sizes: list[int] = [1, 2]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x) + self.small.float().sum() + self.sizes[0]


class Outer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Inner()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))
        self.shared = self.layers[0].weight
        self.turned = torch.nn.Parameter(torch.arange(12.0).reshape(3, 4).T)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.inner(x) + self.turned.sum() + self.shared.sum()


class Writes(torch.nn.Module):
    """Writes to a file when it is loaded, as TorchScript can."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path: str = path
        self.weight = torch.nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x

    @torch.jit.export
    def __getstate__(self) -> tuple[str, torch.Tensor, bool]:
        return self.path, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, torch.Tensor, bool]) -> None:
        self.path = state[0]
        self.weight = torch.from_file(self.path, True, 4, dtype=torch.uint8).fill_(65)
        self.training = state[2]


def test_weights_are_those_that_pytorch_reads(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.jit.script(Outer()).save(str(path))
    found = torchscript_weights(path)
    expected = torch.jit.load(str(path)).state_dict()
    assert is_torchscript(path)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=0, atol=0)


def test_the_program_of_an_archive_is_not_run(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "model.pt"
    torch.jit.script(Writes(str(victim))).save(str(path))
    assert not victim.exists()
    with pytest.raises(InputError, match="keep their state"), plain_weights(path):
        pass
    assert not victim.exists()
    torch.jit.load(str(path))
    assert victim.read_bytes() == b"AAAA"  # as PyTorch's own reader would have it


def archive(path: Path, content: bytes, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("a/data.pkl", content)
        file.writestr("a/constants.pkl", b"")
    return path


class Runs:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_a_pickle_in_an_archive_makes_nothing_else(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    path = archive(tmp_path / "m.pt", pickle.dumps(Runs(victim), protocol=2))
    with pytest.raises(InputError, match=r"^it holds \w+\.\w+ besides weights; save the weights"):
        torchscript_weights(path)
    assert not victim.exists()


@pytest.mark.parametrize("content", [b"", b"\x80\x02.", pickle.dumps([1, 2]), b"rubbish"])
def test_damaged_archives(content: bytes, tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", content)
    with pytest.raises(InputError, match=r"^it is damaged, or no TorchScript archive of a module$"):
        torchscript_weights(path)


def test_compressed_archives_are_not_unpacked(tmp_path: Path) -> None:
    path = archive(tmp_path / "m.pt", bytes(1000), zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match="damaged"):
        torchscript_weights(path)
