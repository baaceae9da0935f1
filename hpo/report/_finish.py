"""The end of a study: refit, model folder, predictions, metrics, and the last lines on screen."""

import functools
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from hpo.events import Result, Tell, nobody
from hpo.features import load_bundle
from hpo.files import file_sha256, sealed, sweep, unsealed, write_json
from hpo.json_files import read_json
from hpo.report._cost import CommandCost
from hpo.report._front import front_lines
from hpo.report._means import Means
from hpo.report._report import write_report
from hpo.report._result_lines import judged_lines
from hpo.report._row_facts import RowFacts
from hpo.report._row_files import row_file_sums
from hpo.results import (
    pick_task,
    study_metrics,
)
from hpo.search import NoCandidateError, Task, format_params, format_score
from hpo.study import StoredStudy, as_far_as_it_got, best_so_far, concerns

if TYPE_CHECKING:
    pass

__all__ = ["finish_study", "read_results", "shortened"]

_log = logging.getLogger(__name__)
_EPOCHS = "epochs_trained"  # of metrics.json; known at the end
#: Temporary files that nobody wrote to for so long are nobody's any more.
_STALE_S = 3600.0


def finish_study(
    study: StoredStudy,
    console: Console,
    out: Path,
    device: str,
    *,
    refit: bool,
    pick: str | int | None = None,
    memory_gb: float | None = None,
    cost: CommandCost | None = None,
    known: RowFacts | None = None,
    ended_by: str | None = None,
    in_time: bool = False,
    models: Callable[[int], int | None] = lambda trained: None,
    enough: Callable[[], bool] = lambda: False,
    tell: Tell = nobody,
) -> None:
    """Refit the best configuration unless that is done, write all results, and print them.

    Args:
        study: A study that is complete, or was ended by a limit.
        console: Where to print.
        out: Folder of the results.
        device: Where to train.
        refit: Whether to train on all rows and predict.
        pick: Which configuration; see ``pick_task``.
        memory_gb: What the rows of the refit may take, see ``WorkerSettings``.
        cost: What the command has taken so far; None where no command runs.
        known: Captions and pictures of the labelled rows, for the report.
        ended_by: The limit that ended the study before it was complete; None if it is complete.
        in_time: Whether the model has to be there by a limit: a trial that isn't whole is then
            refitted for as many epochs as it was scored at.
        models: Says how many models may be refitted, given the epochs that were trained; None for
            any number.
        enough: Whether the refit is to be cut short; see ``refit``.
        tell: Is told of what is trained, and of the results.

    Raises:
        InputError: The study has no result, or not the one that is picked; or the model would be
            too large, and all else is written.
        DivergedError: The refit diverged; all else is written.
        OSError: The folder can't be written.
    """
    for folder in (out, out / "model", out / "report", out / "report" / "figures"):
        sweep(folder, _STALE_S)  # what killed runs left
    tasks = study.tasks()
    best = best_so_far(study, tasks) if ended_by is not None and pick is None else None
    if best is None:
        best = pick_task(study, tasks, device, pick)
    assert best.config is not None and best.outcome is not None  # it has a result
    metrics = study_metrics(study, tasks, best) | {"ended_by": ended_by}
    refits = refit and study.space.refit is not None
    tried = as_far_as_it_got(study, best) if in_time and best.outcome.pruned else best
    there = _already_written(out, metrics, refits)
    failure: Exception | None = None
    if there is not None:
        written = there
    else:
        from hpo.report._results import make_results  # PyTorch takes a second, see hpo/_lazy.py

        means = Means(device, memory_gb, models, enough, known, tell)
        results, failure = make_results(
            study, best, tried, tasks, out, means, metrics, refits=refits
        )
        written = {
            **metrics,
            **results,
            **({"wall_s": None} if cost is None else cost.record()),
            "files": _hashes(out) if refits and failure is None else {},
            "report_files": row_file_sums(out / "report"),
        }
        write_json(out / "metrics.json", sealed(written))
    if refits and failure is None:
        _describe(study, out / "model", written, again=there is None)
    winner = format_params(study.strategy.params(best.config))
    top = study.best(tasks)
    called = "best" if top is not None and top.position == best.position else "picked"
    lines = [
        *(f"CAUTION: {line}" for line in concerns(study, tasks)),
        f"{called}: trial {best.trial}, {study.space.metric} "
        f"{format_score(best.outcome.value, best.outcome.std)} ({winner})",
        *([f"  {best.outcome.pruned}{shortened(written)}"] if best.outcome.pruned else []),
        *judged_lines(written),
        *front_lines(study, tasks),
    ]
    tell(
        Result(
            folder=str(out),
            trial=best.trial,
            params=study.strategy.params(best.config),
            value=best.outcome.value,
            std=best.outcome.std,
            scores=_scores(written),
            predicted=written.get("model", {}).get("predicted", 0),
            concerns=tuple(concerns(study, tasks)),
            lines=tuple(lines),
        )
    )
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
    paths = [out / name for name in ("model", "predictions.csv", "metrics.json")]
    for path in filter(Path.exists, paths):
        console.print(f"  {path}", highlight=False, soft_wrap=True)
    # Nobody waits for the numbers until the figures are drawn.
    if there is None:
        write_report(study, tasks, out / "report", written)
    console.print(f"  {out / 'report'}", highlight=False, soft_wrap=True)
    if failure is not None:
        raise failure


