"""The sockets that a server listens on."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys

from tagger.errors import DataError
from tagger.server.settings import Settings


def listeners(settings: Settings) -> list[socket.socket]:
    """Return a bound socket for each worker, all with the same address and port.

    On Linux each worker has a queue of connections of its own, into which the system distributes them evenly. Elsewhere
    the workers share one.

    Raises:
        DataError: the address cannot be listened on.
    """
    family, address = _resolved(settings)
    shares = settings.workers > 1 and sys.platform == "linux"
    probe = _bound(settings, family, address)  # fails if another process listens, which SO_REUSEPORT would share with
    if not shares:
        return [probe]
    host, port, *rest = probe.getsockname()
    probe.close()
    return [_bound(settings, family, (host, port, *rest), shares=True) for _ in range(settings.workers)]


def _resolved(settings: Settings) -> tuple[socket.AddressFamily, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
        )
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not a name"
        raise DataError(
            f"--host: found {settings.host!r}, expected an address of this machine: {reason}; 127.0.0.1 is the one that"
            " only this machine reaches"
        ) from None
    family, _, _, _, address = found[0]
    return family, address


def _bound(
    settings: Settings, family: socket.AddressFamily, address: tuple[object, ...], *, shares: bool = False
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise DataError(
            f"--port: found {settings.port}, which {settings.host} cannot be listened on with: {error.strerror}; choose"
            " another port, or 0 for a free one"
        ) from None
    return listener


def url(listener: socket.socket) -> str:
    """Return the URL of the page, as a browser on this machine opens it."""
    host, port, *_ = listener.getsockname()
    if ipaddress.ip_address(host).is_unspecified:
        host = "127.0.0.1" if listener.family == socket.AF_INET else "::1"
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def is_open(listener: socket.socket) -> bool:
    """Return whether other machines may reach the server."""
    with contextlib.suppress(ValueError):
        return not ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback
    return True
