"""The connection with a Ray cluster: one that is there, or one of this machine alone that ends with the command."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import os
import secrets
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

from tagger.errors import TaggerError
from tagger.machine import available_cores

LOCAL = "local"
# Ray's smallest store is 75 MB. What goes through it here are paths and messages: files are read where they are needed.
_STORE_BYTES = 80_000_000
_PATIENCE = 10  # seconds
_SILENT: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}


def require_ray() -> None:
    """Raise TaggerError if Ray is not installed."""
    if importlib.util.find_spec("ray") is None:
        raise TaggerError(
            "--ray: found no ray, expected it to be installed; run pip install '.[ray]' in a clone of tagger"
        )


@contextlib.contextmanager
def connected(address: str, *, cores: int | None = None) -> Iterator[int]:
    """Connect with a cluster for the time of a `with` block, and give the number of its cores.

    Nothing that Ray prints reaches standard output, and nothing else may be written there in the block.

    Args:
        address: `local`, or the address of a cluster that this machine is part of, as `ray.init` takes it.
        cores: the number of cores of a local cluster; None for those of this machine.

    Raises:
        TaggerError: Ray is not installed, or the cluster cannot be reached.
    """
    if not address:
        raise TaggerError("--ray: found an empty address, expected `local` or that of a cluster; name one")
    require_ray()
    _set_environment(address)
    import ray

    logging.getLogger("ray").setLevel(logging.CRITICAL)
    # Ray prints what happens to workers on standard output, whatever its options are.
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            with _own_handlers():
                _connect(address, cores or available_cores())
            yield max(1, int(ray.cluster_resources().get("CPU", 1)))
        finally:
            with _uninterrupted():
                ray.shutdown()


def _set_environment(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send them to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns about a future version
    if address == LOCAL and "RAY_AUTH_MODE" not in os.environ:
        # Ray listens on every address of the machine. A secret of this process keeps everyone else out.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _connect(address: str, cores: int) -> None:
    import ray

    if address == LOCAL:
        ray.init(
            "local", num_cpus=cores, num_gpus=0, object_store_memory=_STORE_BYTES, include_dashboard=False, **_SILENT
        )
        return
    try:
        _knock(address)
        ray.init(address, **_SILENT)
    except Exception as error:  # of many kinds: ConnectionError, ValueError, RuntimeError, RpcError, …
        first = str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__
        raise TaggerError(
            f"--ray {address}: the cluster cannot be reached: {first}; expected `local`, or the address of a cluster"
            " that this machine is part of (ray start --address=HOST:PORT)"
        ) from None


def _knock(address: str) -> None:
    """Raise OSError if nobody listens at an address; Ray would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdecimal() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE).close()


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces by ones with other exit codes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except SystemExit:
        handler = before[signal.SIGTERM]
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C and SIGTERM, so that processes of Ray do not stay behind."""
    if sys.platform == "win32":  # it cannot hold them back
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
