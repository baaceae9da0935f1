"""The process that keeps what happens to a study in other tools, for ``LogProcess``."""

import contextlib
import importlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._options import Parser, add_study_options, guarded

if TYPE_CHECKING:
    from hpo.report import CurveReader
    from hpo.watch._tracker import Curves, Tracker

__all__ = ["main"]

_log = logging.getLogger("hpo")


def main(argv: Sequence[str] | None = None) -> int:
    """Read events, a line of JSON each, until there are no more; print a line for each."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(allow_abbrev=False)
    add_study_options(parser, cache=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--to", action="append", required=True)
    arguments = parser.parse_args(argv)
    if hasattr(os, "nice"):
        os.nice(10)
    kept = sys.stdout
    # What a tool prints is not for a standard output that may be for machines.
    with contextlib.redirect_stdout(sys.stderr):
        from hpo.report import CurveReader
        from hpo.study import StoredStudy, load_plugins

        load_plugins(arguments.plugin)
        study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache)
        reader = CurveReader(study, ())
        keepers = [
            _Keeper(to, arguments.out, reader, study.definition.metrics) for to in arguments.to
        ]
        for line in sys.stdin:
            event = json.loads(line)
            for keeper in keepers:
                keeper.take(event)
            print(event["event"], file=kept, flush=True)
        for keeper in keepers:
            keeper.end()
    return 0


class _Keeper:
    """One tool, which is left alone from its first failure on.

    Args:
        to: As it was given, ``TOOL[=WHERE]``.
        out: The folder of the results.
        reader: Of curves.
        metrics: What they have beside the losses.
    """

    def __init__(self, to: str, out: Path, reader: "CurveReader", metrics: Sequence[str]) -> None:
        self._tool, _, where = to.partition("=")
        self._where = where or None
        self._out = out
        self._reader = reader
        self._metrics = metrics
        self._tracker: Tracker | None = None
        self._failed = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Keep an event."""
        if not self._failed:
            try:
                self._take(event)
            except Exception as error:
                self._fail(error)

    def end(self) -> None:
        """Keep nothing more."""
        if self._tracker is not None and not self._failed:
            try:
                self._tracker.close()
            except Exception as error:
                self._fail(error)

    def _take(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "study_begun":
            module = importlib.import_module(f"hpo.watch._{self._tool}")
            self._tracker = module.open_tracker(event, self._where, self._out)
        assert self._tracker is not None  # a study begins before anything happens to it
        match event["event"]:
            case "best" if event["step"] is None:
                self._tracker.best(event)
            case "trial_ended" if event["trial"] is not None and not self._tracker.has(event):
                self._tracker.trial(event, self._curves(event))
            case "result":
                self._tracker.result(event)
            case _:
                pass  # it is in one of the others

    def _curves(self, event: Mapping[str, Any]) -> "Curves":
        from hpo.training import curve_columns

        if not event["runs"]:
            return {}
        columns = curve_columns(self._metrics)
        curves = {
            column: self._reader.mean_curve(event["runs"], event["config"], event["steps"], column)
            for column in columns
        }
        return {column: curve for column, curve in curves.items() if curve}

    def _fail(self, error: Exception) -> None:
        self._failed = True
        first = (str(error).strip().splitlines() or [""])[0]
        _log.warning(
            "--log-to %s failed and is left out; the study goes on (%s: %s).",
            *(self._tool, type(error).__name__, first),
        )


if __name__ == "__main__":
    sys.exit(main())
