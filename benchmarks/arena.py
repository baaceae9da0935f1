"""What a user gets, and how soon: contestants on rows that none of their decisions saw.

    python -m benchmarks.arena --repeats 5
    python -m benchmarks.arena --only best tutorial --sets comp5329 --repeats 1
    python -m benchmarks.arena --only best --ingredients --repeats 3
    python -m benchmarks.arena --only best tutorial --tenth --sets comp5329 --repeats 3

Each contestant gets a data folder with labelled rows and, as test.csv, rows whose labels it can't
see, and has to leave ``predictions.csv``. The time is that from the command to this file, imports
and all.

- COMP5329: the first 5,000 rows to train, the last 5,000 to validate, the 20,000 between untouched.
- Movies: a fifth of the rows untouched, drawn by label with the seed of the repetition; of the
  others a fifth to validate.

``tutorial`` is ``../shared/arena/tutorial.py``, a script as Optuna's tutorial has it; it is scored
with the labels of the untouched rows by itself, whenever its best trial changes. ``greedy``
(widths a quarter, one seed) has no seed of its own: on COMP5329, whose rows are always the same, it
runs once. What takes longest runs in the first repetition only, unless ``--all`` is given.

With ``--tenth``, ``best`` also gets a time limit of a tenth of what the script took in this run.

With ``--keep DIR`` outcomes are stored there, and what is there already isn't run again: so a
contestant that takes long, and doesn't change, need not be waited for twice.
"""

import argparse
import dataclasses
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks._arena_data import SETS, build
from benchmarks._contestants import CONTESTANTS, INGREDIENTS, Outcome, Round, best_within
from hpo.results import f1_differences

#: What runs in every repetition; the others once, unless all are asked for.
_REPEATED = ("best", "greedy", *INGREDIENTS)
_TENTH = "best, in a tenth of the script's time"