def _scores(written: dict[str, Any]) -> dict[str, Any]:
    """Return the scores of the results with their intervals, by part."""
    judged = written.get("judged")
    validation = {} if judged is None else {"validation": judged["validation_tuned"]}
    return {**validation, **({"test": written["test"]} if "test" in written else {})}


def _describe(study: StoredStudy, folder: Path, written: dict[str, Any], *, again: bool) -> None:
    """Write the model's card; one that is there already is only written ``again``."""
    from hpo.results import CARD, model_card, write_card
    from hpo.training import TrainedModel

    if again or not (folder / CARD).exists():
        bundle = load_bundle(study.definition.bundle)
        write_card(folder, model_card(TrainedModel.load(folder), written, bundle))


def read_results(study: StoredStudy, tasks: list[Task], out: Path) -> dict[str, Any] | None:
    """Return what ``metrics.json`` in a folder has, if it is of this study as it stands."""
    try:
        raw = _read(out / "metrics.json")
        chosen = [task for task in tasks if task.outcome and task.trial == raw["best"]["trial"]]
        return _written(out, study_metrics(study, tasks, chosen[0])) if chosen else None
    except (KeyError, TypeError, NoCandidateError):
        return None


@functools.cache  # said once of a file, however often it is looked at
def _warn(path: Path, trouble: str) -> None:
    _log.warning("The results %s are left out: %s. hpo run writes them anew.", path, trouble)


def _read(path: Path) -> dict[str, Any]:
    """Return what ``metrics.json`` has; nothing if it isn't there, or with a warning, damaged."""
    try:
        return unsealed(read_json(path))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        _warn(path, f"the file can't be read ({error.strerror})")
    except (ValueError, TypeError) as error:
        _warn(path, f"the file is damaged ({error})")
    return {}


def _written(out: Path, metrics: dict[str, Any]) -> dict[str, Any] | None:
    written = _read(out / "metrics.json")
    if _EPOCHS not in written:  # it was written before the refit
        return None
    same = {key: written.get(key) for key in metrics}
    if written.get("concerns") != metrics.get("concerns"):
        return None
    return written if same == json.loads(json.dumps(metrics)) else None


def _already_written(out: Path, metrics: dict[str, Any], refits: bool) -> dict[str, Any] | None:
    """Return what ``metrics.json`` has if all results of this study are in ``out`` already."""
    written = _written(out, metrics)
    if written is None or not (out / "report" / "index.html").exists():
        return None
    if refits:
        names = ["model/config.json"]
        if written.get("model", {}).get("predicted"):
            names.append("predictions.csv")
        if "cut_short" in written.get("model", {}):
            return None  # there may be time for the rest now
        if "model" not in written or not all((out / name).exists() for name in names):
            return None
        if written.get("files", (found := _hashes(out))) != found:
            return None  # one of them was changed since, or damaged
    return written


def _hashes(out: Path) -> dict[str, str]:
    """Return the SHA-256 of the files that a refit has as its result, by name."""
    paths = [out / name for name in ("model/config.json", "model/model.safetensors")]
    paths += [out / "predictions.csv"]
    return {path.relative_to(out).as_posix(): file_sha256(path) for path in paths if path.exists()}


def shortened(written: dict[str, Any]) -> str:
    """Say that the model was trained for fewer epochs than its configuration has, if it was.

    Of one that was cut short besides, another line says it.
    """
    model = written.get("model", {})
    if "epochs" not in model or "cut_short" in model:
        return ""
    return f"; so the model was trained for {model['epochs']:,} epochs"
