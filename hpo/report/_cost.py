"""What a study cost, on what, with which versions, and the command that reproduces it."""

import platform
import shlex
import time
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hpo._energy import Energy
from hpo._machine import processor_name, usable_cores
from hpo._versions import package_version
from hpo.report._sections import ResultTable
from hpo.report._spent import spent
from hpo.search import Task
from hpo.study import StoredStudy, epochs_trained
from hpo.trials import redact

__all__ = ["CommandCost", "cost_table", "note_command"]

#: User attribute of an Optuna study: the latest command that worked on it.
_COMMAND = "command"
_PACKAGES = ("hpo", "torch", "optuna", "numpy")
_NOT_YET = {"energy": "not known before hpo run has ended the study"}
_MINUTE, _KILO = 60.0, 1000.0


class CommandCost:
    """What a command has taken since it began, and on what.

    Args:
        began: By ``time.monotonic``.
        devices: On which it trains.
        energy: What these have taken since then.
    """

    def __init__(self, began: float, devices: Sequence[str], energy: Energy) -> None:
        self._began = began
        self._devices = tuple(devices)
        self._energy = energy

    def observe(self) -> None:
        """Look at the counters of energy, which may begin anew."""
        self._energy.joules()

    def record(self) -> dict[str, Any]:
        """Return it as ``metrics.json`` has it: ``wall_s`` and ``cost``."""
        joules = self._energy.joules()
        return {
            "wall_s": round(time.monotonic() - self._began, 1),
            "cost": {
                "energy_j": None if joules is None else round(joules, 1),
                "devices": [_device(name) for name in self._devices],
                "processor": processor_name(),
                "cores": usable_cores(),
                "system": platform.platform(terse=True),
                "versions": {"python": platform.python_version(), **_versions()},
            },
        }


def note_command(study: StoredStudy, arguments: Sequence[str]) -> None:
    """Note on a study the command that works on it, without what is secret in it.

    Args:
        study: The study.
        arguments: Those of ``hpo run``.
    """
    study.note(_COMMAND, shlex.join(["hpo", "run", *map(_harmless, arguments)]))


def cost_table(
    study: StoredStudy,
    tasks: Sequence[Task],
    trials: Sequence[FrozenTrial],
    results: Mapping[str, Any] | None,
) -> ResultTable:
    """Return what a study cost, as far as it is known.

    Args:
        study: The study.
        tasks: As they were just read.
        trials: Likewise, in Optuna.
        results: What ``metrics.json`` has.
    """
    known = dict(results or {})
    facts: dict[str, str | None] = {
        "epochs of single runs, trials": f"{epochs_trained(study, tasks):,}",
        "epochs with folds and refit": _number(known.get("epochs_trained")),
        "time of the workers": _worked(study, tasks, trials),
        "the last command": _seconds(known.get("wall_s")),
        **(_NOT_YET if results is None else _machine(known.get("cost"))),
        "workers": _workers(trials),
        "arithmetic": f"{study.definition.precision}, {study.definition.threads} "
        f"thread{'' if study.definition.threads == 1 else 's'} on a processor, compiler "
        f"{study.definition.compiler}",
        "trained by": _trained_by(tasks),
        "command": study.noted(_COMMAND) or "not noted: not made by hpo run",
    }
    rows = tuple((name, said) for name, said in facts.items() if said)
    return ResultTable("Cost", ("", "value"), rows, words=("value",), key="cost")


def _worked(study: StoredStudy, tasks: Sequence[Task], trials: Sequence[FrozenTrial]) -> str | None:
    """Return the time of all workers together; of trials that paused only the end is known."""
    if any(study.pauses().values()):
        return None
    return f"{spent(tasks, trials).seconds / _MINUTE:,.1f} minutes, all of them together"


def _machine(cost: Mapping[str, Any] | None) -> dict[str, str | None]:
    """Return energy, machine and versions of the command that ended the study."""
    if cost is None:
        return {"energy": "not noted by the version of hpo that ended the study"}
    devices = ", ".join(cost["devices"])
    joules = cost["energy_j"]
    told = "the devices don't tell" if joules is None else f"{joules / _KILO:,.1f} kJ"
    return {
        "energy": f"{told} ({devices})",
        "machine": f"{cost['processor']}, {cost['cores']} cores, {cost['system']}",
        "versions": ", ".join(f"{name} {number}" for name, number in cost["versions"].items()),
    }


def _workers(trials: Sequence[FrozenTrial]) -> str | None:
    """Return how many workers there were on each machine; a restarted one counts again."""
    names = dict.fromkeys(str(t.user_attrs["worker"]) for t in trials if "worker" in t.user_attrs)
    hosts = [name.rpartition(":")[0] for name in names]
    counted = {host: hosts.count(host) for host in hosts}
    return ", ".join(f"{count} on {host}" for host, count in counted.items()) or None


def _trained_by(tasks: Sequence[Task]) -> str | None:
    found = dict.fromkeys(
        task.outcome.trained_by
        for task in tasks
        if task.outcome is not None and task.outcome.trained_by is not None
    )
    return "; ".join(map(str, found)) or None


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:,.1f} s"


def _device(name: str) -> str:
    if not name.startswith("cuda"):
        return name
    import torch  # it takes a second, see hpo/_lazy.py

    return f"{name} {torch.cuda.get_device_name(name)}"


def _versions() -> dict[str, str]:
    return {name: package_version(name) for name in _PACKAGES}


def _harmless(argument: str) -> str:
    """Return an argument without the password of a URL in it."""
    if "://" not in argument:
        return argument
    option, equals, url = argument.partition("=")
    if option.startswith("--") and equals:
        return f"{option}={redact(url)}"
    return redact(argument)
