"""What can be registered under which name, with which parameters, and where it is from."""

import hashlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from hpo.errors import InputError
from hpo.models import FUSIONS, HEADS, LOSSES, Origin, Registry
from hpo.training import METRICS

Load = Callable[[str, str], Any]


def own(logits: Any, targets: Any, *, weight: float = 2.0) -> Any:
    raise NotImplementedError


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Write a module and import it, again if it was imported before."""

    def import_it(name: str, source: str) -> Any:
        path = tmp_path / f"{name}.py"
        path.write_text(source)
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, name, module)
        spec.loader.exec_module(module)
        return module

    return import_it


SOURCE = """
from hpo.models import LOSSES
def squared(logits, targets, *, weight: float = {default}):
    return weight * ((logits.sigmoid() - targets) ** 2).sum()
LOSSES.register("squared", squared)
"""


def problems_of(registry: Registry[Any], name: str, value: Callable[..., Any]) -> list[str]:
    before = list(registry)
    with pytest.raises(InputError) as caught:
        registry.register(name, value)
    assert list(registry) == before
    return caught.value.problems


def test_what_is_registered_is_found_by_name() -> None:
    assert LOSSES.register("own", own, unit="%") is own  # so that it serves as a decorator
    assert "own" in LOSSES and list(LOSSES) == ["bce", "focal", "asl", "two_way", "own"]
    entry = LOSSES["own"]
    assert entry.load() is own
    assert (entry.name, dict(entry.traits)) == ("own", {"unit": "%"})
    LOSSES.forget("own")
    assert "own" not in LOSSES


def test_what_comes_with_the_package_is_not_forgotten() -> None:
    LOSSES.forget("bce")
    assert LOSSES["bce"].origin is None


@pytest.mark.parametrize(
    ("registry", "name", "message"),
    [
        (
            LOSSES,
            "fokal",
            "There is no loss 'fokal' (did you mean 'focal'?); there are: bce, focal, asl, "
            "two_way. For one of your own, pass --plugin MODULE, or call hpo.register_loss from "
            "Python.",
        ),
        (
            HEADS,
            "svm",
            "There is no head 'svm'; there are: mlp, gmlp, knn. For one of your own, pass --plugin "
            "MODULE, or call hpo.register_head from Python.",
        ),
    ],
)
def test_an_unknown_name(registry: Registry[Any], name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        registry[name]
    assert str(caught.value) == message


RESERVED = (
    "all, divergence, fixed, meta, outputs, reference, refit, scale, search, split, test, train, "
    "train_loss, val, val_loss"
)


@pytest.mark.parametrize("name", [*RESERVED.split(", "), "two words", "1st", "", "a.b", "a-b"])
def test_a_name_that_means_something_else(name: str) -> None:
    for registry in (LOSSES, HEADS, FUSIONS, METRICS):
        assert problems_of(registry, name, own) == [
            f"A {registry.kind} can't be called '{name}': the name must be made of letters, digits "
            f"and underscores, and not be one of {RESERVED}."
        ]


@pytest.mark.parametrize(
    ("registry", "name", "whose"),
    [
        (LOSSES, "bce", "a loss"),
        (LOSSES, "mlp", "a head"),
        (HEADS, "sum", "a fusion"),
        (FUSIONS, "gmlp", "a head"),
        (FUSIONS, "micro_f1", "a metric"),
        (METRICS, "micro_f1", "a metric"),
    ],
)
def test_a_name_of_the_package_s(registry: Registry[Any], name: str, whose: str) -> None:
    """Of any kind, so that a parameter such as ``focal.gamma`` belongs to one choice."""
    assert problems_of(registry, name, own) == [
        f"A {registry.kind} can't be called '{name}': the package has {whose} of this name."
    ]


def test_a_parameter_needs_a_default() -> None:
    def steep(logits: Any, targets: Any, *, slope: float, offset: float) -> Any:
        raise NotImplementedError

    assert problems_of(LOSSES, "steep", steep) == [
        f"The parameter '{name}' of the loss 'steep' has no default, but must have one."
        for name in ("slope", "offset")
    ]
    name, *parameters = problems_of(LOSSES, "meta", steep)  # all is listed together
    assert name.startswith("A loss can't be called 'meta'") and len(parameters) == 2


def test_the_same_module_replaces_what_it_registered(load: Load) -> None:
    first = load("mine", SOURCE.format(default=1.0))
    assert LOSSES["squared"].parameters["weight"].default == 1.0
    second = load("mine", SOURCE.format(default=2.0))
    assert LOSSES["squared"].load() is second.squared is not first.squared
    assert LOSSES["squared"].parameters["weight"].default == 2.0


def test_another_module_does_not(load: Load) -> None:
    load("mine", SOURCE.format(default=1.0))
    with pytest.raises(InputError) as caught:
        load("theirs", SOURCE.format(default=2.0))
    assert caught.value.problems == [
        "A loss can't be called 'squared': mine has a loss of this name."
    ]
    assert LOSSES["squared"].parameters["weight"].default == 1.0
    assert problems_of(HEADS, "squared", own) == [
        "A head can't be called 'squared': mine has a loss of this name."
    ]


def test_the_origin_is_the_module_and_the_hash_of_its_file(load: Load) -> None:
    source = SOURCE.format(default=1.0)
    load("mine", source)
    assert LOSSES["squared"].origin == Origin("mine", hashlib.sha256(source.encode()).hexdigest())
    load("mine", source + "# changed\n")
    assert LOSSES["squared"].origin != Origin("mine", hashlib.sha256(source.encode()).hexdigest())
    assert LOSSES["bce"].origin is None


def test_without_a_file_the_origin_is_the_part_s_own_source() -> None:
    def loss(body: str) -> Origin:
        scope: dict[str, Any] = {"__name__": "__main__"}
        exec(f"def typed(logits, targets): return {body}", scope)
        LOSSES.register("typed", scope["typed"])
        origin = LOSSES["typed"].origin
        assert origin is not None and origin.module == "__main__"
        return origin

    assert loss("logits.sum()") != loss("targets.sum()")


class Head:
    def __init__(
        self,
        width: int,
        hidden: tuple[int, ...],
        classes: int,
        *,
        activation: str,
        dropout: float,
        generator: Any,
        neighbours: Annotated[int, Field(ge=1)] = 5,
        untyped=None,
    ) -> None:
        raise NotImplementedError


def test_own_parameters_are_the_keyword_only_arguments_beyond_the_standard_ones() -> None:
    HEADS.register("neighbours", Head)
    parameters = HEADS["neighbours"].parameters
    assert list(parameters) == ["neighbours", "untyped"]
    assert parameters["neighbours"].default == parameters["neighbours"].neutral == 5
    assert parameters["neighbours"].check("7") == 7
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        parameters["neighbours"].check(0)
    assert parameters["untyped"].check("anything") == "anything"


def test_annotations_that_only_a_type_checker_can_read(load: Load) -> None:
    load(
        "checked",
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "from hpo.models import LOSSES\n"
        "if TYPE_CHECKING:\n"
        "    from torch import Tensor\n"
        "def checked(logits: Tensor, targets: Tensor, *, power: float = 2.0) -> Tensor: ...\n"
        "LOSSES.register('checked', checked)\n",
    )
    assert LOSSES["checked"].parameters["power"].check("3") == 3.0
