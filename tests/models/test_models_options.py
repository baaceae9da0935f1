"""Parameters of one choice, such as ``focal.gamma``: they exist only together with it."""

from typing import Any

import pytest
from pydantic import ValidationError

from hpo.models import HEADS, LOSSES, Config, FixedValues, Parameter, is_value_name, typed_value


def of(**values: Any) -> Config:
    """``focal__gamma`` stands for ``focal.gamma``, which is no name in Python."""
    return Config.model_validate({key.replace("__", "."): v for key, v in values.items()})


def message_of(**values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        of(**values)
    return str(caught.value.errors()[0]["msg"]).removeprefix("Value error, ")


def test_they_have_their_defaults_with_their_choice_alone() -> None:
    assert of(loss="focal").own("loss") == {"gamma": 3.0}
    assert of(loss="focal", focal__gamma=2).own("loss") == {"gamma": 2.0}
    assert of(loss="asl", asl__clip=0).own("loss") == {
        "gamma_neg": 4.0,
        "gamma_pos": 1.0,
        "clip": 0.0,
    }
    assert of().own("loss") == of().own("head") == of().own("fusion") == {}
    assert of(fusion="concat").own("fusion") == {}


def test_a_default_that_is_given_is_the_default() -> None:
    assert of(loss="focal", focal__gamma=3) == of(loss="focal")
    assert of(loss="focal", focal__gamma="3.0").key == of(loss="focal").key
    assert of(loss="focal").model_dump() == {**of().model_dump(), "loss": "focal"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"focal__gamma": 2.0},
            "focal.gamma is 2.0, but belongs to loss focal, and loss is bce",
        ),
        (
            {"loss": "asl", "focal__gamma": 2.0},
            "focal.gamma is 2.0, but belongs to loss focal, and loss is asl",
        ),
        (
            {"loss": "focal", "focal__gama": 2.0},
            "unknown parameter 'focal.gama' (did you mean 'focal.gamma'?)",
        ),
        (
            {"loss": "focal", "bce__gamma": 2.0},
            "unknown parameter 'bce.gamma' (did you mean 'focal.gamma'?)",
        ),
        (
            {"loss": "focal", "focal__gamma": -1},
            "focal.gamma is -1, but must be greater than or equal to 0",
        ),
        ({"loss": "asl", "asl__clip": 1}, "asl.clip is 1, but must be less than 1"),
        (
            {"loss": "focal", "focal__gamma": "much"},
            "focal.gamma is 'much', but must be a number",
        ),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(values: dict[str, Any], message: str) -> None:
    assert message_of(**values) == message


def test_they_are_written_flat_and_read_back() -> None:
    config = of(loss="focal", focal__gamma=2, lr=0.1)
    stored = config.model_dump(mode="json")
    assert stored["focal.gamma"] == 2.0 and "options" not in stored
    assert Config.from_stored(stored) == config
    assert Config.model_validate_json(config.model_dump_json()) == config


def test_a_change_of_the_choice_drops_them() -> None:
    focal = of(loss="focal", focal__gamma=2)
    assert focal.replace(lr=0.1) == of(loss="focal", focal__gamma=2, lr=0.1)
    assert focal.replace(loss="asl") == of(loss="asl")
    assert focal.replace(loss="asl").replace(loss="focal") == of(loss="focal")
    assert focal.without("loss") == of()
    assert focal.only(["loss"]) == focal.replace(feature_scaling="none")  # the neutral value
    assert focal.without("epochs", "lr") == focal


def test_fixed_values_hold_them_until_their_choice_is_taken() -> None:
    fixed = FixedValues.model_validate({"focal.gamma": 2, "asl.clip": 0.1, "lr": 0.1})
    assert (fixed.value_of("focal.gamma"), fixed.value_of("asl.gamma_neg")) == (2.0, 4.0)
    assert (fixed.value_of("loss"), fixed.value_of("lr")) == ("bce", 0.1)
    assert fixed.taken({}) == of(lr=0.1)
    assert fixed.taken({"loss": "focal"}) == of(loss="focal", focal__gamma=2, lr=0.1)
    assert fixed.taken({"loss": "asl"}) == of(loss="asl", asl__clip=0.1, lr=0.1)
    assert fixed.updated({"loss": "asl"}).taken({"lr": 0.2}).own("loss")["clip"] == 0.1
    assert FixedValues.from_stored(fixed.model_dump(mode="json")) == fixed
    assert fixed.changed(lambda name, value: value) == fixed
    doubled = fixed.changed(lambda name, value: 4 if name == "focal.gamma" else value)
    assert doubled.value_of("focal.gamma") == 4.0


def test_names_and_types() -> None:
    for name in ("lr", "focal.gamma", "asl.clip"):
        assert is_value_name(name)
    for name in ("options", "focal", "gamma", "focal.gama", "loss.gamma", "focal.", 3, None):
        assert not is_value_name(name)
    assert typed_value("focal.gamma", "1e-1") == 0.1
    assert typed_value("lr", "1e-3") == 0.001
    assert typed_value("hidden", [4, 2]) == (4, 2)


def test_what_was_stored_before_a_default_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    focal, fixed = of(loss="focal"), FixedValues(lr=0.1)
    stored, stored_fixed = focal.model_dump(mode="json"), fixed.model_dump(mode="json")
    assert "focal.gamma" not in {**stored, **stored_fixed}
    key = focal.key
    entry = LOSSES["focal"]
    changed = Parameter(entry.parameters["gamma"].annotation, 2.0, 3.0)
    monkeypatch.setitem(
        LOSSES._entries,
        "focal",
        type(entry)(entry.name, {"gamma": changed}, entry.traits, None, entry.load),
    )
    assert Config.from_stored(stored).own("loss") == {"gamma": 3.0}
    assert Config.from_stored(stored).key == key
    assert of(loss="focal").own("loss") == {"gamma": 2.0}
    assert of(loss="focal").key != key
    assert Config.from_stored(of(loss="focal").model_dump(mode="json")) == of(loss="focal")
    assert Config.from_stored(stored).replace(lr=0.1).own("loss") == {"gamma": 3.0}
    assert of(loss="focal").without("lr").own("loss") == {"gamma": 2.0}
    # The same for what a space fixes, whose choice isn't taken yet.
    assert FixedValues.from_stored(stored_fixed).value_of("focal.gamma") == 3.0
    assert FixedValues(lr=0.1).value_of("focal.gamma") == 2.0
    again = FixedValues.from_stored(FixedValues(lr=0.1).model_dump(mode="json"))
    assert again == FixedValues(lr=0.1)


def head(width: int, hidden: Any, classes: int, *, neighbours: int = 5, **_: Any) -> Any:
    raise NotImplementedError


def other(width: int, hidden: Any, classes: int, *, neighbours: int = 7, **_: Any) -> Any:
    raise NotImplementedError


def test_a_user_s_own_are_stored_whatever_they_are() -> None:
    """Their defaults are the user's to change, and a stored model must stay what it was."""
    HEADS.register("near", head)
    config = of(head="near")
    stored = config.model_dump(mode="json")
    assert stored["near.neighbours"] == config.keyed()["near.neighbours"] == 5
    assert Config.from_stored(stored) == config
    HEADS.register("near", other)
    assert Config.from_stored(stored).own("head") == {"neighbours": 5}
    assert of(head="near").own("head") == {"neighbours": 7}
    assert of(head="near").key != Config.from_stored(stored).key
