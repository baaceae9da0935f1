"""The process that scores trials again for ``IntervalProcess``."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence

from hpo._options import Parser, add_study_options, guarded

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Read numbers of trials, a line each, and print the interval of each score as JSON."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(allow_abbrev=False)
    add_study_options(parser, cache=True)
    arguments = parser.parse_args(argv)
    if hasattr(os, "nice"):
        os.nice(10)

    from hpo.results import score_interval
    from hpo.study import StoredStudy, load_plugins

    load_plugins(arguments.plugin)
    study = StoredStudy.join(arguments.storage, arguments.study, arguments.cache)
    for line in sys.stdin:
        task = next(task for task in study.tasks() if task.trial == int(line))
        found = score_interval(study, task, "cpu")
        print(json.dumps(None if found is None else dataclasses.asdict(found)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
