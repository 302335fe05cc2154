"""One process that serves: it listens, answers, and stops without losing what it has accepted."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

import uvicorn

from tagger.server.app import Service, build
from tagger.server.connections import LimitedConnection, expire_connections, silence_uvicorn
from tagger.server.listening import BACKLOG, drop_new, n_waiting
from tagger.server.settings import Limits, Settings

_TAKE_SECONDS = 0.05  # in which what the system has accepted reaches this process
_LINGER_SECONDS = 0.5  # of silence until a connection counts as unused


class Server(uvicorn.Server):
    """uvicorn, with another end.

    uvicorn closes idle connections at once, and loses a request that is on its way. Here, the answer to the next
    request of each connection says that it is the last one, and a connection is closed when it has been silent.

    Args:
        config: the configuration of uvicorn.
        service: told that the end is near.
        started: called when requests are accepted.
    """

    def __init__(self, config: uvicorn.Config, service: Service, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._note_start = service, started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        connections = self.server_state.connections
        self._expiring = asyncio.create_task(expire_connections(connections))
        self._note_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what has been accepted, then end."""
        self._service.is_closing = True
        deadline = time.monotonic() + (self.config.timeout_graceful_shutdown or 0)
        for listener in sockets or ():
            drop_new(listener)
        await asyncio.sleep(_TAKE_SECONDS)
        while any(map(n_waiting, sockets or ())) and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        for server in self.servers:
            server.close()
        while self._busy() and not self.force_exit and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        self.config.timeout_graceful_shutdown = max(1, round(deadline - time.monotonic()))  # what is left of it
        await super().shutdown(sockets)
        self._expiring.cancel()

    def _busy(self) -> bool:
        """Return whether a connection may still bring a request, or waits for an answer."""
        now = time.monotonic()
        connections: set[Any] = self.server_state.connections
        return any(not one.is_idle or now - one.last_active < _LINGER_SECONDS for one in connections)


def prepare(settings: Settings, log: Callable[[str], None], started: Callable[[], None]) -> Server:
    """Load the models and return a server, which `run` lets serve until a signal or its `should_exit` ends it.

    Args:
        settings: the settings.
        log: called with a line for the log.
        started: called when requests are accepted.

    Raises:
        TaggerError: a model cannot be loaded.
    """
    silence_uvicorn()
    service = Service(settings, log)
    config = uvicorn.Config(
        build(settings, service, log),
        interface="asgi3",
        http=_connection(settings.limits, service.metrics.observe_answer),
        ws="none",
        loop="uvloop" if importlib.util.find_spec("uvloop") is not None and sys.platform != "win32" else "asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=settings.limits.idle_seconds,
        timeout_graceful_shutdown=settings.limits.grace_seconds,
    )
    return Server(config, service, started)


def _connection(limits: Limits, observe: Callable[[str, int], None]) -> type[LimitedConnection]:
    """Return connections with these limits; uvicorn makes them without asking for any."""
    return type("Connection", (LimitedConnection,), {"limits": limits, "observe": staticmethod(observe)})
