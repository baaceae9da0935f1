"""One point of the search: everything that a user can choose about a head and its training."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from hpo.errors import did_you_mean, shown
from hpo.features import parse_choice
from hpo.files import content_key
from hpo.models._called import InOurWords, checked_values
from hpo.models._choices import CHOICES, option_names, option_parameter, owner_of
from hpo.models._rules import rule_of

__all__ = [
    "Config",
    "FixedValues",
    "default_of",
    "field_names",
    "is_value_name",
    "neutral",
    "typed_value",
]

#: The fields that the keys of configurations and the addresses of runs have always held. A field
#: that came later is in them only where its value is not the neutral one, so that every key and
#: address of the time before it stays what it was.
_ALWAYS_KEYED = frozenset(
    {
        *("fusion", "head", "hidden", "activation", "dropout", "feature_scaling", "loss"),
        *("optimizer", "lr", "weight_decay", "batch_size", "epochs", "ema_decay"),
    }
)
#: ``l2`` once meant a norm of 1; what was trained so must not be taken for what it means now.
_L2_KEY = "l2 to √width"
_MODALITY = re.compile(r"[a-z][a-z0-9_]*")


def _registered(field: str) -> AfterValidator:
    """Return a check that a value names a registered choice of a field."""

    def check(name: str) -> str:
        registry = CHOICES[field]
        # A fusion may also be the name of a modality, which only the data knows.
        if name in registry or (field == "fusion" and _MODALITY.fullmatch(name)):
            return name
        expected = ", ".join(f"'{choice}'" for choice in registry)
        raise PydanticCustomError(
            "literal_error", "Input should be {expected}", {"expected": expected}
        )

    return AfterValidator(check)


def _no_truth(value: Any) -> Any:
    """Return a value unless it is true or false, of which pydantic would make 1 or 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("number_type", "Input should be a number")
    return value


_Number = Annotated[float, BeforeValidator(_no_truth)]
_Share = Annotated[_Number, Field(ge=0, lt=1)]
# More than these fit into no table.
_Count = Annotated[int, BeforeValidator(_no_truth), Field(gt=0, lt=2**31)]
_Width = Annotated[int, BeforeValidator(_no_truth), Field(gt=0, lt=2**63)]


def _encoder_text(value: Any) -> Any:
    """Return a choice of encoders in the text that it always has."""
    if value is None:
        return None
    try:
        return str(parse_choice(value))
    except ValueError as error:
        rule = "Input should " + str(error).removeprefix("must ")
        raise PydanticCustomError("encoder_choice", "{rule}", {"rule": rule}) from None


C = TypeVar("C", bound="Config")


