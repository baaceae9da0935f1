"""Studies side by side: what each is and reached, and how far their winners are apart."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo.errors import InputError
from hpo.features import load_bundle
from hpo.report._data_files import write_data
from hpo.report._finish import read_results
from hpo.report._markdown import write_markdown
from hpo.report._page import write_page
from hpo.report._pictures import Pictures
from hpo.report._sections import ResultTable, Section
from hpo.report._spent import best_so_far_by_epochs, spent
from hpo.results import Interval
from hpo.search import NoCandidateError, Task, format_score
from hpo.study import StoredStudy, best_so_far, concerns, epochs_trained
from hpo.training import metric_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hpo.results import RowsSeen

__all__ = ["write_comparison"]

_PARTS = {
    "val": "validation rows, the winners as the search trained them",
    "test": "test rows, the winners as the search trained them",
    "model": "test rows, the refitted models at their thresholds",
}
_F1 = {"micro_f1": "micro-F1", "macro_f1": "macro-F1", "samples_f1": "samples-F1"}
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


@dataclasses.dataclass(frozen=True)
class _Side:
    """A study of a comparison.

    Attributes:
        study: The study.
        tasks: Its tasks.
        best: Its winner, or the best so far; None without a result.
        decided: Whether it is the winner.
        seen: What is known of rows, by the keys of ``_PARTS``.
        lacking: Why nothing is known of rows; empty if something is.
    """

    study: StoredStudy
    tasks: Sequence[Task]
    best: Task | None
    decided: bool
    seen: "Mapping[str, RowsSeen]"
    lacking: str = ""

    @property
    def name(self) -> str:
        return self.study.name


def write_comparison(studies: Sequence[StoredStudy], folder: Path) -> list[Path]:
    """Write studies side by side, with the differences of their winners paired over rows.

    Only reads the studies. The same states give the same bytes.

    Args:
        studies: Two or more, of different names.
        folder: Gets ``index.html``, ``tables.md``, and ``tables/NAME.csv`` and ``tables/NAME.json``
            of every table.

    Returns:
        The files, in the order in which they were written.

    Raises:
        OSError: The folder can't be written.
    """
    sides = [_side(study) for study in studies]
    differences, unpaired = _differences(sides)
    pictures = Pictures(folder)
    title = " against ".join(side.name for side in sides)
    drawn = pictures.drawn(
        "best_so_far", lambda: _draw(sides), "The best value of each study against the epochs"
    )
    sections = [
        Section("Studies", _about(sides)),
        Section("Differences", differences, text=tuple(unpaired)),
        Section("The best so far against the epochs trained", pictures=drawn),
        Section("Best configurations", _configurations(sides)),
    ]
    said = [f"{side.name}: {line}" for side in sides for line in concerns(side.study, side.tasks)]
    facts = {
        "studies": ", ".join(side.name for side in sides),
        "differences": "the first less the second, in points of F1, with 95% intervals by "
        "bootstrap over rows and seeds, on the same drawn rows for both; validation rows chose the "
        "winners, test rows nothing",
    }
    data = write_data(folder / "tables", sections)
    write_markdown(folder / "tables.md", title, facts, sections, said)
    write_page(folder / "index.html", title, facts, sections, ("tables.md", "tables/"), said)
    return [folder / "tables.md", *data, *pictures.paths, folder / "index.html"]


def _side(study: StoredStudy) -> _Side:
    # PyTorch takes a second, see hpo/_lazy.py
    from hpo.launch import cuda_devices
    from hpo.results import refitted_on_test, winner_on

    tasks = study.tasks()
    try:
        best = study.best(tasks)
    except NoCandidateError as error:
        return _Side(study, tasks, None, decided=False, seen={}, lacking=str(error))
    found = best or best_so_far(study, tasks)
    if found is None:
        return _Side(study, tasks, None, decided=False, seen={}, lacking="it has no result yet")
    devices = ["cpu", *(f"cuda:{index}" for index in range(cuda_devices()))]
    seen = winner_on(study, found, devices)
    if isinstance(seen, str):
        return _Side(study, tasks, found, decided=best is not None, seen={}, lacking=seen)
    out = study.results or Path("runs") / study.name
    results = read_results(study, tasks, out) or {}
    model = refitted_on_test(study, out / "model", "cpu") if "model" in results else None
    parts = {**seen, **({} if model is None else {"model": model})}
    return _Side(study, tasks, found, decided=best is not None, seen=parts)


def _differences(sides: Sequence[_Side]) -> tuple[ResultTable | None, list[str]]:
    """Return the paired differences, and what can't be paired and why."""
    from hpo.results import paired

    rows, records, unpaired = [], [], []
    for first, second in itertools.combinations(sides, 2):
        both = f"{first.name} and {second.name}"
        lacking = [f"of {side.name}, {side.lacking}" for side in (first, second) if side.lacking]
        if lacking:
            unpaired.append(f"{both} can't be paired: {'; '.join(lacking)}.")
            continue
        for part, about in _PARTS.items():
            there = [side.seen.get(part) for side in (first, second)]
            if there[0] is None or there[1] is None:
                unpaired += _without(part, first, second)
                continue
            found = paired(there[0], there[1])
            if isinstance(found, str):
                advice = " Studies with the same data and split have the same rows."
                unpaired.append(f"{both} can't be paired on the {about}: {found}.{advice}")
                continue
            count = len(there[0].ids)
            verdict = _verdict(first, second, found)
            cells = [_signed(found[name]) for name in _F1]
            rows.append((about, f"{count:,}", first.name, second.name, *cells, verdict))
            records.append(_record(part, count, first, second, found, verdict))
    if not rows:
        return None, unpaired
    head = ("part", "rows", "first", "second", *_F1.values(), "so")
    words = ("first", "second", "so")
    table = ResultTable(
        "Differences", head, tuple(rows), words, records=tuple(records), key="differences"
    )
    return table, unpaired


