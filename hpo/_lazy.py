"""Re-exports that are imported when they are first asked for, so that a command begins soon."""

import importlib
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["exported_late"]


def exported_late(package: str, modules: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` (PEP 562) of a package whose ``__init__`` calls this.

    Importing PyTorch takes longer than all else that the command does for a finished study, and
    ``hpo status`` needs nothing that reads data. The names are to be imported as usual as well,
    behind ``TYPE_CHECKING``.

    Args:
        package: The package's ``__name__``.
        modules: The names that each of its modules has to offer, by the module's name.
    """
    homes = {name: module for module, names in modules.items() for name in names}

    def __getattr__(name: str) -> Any:  # noqa: N807 - what Python calls it
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
        setattr(importlib.import_module(package), name, value)  # next time it is found at once
        return value

    return __getattr__
