"""Keys of configurations and addresses of runs stay what they were when a definition grows."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hpo.models import LOSSES, Config
from hpo.training import METRICS, STANDING_METRICS, Numerics, RunSpec, head_runs, plan_model

PACKAGE = Path(__file__).resolve().parents[2] / "hpo"
BOTH = ("image", "text")
NUMERICS = Numerics("cpu", 1, 1024, "2.4")

#: Configurations, and their key, the keys of their heads' runs, and the addresses of their runs
#: with seed 3, as the version before fields could be added computed them.
PINS: list[tuple[dict[str, Any], str, list[str], list[str]]] = [
    ({}, "d18f9c230774f44b9c87", ["b86c86779c20a1af1366"], ["0ea18b8113d0f48e2772"]),
    (
        {"fusion": "sum", "hidden": [2048, 512], "epochs": 300, "dropout": 0.6},
        "5b2607f5752d5fc149ed",
        ["adff296db3cde8deee76", "c5e8047442c195ae8fb6"],
        ["016f387afb0be906988a", "1c1537f7d9b3c888d586", "6cf9523800176e68b5c7"],
    ),
    (
        {"fusion": "text", "hidden": [], "loss": "focal", "lr": 0.01},
        "6164d461979f1772cc44",
        ["17339567bc7aa3c1986a"],
        ["667286b44d4c78940c96"],
    ),
    (
        {
            **{"fusion": "concat", "head": "gmlp", "hidden": [64, 32], "activation": "relu"},
            **{"loss": "asl", "ema_decay": 0.9},
        },
        "bbf954e2b216d09e3039",
        ["6129650763e86d9e3f30"],
        ["459db7a1b80d8cb790f3"],
    ),
    (
        {
            **{"fusion": "mixed", "optimizer": "adamw", "weight_decay": 0.1, "batch_size": 5000},
            **{"loss": "asl", "feature_scaling": "standard"},
        },
        "a4d4432b65d7e8c9ac77",
        ["b2993a9613368e6b4205", "719eb12b1b63cc51ba24", "bafc1db7b3c0fca368e4"],
        [
            *("8508f8f196ebbd9b4305", "5037df75489ffaf026ef"),
            *("32d37e4b1b20e03e1428", "a0e2ce7803e644125405"),
        ],
    ),
    (
        {"fusion": "mixed_joint", "activation": "leaky_relu", "dropout": 0.0, "epochs": 1},
        "1b6e624d0f2fd63e5ff5",
        ["5024eee12bacfcbb6229"],
        ["cdbd81363c7d0f142797"],
    ),
]


def specs_of(config: Config, metrics: tuple[str, ...] = STANDING_METRICS) -> list[RunSpec]:
    heads, meta = plan_model(
        config, BOTH, bundle="bundle", rows="train", seed=3, numerics=NUMERICS, metrics=metrics
    )
    return [*heads, *([] if meta is None else [meta])]


def addresses_of(config: Config, metrics: tuple[str, ...] = STANDING_METRICS) -> list[str]:
    return [spec.address for spec in specs_of(config, metrics)]


@pytest.mark.parametrize(
    ("raw", "key", "runs", "addresses"), PINS, ids=lambda value: str(value)[:20]
)
def test_they_are_those_of_the_first_release(
    raw: dict[str, Any], key: str, runs: list[str], addresses: list[str]
) -> None:
    config = Config.model_validate({"feature_scaling": "none", **raw})
    assert config.key == key
    assert list(head_runs(config, BOTH)) == runs
    assert addresses_of(config) == addresses
    assert Config.from_stored(config.model_dump(mode="json")).key == key


def test_l2_is_not_taken_for_what_it_was_when_it_meant_a_norm_of_1() -> None:
    config = Config(fusion="text", hidden=(), loss="focal", lr=0.01, feature_scaling="l2")
    assert config.key != "4ddddb53054ce28926c8"
    assert head_runs(config, BOTH) != ("060008c252b216457ec9",)
    assert addresses_of(config) != ["592c36391b807a7cf69f"]


#: Prints, for each configuration on standard input, key, runs of the heads, and addresses.
SCRIPT = """
import json, sys
from hpo.models import Config
from hpo.training import Numerics, head_runs, plan_model
both, found = ("image", "text"), []
for raw in json.load(sys.stdin):
    config = Config.from_stored(raw)
    heads, meta = plan_model(config, both, bundle="bundle", rows="train", seed=3,
                             numerics=Numerics("cpu", 1, 1024, "2.4"))
    specs = [*heads, *([] if meta is None else [meta])]
    found.append([config.key, head_runs(config, both), [spec.address for spec in specs],
                  config.model_dump(mode="json")])
