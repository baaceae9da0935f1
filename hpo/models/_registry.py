"""What a configuration can name: fusions, heads, losses and metrics, each with its own parameters.

A registry knows names and parameters without importing PyTorch; what stands behind a name is loaded
when it is first built. Users add their own with ``register``, from a module of theirs. Names that a
YAML file gives are looked up here and never imported.
"""

import dataclasses
import hashlib
import importlib
import inspect
import math
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar, cast

from pydantic import AfterValidator, BeforeValidator, TypeAdapter
from pydantic_core import PydanticCustomError

from hpo.errors import InputError, did_you_mean
from hpo.files import regular
from hpo.models._rules import holds_truth

__all__ = ["Entry", "Origin", "Parameter", "Registry", "all_registries"]

T = TypeVar("T")
Registered = TypeVar("Registered", bound=Callable[..., Any])
_registries: "list[Registry[Any]]" = []
#: What a name must not be, since it stands for something else wherever names are given: inputs of
#: runs, parts of a split, columns of a curve, and sections of a search space.
_RESERVED = frozenset(
    {
        *("meta", "outputs", "all", "train", "val", "test", "train_loss", "val_loss"),
        *("split", "scale", "fixed", "search", "divergence", "refit", "reference"),
    }
)


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter that belongs to one choice, such as γ of the focal loss.

    Attributes:
        annotation: Its type, with constraints as pydantic reads them.
        default: Its value where none is given.
        neutral: The value that keys and addresses leave out, so that those of the time before the
            parameter existed stay valid. It must never change; ``default`` may.
    """

    annotation: Any
    default: Any
    neutral: Any = dataclasses.field(default=inspect.Parameter.empty)

    def __post_init__(self) -> None:
        if self.neutral is inspect.Parameter.empty:
            object.__setattr__(self, "neutral", self.default)

    def check(self, value: Any) -> Any:
        """Return the value in its type.

        Raises:
            pydantic.ValidationError: It breaks a rule.
        """
        checked: Any = Annotated[
            self.annotation, BeforeValidator(self._no_truth), AfterValidator(_finite)
        ]
        return TypeAdapter(checked).validate_python(value)

    def _no_truth(self, value: Any) -> Any:
        """Return a value unless it is true or false where a number must be; for pydantic."""
        if holds_truth(value, self.annotation):
            raise PydanticCustomError("number_type", "Input should be a number")
        return value


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a user's own part comes from.

    Attributes:
        module: Name of the module that registered it.
        sha256: Of the module's file; of the part's own source where there is no file to import,
            as in a notebook.
    """

    module: str
    sha256: str


@dataclasses.dataclass(frozen=True)
class Entry(Generic[T]):
    """Something that can be named.

    Attributes:
        name: By which configurations name it.
        parameters: Its own parameters.
        traits: What else is known of it without loading it; the kind says which keys there are.
        origin: The user's module that brought it; None for what comes with the package.
        load: Returns what stands behind the name.
    """

    name: str
    parameters: Mapping[str, Parameter]
    traits: Mapping[str, Any]
    origin: Origin | None
    load: Callable[[], T]