def main() -> None:
    """Run the contestants and print a table for each data set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, metavar="N")
    parser.add_argument("--only", nargs="+", choices=list(CONTESTANTS), default=list(CONTESTANTS))
    parser.add_argument(
        "--ingredients", action="store_true", help="also `best` with one ingredient taken away"
    )
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--trials", type=int, default=40, help="of the tutorial's script and Ray")
    parser.add_argument("--all", action="store_true", help="all contestants in every repetition")
    parser.add_argument(
        "--tenth",
        action="store_true",
        help="also `best` with a time limit of a tenth of what the tutorial's script took",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="store outcomes, and use them")
    arguments = parser.parse_args()
    for name in arguments.sets:
        print(f"\n## {name}\n", flush=True)
        results: dict[str, dict[int, Outcome]] = {}
        for repeat in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                data = Path(folder) / "data"
                build(name, data, repeat)
                for contestant in _due(arguments, name, repeat):
                    label = contestant.replace(" ", "-").replace(",", "")
                    work = Path(folder) / label
                    work.mkdir()
                    this = Round(name, data, work, repeat, arguments.trials)
                    keep = arguments.keep and arguments.keep / f"{name}-{label}-{repeat}"
                    outcome = _outcome(contestant, this, keep)
                    results.setdefault(contestant, {})[repeat] = outcome
                    print(_line(contestant, repeat, outcome), flush=True)
                script = results.get("tutorial", {}).get(0)
                if arguments.tenth and script is not None:
                    work = Path(folder) / "tenth"
                    work.mkdir()
                    this = Round(name, data, work, repeat, arguments.trials)
                    outcome = best_within(script.seconds / 10)(this)
                    results.setdefault(_TENTH, {})[repeat] = outcome
                    print(_line(_TENTH, repeat, outcome), flush=True)
        print("\n" + "\n".join(table(results, same_rows=name == "comp5329")), flush=True)


def _due(arguments: argparse.Namespace, name: str, repeat: int) -> Iterator[str]:
    """Yield the contestants of a repetition."""
    chosen = [*arguments.only, *(INGREDIENTS if arguments.ingredients else ())]
    for contestant in chosen:
        again = contestant in _REPEATED and not (contestant == "greedy" and name == "comp5329")
        if repeat == 0 or again or arguments.all:
            yield contestant


def _outcome(contestant: str, this: Round, keep: Path | None) -> Outcome:
    """Return what a contestant does, or did when it was run before and kept."""
    if keep is not None and keep.with_suffix(".json").exists():
        raw = json.loads(keep.with_suffix(".json").read_text(encoding="utf-8"))
        arrays = dict(np.load(keep.with_suffix(".npz"))) if raw.pop("has_predictions") else {}
        return Outcome(**raw, **arrays)
    outcome = (CONTESTANTS | INGREDIENTS)[contestant](this)
    if keep is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        plain = {f.name: getattr(outcome, f.name) for f in dataclasses.fields(outcome)}
        arrays = {name: plain.pop(name) for name in ("predicted", "truth")}
        has = arrays["predicted"] is not None
        if has:
            np.savez_compressed(keep.with_suffix(".npz"), **arrays)
        keep.with_suffix(".json").write_text(json.dumps({**plain, "has_predictions": has}))
    return outcome


def table(results: dict[str, dict[int, Outcome]], *, same_rows: bool) -> list[str]:
    """Return a Markdown table: means over repetitions ± their spread, and two comparisons.

    Differences from ``greedy`` are those of the first repetition, paired over rows, with 95%
    intervals; then how many repetitions are above it by what is asked. Times and epochs are also
    given as shares of the tutorial script's.

    Args:
        results: Outcomes by contestant and repetition.
        same_rows: Whether all repetitions have the same rows, so that one run of ``greedy``
            stands for all.
    """
    lines = [
        "| contestant | micro-F1 | macro-F1 | against greedy: micro | macro | each repetition "
        "against greedy | epochs | s | of the tutorial's time |",
        "| --- | --- | --- | --- | --- | --- | ---: | ---: | ---: |",
    ]
    greedy = results.get("greedy", {})
    script = results.get("tutorial", {}).get(0)
    for name, by_repeat in results.items():
        outcomes = list(by_repeat.values())
        seconds = statistics.fmean(outcome.seconds for outcome in outcomes)
        cells = [
            _mean([outcome.micro for outcome in outcomes]),
            _mean([outcome.macro for outcome in outcomes]),
            *(("", "") if name == "greedy" else _against(greedy.get(0), by_repeat.get(0))),
            "" if name == "greedy" else _each(greedy, by_repeat, same_rows),
            _mean([float(o.epochs) for o in outcomes if o.epochs is not None], digits=0),
            _mean([outcome.seconds for outcome in outcomes], digits=0),
            "" if script is None else f"{seconds / script.seconds:.2f}",
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _against(greedy: Outcome | None, mine: Outcome | None) -> tuple[str, str]:
    if greedy is None or mine is None:
        return "", ""
    if mine.predicted is None or greedy.predicted is None or greedy.truth is None:
        return f"{mine.micro - greedy.micro:+.2f}", f"{mine.macro - greedy.macro:+.2f}"
    (difference,) = f1_differences([mine.predicted], [[greedy.predicted]], greedy.truth)
    return str(difference["micro_f1"]), str(difference["macro_f1"])


def _each(greedy: dict[int, Outcome], mine: dict[int, Outcome], same_rows: bool) -> str:
    """Return the differences of all repetitions for which ``greedy`` has the same rows."""
    cells = []
    for repeat, outcome in mine.items():
        against = greedy.get(0 if same_rows else repeat)
        if against is not None:
            differences = (outcome.micro - against.micro, outcome.macro - against.macro)
            cells.append("{:+.2f}/{:+.2f}".format(*differences))
    return ", ".join(cells)


def _mean(values: list[float], digits: int = 2) -> str:
    if not values:
        return ""
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.{digits}f}{spread}"


def _line(contestant: str, repeat: int, outcome: Outcome) -> str:
    return (
        f"{contestant} {repeat}: micro {outcome.micro:.2f} macro {outcome.macro:.2f}, "
        f"{outcome.epochs} epochs, {outcome.seconds:.0f} s"
    )


if __name__ == "__main__":
    main()