json.dump(found, sys.stdout)
"""


def of_a_package_with(
    folder: Path, old: str, new: str, raw: list[dict[str, Any]], file: str = "_config.py"
) -> list[Any]:
    """What ``SCRIPT`` prints for a package in which a line of ``hpo/models`` is another one."""
    package = folder / "hpo"
    (package / "models").mkdir(parents=True)
    for part in PACKAGE.iterdir():
        if part.name not in ("models", "__pycache__"):
            (package / part.name).symlink_to(part)
    for part in (PACKAGE / "models").glob("*.py"):
        text = part.read_text(encoding="utf-8")
        if part.name == file:
            assert text.count(old) == 1
            text = text.replace(old, new)
        (package / "models" / part.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        input=json.dumps(raw),
        cwd=folder,  # from where Python imports first
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(done.stdout)
    return found


LAST_FIELD = "    options: tuple[tuple[str, Any], ...] = ()\n"
EXPECTED = [[key, runs, addresses] for _, key, runs, addresses in PINS]


def test_one_more_field_changes_nothing_until_it_is_used(tmp_path: Path) -> None:
    field = "    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0\n"
    stored = [raw for raw, *_ in PINS]
    used = [{**raw, "label_smoothing": 0.1} for raw in stored]
    found = of_a_package_with(tmp_path, LAST_FIELD, LAST_FIELD + field, [*stored, *used])
    assert [values[:3] for values in found[: len(PINS)]] == EXPECTED
    assert {values[3]["label_smoothing"] for values in found[: len(PINS)]} == {0.0}
    for before, (key, runs, addresses, _) in zip(EXPECTED, found[len(PINS) :], strict=True):
        assert key != before[0]
        assert not {*runs} & {*before[1]}
        # A meta-classifier is another one as well, since it reads other heads.
        assert not {*addresses} & {*before[2]}


def test_another_default_leaves_what_was_stored_with_the_old_one(tmp_path: Path) -> None:
    field = (
        "    label_smoothing: Annotated[\n"
        '        float, Field(ge=0, lt=1, json_schema_extra={"neutral": 0.0})\n'
        "    ] = 0.1\n"
    )
    stored = [raw for raw, *_ in PINS]
    new = [{**raw, "label_smoothing": 0.1} for raw in stored]  # what it stores of its default
    found = of_a_package_with(tmp_path, LAST_FIELD, LAST_FIELD + field, [*stored, *new])
    assert [values[:3] for values in found[: len(PINS)]] == EXPECTED
    assert not {values[0] for values in found[len(PINS) :]} & {before[0] for before in EXPECTED}


def test_another_default_of_a_first_field(tmp_path: Path) -> None:
    """Dropout is no choice of a meta-classifier, in whose address the old default stands."""
    old = "    dropout: _Share = 0.5\n"
    share = 'Annotated[_Share, Field(json_schema_extra={"neutral": 0.5})]'
    new = old.replace("_Share", share).replace("= 0.5", "= 0.7")
    found = of_a_package_with(tmp_path, old, new, [raw for raw, *_ in PINS])
    assert [values[:3] for values in found] == EXPECTED


def test_another_default_of_a_choice_s_parameter(tmp_path: Path) -> None:
    old = '{"gamma": Parameter(_NotNegative, 3.0)}'
    new = '{"gamma": Parameter(_NotNegative, 2.0, 3.0)}'
    focal = {"loss": "focal", "fusion": "sum"}
    given = [{**focal, "focal.gamma": gamma} for gamma in (2.0, 3.0)]
    raw = [*(raw for raw, *_ in PINS), focal, *given]
    found = of_a_package_with(tmp_path, old, new, raw, "_choices.py")
    assert [values[:3] for values in found[: len(PINS)]] == EXPECTED
    today = Config.from_stored(focal)
    three = [today.key, list(head_runs(today, BOTH)), addresses_of(today)]
    two_config = today.replace(**{"focal.gamma": 2.0})
    two = [two_config.key, list(head_runs(two_config, BOTH)), addresses_of(two_config)]
    assert [values[:3] for values in found[len(PINS) :]] == [three, two, three]
    # What it stores says which, so that no later version can take it for another one.
    assert [values[3]["focal.gamma"] for values in found[len(PINS) :]] == [3.0, 2.0, 3.0]


def test_parameters_of_a_choice_are_keyed_where_they_are_not_neutral() -> None:
    focal = Config(loss="focal")
    other = focal.replace(**{"focal.gamma": 2.0})
    assert focal.replace(**{"focal.gamma": 3.0}) == focal
    assert other.key != focal.key
    assert not {*head_runs(other, BOTH)} & {*head_runs(focal, BOTH)}
    assert not {*addresses_of(other)} & {*addresses_of(focal)}
    # A meta-classifier sees the loss with its parameters, and nothing of the heads' own.
    meta = specs_of(other.replace(fusion="sum"))[-1]
    assert meta.config.own("loss") == {"gamma": 2.0}
    assert specs_of(Config(fusion="sum", head="gmlp"))[-1].config.head == "mlp"


def scaled_bce(logits: Any, targets: Any, *, factor: float = 1.0) -> Any:
    raise NotImplementedError


def test_a_user_s_own_part_is_in_the_addresses_with_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def found(config: Config, sha256: str, metrics: tuple[str, ...] = STANDING_METRICS) -> Any:
        for registry, name in ((LOSSES, "scaled_bce"), (METRICS, "own_metric")):
            registry.register(name, scaled_bce)
            object.__setattr__(registry[name].origin, "sha256", sha256)
        try:
            chosen = config.replace(loss="scaled_bce") if config.loss == "focal" else config
            return chosen.keyed(), head_runs(chosen, BOTH), addresses_of(chosen, metrics)
        finally:
            LOSSES.forget("scaled_bce")
            METRICS.forget("own_metric")

    own, plain = Config(loss="focal", fusion="sum"), Config(fusion="sum")
    keyed, runs, addresses = found(own, "a")
    assert keyed["scaled_bce.factor"] == 1.0  # even though it is the default
    assert found(own, "a") == (keyed, runs, addresses)
    other_keyed, other_runs, other_addresses = found(own, "b")
    assert other_keyed == keyed
    assert not {*other_runs} & {*runs}
    assert not {*other_addresses} & {*addresses}
    # A metric is in the addresses of the runs that it is measured on, and in no others.
    assert found(plain, "a")[2] == addresses_of(plain)
    with_metric = [found(plain, sha, (*STANDING_METRICS, "own_metric"))[2] for sha in "ab"]
    assert not {*with_metric[0]} & {*with_metric[1]}
    assert not {*with_metric[0]} & {*addresses_of(plain)}


def test_the_metrics_of_every_run_are_in_no_address() -> None:
    assert addresses_of(Config(), ()) == addresses_of(Config(), ("map", "micro_f1"))


def test_a_metric_that_the_package_gets_later_is() -> None:
    METRICS.declare("later", "hpo.training._metrics:micro_f1")
    try:
        assert addresses_of(Config(), (*STANDING_METRICS, "later")) != addresses_of(Config())
    finally:
        del METRICS._entries["later"]


def test_scaling_that_was_fitted_on_a_gpu_is_not_taken_for_what_is_fitted_on_the_cpu() -> None:
    def description(device: str, scaling: str) -> dict[str, Any]:
        numerics = dataclasses.replace(NUMERICS, device=device)
        config = Config(feature_scaling=scaling)
        (spec,), _ = plan_model(config, BOTH, bundle="b", rows="train", seed=3, numerics=numerics)
        return spec.describe()

    for scaling in ("none", "auto", "l2", "standard"):
        assert "scaling" not in description("cpu", scaling)
        found = description("NVIDIA H100", scaling).get("scaling")
        assert found == ("fitted on the CPU" if scaling in ("auto", "standard") else None)
