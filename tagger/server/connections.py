"""Connections with limits: on the size of heads, and on the time that slow clients may take."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import httptools
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

    Attributes:
        limits: the limits.
        observe: called with the path and the status of each answer that the application does not give.
    """

    limits = Limits()
    observe: Callable[[str, int], None] = staticmethod(lambda path, status: None)

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._in_head, self._n_bytes = True, 0  # of the head, or since the last piece of a body
        self._head_since: float | None = time.monotonic()
        self._body_since: float | None = None
        self._unsent_since: float | None = None
        self._is_refused = self._is_resuming = False
        self.last_active = time.monotonic()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._in_head and not self._n_bytes and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        """Read a part of a request."""
        if self._is_refused:
            return
        self.last_active = time.monotonic()
        if self._in_head and not self._n_bytes:
            self._head_since = self.last_active
        self._n_bytes += len(data)
        self._unset_keepalive_if_required()
        rest = memoryview(data)
        while rest:
            try:
                self.parser.feed_data(rest)
                break
            except httptools.HttpParserUpgrade as upgrade:
                rest = rest[upgrade.args[0] :]
                self._stay_with_http()
            except httptools.HttpParserError:
                self._refuse(_MALFORMED)
                return
        if self._n_bytes > self.limits.head and not self.transport.is_closing():
            self._refuse(_LARGE_HEAD)

    def _stay_with_http(self) -> None:
        """Read on after a head that offers another protocol, which a server may ignore; the parser ends there."""
        framing = [one for one in self.headers if one[0] in (b"content-length", b"transfer-encoding")]
        head = b"".join(name + b": " + value + b"\r\n" for name, value in framing)
        self.parser = httptools.HttpRequestParser(self)
        self._is_resuming = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        self._is_resuming = False

    def on_message_begin(self) -> None:
        """Start to read a head."""
        if not self._is_resuming:
            super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that come after a body must not be taken for ones that came before."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start to answer a request, unless its head is too large or there are too many connections."""
        if self._is_resuming:
            return
        self._in_head, self._n_bytes = False, 0
        self._head_since, self._body_since = None, self.last_active
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        refusal = None
        if size > self.limits.head:
            refusal = _LARGE_HEAD
        elif len(self.connections) > self.limits.connections:
            refusal = _CROWDED
        app, self.app = self.app, refusal or self.app
        super().on_headers_complete()
        self.app = app
        if refusal is not None:
            self.observe(self.scope["path"], refusal.status)

    def on_chunk_header(self) -> None:
        """Expect another piece of a body."""
        self._n_bytes = 0

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._n_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        if self.parser.should_upgrade():  # only the parser thinks so
            return
        super().on_message_complete()
        self._in_head, self._n_bytes, self._body_since = True, 0, None

    def expire(self, now: float) -> None:
        """End the connection if its client is too slow.

        Args:
            now: the time in seconds, as `time.monotonic` gives it.
        """
        if self._head_since is not None and now - self._head_since > self.limits.head_seconds:
            if self._n_bytes:
                self._refuse(_SLOW)
            else:
                self.transport.close()
        if self._body_since is not None and self.pipeline:  # nothing is read until earlier requests are answered
            self._body_since = now
        elif self._body_since is not None and now - self._body_since > self.limits.body_seconds:
            self._refuse(_SLOW)
        if not self.transport.get_write_buffer_size():
            self._unsent_since = None
        elif self._unsent_since is None:
            self._unsent_since = now
        elif now - self._unsent_since > self.limits.send_seconds:
            self.transport.abort()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answer without the application after all earlier requests, and end the connection."""
        self._head_since = self._body_since = None
        self._is_refused = True
        is_waiting = self.cycle is not None and not self.cycle.response_complete
        if self._in_head and is_waiting:
            self.cycle.keep_alive = False  # the answer to the request before this one ends the connection
        elif not self._in_head and self.pipeline:
            self.pipeline[0] = (self.cycle, refusal)  # type: ignore[assignment] # the types of its calls are wider
            self.observe(self.scope["path"], refusal.status)
        elif not self._in_head and self.cycle.response_started:
            self.transport.close()
        else:
            self._answer(refusal)

    def _answer(self, refusal: RefusedError) -> None:
        self.observe("" if self._in_head else self.scope["path"], refusal.status)
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