class Config(BaseModel, metaclass=InOurWords):
    """A configuration, as trials carry it.

    Defaults are the paper's starting values (Table 1), but for ``feature_scaling``.

    Parameters that belong to one choice are given by its name, as ``focal.gamma``; they exist only
    together with it:

        Config(loss="focal", **{"focal.gamma": 2.0})

    Attributes:
        fusion: How the modalities are combined (section 3.2 of the paper), or the name of the
            modality that is used alone.
        head: ``mlp`` or ``gmlp`` (section 3.5), or one of your own.
        hidden: Widths of the hidden layers; empty means a linear head.
        activation: After each hidden layer.
        dropout: Probability that a hidden unit is dropped, in [0, 1).
        feature_scaling: ``auto`` brings each modality to a norm of √width by one factor, ``l2``
            brings each embedding to it, ``standard`` subtracts the mean of the training rows and
            divides by their standard deviation, by column; ``none`` leaves them, as the paper.
        loss: ``bce``, ``focal`` or ``asl`` (section 4.2.3), ``two_way``, or one of your own.
        optimizer: ``adam``, or ``adamw`` with decoupled weight decay.
        lr: Learning rate.
        weight_decay: L2 penalty (adam) or decoupled decay (adamw).
        batch_size: Rows in a step; more than there are means all of them.
        epochs: Passes over the training rows; a two-step fusion trains its heads and then its
            meta-classifier for this many each.
        ema_decay: α of the averaged weights that are evaluated instead (Eq. 6); None for none.
        input_dropout: Probability that a column of an embedding is dropped, in [0, 1).
        modality_dropout: Probability that a row loses one of its modalities, in [0, 1).
        class_weight: How much more a positive of a rare class counts in the loss: ``balanced`` by
            its negatives over its positives in the training rows, ``sqrt`` by the root of that.
        oversample: Share of the rows below which a class counts as rare; the rows that have it are
            trained on more often, in [0, 1).
        encoder: Which of several sources of embeddings is read: ``A``, ``A+B`` for two side by
            side, ``image=A,text=B`` for one each; None for the first one, or the only one.
        options: Parameters of the choices taken, by name, where they differ from their defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    #: Whether parameters of choices that are not taken may be there as well.
    _any_options: ClassVar[bool] = False

    fusion: Annotated[str, _registered("fusion")] = "image"
    head: Annotated[str, _registered("head")] = "mlp"
    hidden: tuple[_Width, ...] = (2048,)
    activation: Literal["gelu", "relu", "leaky_relu"] = "gelu"
    dropout: _Share = 0.5
    feature_scaling: Literal["none", "auto", "l2", "standard"] = Field(
        default="auto", json_schema_extra={"neutral": "none"}
    )
    loss: Annotated[str, _registered("loss")] = "bce"
    optimizer: Literal["adam", "adamw"] = "adam"
    lr: Annotated[_Number, Field(gt=0)] = 0.001
    weight_decay: Annotated[_Number, Field(ge=0)] = 0.0
    batch_size: _Count = 25_000
    epochs: _Count = 200
    ema_decay: Annotated[_Number, Field(gt=0, lt=1)] | None = None
    input_dropout: _Share = 0.0
    modality_dropout: _Share = 0.0
    encoder: Annotated[str, BeforeValidator(_encoder_text)] | None = None
    class_weight: Literal["none", "balanced", "sqrt"] = "none"
    oversample: _Share = 0.0
    options: tuple[tuple[str, Any], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, raw: Any) -> Any:
        if not isinstance(raw, Mapping):
            return raw
        dotted = {k: v for k, v in raw.items() if isinstance(k, str) and "." in k}
        if not dotted:
            return raw
        fields = {key: value for key, value in raw.items() if key not in dotted}
        options = dict(fields.get("options", ())) | dotted
        return {**fields, "options": tuple(sorted(options.items()))}

    @model_validator(mode="after")
    def _check_options(self) -> Self:
        kept = {}
        for option, value in self.options:
            parameter = option_parameter(option)
            if parameter is None:
                known = option_names()
                raise ValueError(f"unknown parameter '{option}'{did_you_mean(option, known)}")
            field, entry = owner_of(option) or ("", None)
            taken = entry is not None and getattr(self, field) == entry.name
            if not taken and not self._any_options:
                raise ValueError(
                    f"{option} is {value!r}, but belongs to {field} {option.partition('.')[0]}, "
                    f"and {field} is {getattr(self, field)}"
                )
            try:
                checked = parameter.check(value)
            except ValidationError as error:
                raise ValueError(f"{option} is {shown(value)}, but {rule_of(error)}") from None
            if checked != parameter.default:
                kept[option] = checked
        object.__setattr__(self, "options", tuple(sorted(kept.items())))
        return self

    @model_serializer(mode="wrap")
    def _flatten(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        raw: dict[str, Any] = handler(self)
        raw.pop("options", None)
        return raw | self._unsettled() | dict(self.options)

    def _unsettled(self) -> dict[str, Any]:
        """Return the parameters whose defaults could be others when a stored value is read."""
        found = {}
        for field, registry in CHOICES.items():
            taken = getattr(self, field)
            for name in registry if self._any_options else {taken} & {*registry}:
                users = name == taken and registry[name].origin is not None
                for key, parameter in registry[name].parameters.items():
                    if users or parameter.default != parameter.neutral:
                        found[f"{name}.{key}"] = parameter.default
        return found

    @classmethod
    def from_stored(cls, raw: Mapping[str, Any]) -> Self:
        """Return the configuration that ``model_dump`` gave, perhaps by an older version.

        What that version didn't have, or left out since it was its default, is the neutral value.
        """
        lacking = cls.model_fields.keys() - raw.keys() - {"options"}
        values = {field: neutral(field) for field in lacking} | dict(raw)
        for field, registry in CHOICES.items():
            for name in registry if cls._any_options else {values[field]} & {*registry}:
                for key, parameter in registry[name].parameters.items():
                    if parameter.neutral != parameter.default:
                        values.setdefault(f"{name}.{key}", parameter.neutral)
        return cls.model_validate(values)

    def replace(self, **changes: Any) -> "Config":
        """Return the configuration with some values changed, checked like any other.

        Parameters of choices that it doesn't take any more are left out.
        """
        known = [*field_names(), *option_names()]
        return self._with(Config, checked_values(changes, known, typed_value))

    def _with(self, kind: type[C], values: Mapping[str, Any]) -> C:
        """Return these values with some others, by field and parameter, each in its type."""
        fields = {field: getattr(self, field) for field in field_names()}
        options = dict(self.options)
        for name, value in values.items():
            (options if "." in name else fields)[name] = value
        taken = {fields[field] for field in CHOICES}
        kept = {
            option: value
            for option, value in options.items()
            if (kind._any_options or option.partition(".")[0] in taken)
            and (parameter := option_parameter(option)) is not None  # checked before
            and value != parameter.default
        }
        return cast(C, kind.model_construct(**fields, options=tuple(sorted(kept.items()))))

    def capped(self, rows: int) -> "Config":
        """Return the configuration with a batch of at most ``rows``: more means all of them."""
        return self.model_copy(update={"batch_size": min(self.batch_size, rows)})

    def only(self, fields: Iterable[str]) -> "Config":
        """Return the configuration with all fields neutral but these, and their parameters."""
        return self.without(*set(field_names()).difference(fields))

    def without(self, *fields: str) -> "Config":
        """Return the configuration with these fields neutral."""
        values = {field: neutral(field) for field in fields}
        for field in CHOICES.keys() & values.keys():
            registry, name = CHOICES[field], values[field]
            if name in registry:
                parameters = registry[name].parameters
                values |= {f"{name}.{key}": p.neutral for key, p in parameters.items()}
        return self._with(Config, values)

    def own(self, field: str) -> dict[str, Any]:
        """Return the parameters of the choice that ``field`` names, defaults included.

        Args:
            field: ``fusion``, ``head`` or ``loss``.
        """
        name = getattr(self, field)
        if name not in CHOICES[field]:  # a modality's name
            return {}
        given = dict(self.options)
        return {
            key: given.get(f"{name}.{key}", parameter.default)
            for key, parameter in CHOICES[field][name].parameters.items()
        }

    def values(self) -> dict[str, Any]:
        """Return all fields, and all parameters of the choices taken, by name."""
        own = {
            f"{getattr(self, field)}.{key}": value
            for field in CHOICES
            for key, value in self.own(field).items()
        }
        return {field: getattr(self, field) for field in field_names()} | own

    def keyed(self) -> dict[str, Any]:
        """Return what keys and addresses hash: equal for configurations that train equally.

        A field that came after the first release is there only where it isn't neutral. Parameters
        of the package's choices likewise; those of a user's own are all there, since their
        defaults may change with the user's module.
        """
        values = {f: getattr(self, f) for f in type(self).model_fields if f != "options"}
        fields = {
            field: list(value) if isinstance(value, tuple) else value
            for field, value in values.items()
            if field in _ALWAYS_KEYED or value != neutral(field)
        }
        if self.feature_scaling == "l2":
            fields["feature_scaling"] = _L2_KEY
        for field, registry in CHOICES.items():
            name = getattr(self, field)
            if name not in registry:
                continue
            entry = registry[name]
            for key, value in self.own(field).items():
                if entry.origin is not None or value != entry.parameters[key].neutral:
                    fields[f"{name}.{key}"] = value
        return fields

    @property
    def key(self) -> str:
        """A short key that equal configurations share."""
        return content_key(self.keyed())


class FixedValues(Config):
    """Values that a search space fixes: a configuration, and parameters of choices not taken.

    The latter hold as soon as the search takes their choice.
    """

    _any_options: ClassVar[bool] = True

    def value_of(self, name: str) -> Any:
        """Return the value of a field, or of a choice's parameter whether it is taken or not."""
        parameter = option_parameter(name)
        if parameter is None:
            return getattr(self, name)
        return dict(self.options).get(name, parameter.default)

    def changed(self, change: Callable[[str, Any], Any]) -> "FixedValues":
        """Return the values with each changed, given its name and what it was."""
        names = (*field_names(), *(option for option, _ in self.options))
        return self.updated({name: change(name, self.value_of(name)) for name in names})

    def updated(self, values: Mapping[str, Any]) -> "FixedValues":
        """Return the values with some others, by field and parameter, each in its type."""
        return self._with(FixedValues, values)

    def taken(self, values: Mapping[str, Any]) -> Config:
        """Return the configuration with some other values, each in its type.

        Parameters of choices that it doesn't take are left out.
        """
        return self._with(Config, values)


