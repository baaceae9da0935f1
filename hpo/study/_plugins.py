"""Parts of a user's own: brought in by the user, recorded with a study, demanded of its workers."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hpo.errors import InputError
from hpo.models import CHOICES, PluginUse, Registry, plugin_uses
from hpo.search import Space
from hpo.training import METRICS

__all__ = ["check_plugins", "load_plugins", "plugins_of"]


def load_plugins(names: Sequence[str]) -> None:
    """Import modules that register losses, heads, fusions or metrics.

    Only what the user names is imported, never what a study or a file names.

    Args:
        names: Module names, as ``import`` takes them, or paths of Python files.

    Raises:
        InputError: A module isn't there, or fails when it is imported; all are listed.
    """
    problems = []
    for name in names:
        try:
            if name.endswith(".py"):
                _import_file(Path(name))
            else:
                with _working_folder_importable():
                    importlib.import_module(name)
        except InputError:
            raise
        # Whatever a user's module raises while it is imported.
        except (Exception, SystemExit) as error:
            problems.append(
                f"--plugin {name}: can't be imported: {type(error).__name__}: {error}. It must be "
                "a module in the working folder or on PYTHONPATH, or the path of a .py file."
            )
    if problems:
        raise InputError(problems)


def plugins_of(space: Space) -> tuple[PluginUse, ...]:
    """Return the users' own parts that a study of this space needs.

    Those are the choices that the space names, and all metrics, which every trial is measured by.
    """
    named: list[tuple[Registry[Any], str]] = [(METRICS, name) for name in METRICS]
    for field, registry in CHOICES.items():
        for value in (getattr(space.fixed, field), *space.search.values_of(field)):
            if value in registry:
                named.append((registry, value))
    return plugin_uses(named)


def check_plugins(study: str, needed: Sequence[PluginUse]) -> None:
    """Check that this process has what a study needs, in the same version.

    Raises:
        InputError: Something is missing or is another version; all of it is listed.
    """
    problems = []
    for plugin in needed:
        if not plugin.is_here:
            problems.append(plugin.lacking())
            continue
        origin = plugin.here
        if origin is None or origin.sha256 != plugin.sha256:
            problems.append(
                f"{plugin} is another version here: its SHA-256 is "
                f"{'none' if origin is None else origin.sha256[:12]}, but must be "
                f"{plugin.sha256[:12]}"
            )
    if problems:
        raise InputError(problems, f"The study '{study}' can't be worked on by this process:")


@contextlib.contextmanager
def _working_folder_importable() -> Iterator[None]:
    """Let modules of the working folder be found, as ``python -m`` does and ``hpo`` does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


def _import_file(path: Path) -> None:
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        file = getattr(loaded, "__file__", None)
        if file is not None and Path(file).resolve() == path.resolve():
            return
        raise InputError(
            f"--plugin {path}: can't be imported, since there is another module called '{name}' "
            f"({file}); rename the file."
        )
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise InputError(f"--plugin {path}: there is no such Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
