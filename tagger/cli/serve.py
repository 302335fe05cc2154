"""The command `tagger serve`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tagger.cli import console, models
from tagger.cli.options import MODEL_HELP
from tagger.errors import TaggerError
from tagger.wording import listed

if TYPE_CHECKING:
    import socket

    from tagger.server.settings import Settings

_LIBRARIES = ("starlette", "uvicorn", "httptools", "prometheus_client")


@click.command()
@click.option(
    "--model", "model_dirs", type=click.Path(), multiple=True, help=f"{MODEL_HELP} May be given several times."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port to listen on; 0: a free one."
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Host name that clients use, beside localhost and addresses. May be given several times.",
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that serve side by side."
)
@click.option("--threads", type=click.IntRange(min=1), help="Cores to use, over all processes. Default: all.")
@click.option(
    "--max-body", type=click.IntRange(min=1024), default=1 << 20, show_default=True, metavar="BYTES",
    help="Largest body of a request.",
)  # fmt: skip
@click.option(
    "--queue", type=click.IntRange(min=1), default=512, show_default=True, metavar="N",
    help="Most requests that a process holds; further ones are answered with 429.",
)  # fmt: skip
def serve(
    model_dirs: tuple[str, ...],
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    workers: int,
    threads: int | None,
    max_body: int,
    queue: int,
) -> None:
    """Serve models over HTTP, with a page to try them.

    POST /v1/tag takes tokens or text and returns the fields of predict --format jsonl. Only this machine can connect
    unless --host names another address. See docs/serving.md.
    """
    _require_libraries()
    paths = [Path(name) for name in model_dirs] if model_dirs else [models.model_path(None)]
    from tagger.machine import available_cores
    from tagger.server.listening import is_open, listeners, url
    from tagger.server.settings import Limits, Settings, named_models

    settings = Settings(
        models=named_models(paths),
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
        workers=workers,
        threads=max(1, (threads or available_cores()) // workers),
        limits=Limits(body=max_body, queue=queue),
    )
    sockets = listeners(settings)
    if is_open(sockets[0]):
        models.warn(
            f"--host {host}: other machines can reach this server. It asks nobody who they are and encrypts nothing:"
            " whoever can connect can use the models and read the metrics. Keep it inside a trusted network, or behind"
            " a proxy that checks who asks and speaks HTTPS"
        )

    def started() -> None:
        console.say(f"serving {listed(list(settings.models))} on {url(sockets[0])}")

    with contextlib.ExitStack() as stack:
        for listener in sockets:
            stack.enter_context(listener)
        if workers == 1:
            _serve_here(settings, sockets[0], started)
        else:
            _serve_with_workers(settings, sockets, started)


def _require_libraries() -> None:
    import importlib.util

    for name in _LIBRARIES:
        if importlib.util.find_spec(name) is None:
            raise TaggerError(
                f"tagger serve: found no {name}, expected it to serve; run pip install '.[serve]' in a clone of tagger"
            )


def _serve_here(settings: Settings, listener: socket.socket, started: Any) -> None:
    # The library would count in the files of another program that has set this, as gunicorn does.
    os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
    with console.leaving_at_once():
        from tagger.server.process import prepare

        server = prepare(settings, console.say, started)
    code = 0
    try:
        server.run([listener])
    except KeyboardInterrupt:
        code = console.INTERRUPTED
    except SystemExit as end:
        code = console.TERMINATED if end.code == console.TERMINATED else 1
    os._exit(code)  # a thread that still works on a request that was given up would hold the process


def _serve_with_workers(settings: Settings, sockets: list[socket.socket], started: Any) -> None:
    from tagger.server.workers import supervise

    stop, codes = threading.Event(), list[int]()

    def note(number: int, _: object) -> None:
        codes.append(console.INTERRUPTED if number == signal.SIGINT else console.TERMINATED)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    supervise(settings, sockets, console.say, started, stop)
    sys.exit(codes[0] if codes else 0)
