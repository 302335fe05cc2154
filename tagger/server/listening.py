"""The sockets that a server listens on."""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import socket
import struct
import sys

from tagger.errors import DataError
from tagger.server.settings import Settings

_SO_ATTACH_FILTER = 26  # asm-generic/socket.h
# A program of the Berkeley packet filter that drops the packets that ask for a connection. The last packet of a
# handshake passes, because its client takes itself for connected.
_DROP_SYN = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the flags of the TCP header
        (0x45, 0, 1, 0x02),  # skip the next line if SYN is not set
        (0x06, 0, 0, 0),  # drop
        (0x06, 0, 0, 0xFFFFFFFF),  # keep all bytes
    )
)
BACKLOG = 1024  # connections that wait until they are accepted
_ACCEPT_QUEUE = 24  # the place of tcpi_unacked in struct tcp_info; of a socket that listens, the connections that wait


def listeners(settings: Settings) -> list[socket.socket]:
    """Return a bound socket for each worker, all with the same address and port.

    On Linux each worker has a queue of connections of its own, into which the system distributes them evenly. Elsewhere
    the workers share one.

    Raises:
        DataError: the address cannot be listened on, or the system does not let processes share it.
    """
    if settings.workers > 1 and sys.platform == "win32":
        raise DataError(
            f"--workers: found {settings.workers}, expected 1: processes cannot share a port on Windows; leave the"
            " option out: one process uses all cores, or as many as --threads says"
        )
    family, address = _resolved(settings)
    shares = settings.workers > 1 and sys.platform == "linux"
    probe = _bound(settings, family, address)  # fails if another process listens, which SO_REUSEPORT would share with
    if not shares:
        return [probe]
    host, port, *rest = probe.getsockname()
    probe.close()
    return [_bound(settings, family, (host, port, *rest), shares=True) for _ in range(settings.workers)]


def join(settings: Settings, listener: socket.socket) -> socket.socket:
    """Return a socket that shares the address of another one, and gets connections as soon as somebody listens on it.

    Raises:
        DataError: the address cannot be shared.
    """
    return _bound(settings, listener.family, listener.getsockname(), shares=True, listens=False)


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
    settings: Settings,
    family: socket.AddressFamily,
    address: tuple[object, ...],
    *,
    shares: bool = False,
    listens: bool = True,
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # there, SO_REUSEADDR would share the port with any other process
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares and sys.platform == "linux":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
        if listens:
            listener.listen(BACKLOG)  # two processes may bind the same address as long as neither listens
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


def drop_new(listener: socket.socket) -> None:
    """Let nobody begin a connection to a socket, whichever processes share it.

    Closing a socket that listens resets the connections that nobody has accepted yet, so its queue must be emptied
    before. Connections in the queue stay, and those whose handshake has begun may still enter it for a moment. Clients
    that connect meanwhile try again after a second, and are refused then.
    """
    if sys.platform != "linux":
        return
    program = ctypes.create_string_buffer(_DROP_SYN, len(_DROP_SYN))
    with contextlib.suppress(OSError):  # without it, only the connections of the last microseconds are lost
        value = struct.pack("HL", len(_DROP_SYN) // 8, ctypes.addressof(program))
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, value)


def n_waiting(listener: socket.socket) -> int | None:
    """Return the number of connections that nobody has accepted yet, or None if the system does not say it."""
    if sys.platform != "linux":
        return None
    try:
        info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACCEPT_QUEUE + 4)
    except OSError:
        return None
    return int.from_bytes(info[_ACCEPT_QUEUE : _ACCEPT_QUEUE + 4], sys.byteorder)
