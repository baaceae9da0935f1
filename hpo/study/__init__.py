"""A study as it is stored: what it is, what it needs, and where its tasks and trials stand."""

from hpo.models import PluginUse
from hpo.study._definition import Definition
from hpo.study._plugins import check_plugins, load_plugins, plugins_of
from hpo.study._study import StoredStudy, finished_trial

__all__ = [
    "Definition",
    "PluginUse",
    "StoredStudy",
    "check_plugins",
    "finished_trial",
    "load_plugins",
    "plugins_of",
]
