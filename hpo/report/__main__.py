"""``python -m hpo.report --study NAME``: tables and figures of a study, finished or not."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpo._options import FAILED_TASKS, NO_CANDIDATE, Parser, add_study_options, guarded
from hpo._writable import check_folder

if TYPE_CHECKING:
    from hpo.search import Task
    from hpo.study import StoredStudy

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="python -m hpo.report",
        description="Write the tables and figures of a study, finished or not; or several studies "
        "side by side.",
        allow_abbrev=False,
    )
    add_study_options(parser, cache=True, required=False)
    parser.add_argument(
        "--compare",
        nargs="+",
        metavar="NAME",
        help="instead of --study: studies of the storage side by side, with the differences of "
        "their winners on the same rows",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder of the report (default: runs/NAME/report, or runs/comparison/NAME-NAME)",
    )
    arguments = parser.parse_args(argv)
    if (arguments.study is None) == (arguments.compare is None):
        parser.error("give one of --study NAME and --compare NAME NAME")
    if arguments.compare is not None:
        return _compare(arguments)

    from hpo.report import write_report
    from hpo.search import NoCandidateError
    from hpo.study import StoredStudy, concerns, failed_tasks, load_plugins

    out = arguments.out or Path("runs") / arguments.study / "report"
    check_folder(out, "--out")
    load_plugins(arguments.plugin)
    wait = arguments.wait_for_store
    study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache, wait=wait)
    try:
        tasks = study.tasks()
        paths = write_report(study, tasks, out, _results(study, tasks, out))
    except NoCandidateError as error:
        print(f"error: {error} See {out / 'trials.csv'}.", file=sys.stderr)
        return NO_CANDIDATE
    if not study.definition.run_store.is_dir():
        print(
            f"There are no runs at {study.definition.run_store}, so the figures have no losses; "
            "give the folder that holds them on this machine with --cache.",
            file=sys.stderr,
        )
    for line in concerns(study, tasks):
        print(f"CAUTION: {line}")
    for line in _listed(out, paths):
        print(f"  {line}")
    return FAILED_TASKS if failed_tasks(tasks) else 0


def _results(study: "StoredStudy", tasks: "list[Task]", out: Path) -> dict[str, Any] | None:
    """Return the results that are beside the report, or where ``hpo run`` puts them."""
    from hpo.report import bring_errors, read_results

    results = read_results(study, tasks, out.parent)
    for usual in (study.results, Path("runs") / study.name):
        if results is None and usual is not None:
            results = read_results(study, tasks, usual)
            if results is not None:
                bring_errors(usual / "report", out)
    return results


def _compare(arguments: argparse.Namespace) -> int:
    from hpo.errors import InputError
    from hpo.report import write_comparison
    from hpo.study import StoredStudy, check_name, load_plugins

    names = arguments.compare
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"--compare {' '.join(names)}: must be two or more different studies of the storage."
        )
    for name in names:
        check_name(name)
    folder = "-".join(name.replace("/", "_") for name in names)
    out = arguments.out or Path("runs") / "comparison" / folder
    check_folder(out, "--out")
    load_plugins(arguments.plugin)
    studies = [
        StoredStudy.join(
            arguments.storage,
            name,
            arguments.cache,
            option="--compare",
            wait=arguments.wait_for_store,
        )
        for name in names
    ]
    for line in _listed(out, write_comparison(studies, out)):
        print(f"  {line}")
    return 0


def _listed(out: Path, paths: Sequence[Path]) -> list[str]:
    """Return the files in a folder, and for each folder in it how many it got."""
    counts = Counter(path.parent for path in paths if path.parent != out)
    folders = [f"{folder}{os.sep} ({count} files)" for folder, count in counts.items()]
    return [*(str(path) for path in paths if path.parent == out), *folders]


if __name__ == "__main__":
    sys.exit(main())
