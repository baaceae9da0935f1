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
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from hpo.errors import InputError, did_you_mean
from hpo.events import Best, Event, Result, StudyBegun, TrialEnded
from hpo.launch import relay

__all__ = ["LogProcess", "LogTo", "parse_log_to"]

#: What each tool needs: the module, and the extra that installs it.
_TOOLS = {
    "tensorboard": ("tensorboard", "tensorboard"),
    "mlflow": ("mlflow", "mlflow"),
    "wandb": ("wandb", "wandb"),
}
#: At the end tools are waited for as long as they keep something in so many seconds; starting takes
#: longer where the machine is busy.
_PATIENCE_S, _FIRST_PATIENCE_S = 60.0, 240.0
_LOGGED = (StudyBegun, TrialEnded, Best, Result)
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

    The process has a low priority, so that workers go first, and whatever a tool does or
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
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stderr is not None  # as asked
        self._names = ", ".join(tool.tool for tool in tools)
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._give_up = time.monotonic() + _FIRST_PATIENCE_S
        self._threads = [
            threading.Thread(target=relay, args=(self._process.stderr,), daemon=True),
            threading.Thread(target=self._read, name="log read", daemon=True),
            threading.Thread(target=self._write, name="log write", daemon=True),
        ]

    def __call__(self, event: Event) -> None:
        """Note an event; it is handed on when the process has time for it."""
        if isinstance(event, _LOGGED):
            self._events.put(event)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.put(None)
        self._give_up = max(self._give_up, time.monotonic() + _PATIENCE_S)
        while self._process.poll() is None:
            if time.monotonic() > self._give_up:
                self._process.kill()
                _log.warning(
                    "--log-to: not everything is in %s, which took too long; the same command adds "
                    "the rest.",
                    self._names,
                )
                break
            time.sleep(0.05)
        for thread in self._threads:
            thread.join(5.0)

    def _read(self) -> None:
        """Take note of each event that was kept, for which a line is printed."""
        assert self._process.stdout is not None
        for _ in self._process.stdout:
            self._give_up = time.monotonic() + _PATIENCE_S

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
