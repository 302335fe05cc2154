"""Connections with limits: on the size of heads, and on the time that slow clients may take."""

from __future__ import annotations

import asyncio
import logging
import time
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from tagger.server.refusals import RefusedError, closing
from tagger.server.settings import Limits

_LARGE_HEAD = closing(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "found a longer request line or more headers than this server reads"
)
_CROWDED = RefusedError(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "the server has as many connections as it may hold; try again later",
    ((b"connection", b"close"), (b"retry-after", b"5")),
)
_MALFORMED = closing(HTTPStatus.BAD_REQUEST, "found something else than an HTTP request")
_SLOW = closing(HTTPStatus.REQUEST_TIMEOUT, "found an incomplete request after the time limit")


class LimitedConnection(HttpToolsProtocol):
    """A connection that ends when its client is too slow or sends too much.

    uvicorn limits the time between two requests. This limits the size of a head, the times in which a head and a body
    must arrive, and the time in which a client must take an answer. The application limits the size of bodies.
    """

    limits = Limits()

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head, self._head_bytes = True, 0
        self._head_since: float | None = time.monotonic()
        self._body_since: float | None = None
        self._unsent_since: float | None = None
        self.last_active = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._in_head and not self._head_bytes and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        self.last_active = time.monotonic()
        if self._in_head:
            if not self._head_bytes:
                self._head_since = self.last_active
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.head and not self.transport.is_closing():
            self._refuse(_LARGE_HEAD)

    def on_headers_complete(self) -> None:
        """Start to answer a request, unless its head is too large or there are too many connections."""
        self._in_head, self._head_since, self._body_since = False, None, self.last_active
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        app = self.app
        if size > self.limits.head:
            self.app = _LARGE_HEAD
        elif len(self.connections) > self.limits.connections:
            self.app = _CROWDED
        super().on_headers_complete()
        self.app = app

    def on_message_complete(self) -> None:
        """Expect the next head."""
        super().on_message_complete()
        self._in_head, self._head_bytes, self._body_since = True, 0, None

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP."""
        self._refuse(_MALFORMED)

    def expire(self, now: float) -> None:
        """End the connection if its client is too slow.

        Args:
            now: the time in seconds, as `time.monotonic` gives it.
        """
        if self._head_since is not None and now - self._head_since > self.limits.head_seconds:
            if self._head_bytes:
                self._refuse(_SLOW)
            else:
                self.transport.close()
        if self._body_since is not None and now - self._body_since > self.limits.body_seconds:
            if self.cycle.response_started:
                self.transport.close()
            else:
                self._refuse(_SLOW)
        if not self.transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > self.limits.send_seconds:
            self.transport.abort()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answer without the application, and end the connection."""
        self._head_since = self._body_since = None
        lines = [f"HTTP/1.1 {refusal.status.value} {refusal.status.phrase}".encode()]
        fields = {b"content-type": b"application/json", b"content-length": b"%d" % len(refusal.body)}
        lines += [name + b": " + value for name, value in {**fields, **dict(refusal.headers)}.items()]
        self.transport.write(b"\r\n".join([*lines, b"", refusal.body]))
        self.transport.close()


async def expire_connections(connections: set[Any]) -> None:
    """End slow connections, until this is cancelled."""
    while True:
        await asyncio.sleep(1)
        now = time.monotonic()
        for connection in list(connections):
            connection.expire(now)


def silence_uvicorn() -> None:
    """Keep messages about malformed requests out of the log, which clients could fill with them."""
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
