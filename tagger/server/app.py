"""The application: the endpoints, and the models that they use."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tagger.errors import ModelError, TaggerError
from tagger.server.admission import Admission
from tagger.server.batcher import Batcher
from tagger.server.bodies import checked_size, read_body
from tagger.server.guard import PAGE_HEADERS, App, Guard
from tagger.server.metrics import MEDIA_TYPE, Metrics
from tagger.server.models import Loaded, ModelSlot
from tagger.server.openapi import description
from tagger.server.refusals import Receive, RefusedError, Scope, Send, answer, busy
from tagger.server.requests import TagRequest, parse, too_many_tokens
from tagger.server.settings import Settings
from tagger.server.tagging import Job, prepare, tag, warm_up

_PAGE = Path(__file__).parent / "page"
_FILES = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}
_WATCH_SECONDS = 0.5  # between two looks at the model directories


class Service:
    """The models, their queues and what the endpoints share.

    Args:
        settings: the settings of the server.
        log: called with a line for the log.

    Attributes:
        is_closing: whether the server is stopping.

    Raises:
        TaggerError: a model cannot be loaded.
    """

    def __init__(self, settings: Settings, log: Callable[[str], None]) -> None:
        self.is_closing = False
        self.metrics = Metrics()
        self.admission = Admission(settings.limits)
        self._settings, self._log = settings, log
        self._slots = {name: ModelSlot(name, path, settings.threads, warm_up) for name, path in settings.models.items()}
        for slot in self._slots.values():
            slot.load()
        self._batchers: dict[str, Batcher] = {}
        # spaCy's tokenizers are not made for several threads.
        self._texts, self._loading = ThreadPoolExecutor(1, "text"), ThreadPoolExecutor(1, "load")

    @contextlib.asynccontextmanager
    async def running(self, _: object = None) -> AsyncIterator[None]:
        """Tag, and watch the model directories, inside the `async with` block."""
        for name, slot in self._slots.items():
            self._batchers[name] = Batcher(
                functools.partial(_tag_with, slot),
                self._settings.limits,
                lambda: self.admission.n_requests,
                functools.partial(self._observe_batch, name),
            )
        tasks = [asyncio.create_task(one.run()) for one in self._batchers.values()]
        tasks += [asyncio.create_task(one) for one in (self._watch(), self._give_up())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for pool in (self._texts, self._loading):
                pool.shutdown(wait=False, cancel_futures=True)

    async def _watch(self) -> None:
        """Take over each new model, until this is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for name, slot in self._slots.items():
                try:
                    if not await loop.run_in_executor(self._loading, slot.refresh):
                        continue
                except Exception as error:  # any error, because the server goes on with the model that it has
                    self.metrics.observe_reload(name, "failed")
                    text = str(error) if isinstance(error, TaggerError) else repr(error)
                    self._log(f"warning: model {name}: the one in memory stays: {text}")
                else:
                    self.metrics.observe_reload(name, "ok")
                    self._log(f"model {name}: now version {slot.loaded.version[:12]}")

    async def _give_up(self) -> None:
        """Give up requests that have waited too long, until this is cancelled."""
        while True:
            await asyncio.sleep(1)
            self.metrics.held.set(self.admission.n_requests)
            for batcher in self._batchers.values():
                batcher.give_up(self._settings.limits.request_seconds)

    def _observe_batch(self, name: str, n_requests: int, n_sentences: int, n_tokens: int) -> None:
        self.metrics.held.set(self.admission.n_requests)
        self.metrics.observe_batch(name, n_requests, n_sentences, n_tokens)

    def models(self) -> bytes:
        """Return what `GET /v1/models` answers."""
        models = [{"name": name, **slot.loaded.to_json()} for name, slot in self._slots.items()]
        return json.dumps({"default": next(iter(self._slots)), "models": models}).encode()

    async def tag(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer `POST /v1/tag`."""
        if scope["method"] != "POST":
            message = "found another method, expected POST"
            raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, message, ((b"allow", b"POST"),))
        since, limits = time.perf_counter(), self._settings.limits
        with self.admission.admitted(checked_size(scope, limits)):
            request = parse(await read_body(receive, limits), limits)
            slot = self._slot(request.model)
            try:
                found = await self._batchers[slot.name].answer(await self._job(request, slot.loaded))
            except TimeoutError:
                raise self._late("the server did not get to this request in time; try again later") from None
            except ModelError as error:
                # Its message names files. The network of a loaded model fails only for want of memory.
                self._log(f"error: {error.message}")
                raise self._late("the model could not tag this; send fewer or shorter sentences") from None
        self.metrics.seconds.observe(time.perf_counter() - since)
        await answer(send, HTTPStatus.OK, found)

    def _late(self, message: str) -> RefusedError:
        return busy(message, self.admission.retry_after, HTTPStatus.SERVICE_UNAVAILABLE)

    def _slot(self, name: str | None) -> ModelSlot:
        if name is None:
            return next(iter(self._slots.values()))
        if name not in self._slots:
            message = f"model: found {name[:80]!r}, expected one of those that GET /v1/models lists"
            raise RefusedError(HTTPStatus.NOT_FOUND, message)
        return self._slots[name]

    async def _job(self, request: TagRequest, loaded: Loaded) -> Job:
        if all(item.text is None for item in request.items):
            return prepare(request, loaded)
        async with asyncio.timeout(self._settings.limits.request_seconds):
            job = await asyncio.get_running_loop().run_in_executor(self._texts, prepare, request, loaded)
        if job.n_tokens > self._settings.limits.tokens:
            raise too_many_tokens(job.n_tokens, self._settings.limits)
        return job


def _tag_with(slot: ModelSlot, jobs: list[Job]) -> list[bytes]:
    return tag(slot.loaded, jobs)  # a batch is tagged by one model, also if another one takes its place meanwhile


def build(settings: Settings, service: Service, log: Callable[[str], None]) -> App:
    """Return the application."""

    async def models(_: Request) -> Response:
        return _json(service.models())

    async def healthz(_: Request) -> Response:
        return _json(b'{"status":"ok"}')

    async def readyz(_: Request) -> Response:
        if service.is_closing:
            return _json(b'{"status":"closing"}', HTTPStatus.SERVICE_UNAVAILABLE)
        return _json(b'{"status":"ready"}')

    async def metrics(_: Request) -> Response:
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, headers={"content-type": MEDIA_TYPE.decode()})

    openapi = json.dumps(description(settings.limits)).encode()

    async def openapi_json(_: Request) -> Response:
        return _json(openapi)

    routes = [
        Route("/v1/models", models),
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi_json),
        *(Route(path, _file(*file)) for path, file in _FILES.items()),
    ]
    handlers: dict[Any, Any] = {HTTPException: _unrouted}
    app = Starlette(routes=routes, lifespan=service.running, exception_handlers=handlers)
    app.router.redirect_slashes = False

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        # Most requests are of this kind, and the router would take more time than everything else around them.
        served = service.tag if scope["type"] == "http" and scope["path"] == "/v1/tag" else app
        await served(scope, receive, send)

    return Guard(
        routed,
        settings.allowed_hosts,
        is_closing=lambda: service.is_closing,
        observe=service.metrics.observe_answer,
        log=log,
    )


def _json(body: bytes, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(body, status, {"content-type": "application/json"})


def _file(name: str, media_type: str) -> Callable[[Request], Any]:
    content = (_PAGE / name).read_bytes()

    async def serve(_: Request) -> Response:
        return Response(content, headers={"content-type": f"{media_type}; charset=utf-8", **PAGE_HEADERS})

    return serve


async def _unrouted(request: Request, error: HTTPException) -> Response:
    """Answer a request for another path or with another method."""
    status = HTTPStatus(error.status_code)
    messages = {
        HTTPStatus.NOT_FOUND: "found no such path; GET /openapi.json describes all of them",
        HTTPStatus.METHOD_NOT_ALLOWED: "found another method than this path has; GET /openapi.json describes all",
    }
    refusal = RefusedError(status, messages.get(status, status.phrase))
    return Response(refusal.body, status, {"content-type": "application/json", **(error.headers or {})})
