"""``hpo status``: how far a study is that others run."""

import json
import sys
from collections.abc import Sequence

from hpo._options import FAILED_TASKS, Parser, add_study_options, guarded

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo status",
        description="Print how far a study is: what is done and in progress, and the best so far. "
        "Nothing is changed.",
        allow_abbrev=False,
    )
    add_study_options(parser, cache=True)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args(argv)

    from hpo.study import StoredStudy, failed_tasks, load_plugins, status_lines, study_status

    load_plugins(arguments.plugin)
    wait = arguments.wait_for_store
    study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache, wait=wait)
    tasks = study.tasks()
    status = study_status(study, tasks)
    if arguments.json:
        print(json.dumps(status, indent=2, ensure_ascii=False))
    else:
        print("\n".join(status_lines(status)))
    return FAILED_TASKS if failed_tasks(tasks) else 0


if __name__ == "__main__":
    sys.exit(main())
