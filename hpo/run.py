"""``python -m hpo.run --study NAME``: the whole study, then the refit and the predictions."""

import argparse
import contextlib
import sys
import time
from collections.abc import Sequence

from hpo._options import NO_CANDIDATE, ending, guarded
from hpo._run_options import run_parser
from hpo._run_screen import Shown, shown

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    arguments = run_parser().parse_args(argv)

    from hpo.errors import InputError
    from hpo.events import Finished
    from hpo.search import NoCandidateError

    if arguments.dry_run and arguments.json:
        raise InputError("--json: tells what happens, and with --dry-run nothing does.")
    with contextlib.ExitStack() as stack:
        show = stack.enter_context(shown(quiet=arguments.quiet, machine=arguments.json))
        try:
            status = _carry_out(arguments, sys.argv[1:] if argv is None else argv, stack, show)
        except NoCandidateError as error:
            show.tell(Finished(NO_CANDIDATE, str(error)))
            print(
                f"error: {error} The tracebacks are with the failed trials, in the dashboard; once "
                f"the cause is mended, `hpo study retry {arguments.study}` opens them again.",
                file=sys.stderr,
            )
            return NO_CANDIDATE
        except (Exception, KeyboardInterrupt) as error:
            show.tell(Finished(*ending(error)))
            raise
        show.tell(Finished(status))
        return status


def _carry_out(
    arguments: argparse.Namespace,
    argv: Sequence[str],
    stack: contextlib.ExitStack,
    show: Shown,
) -> int:
    """Do what is asked for; return the exit status."""
    began = time.monotonic()

    from hpo._dry_run import dry_run
    from hpo._run_request import read_request
    from hpo._run_study import run_study

    request = read_request(arguments, stack, began)
    if arguments.dry_run:
        dry_run(request, show.last)
        return 0
    return run_study(request, argv, stack, show)


if __name__ == "__main__":
    sys.exit(main())
