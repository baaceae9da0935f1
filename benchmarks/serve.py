"""Clients that ask ``hpo serve`` all at once: is every one answered, rightly, and how soon?

Each client sends a picture or a caption, or both, as the model reads them, waits for the answer,
and sends the next one. Every answer is compared with that of the same request when it was alone.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BOUNDARY = "hpo-benchmark"
#: Probabilities of a row in a batch and alone differ by rounding of its embedding to float16.
_SAME = 2e-3


def main() -> int:
    """Run the command; return 1 if an answer was lost or wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serve", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, metavar="DIR")
    parser.add_argument("--images", type=Path, metavar="DIR", help="a folder of JPEG files")
    parser.add_argument("--cache", type=Path, default=Path(".hpo"), metavar="DIR")
    parser.add_argument("--clients", type=int, default=200, metavar="N")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S")
    parser.add_argument("--different", type=int, default=64, metavar="N", help="requests")
    arguments = parser.parse_args()
    with _server(arguments.model, arguments.cache) as port:
        return asyncio.run(_measure(arguments, port))


@contextlib.contextmanager
def _server(model: Path, cache: Path) -> Iterator[int]:
    """Serve a model within the block, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "hpo", "serve", "--model", str(model), "--cache", str(cache)]
    server = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        print(server.stdout.readline(), end="")
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)


async def _measure(arguments: argparse.Namespace, port: int) -> int:
    about = json.loads(
        (await _Client(port).ask(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"))[1]
    )
    requests = _requests(about, arguments.images, arguments.different)
    alone = _Client(port)
    expected = [_probabilities(*await alone.ask(request)) for request in requests]
    times: list[float] = []
    wrong = lost = 0
    load = os.getloadavg()[0]
    began = time.monotonic()

    async def client(number: int) -> None:
        nonlocal wrong, lost
        connection, turn = _Client(port), number
        while time.monotonic() - began < arguments.seconds:
            index = turn % len(requests)
            turn += 7
            sent = time.monotonic()
            try:
                found = _probabilities(*await connection.ask(requests[index]))
            except (OSError, ValueError, KeyError, asyncio.IncompleteReadError):
                lost += 1
                connection = _Client(port)
                continue
            times.append(time.monotonic() - sent)
            wrong += any(abs(found[k] - expected[index][k]) > _SAME for k in found)

    await asyncio.gather(*(client(number) for number in range(arguments.clients)))
    seconds = time.monotonic() - began
    cuts = [1000 * x for x in statistics.quantiles(times, n=100)]
    print(
        f"{arguments.clients} clients, {seconds:.0f} s: {len(times)} answers, {lost} lost, {wrong} "
        f"wrong, {len(times) / seconds:.0f} a second; p50 {cuts[49]:.0f} ms, p95 {cuts[94]:.0f} "
        f"ms, p99 {cuts[98]:.0f} ms, longest {1000 * max(times):.0f} ms; load {load:.1f} before, "
        f"{os.getloadavg()[0]:.1f} after, {os.cpu_count()} processors for clients and server"
    )
    return 1 if lost or wrong else 0


class _Client:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Return the status and the body of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(fields["content-length"]))
        return int(head[0].split()[1]), body


def _requests(about: dict[str, Any], images: Path | None, count: int) -> list[bytes]:
    """Return requests with one row each, as the model reads them."""
    if not about["fields"]:
        rows = [
            {name: [[(n + k) % 17 / 17 for k in range(width)]] for name, width in widths.items()}
            for n in range(count)
            for widths in [about["embeddings"]]
        ]
        return [_request("application/json", json.dumps(row).encode()) for row in rows]
    files = sorted(images.rglob("*.jpg"))[:count] if images else []
    if "image" in about["fields"] and not files:
        raise SystemExit("the model reads images: --images must be a folder of JPEG files")
    found = []
    for n in range(count):
        body = b""
        if "image" in about["fields"]:
            body += _part('name="image"; filename="a.jpg"', files[n % len(files)].read_bytes())
        if "caption" in about["fields"]:
            body += _part('name="caption"', f"a photo of {n} things on a table".encode())
        body += f"--{_BOUNDARY}--\r\n".encode()
        found.append(_request(f"multipart/form-data; boundary={_BOUNDARY}", body))
    return found


def _part(said: str, content: bytes) -> bytes:
    head = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; {said}\r\n\r\n"
    return head.encode() + content + b"\r\n"


def _request(kind: str, body: bytes) -> bytes:
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _probabilities(status: int, body: bytes) -> dict[str, float]:
    """Return what an answer says of its only row.

    Raises:
        ValueError: It is none.
    """
    if status != 200:
        raise ValueError(body.decode())
    (row,) = json.loads(body)["rows"]
    probabilities: dict[str, float] = row["probabilities"]
    return probabilities


if __name__ == "__main__":
    sys.exit(main())
