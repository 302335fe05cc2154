"""The answers to requests that are not served, as JSON that says nothing about this machine."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]


class RefusedError(Exception):
    """A request that is not served, and why.

    Args:
        status: the status of the answer.
        message: what was found, what was expected and what to do; it must not come from an error about this machine.
        headers: headers of the answer, in lower case.
    """

    def __init__(self, status: HTTPStatus, message: str, headers: Headers = ()) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers

    @property
    def body(self) -> bytes:
        """The answer, such as `{"error": {"status": 413, "message": "…"}}`."""
        return json.dumps({"error": {"status": int(self.status), "message": self.message}}).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await answer(send, self.status, self.body, headers=self.headers)


class ClientGoneError(Exception):
    """A client that has gone, or was sent away, before the end of its request: nobody reads an answer."""


def closing(status: HTTPStatus, message: str) -> RefusedError:
    """Return a refusal that ends the connection, because the rest of the request is not read."""
    return RefusedError(status, message, ((b"connection", b"close"),))


def busy(message: str, retry_after: int, status: HTTPStatus = HTTPStatus.TOO_MANY_REQUESTS) -> RefusedError:
    """Return a refusal that says when to try again, in seconds."""
    return RefusedError(status, message, ((b"retry-after", b"%d" % retry_after),))


async def answer(
    send: Send, status: int, body: bytes, media_type: bytes = b"application/json", headers: Headers = ()
) -> None:
    """Send a whole answer."""
    fields = [(b"content-type", media_type), (b"content-length", b"%d" % len(body)), *headers]
    await send({"type": "http.response.start", "status": int(status), "headers": fields})
    await send({"type": "http.response.body", "body": body})
