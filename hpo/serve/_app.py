"""The server: what it is asked over HTTP, and what it says."""

import asyncio
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpo.errors import InputError
from hpo.json_files import RepeatedKeyError, parse_json
from hpo.serve._queue import BusyError, Rows, TooManyError
from hpo.serve._rows import Asked, Reader

__all__ = ["MOST_ROWS", "make_app"]

MOST_ROWS = 256
"""Pictures and captions in one request; of embeddings there may be as many as its bytes allow."""

#: What is sent beyond the limit is read so far, so that whoever sends it reads the answer.
_DRAINED = 8
_LOCAL = ("127.0.0.1", "localhost", "[::1]")
# Everything on the page is on the page.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src blob: "
    "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class _TooLargeError(Exception):
    """A request has more bytes than are allowed."""


def make_app(reader: Reader, rows: Rows, *, most_bytes: int, local: bool) -> FastAPI:
    """Return the application.

    Args:
        reader: Makes rows of what is sent.
        rows: Answers them.
        most_bytes: In one request.
        local: Whether it is only to be asked under a name of this machine, so that no web page
            can reach it under a name of its own.
    """
    # Their pages with documentation load scripts from elsewhere.
    app = FastAPI(title="hpo", docs_url=None, redoc_url=None, openapi_url=None)
    page = files("hpo.serve").joinpath("page.html").read_text(encoding="utf-8")
    classes = list(reader.trained.classes)
    thresholds = reader.trained.thresholds

    @app.get("/", response_class=HTMLResponse)
    async def index() -> Response:
        headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
        return HTMLResponse(page, headers=headers)

    @app.get("/health")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "fields": list(reader.fields),
            "embeddings": dict(reader.trained.widths),
            "classes": classes,
            "waiting": rows.waiting,
        }

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        try:
            asked = await _asked(request, reader, most_bytes)
            futures = rows.ask(asked)
            found = await asyncio.gather(*map(asyncio.wrap_future, futures))
        except _TooLargeError:
            return _refused(413, f"the request has more than {most_bytes / 1e6:g} MB")
        except InputError as error:
            return _refused(400, str(error))
        except HTTPException as error:  # of the parser of forms
            return _refused(error.status_code, str(error.detail))
        except ClientDisconnect:
            return _refused(400, "the request ended before its end")
        except TooManyError as error:
            sentence = f"the request has {len(asked):,} rows, but must have {error.most:,} at most"
            return _refused(413, sentence)
        except BusyError:
            return _refused(503, "too many rows are waiting; ask again in a few seconds")
        answers = []
        for row, values in zip(asked, found, strict=True):
            if isinstance(values, InputError):
                return _refused(400, str(values))
            shown = [round(float(value), 7) for value in values]
            answer: dict[str, Any] = {
                "labels": [
                    name
                    for name, value, limit in zip(classes, values, thresholds, strict=True)
                    if value > limit
                ],
                "probabilities": dict(zip(classes, shown, strict=True)),
            }
            lacking = reader.lacking(row)
            answers.append(answer | ({"lacking": lacking} if lacking else {}))
        return JSONResponse({"rows": answers})

    @app.exception_handler(HTTPException)
    async def elsewhere(request: Request, error: HTTPException) -> Response:
        asked = f"{request.method} {request.url.path[:80]}"
        sentence = f"{asked} isn't answered here, but POST /predict, GET /health and GET / are"
        return _refused(error.status_code, sentence)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        # Its traceback is on standard error.
        return _refused(500, f"the server met with something unforeseen: {type(error).__name__}")

    if local:
        app.add_middleware(_LocalNames)
    return app


async def _asked(request: Request, reader: Reader, most_bytes: int) -> list[Asked]:
    """Return the rows of a request.

    Raises:
        InputError: They aren't what the model reads.
        _TooLargeError: There is too much of it.
    """
    request = Request(request.scope, _Counted(request.receive, most_bytes))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = await request.body()
        return await run_in_threadpool(_from_json, reader, body)
    if kind != "multipart/form-data":
        raise InputError("the request must be multipart/form-data or application/json")
    async with request.form(
        max_files=MOST_ROWS, max_fields=MOST_ROWS, max_part_size=most_bytes
    ) as form:
        images: list[bytes] = []
        captions: list[str] = []
        for name, value in form.multi_items():
            if name == "image":
                images.append(await _image(value))
            elif name == "caption" and isinstance(value, str):
                captions.append(value)
            else:
                raise InputError(
                    f"there is a field '{name[:80]}', but fields must be image (a file) and "
                    "caption (a text)"
                )
    return await run_in_threadpool(reader.given, images, captions)


async def _image(value: UploadFile | str) -> bytes:
    """Return the bytes of a picture; none of an empty field."""
    if not isinstance(value, str):
        return await value.read()
    if value:
        raise InputError(
            f"image is the text {value[:80]!r}, but must be a file; nothing is fetched from a URL"
        )
    return b""


def _from_json(reader: Reader, body: bytes) -> list[Asked]:
    try:
        given = parse_json(body, keys_once=True)
    except RepeatedKeyError as error:
        raise InputError(f"the request's JSON can't be read: {error}") from None
    except ValueError:
        raise InputError("the request's JSON can't be read") from None
    return reader.embedded(given)


class _Counted:
    """The body of a request, counted as it comes.

    Args:
        receive: Gives it.
        most: Bytes.
    """

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive = receive
        self._most = most
        self._count = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._count += len(message.get("body", b""))
        if self._count > self._most:
            while message.get("more_body") and self._count < _DRAINED * self._most:
                message = await self._receive()
                self._count += len(message.get("body", b""))
            raise _TooLargeError
        return message


class _LocalNames:
    """Refuses what is asked under a name that isn't this machine's own (DNS rebinding)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").lower()
            name, _, port = (host, "", "") if host.endswith("]") else host.rpartition(":")
            if (name or port) not in _LOCAL or (name and port and not port.isdecimal()):
                answer = _refused(403, f"ask for it as one of {', '.join(_LOCAL)}, not {host[:80]}")
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refused(status: int, sentence: str) -> JSONResponse:
    # A key in the JSON of a request may have half a character.
    shown = (sentence[:1].upper() + sentence[1:]).encode(errors="backslashreplace").decode()
    return JSONResponse({"error": shown}, status)
