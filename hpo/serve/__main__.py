"""``hpo serve --model DIR --port N``: a model for whoever can send a picture over HTTP."""

import argparse
import ipaddress
import signal
import socket
import sys
from collections.abc import Sequence

from hpo._options import (
    LAST_PORT,
    Parser,
    add_cache_option,
    add_model_options,
    add_plugin_option,
    guarded,
    positive,
)

__all__ = ["main"]

_STOPPED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    return guarded(_main, argv)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="hpo serve",
        description="Serve a model over HTTP: POST /predict, GET /health, and a page to drop a "
        "picture on.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add_model_options(parser)
    add(
        "--host",
        default="127.0.0.1",
        help="address to listen on; there is no authentication (default: %(default)s)",
    )
    add("--port", type=positive(int), default=8000, metavar="N", help="default: %(default)s")
    add(
        "--batch",
        type=positive(int),
        default=32,
        metavar="ROWS",
        help="rows that are answered together at most (default: %(default)s)",
    )
    add(
        "--wait-ms",
        type=positive(float),
        default=5.0,
        metavar="MS",
        help="how long a row waits for others to be answered with it (default: %(default)g)",
    )
    add(
        "--queue",
        type=positive(int),
        default=4096,
        metavar="ROWS",
        help="rows that may wait; a request beyond that gets the status 503 (default: %(default)s)",
    )
    add(
        "--max-mb",
        type=positive(float),
        default=32.0,
        metavar="MB",
        help="size of a request at most, in 10^6 bytes (default: %(default)g)",
    )
    add_cache_option(parser, "remembered hashes of weights")
    add("--devices", default="auto", metavar="auto|cpu|cuda:0", help="default: %(default)s")
    add_plugin_option(parser)
    return parser


def _main(argv: Sequence[str] | None) -> int:
    arguments = _parser().parse_args(argv)

    from hpo.errors import InputError

    if arguments.port > LAST_PORT:
        raise InputError(f"--port is {arguments.port}, but must be at most {LAST_PORT}")
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError:
        raise InputError("Serving needs FastAPI and uvicorn; pip install 'hpo[serve]'.") from None
    from hpo.features import named_values
    from hpo.library import load_model
    from hpo.serve._app import make_app
    from hpo.serve._queue import Rows
    from hpo.serve._rows import Reader
    from hpo.study import load_plugins

    load_plugins(arguments.plugin)
    listening = _listen(arguments.host, arguments.port)
    try:
        places = named_values(arguments.encoder, "--encoder", "NAME=PATH")
        model = load_model(
            arguments.model,
            encoder=places,
            cache=arguments.cache,
            device=arguments.devices,
        )
        reader = Reader(model)
        rows = Rows(
            reader.answer,
            most=arguments.batch,
            wait_s=arguments.wait_ms / 1000,
            waiting=arguments.queue,
        )
        local = _is_loopback(listening)
        app = make_app(reader, rows, most_bytes=int(arguments.max_mb * 1e6), local=local)
        server = uvicorn.Server(
            uvicorn.Config(app, log_level="error", access_log=False, timeout_graceful_shutdown=10)
        )
        _announce(arguments, listening, reader.fields, local=local)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            print("stopped", flush=True)
            return _STOPPED
        finally:
            signal.signal(signal.SIGTERM, before)
            rows.close()
    finally:
        listening.close()
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, before anything is loaded.

    Raises:
        InputError: The address is no good, or taken.
    """
    from hpo.errors import InputError

    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"--host {host} --port {port}: can't listen there: {reason}") from None


def _is_loopback(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def _announce(
    arguments: argparse.Namespace,
    listening: socket.socket,
    fields: Sequence[str],
    *,
    local: bool,
) -> None:
    """Say where the server is, what it reads, and who can reach it."""
    host, port = listening.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    reads = " and ".join(fields) or "embeddings only"
    if not local:
        print(
            f"warning: --host {arguments.host}: whoever reaches this machine can use the model and "
            "its processors; there is no authentication and no encryption",
            file=sys.stderr,
        )
    print(f"serving {arguments.model} at http://{shown}:{port} (reads {reads})", flush=True)


if __name__ == "__main__":
    sys.exit(main())