def _without(part: str, first: _Side, second: _Side) -> list[str]:
    """Say why there is no difference on the test rows, where one of the studies has such rows."""
    lacking = [side.name for side in (first, second) if part not in side.seen]
    if part == "model" and any("test" not in side.seen for side in (first, second)):
        return []  # that is said of the part already
    if part == "test" and len(lacking) == 2:
        return []
    what = "a refitted model of its present state in runs/" if part == "model" else "a test part"
    return [
        f"{first.name} and {second.name} can't be paired on the {_PARTS[part]}: "
        f"{' and '.join(lacking)} has not got {what}."
    ]


def _verdict(first: _Side, second: _Side, found: Mapping[str, Interval]) -> str:
    """Say which is better, by the metric that both search for."""
    metrics = {side.study.space.metric for side in (first, second)}
    metric = metrics.pop() if len(metrics) == 1 and metrics <= set(_F1) else "micro_f1"
    interval = found[metric]
    if interval.low <= 0 <= interval.high:
        return f"can't be told apart by {_F1[metric]}"
    better = first.name if interval.value > 0 else second.name
    return f"{better} is better by {_F1[metric]}"


def _record(
    part: str,
    count: int,
    first: _Side,
    second: _Side,
    found: Mapping[str, Interval],
    verdict: str,
) -> dict[str, Any]:
    return {
        "part": part,
        "rows": count,
        "first": first.name,
        "second": second.name,
        **{
            f"{name}{end}": getattr(found[name], field)
            for name in _F1
            for end, field in (("", "value"), ("_low", "low"), ("_high", "high"))
        },
        "so": verdict,
    }


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.2f} ({interval.low:+.2f} to {interval.high:+.2f})"