class Registry(Generic[T]):
    """All choices of one kind, by name.

    Args:
        kind: What it holds, such as ``loss``.
        standard: Names of the arguments that every entry is called with; all other keyword-only
            arguments are parameters of its own.
    """

    def __init__(self, kind: str, standard: tuple[str, ...] = ()) -> None:
        self.kind = kind
        self._standard = frozenset(standard)
        self._entries: dict[str, Entry[T]] = {}
        _registries.append(self)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __getitem__(self, name: str) -> Entry[T]:
        """Return an entry.

        Raises:
            InputError: There is no such name; the nearest one is suggested.
        """
        if name not in self._entries:
            raise InputError(
                f"There is no {self.kind} '{name}'{did_you_mean(name, list(self))}; "
                f"there are: {', '.join(self)}. For one of your own, pass --plugin MODULE, or "
                f"call hpo.register_{self.kind} from Python."
            )
        return self._entries[name]

    def declare(
        self, name: str, home: str, parameters: Mapping[str, Parameter] | None = None, **traits: Any
    ) -> None:
        """Add a choice of the package's own.

        Args:
            name: By which configurations name it.
            home: ``module:attribute``, imported when it is first used.
            parameters: Its own.
            traits: See ``Entry.traits``.
        """
        module, _, attribute = home.partition(":")

        def load() -> T:
            value: T = getattr(importlib.import_module(module), attribute)
            return value

        known = MappingProxyType(dict(parameters or {}))
        self._entries[name] = Entry(name, known, MappingProxyType(traits), None, load)

    def register(self, name: str, value: Registered, **traits: Any) -> Registered:
        """Add a choice of a user's own; registering the same source again replaces it.

        Args:
            name: Letters, digits and underscores.
            value: The function or class. Keyword-only arguments beyond the standard ones are its
                parameters: each needs a default, and a type if it is to be checked.
            traits: See ``Entry.traits``.

        Returns:
            ``value``, so that this serves as a decorator.

        Raises:
            InputError: The name is taken or can't be one, or a parameter has no default.
        """
        if not callable(value):
            raise InputError(
                f"The {self.kind} '{name}' is of type {type(value).__name__}, but must be a "
                "function or a class."
            )
        origin = _origin_of(value)
        problems = self._problems_with(name, origin)
        own = _own_parameters(value, self._standard)
        problems += [
            f"The parameter '{key}' of the {self.kind} '{name}' has no default, but must have one."
            for key, parameter in own.items()
            if parameter.default is inspect.Parameter.empty
        ]
        if problems:
            raise InputError(problems)
        self._entries[name] = Entry(
            name, MappingProxyType(own), MappingProxyType(traits), origin, lambda: cast(T, value)
        )
        return value

    def forget(self, name: str) -> None:
        """Remove a user's own choice; for tests and for trying things out in a notebook."""
        if self[name].origin is not None:
            del self._entries[name]

    def _problems_with(self, name: str, origin: Origin) -> list[str]:
        if not name.isidentifier() or name in _RESERVED:
            return [
                f"A {self.kind} can't be called '{name}': the name must be made of letters, "
                f"digits and underscores, and not be one of {', '.join(sorted(_RESERVED))}."
            ]
        for registry in _registries:
            entry = registry._entries.get(name)
            if entry is None:
                continue
            # A notebook's cell is run again with the same or other source.
            again = registry is self and entry.origin is not None
            if not again or (entry.origin is not None and entry.origin.module != origin.module):
                whose = "the package" if entry.origin is None else entry.origin.module
                return [
                    f"A {self.kind} can't be called '{name}': {whose} has a {registry.kind} of "
                    "this name."
                ]
        return []


def all_registries() -> "tuple[Registry[Any], ...]":
    """Return the registries of all kinds."""
    return tuple(_registries)


def _own_parameters(value: Any, standard: frozenset[str]) -> dict[str, Parameter]:
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return {}
    target = value.__init__ if inspect.isclass(value) else value
    return {
        name: Parameter(_annotation_of(target, name), parameter.default)
        for name, parameter in signature.parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in standard
    }


def _annotation_of(target: Any, name: str) -> Any:
    """Return the type of an argument, however the others are annotated; ``Any`` without one.

    Some may have names in their annotations that are only there for a type checker.
    """
    target = inspect.unwrap(target)
    annotation = getattr(target, "__annotations__", {}).get(name, Any)
    holder = type("_Holder", (), {"__annotations__": {name: annotation}})
    names = getattr(target, "__globals__", {})
    return typing.get_type_hints(holder, names, names, include_extras=True)[name]


def _origin_of(value: Any) -> Origin:
    module = str(getattr(value, "__module__", "__main__"))
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is not None and module != "__main__":
        content = regular(Path(file)).read_bytes()
    else:
        try:
            content = inspect.getsource(value).encode()
        except (OSError, TypeError):  # typed at a prompt
            content = repr(getattr(value, "__code__", value)).encode()
    return Origin(module, hashlib.sha256(content).hexdigest())


def _finite(value: Any) -> Any:
    """Return a value unless it is a number that is not finite; for pydantic."""
    if isinstance(value, float) and not math.isfinite(value):
        raise PydanticCustomError("finite_number", "Input should be a finite number")
    return value
