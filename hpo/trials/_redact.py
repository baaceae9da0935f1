"""How storage URLs are shown: without any part of a password, even where it was written wrongly."""

import re
from urllib.parse import unquote

__all__ = ["is_ambiguous", "redact", "scrub"]

#: Keys of a URL's query whose values say nothing secret.
_HARMLESS = {
    *("host", "hostaddr", "port", "dbname", "user", "service", "application_name", "options"),
    *("sslmode", "sslrootcert", "sslcrl", "sslsni", "ssl_min_protocol_version", "gssencmode"),
    *("channel_binding", "target_session_attrs", "load_balance_hosts", "connect_timeout"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count"),
    *("tcp_user_timeout", "client_encoding", "timeout", "mode", "cache", "uri"),
}
_SECRET = {"password", "sslpassword", "sslkey", "sslcert", "passfile"}
_HIDDEN = "***"
_NAME = re.compile(r"[\w.%+-]*")


def redact(url: str) -> str:
    """Return a storage URL without anything secret, for logs, errors and attributes.

    It goes by the text and not by what a parser makes of it: of a password with an ``@`` in it a
    parser takes a part for the host's name.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or not re.fullmatch(r"[\w+]+", scheme):
        return url if re.fullmatch(r"[\w./ -]*", url) else "…"
    login, place, query = _parts(scheme, rest)
    if login is None:
        host, colon, port = re.split(r"[/?]", place, maxsplit=1)[0].partition(":")
        if colon and not port.isdecimal() and not place.startswith(("/", "[")):
            return f"{scheme}://{host}:{_HIDDEN}"  # a login without a host
        shown = ""
    else:
        user, colon, _ = login.partition(":")
        user = user if _NAME.fullmatch(user) else _HIDDEN
        shown = f"{user}{':' if colon else ''}{_HIDDEN if colon else ''}@"
    if query is None:
        return f"{scheme}://{shown}{place}"
    return f"{scheme}://{shown}{place}?{'&'.join(map(_shown_part, query.split('&')))}"


def is_ambiguous(url: str) -> bool:
    """Tell whether a user's name or a password has an ``@`` that wasn't percent-encoded."""
    scheme, _, rest = url.partition("://")
    login, _, _ = _parts(scheme, rest)
    return login is not None and "@" in login


def scrub(message: str, url: str) -> str:
    """Return what a driver says, without anything that ``redact`` hides of the URL."""
    scheme, _, rest = url.partition("://")
    login, _, query = _parts(scheme, rest)
    secrets = [(login or "").partition(":")[2]]
    for part in (query or "").split("&"):
        key, _, value = part.partition("=")
        secrets += [] if key in _HARMLESS else [value]
    for secret in secrets:
        for written in {secret, unquote(secret)} - {""}:
            message = message.replace(written, _HIDDEN)
    return message


def _parts(scheme: str, rest: str) -> tuple[str | None, str, str | None]:
    """Return the login, the host and what follows it, and the query; None for what isn't there.

    The login is all up to the last ``@``, but that of a query as databases know them.
    """
    place, question, query = rest.partition("?")
    known = {part.partition("=")[0] for part in query.split("&")} <= _HARMLESS | _SECRET
    if "@" in query and not known:
        place, query, question = rest, "", ""
    if place.startswith("/") and scheme.startswith("sqlite"):
        login, at = "", ""
    else:
        login, at, place = place.rpartition("@")
    if "?" in place:
        place, question, query = place.partition("?")
    return login if at else None, place, query if question else None


def _shown_part(part: str) -> str:
    key, equals, _ = part.partition("=")
    return part if equals and key in _HARMLESS else f"{key if equals else ''}={_HIDDEN}"