def _about(sides: Sequence[_Side]) -> ResultTable:
    """Return what each study is and took, a column each; what none can tell is left out."""
    columns = [_facts(side) for side in sides]
    rows = tuple(
        (name, *(facts[name] for facts in columns))
        for name in columns[0]
        if any(facts[name] for facts in columns)
    )
    head = ("", *(side.name for side in sides))
    return ResultTable("Studies", head, rows, words=head[1:], key="studies")


def _facts(side: _Side) -> dict[str, str]:
    study, best = side.study, side.best
    space, dataset = study.space, study.definition.dataset
    done = sum(task.outcome is not None for task in side.tasks)
    took = spent(side.tasks, study.trials.all())
    if best is None or best.outcome is None:
        score, trial, size = "none yet", "", ""
    else:
        score = format_score(best.outcome.value, best.outcome.std)
        trial = f"{best.trial}{'' if side.decided else ', the best so far'}"
        size = "" if best.outcome.model_mb is None else f"{best.outcome.model_mb:.3g}"
    return {
        "search": space.search.kind,
        "data": str(dataset.get("data", "")),
        "encoder": str(dataset.get("encoder", "")),
        "rows to train, validate, test": _row_counts(study),
        "metric": metric_label(space.metric),
        "seeds": str(space.seeds),
        "configurations": f"{done:,}",
        "epochs trained": f"{epochs_trained(study, side.tasks):,}",
        # A trial that paused began anew, so its duration in Optuna is that of its last part.
        "minutes of workers": "" if any(study.pauses().values()) else f"{took.seconds / 60:,.1f}",
        "best trial": trial,
        "score": score,
        "model (MB)": size,
    }


def _row_counts(study: StoredStudy) -> str:
    try:
        split = load_bundle(study.definition.bundle).split
    except InputError:
        return f"{study.definition.train_rows:,} to train; the rest isn't known on this machine"
    return ", ".join(
        f"{len(split[part]):,}" if part in split else "none" for part in ("train", "val", "test")
    )


def _configurations(sides: Sequence[_Side]) -> ResultTable:
    """Return the values that any study varies, and others in which the best ones differ."""
    values = [
        {} if side.best is None or side.best.config is None else side.best.config.values()
        for side in sides
    ]
    varied = {name for side in sides for name in side.study.strategy.distributions}
    names = [
        name
        for name in dict.fromkeys(name for one in values for name in one)
        if name in varied or len({str(one.get(name)) for one in values}) > 1
    ]
    rows = tuple((name, *(_value(one, name) for one in values)) for name in names)
    head = ("parameter", *(side.name for side in sides))
    return ResultTable("Best configurations", head, rows, words=head[1:], key="configurations")


def _value(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    if name not in values:
        return ""
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _draw(sides: Sequence[_Side]) -> "Figure | None":
    """Return the best value of each study against the epochs; None where they differ in metric."""
    from matplotlib.figure import Figure

    courses = [best_so_far_by_epochs(side.tasks, side.study.trials.all()) for side in sides]
    metrics = {side.study.space.metric for side in sides}
    if len(metrics) > 1 or not any(courses):
        return None
    figure = Figure(figsize=(8.0, 4.2), dpi=130, layout="constrained")
    axes = figure.subplots()
    for index, (side, course) in enumerate(zip(sides, courses, strict=True)):
        axes.step(
            [epochs for epochs, _, _ in course],
            [value for _, value, _ in course],
            where="post",
            marker="o",
            markersize=3.5,
            color=_COLORS[index % len(_COLORS)],
            label=side.name,
        )
    axes.set_xlabel("epochs of single runs trained", fontsize=9)
    label = f"{metric_label(metrics.pop())}, best trial so far"
    axes.set_title(label, loc="left", fontsize=9.5)
    axes.tick_params(labelsize=8.5)
    axes.grid(color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    for side_of in ("top", "right"):
        axes.spines[side_of].set_visible(False)
    axes.legend(fontsize=8.5, frameon=False, loc="best")
    return figure
