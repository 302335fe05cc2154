"""The reading of bodies, with bounds on their type and size; `connections` bounds the time that they take."""

from __future__ import annotations

from http import HTTPStatus

from tagger.server.refusals import ClientGoneError, Receive, RefusedError, Scope, closing
from tagger.server.settings import Limits

_READ_AWAY = 16  # times the limit, so that a client with a body too large has sent it and reads the answer
_PLAIN = (b"application/json", b"application/json; charset=utf-8")


def checked_size(scope: Scope, limits: Limits) -> int:
    """Return the most bytes that the body of a request will take.

    Raises:
        RefusedError: it has another content type than JSON (415), or says that it is much too large (413).
    """
    declared = kind = encoding = None
    for name, value in scope["headers"]:
        if name == b"content-length":
            declared = value
        elif name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            encoding = value
    if kind not in _PLAIN:
        _check_type(b"" if kind is None else kind)
    if encoding is not None and encoding.strip().lower() != b"identity":
        message = "found a compressed body, expected a plain one"
        raise closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    n_bytes = limits.body if declared is None else int(declared)  # the parser has checked that it is a number
    if n_bytes > limits.body * _READ_AWAY:
        raise _too_large(limits)
    return min(n_bytes, limits.body)


async def read_body(receive: Receive, limits: Limits) -> bytes:
    """Read a body.

    Raises:
        RefusedError: it is too large (413).
        ClientGoneError: its client has gone or been sent away before the end.
    """
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size <= limits.body:
            parts.append(part)
        elif size > limits.body * _READ_AWAY:
            break
    if size > limits.body:
        raise _too_large(limits)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_large(limits: Limits) -> RefusedError:
    message = f"found a larger body, expected at most {limits.body} bytes; send several requests"
    return closing(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


def _check_type(kind: bytes) -> None:
    """Raise RefusedError unless a body is plain JSON; a form of another website cannot send this type."""
    media_type, _, parameters = kind.decode("latin-1").partition(";")
    charset = parameters.strip().casefold().replace('"', "")
    if media_type.strip().casefold() != "application/json" or charset not in ("", "charset=utf-8"):
        message = "found another content type, expected application/json"
        raise closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
