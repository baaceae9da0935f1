"""``--log-to``: what happens to a study, kept in other tools, by a process of its own."""

import dataclasses
import importlib.util
import json
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hpo.errors import InputError, did_you_mean
from hpo.events import Best, Event, Result, Stopped, StudyBegun, Totals, TrialEnded
from hpo.launch import relay

__all__ = ["LogProcess", "LogTo", "parse_log_to"]

#: What each tool needs: the module, and the extra that installs it.
_TOOLS = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "wandb": ("wandb", "wandb"),
}
#: So many seconds a tool has at the end for what it has not kept yet.
_PATIENCE_S = 60.0
_LOGGED = (StudyBegun, TrialEnded, Best, Totals, Stopped, Result)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class LogTo:
    """A tool that keeps what happens.

    Attributes:
        tool: ``tensorboard``, ``mlflow`` or ``wandb``.
        where: A folder, a tracking URI or a project; None for the tool's default.
    """

    tool: str
    where: str | None = None

    def __str__(self) -> str:
        """Return it as it is given to the command."""
        return self.tool if self.where is None else f"{self.tool}={self.where}"


def parse_log_to(texts: Sequence[str]) -> list[LogTo]:
    """Return the tools of ``--log-to``, each of which can be used here.

    Raises:
        InputError: One is unknown, is given twice, or isn't installed, or nobody is logged in.
    """
    found: dict[str, LogTo] = {}
    problems = []
    for text in texts:
        tool, _, where = text.partition("=")
        if tool not in _TOOLS:
            known = ", ".join(_TOOLS)
            problems.append(
                f"--log-to {text}: there is no tool '{tool}'{did_you_mean(tool, list(_TOOLS))}; "
                f"tools: {known}"
            )
        elif tool in found:
            problems.append(f"--log-to {text}: {tool} is given twice")
        elif (trouble := _trouble_with(tool)) is not None:
            problems.append(f"--log-to {text}: {trouble}")
        else:
            found[tool] = LogTo(tool, where or None)
    if problems:
        raise InputError(problems)
    return list(found.values())


class LogProcess:
    """Hands events to a process that keeps them in other tools; use it as a context manager.

    The process has the lowest priority, so that workers go first, and whatever a tool does or
    fails to do happens there. It reads the curves of trials from the run store.

    Args:
        tools: Which, one at least.
        study: Name of the study.
        url: The storage URL; handed over in the environment, since it may hold a password.
        cache: Where the study's features and runs are.
        plugins: Modules or files with the user's own parts.
        out: The folder of the results.
    """

    def __init__(
        self,
        tools: Sequence[LogTo],
        study: str,
        url: str,
        cache: Path,
        plugins: Sequence[str],
        out: Path,
    ) -> None:
        command = [
            *(sys.executable, "-m", "hpo.watch._log_main", "--study", study),
            *("--cache", str(cache), "--out", str(out.absolute())),
            *(f"--plugin={plugin}" for plugin in plugins),
            *(f"--to={tool}" for tool in tools),
        ]
        self._process = subprocess.Popen(
            command,
            env={**os.environ, "HPO_STORAGE": url},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None  # as asked
        self._names = ", ".join(tool.tool for tool in tools)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._relay = threading.Thread(target=relay, args=(self._process.stdout,), daemon=True)
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)

    def __call__(self, event: Event) -> None:
        """Note an event; it is handed on when the process has time for it."""
        if isinstance(event, _LOGGED):
            self._events.put(event)

    def __enter__(self) -> Self:
        self._relay.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.put(None)
        try:
            self._process.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            _log.warning(
                "%s: not everything was kept within %.0f s; the same command with --log-to adds "
                "the rest.",
                *(self._names, _PATIENCE_S),
            )
        self._thread.join()
        self._relay.join(1.0)

    def _write(self) -> None:
        assert self._process.stdin is not None
        try:
            with self._process.stdin as pipe:
                while (event := self._events.get()) is not None:
                    record: Mapping[str, object] = {"event": event.kind, **event.to_json()}
                    pipe.write(json.dumps(record).encode() + b"\n")
                    pipe.flush()
        except OSError:
            pass  # it has ended, and said why


def _trouble_with(tool: str) -> str | None:
    """Return why a tool can't be used here; None if it can."""
    module, extra = _TOOLS[tool]
    if importlib.util.find_spec(module) is None:
        return f"{module} is missing; pip install 'hpo[{extra}]'"
    if tool == "wandb" and not _is_logged_in():
        return "nobody is logged in; call `wandb login`, or set WANDB_MODE=offline"
    return None


def _is_logged_in() -> bool:
    """Tell whether wandb would ask for a key, which nobody may be there to give."""
    if os.environ.get("WANDB_MODE") in ("offline", "disabled", "dryrun"):
        return True
    import wandb

    return bool(wandb.api.api_key)
