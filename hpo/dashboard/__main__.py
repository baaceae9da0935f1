"""``hpo dashboard``: watch the studies of a storage in the browser."""

import contextlib
import ipaddress
import sys
from collections.abc import Sequence
from pathlib import Path

from hpo._options import Parser, add_storage_option, guarded, port_number

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo dashboard",
        description="Watch the studies of a storage in the browser, with optuna-dashboard: trials, "
        "notes, plots and files.",
        allow_abbrev=False,
    )
    add_storage_option(parser)
    parser.add_argument(
        "--artifact-dir",
        type=Path,
        metavar="DIR",
        help="folder of the trials' files (default: artifacts in the cache .hpo here)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; there is no authentication (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=port_number, default=8080, help="port (default: %(default)s)"
    )
    arguments = parser.parse_args(argv)

    from hpo.dashboard._artifacts import ARTIFACTS
    from hpo.dashboard._server import serving
    from hpo.trials import check_exists

    check_exists(arguments.storage)
    artifacts = arguments.artifact_dir or Path(".hpo") / ARTIFACTS
    wait = arguments.wait_for_store
    where = arguments.storage, arguments.host, arguments.port, artifacts, wait
    with contextlib.suppress(KeyboardInterrupt), serving(*where) as server:
        if not ipaddress.ip_address(str(server.server_address[0])).is_loopback:
            print(
                f"warning: {arguments.host} can be reached from other machines, and the dashboard "
                "has no authentication: whoever reaches it can read and delete studies.",
                file=sys.stderr,
            )
        print(f"http://{_shown(arguments.host)}:{server.server_port}/dashboard/", flush=True)
        server.serve_forever()
    return 0


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
