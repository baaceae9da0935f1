"""Parts of a user's own, as whatever was made with them records them."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from hpo.models._choices import CHOICES
from hpo.models._config import Config
from hpo.models._registry import Origin, Registry, all_registries

__all__ = ["PluginUse", "plugin_uses", "plugins_of_config"]


@dataclasses.dataclass(frozen=True)
class PluginUse:
    """A part of a user's own that a study or a model needs.

    Attributes:
        kind: ``fusion``, ``head``, ``loss`` or ``metric``.
        name: By which configurations name it.
        module: The module that registered it.
        sha256: Of that module's file.
    """

    kind: str
    name: str
    module: str
    sha256: str

    def __str__(self) -> str:
        return f"the {self.kind} '{self.name}' of the module {self.module}"

    @property
    def is_here(self) -> bool:
        """Whether this process has a part of this kind and name."""
        return any(
            registry.kind == self.kind and self.name in registry for registry in all_registries()
        )

    @property
    def here(self) -> Origin | None:
        """Where the part of this kind and name in this process comes from."""
        for registry in all_registries():
            if registry.kind == self.kind and self.name in registry:
                return registry[self.name].origin
        return None

    def lacking(self) -> str:
        """Say that the part is not here, and what to do."""
        return (
            f"{self} is not here; make that module available and give --plugin {self.module}, or "
            f"import it in Python"
        )


def plugin_uses(named: Iterable[tuple[Registry[Any], str]]) -> tuple[PluginUse, ...]:
    """Return those of the choices, given by registry and name, that are users' own; each once."""
    found = []
    for registry, name in named:
        origin = registry[name].origin
        if origin is not None:
            found.append(PluginUse(registry.kind, name, origin.module, origin.sha256))
    return tuple(dict.fromkeys(found))


def plugins_of_config(config: Config) -> tuple[PluginUse, ...]:
    """Return the users' own parts that a configuration takes."""
    return plugin_uses(
        (registry, getattr(config, field))
        for field, registry in CHOICES.items()
        if getattr(config, field) in registry
    )
