"""``hpo runs``: list, check or prune the run store."""

import sys
import time
from collections.abc import Sequence

from hpo._options import Parser, add_cache_option, guarded, positive

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo runs",
        description="List, check or prune the stored training runs.",
        allow_abbrev=False,
    )
    parser.add_argument("action", choices=("list", "check", "prune"))
    add_cache_option(parser)
    parser.add_argument(
        "--run-store-gb",
        type=positive(float),
        default=20.0,
        metavar="GB",
        help="prune weights and states to at most this many 10^9 bytes (default: %(default)g)",
    )
    arguments = parser.parse_args(argv)

    from hpo.errors import InputError
    from hpo.training import RunStore, check_store, summarise, trim_store

    folder = arguments.cache / "runs"
    if not folder.is_dir():
        raise InputError(f"--cache {arguments.cache}: there is no run store in it.")
    store = RunStore(folder)
    if arguments.action == "list":
        runs = summarise(store)
        print(f"{'run':20}  {'inputs':12} {'seed':>4} {'epochs':>6} {'MB':>9}  last used")
        for run in runs:
            used = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.used))
            print(
                f"{run.address:20}  {run.inputs or '?':12} "
                f"{'?' if run.seed is None else run.seed:>4} {run.epochs:>6} "
                f"{run.size / 1e6:>9.2f}  {used}{'  ended: ' + run.ended if run.ended else ''}"
            )
        print(f"{len(runs)} runs, {sum(run.size for run in runs) / 1e9:.3f} GB")
        return 0
    if arguments.action == "check":
        damaged = check_store(store)
        for damage in damaged:
            if damage.file is None:
                print(
                    f"damaged: {folder / damage.address} run.json; it is written again with the "
                    "next file of the run"
                )
            else:
                print(
                    f"damaged: {folder / damage.address} epoch {damage.file.epoch} "
                    f"{damage.file.kind}; it is trained again when it is needed"
                )
        print(f"{len(store.addresses())} runs, {len(damaged)} damaged files")
        return 1 if damaged else 0
    freed = trim_store(store, arguments.run_store_gb)
    print(f"freed {freed / 1e9:.3f} GB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
