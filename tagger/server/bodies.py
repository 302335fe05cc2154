"""The reading of bodies, with bounds on their type, their size and the time that they take."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

from tagger.server.admission import Admission
from tagger.server.refusals import Receive, RefusedError, Scope, closing
from tagger.server.settings import Limits

_READ_AWAY = 16  # times the limit, so that a client with a body too large has sent it and reads the answer


@contextlib.asynccontextmanager
async def read_body(scope: Scope, receive: Receive, admission: Admission, limits: Limits) -> AsyncIterator[bytes]:
    """Read the body of a request, which counts as held inside the `async with` block.

    Raises:
        RefusedError: it has another content type (415), is too large (413) or too slow (408), or the server is full
            (429).
    """
    headers = dict(scope["headers"])
    _check_type(headers)
    declared = headers.get(b"content-length")
    n_bytes = limits.body if declared is None else int(declared)  # the parser has checked that it is a number
    if n_bytes > limits.body * _READ_AWAY:
        raise _too_large(limits)
    with admission.admitted(min(n_bytes, limits.body)):
        try:
            async with asyncio.timeout(limits.body_seconds):
                body = await _read(receive, limits)
        except TimeoutError:
            message = f"found an incomplete body after {limits.body_seconds:g} seconds; send it faster"
            raise closing(HTTPStatus.REQUEST_TIMEOUT, message) from None
        yield body


async def _read(receive: Receive, limits: Limits) -> bytes:
    parts, size, more = list[bytes](), 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise closing(HTTPStatus.BAD_REQUEST, "the client has gone")  # nobody reads it
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


def _check_type(headers: dict[bytes, bytes]) -> None:
    """Raise RefusedError unless a body is plain JSON; a form of another website cannot send this type."""
    media_type, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    charset = parameters.strip().casefold().replace('"', "")
    if media_type.strip().casefold() != "application/json" or charset not in ("", "charset=utf-8"):
        message = "found another content type, expected application/json"
        raise closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        message = "found a compressed body, expected a plain one"
        raise closing(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, message)
