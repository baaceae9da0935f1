"""What ``auto`` precision becomes on a device, and how it is kept by a study."""

from pathlib import Path

import numpy as np
import pytest

import hpo
from hpo.launch import _precision, resolve_precision
from hpo.search import load_space

SPACE = {
    "name": "small",
    "seeds": 1,
    "precision": "auto",
    "split": {"kind": "tail", "val_rows": 20},
    "fixed": {"hidden": [4], "epochs": 2},
    "search": {"kind": "greedy", "stages": [{"name": "rate", "params": {"lr": [0.01]}}]},
}


def able(monkeypatch: pytest.MonkeyPatch, devices: set[str]) -> None:
    """Let these devices compute with bf16 natively, and no others."""
    monkeypatch.setattr(_precision, "_multiplies_bf16", devices.__contains__)


def test_auto_is_bf16_where_all_devices_compute_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch, {"cuda:0", "cuda:1"})
    assert resolve_precision("auto", ["cuda:0", "cuda:1"]) == "bf16"
    assert resolve_precision("auto", ["cuda:0", "cpu"]) == "float32"
    assert resolve_precision("auto", ["cpu"]) == "float32"


@pytest.mark.parametrize("name", ["float32", "tf32", "bf16"])
def test_what_is_named_is_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    able(monkeypatch, set())
    assert resolve_precision(name, ["cpu"]) == name


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(
        hpo.InputError,
        match=r"^--precision is 'atuo' \(did you mean 'auto'\?\), but must be one of: float32, "
        r"tf32, bf16, auto\.$",
    ):
        resolve_precision("atuo", ["cpu"])


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f amx_bf16 amx_tile\n", {"amx_bf16"}),
        ("processor\t: 0\nFeatures\t: fp asimd bf16\n", {"bf16"}),
        ("processor\t: 0\nflags\t\t: fpu avx2\n", set()),
        ("", set()),
    ],
)
def test_the_processor_is_asked_for_its_units(text: str, flags: set[str], tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert _precision._cpu_flags(tmp_path / "cpuinfo") & _precision._CPU_FLAGS == flags
    assert _precision._cpu_flags(tmp_path / "none") == set()


def test_a_space_says_which_precisions_there_are() -> None:
    message = "precision is 'fp8', but must be one of: float32, tf32, bf16, auto"
    with pytest.raises(hpo.InputError, match=message):
        load_space({**SPACE, "precision": "fp8"})
    assert load_space({k: v for k, v in SPACE.items() if k != "precision"}).precision == "float32"


def made(folder: Path, precision: str | None = None) -> hpo.Study:
    rng = np.random.default_rng(0)
    labels = (rng.random((80, 2)) < 0.5).astype(int)
    data = hpo.load_data(
        features={"text": rng.normal(size=(80, 5))}, labels=labels, cache=folder / "cache"
    )
    storage = f"sqlite:///{folder / 's.db'}"
    return hpo.create_study(data, SPACE, storage=storage, precision=precision)


def test_a_study_keeps_what_auto_was_when_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, {"cpu"})
    study = made(tmp_path)
    assert study.stored.definition.precision == "bf16"
    assert study.stored.space.precision == "auto"
    able(monkeypatch, set())  # as on another machine
    assert made(tmp_path).stored.definition.precision == "bf16"
    assert made(tmp_path, precision="bf16").stored.definition.precision == "bf16"
    with pytest.raises(hpo.InputError, match="precision: bf16 there, float32 here"):
        made(tmp_path, precision="float32")


def test_what_the_caller_says_goes_before_the_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able(monkeypatch, {"cpu"})
    assert made(tmp_path, precision="float32").stored.definition.precision == "float32"
    assert made(tmp_path).stored.definition.precision == "float32"  # which leaves it open
    with pytest.raises(hpo.InputError, match="precision: float32 there, bf16 here"):
        made(tmp_path, precision="bf16")
