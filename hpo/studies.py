"""``hpo study``: list the studies of a storage, or delete one."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import add_storage_option, guarded

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="hpo study",
        description="List the studies of a storage, or delete one.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="list|delete", required=True)
    listing = verbs.add_parser("list", help="list all studies of a storage", allow_abbrev=False)
    add_storage_option(listing)
    deleting = verbs.add_parser(
        "delete",
        help="delete a study",
        description="Delete a study: Optuna's, and what hpo has of it. Workers that are on it end. "
        "The runs stay in the cache, since studies share them.",
        allow_abbrev=False,
    )
    deleting.add_argument("name", metavar="NAME", help="name of the study")
    add_storage_option(deleting)
    deleting.add_argument(
        "--artifact-dir",
        type=Path,
        metavar="DIR",
        help="the dashboard's folder of artifacts: delete those that are attached to this study "
        "alone",
    )
    arguments = parser.parse_args(argv)
    if arguments.verb == "list":
        return _list(arguments)
    return _delete(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from hpo.study._delete import list_studies

    lines = list_studies(arguments.storage)
    width = max((len(line.name) for line in lines), default=0)
    for line in lines:
        trials = "no trials" if line.trials is None else f"{line.trials} trials"
        tasks = "" if line.tasks is None else f", {line.tasks[0]} of {line.tasks[1]} tasks done"
        note = f"  ({line.note})" if line.note else ""
        print(f"{line.name:{width}}  {trials}{tasks}{note}")
    print(f"{len(lines)} {'study' if len(lines) == 1 else 'studies'}")
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    from hpo.study._delete import delete_study

    deleted = delete_study(arguments.storage, arguments.name, arguments.artifact_dir)
    artifacts = "" if arguments.artifact_dir is None else f", {deleted.artifacts} artifacts"
    print(f"deleted {arguments.name}: {deleted.trials} trials, {deleted.tasks} tasks{artifacts}")
    print(
        "Its runs stay in the cache, which studies share (hpo runs prune makes it smaller), and so "
        "do its results (--out of hpo run)."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
