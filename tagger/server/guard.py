"""The outermost layer of the server: it refuses what other websites could send, and answers whatever goes wrong.

A page of another website that somebody has open could send requests to this server from inside their network. Browsers
say where a request comes from, so such requests are refused: by `Sec-Fetch-Site`, by `Origin`, and by the content type,
which a form cannot send. A website whose name is later made to point to this machine (DNS rebinding) gives its own name
as the host, which is not one of this server's.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import traceback
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from typing import Any

from tagger.server.refusals import ClientGoneError, Receive, RefusedError, Scope, Send, closing

App = Callable[[Scope, Receive, Send], Awaitable[None]]
_HOST = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_OWN = ("same-origin", "none")  # none: typed into the address bar, or from no browser's page
_STANDARD_PORTS = ("80", "443")
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
PAGE_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}


class Guard:
    """An application around another one.

    Args:
        app: the application that serves what is let through.
        allowed_hosts: the names of the server beside `localhost` and addresses.
        is_closing: returns whether the server is stopping, so that each answer ends its connection.
        observe: called with the path and the status of each answer.
        log: called with a line for the log.
    """

    def __init__(
        self,
        app: App,
        allowed_hosts: Iterable[str],
        *,
        is_closing: Callable[[], bool],
        observe: Callable[[str, int], None],
        log: Callable[[str], None],
    ) -> None:
        self._app, self._is_closing, self._observe, self._log = app, is_closing, observe, log
        self._allowed = frozenset(name.casefold() for name in allowed_hosts)
        self._authority_of = functools.lru_cache(maxsize=256)(self._checked_host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_guarded(message: MutableMapping[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
                if self._is_closing():
                    message["headers"].append((b"connection", b"close"))
                self._observe(scope["path"], message["status"])
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, receive, send_guarded)
        except ClientGoneError:
            pass
        except RefusedError as refusal:
            await refusal(scope, receive, send_guarded)
        except Exception:  # any error: it belongs into the log, and not to the client
            self._log(f"error: an answer failed; please report this: {traceback.format_exc()}")
            if not started:
                message = "the server made a mistake, which its log describes; try again, or tell its operator"
                await RefusedError(HTTPStatus.INTERNAL_SERVER_ERROR, message)(scope, receive, send_guarded)

    def _check(self, scope: Scope) -> None:
        """Raise RefusedError unless a request was meant for this server."""
        headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name == b"host" and name in headers:
                raise closing(HTTPStatus.BAD_REQUEST, "found several Host headers, expected one")
            headers[name] = value
        authority = self._authority_of(headers.get(b"host", b""))
        origin = headers.get(b"origin")
        if origin is not None and _authority_of_origin(origin) != authority:
            raise closing(HTTPStatus.FORBIDDEN, "found another website as the origin, expected this server's own page")
        if headers.get(b"sec-fetch-site", b"none").decode("latin-1") not in _OWN:
            # Following a link to the page is harmless: the other website does not see what it shows.
            is_link = (
                headers.get(b"sec-fetch-mode") == b"navigate" and scope["method"] == "GET" and scope["path"] == "/"
            )
            if not is_link:
                message = "found a request of another website, expected one of this server's own page"
                raise closing(HTTPStatus.FORBIDDEN, message)

    def _checked_host(self, host: bytes) -> str:
        """Return the host and port of a request in a standard form; a RefusedError is raised, and not remembered."""
        found = _HOST.fullmatch(host.decode("latin-1"))
        if found is None:
            raise closing(HTTPStatus.BAD_REQUEST, "found no Host header with a host and a port, expected one")
        name = found["name"].casefold().removesuffix(".")
        if not (name == "localhost" or name.endswith(".localhost") or name in self._allowed or _is_address(name)):
            raise closing(
                HTTPStatus.MISDIRECTED_REQUEST,
                "found a host name that is not one of this server's, expected localhost or an address; its operator"
                " can name others with --allow-host",
            )
        return _authority(name, found["port"])


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _authority_of_origin(origin: bytes) -> str | None:
    scheme, separator, rest = origin.decode("latin-1").partition("://")
    found = _HOST.fullmatch(rest) if separator and scheme in ("http", "https") else None
    return None if found is None else _authority(found["name"].casefold().removesuffix("."), found["port"])


def _authority(name: str, port: str | None) -> str:
    return name if port is None or port in _STANDARD_PORTS else f"{name}:{port}"
