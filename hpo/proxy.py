"""``hpo proxy``: serve one database to many workers over gRPC."""

import signal
import sys
from collections.abc import Sequence

from hpo._options import DEFAULT_STORAGE, LAST_PORT, Parser, add_wait_option, guarded, positive

__all__ = ["main"]

#: Seconds in which calls that are under way may end after SIGTERM.
_GRACE_S = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    parser = Parser(
        prog="hpo proxy",
        description="Serve one database to many workers over gRPC.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--storage",
        default=DEFAULT_STORAGE,
        metavar="URL",
        help="database to serve (default: %(default)s)",
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; there is no authentication (default: %(default)s)",
    )
    parser.add_argument(
        "--port", type=positive(int), default=13000, help="port (default: %(default)s)"
    )
    add_wait_option(parser)
    arguments = parser.parse_args(argv)
    if arguments.port > LAST_PORT:
        parser.error(f"argument --port: is {arguments.port}, but must be at most {LAST_PORT}")

    from hpo.errors import InputError
    from hpo.queue import first_patience, redact
    from hpo.trials import is_proxy

    try:
        from hpo.queue._server import serve
    except ImportError:
        raise InputError("The proxy needs gRPC; pip install 'hpo[grpc]'.") from None
    if is_proxy(arguments.storage):
        raise InputError(
            f"--storage {redact(arguments.storage)} is a proxy, but must be the database that is "
            "served, such as sqlite:///studies.db."
        )
    try:
        patience = first_patience(arguments.wait_for_store)
        server = patience(lambda: serve(arguments.storage, arguments.host, arguments.port))
    except RuntimeError as error:
        raise InputError(
            f"--host {arguments.host} --port {arguments.port}: can't listen there: {error}"
        ) from None
    before = signal.signal(signal.SIGTERM, lambda *_: server.stop(grace=_GRACE_S))
    try:
        print(
            f"serving {redact(arguments.storage)} at grpc://{arguments.host}:{arguments.port}",
            flush=True,
        )
        server.wait_for_termination()
    finally:
        server.stop(grace=None)
        signal.signal(signal.SIGTERM, before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
