"""``python -m hpo.worker``: join a study, from any process or machine, until it is done."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hpo._options import NO_CANDIDATE, add_study_options, add_timing_options, guarded

__all__ = ["main"]

#: The worker left before the study was done: it was stopped, or a limit was reached.
LEFT_EARLY = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m hpo.worker", description=__doc__, allow_abbrev=False
    )
    add_study_options(parser)
    parser.add_argument(
        "--device", default="auto", help="auto, cpu or cuda:N (default: %(default)s)"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        metavar="DIR",
        help="where this machine sees the study's features and runs (default: as in the study)",
    )
    add_timing_options(parser)
    arguments = parser.parse_args(argv)

    import torch

    from hpo.errors import InputError
    from hpo.search import NoCandidateError
    from hpo.service import Study, Worker, WorkerSettings, resolve_devices

    study = Study.join(arguments.storage, arguments.study)
    if arguments.cache is not None:
        study.definition = replace(study.definition, cache=str(arguments.cache.absolute()))
    if not study.definition.bundle.is_dir():
        raise InputError(
            f"The study's features are not at {study.definition.bundle}; give the folder that "
            "holds them on this machine with --cache."
        )
    settings = WorkerSettings(
        device=resolve_devices(arguments.device, torch.cuda.device_count)[0],
        heartbeat=arguments.heartbeat,
        grace=arguments.grace,
        stall_timeout=arguments.stall_timeout,
    )
    try:
        complete = Worker(study, settings).run()
    except NoCandidateError as error:
        print(f"error: {error}", file=sys.stderr)
        return NO_CANDIDATE
    return 0 if complete else LEFT_EARLY


if __name__ == "__main__":
    sys.exit(main())