def neutral(field: str) -> Any:
    """Return the value of a field with which training is what it was before the field existed.

    It is the field's default, unless its ``json_schema_extra`` has another one as ``neutral``:
    that is how the default of a field may change while stored keys keep their meaning.
    """
    info = Config.model_fields[field]
    extra = info.json_schema_extra
    return extra["neutral"] if isinstance(extra, dict) and "neutral" in extra else info.default


def default_of(field: str) -> Any:
    """Return the value of a field that a configuration has which doesn't name it."""
    return Config.model_fields[field].default


def field_names() -> tuple[str, ...]:
    """Return the names of all fields, those of the choices' own parameters not included."""
    return tuple(field for field in Config.model_fields if field != "options")


def is_value_name(name: object) -> bool:
    """Tell whether a name is that of a field, or of a choice's parameter."""
    return isinstance(name, str) and (name in field_names() or option_parameter(name) is not None)


def typed_value(name: str, value: Any) -> Any:
    """Return a value of a field or of a choice's parameter in its type.

    Raises:
        pydantic.ValidationError: It breaks a rule.
    """
    parameter = option_parameter(name)
    return _adapter(name).validate_python(value) if parameter is None else parameter.check(value)


@functools.cache
def _adapter(field: str) -> TypeAdapter[Any]:
    info = Config.model_fields[field]
    annotated: Any = Annotated[info.annotation, *info.metadata, None]
    return TypeAdapter(annotated, config=ConfigDict(allow_inf_nan=False))
