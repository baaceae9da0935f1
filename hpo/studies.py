"""``hpo study``: list, show, copy, delete, export and import studies, or try again what failed."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from hpo._options import (
    Parser,
    VerbParser,
    add_plugin_option,
    add_storage_option,
    add_study_cache_option,
    guarded,
)
from hpo._writable import check_file
from hpo.errors import InputError

__all__ = ["main"]

#: Endings of the files that ``export`` writes, and the format that each stands for.
_ENDINGS = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo study",
        description="List, show, copy, delete, export and import the studies of a storage, or try "
        "again what failed in one.",
        allow_abbrev=False,
    )
    verbs = parser.add_subparsers(
        dest="verb", metavar="VERB", required=True, parser_class=VerbParser
    )

    def add(
        verb: str, run: Callable[[argparse.Namespace], int], help: str, more: str = ""
    ) -> argparse.ArgumentParser:
        description = f"{help[0].upper()}{help[1:]}. {more}".strip()
        added = verbs.add_parser(verb, help=help, description=description, allow_abbrev=False)
        added.set_defaults(run=run)
        if verb not in ("list", "import"):
            added.add_argument("name", metavar="NAME", help="name of the study")
        add_storage_option(added)
        return added

    add("list", _list, "list all studies of a storage")
    showing = add(
        "show",
        _show,
        "print one study: what it is, how far, its best trial, where its model is",
        "Nothing is changed.",
    )
    add_plugin_option(showing)
    add_study_cache_option(showing)
    showing.add_argument("--json", action="store_true", help="print one JSON object")
    copying = add(
        "copy",
        _copy,
        "copy a study to another name or another storage",
        "The copy has all of it and goes on by itself, with the same runs in the cache. Workers "
        "may be on the study meanwhile.",
    )
    copying.add_argument(
        "other", metavar="OTHER", nargs="?", help="name of the copy (default: the same name)"
    )
    copying.add_argument(
        "--to", metavar="URL", help="storage of the copy (default: that of the study)"
    )
    deleting = add(
        "delete",
        _delete,
        "delete a study",
        "Optuna's, and what hpo has of it. Workers that are on it end. The runs stay in the cache, "
        "since studies share them.",
    )
    deleting.add_argument(
        "--artifact-dir",
        type=Path,
        metavar="DIR",
        help="the dashboard's folder of artifacts: delete those that are attached to this study "
        "alone",
    )
    exporting = add(
        "export",
        _export,
        "write a study to a file",
        "csv and parquet are a table of its trials; sqlite is the whole study as one file, which "
        "`hpo study import` takes into a store again and Optuna's dashboard in the browser "
        "(https://optuna.github.io/optuna-dashboard/) opens.",
    )
    exporting.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file")
    exporting.add_argument(
        "--format",
        choices=sorted(set(_ENDINGS.values())),
        help="its format (default: by its ending, .csv, .parquet, or .db for sqlite)",
    )
    add_plugin_option(exporting)
    importing = add(
        "import",
        _import,
        "take a study from a file that export wrote into a storage",
        "The file is checked byte for byte. The study goes on as where it was; the features that "
        "it needs come from its data (`hpo run --study NAME --data DIR`) or a copied cache.",
    )
    importing.add_argument("file", type=Path, metavar="FILE", help="what export wrote")
    importing.add_argument(
        "--name", metavar="NAME", help="name of the study here (default: the name that it had)"
    )
    retrying = add(
        "retry",
        _retry,
        "open the failed tasks of a study again",
        "To be used once their cause is mended. Workers that are on it, or the next hpo run, take "
        "them up; what was trained of them is kept.",
    )
    add_plugin_option(retrying)
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


def _list(arguments: argparse.Namespace) -> int:
    from hpo.study import list_studies

    lines = list_studies(arguments.storage, arguments.wait_for_store)
    width = max((len(line.name) for line in lines), default=0)
    for line in lines:
        trials = "no trials" if line.trials is None else f"{line.trials} trials"
        tasks = "" if line.tasks is None else f", {line.tasks[0]} of {line.tasks[1]} tasks done"
        note = f"  ({line.note})" if line.note else ""
        print(f"{line.name:{width}}  {trials}{tasks}{note}")
    print(f"{len(lines)} {'study' if len(lines) == 1 else 'studies'}")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from hpo.report import about_lines, study_about
    from hpo.study import StoredStudy, load_plugins

    load_plugins(arguments.plugin)
    study = StoredStudy.join(
        arguments.storage, arguments.name, arguments.cache, "NAME", arguments.wait_for_store
    )
    about = study_about(study, study.tasks())
    if arguments.json:
        print(json.dumps(about, indent=2, ensure_ascii=False))
    else:
        print("\n".join(about_lines(about)))
    return 0


def _copy(arguments: argparse.Namespace) -> int:
    from hpo.study import copy_study
    from hpo.trials import redact

    copied = copy_study(
        arguments.storage,
        arguments.name,
        arguments.to,
        arguments.other,
        arguments.wait_for_store,
    )
    called = arguments.other or arguments.name
    if arguments.to is not None:
        called += f" in {redact(arguments.to)}"
    print(f"copied {arguments.name} to {called}: {copied.trials} trials, {copied.tasks} tasks")
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    from hpo.study import delete_study

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


def _export(arguments: argparse.Namespace) -> int:
    from hpo.study import StoredStudy, check_replaceable, export_file, load_plugins

    out: Path = arguments.out
    kind = arguments.format or _ENDINGS.get(out.suffix.lower())
    if kind is None:
        raise InputError(
            f"--out {out}: its ending must be one of {', '.join(_ENDINGS)}, or --format must say "
            "what is written."
        )
    check_file(out, "--out", may_be_database=kind == "sqlite")
    if kind == "sqlite":
        check_replaceable(out)
        copied = export_file(arguments.storage, arguments.name, out, arguments.wait_for_store)
        print(f"wrote {out}: {copied.trials} trials, {copied.tasks} tasks")
        return 0
    from hpo.report import check_trials_file, write_trials

    check_trials_file(out)
    load_plugins(arguments.plugin)
    study = StoredStudy.join(
        arguments.storage, arguments.name, option="NAME", wait=arguments.wait_for_store
    )
    trials = study.trials.all()
    write_trials(study, trials, out, kind)
    print(f"wrote {out}: {len(trials)} trials")
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from hpo.study import import_file

    name, copied = import_file(
        arguments.storage, arguments.file, arguments.name, arguments.wait_for_store
    )
    print(f"imported {name}: {copied.trials} trials, {copied.tasks} tasks")
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
