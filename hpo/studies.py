"""``hpo study``: list the studies of a storage, delete one, or try again what failed in it."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import add_plugin_option, add_storage_option, guarded

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="hpo study",
        description="List the studies of a storage, delete one, or try again what failed in it.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="list|delete|retry", required=True)
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
    retrying = verbs.add_parser(
        "retry",
        help="open the failed tasks of a study again",
        description="Open the failed tasks of a study again, once their cause is mended. Workers "
        "that are on it, or the next hpo run, take them up; what was trained of them is kept.",
        allow_abbrev=False,
    )
    retrying.add_argument("name", metavar="NAME", help="name of the study")
    add_storage_option(retrying)
    add_plugin_option(retrying)
    arguments = parser.parse_args(argv)
    verb = {"list": _list, "delete": _delete, "retry": _retry}[arguments.verb]
    return verb(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from hpo.study._delete import list_studies

    lines = list_studies(arguments.storage, arguments.wait_for_store)
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

    deleted = delete_study(
        arguments.storage, arguments.name, arguments.artifact_dir, arguments.wait_for_store
    )
    artifacts = "" if arguments.artifact_dir is None else f", {deleted.artifacts} artifacts"
    print(f"deleted {arguments.name}: {deleted.trials} trials, {deleted.tasks} tasks{artifacts}")
    print(
        "Its runs stay in the cache, which studies share (hpo runs prune makes it smaller), and so "
        "do its results (--out of hpo run)."
    )
    return 0


def _retry(arguments: argparse.Namespace) -> int:
    from hpo.study import StoredStudy, load_plugins, retry_failed

    load_plugins(arguments.plugin)
    wait = arguments.wait_for_store
    study = StoredStudy.join(arguments.storage, arguments.name, option="NAME", wait=wait)
    failed = retry_failed(study)
    for task in failed:
        print(f"task {task.position}, trial {task.trial}: {' '.join((task.reason or '').split())}")
    print(f"{len(failed)} failed {'task' if len(failed) == 1 else 'tasks'} opened again")
    if failed:
        print("`hpo run` with the arguments of before goes on with it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
