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
from pathlib import Path
from typing import Any

from tagger.cluster.own_directory import own_directory
from tagger.errors import TaggerError
from tagger.machine import available_cores

LOCAL = "local"
# Ray's smallest store is 75 MB. What goes through it here are paths and messages: files are read where they are needed.
_STORE_BYTES = 80_000_000
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 10  # seconds
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"  # of HTTP/2, RFC 9113, 3.4
_SETTINGS = b"\4"  # the kind of the first frame that a server sends
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
    with contextlib.redirect_stdout(io.StringIO()), _directory_of(address) as directory, _usual_exit():
        try:
            # Workers look for modules in the folder that is current here, where a user may have one called tagger.
            with _own_handlers(), contextlib.chdir(_PACKAGE_ROOT):
                if directory is None:
                    _connect(address)
                else:
                    _begin(cores or available_cores(), directory)
            yield max(1, int(ray.cluster_resources().get("CPU", 1)))
        finally:
            with _uninterrupted():
                ray.shutdown()


def _set_environment(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send them to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else it warns about a future version
    if address == LOCAL:
        # Without clusters of several machines, all that Ray starts listens on 127.0.0.1 only, on Linux, too.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        # A secret of this process keeps other users of this machine out.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _directory_of(address: str) -> contextlib.AbstractContextManager[Path | None]:
    return own_directory() if address == LOCAL else contextlib.nullcontext()


def _begin(cores: int, directory: Path) -> None:
    import ray

    try:
        ray.init(
            LOCAL,
            num_cpus=cores,
            num_gpus=0,
            object_store_memory=_STORE_BYTES,
            include_dashboard=False,
            _temp_dir=str(directory),
            **_SILENT,
        )
    except Exception as error:  # of many kinds, as below
        raise TaggerError(
            f"--ray local: Ray cannot start: {_first_line(error)}; expected it to start processes on this machine;"
            f" check its memory, the space in {directory.parents[1]}, and the variables RAY_*"
        ) from None


def _connect(address: str) -> None:
    import ray

    try:
        _knock(address)
        ray.init(address, **_SILENT)
    except Exception as error:  # of many kinds: ConnectionError, ValueError, RuntimeError, RpcError, …
        raise TaggerError(
            f"--ray {address}: the cluster cannot be reached: {_first_line(error)}; expected `local`, or the address"
            " of a cluster that this machine is part of (ray start --address=HOST:PORT), and its token, if it has one"
            " (RAY_AUTH_MODE=token, RAY_AUTH_TOKEN)"
        ) from None


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip().rstrip(".") or type(error).__name__


def _knock(address: str) -> None:
    """Raise OSError or ValueError unless a server that may be Ray's listens there; Ray itself would try for minutes."""
    if "/" in address:
        raise ValueError("found a URL")
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return  # Ray refuses it, or looks for the address itself
    with socket.create_connection((host.strip("[]"), int(port)), timeout=_PATIENCE) as connection:
        if os.environ.get("RAY_USE_TLS", "0").casefold() in ("1", "true"):
            return
        connection.sendall(_GREETING)
        answer = connection.recv(9)
        if answer[3:4] != _SETTINGS:
            raise ValueError(f"found a server of another kind, which answers {answer!r}")


@contextlib.contextmanager
def _own_handlers() -> Iterator[None]:
    """Keep the handlers of signals, which Ray replaces by ones with other exit codes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _usual_exit() -> Iterator[None]:
    """Exit as SIGTERM does elsewhere; Ray makes exit code 1 of what its handler raises while Ray waits."""
    try:
        yield
    except SystemExit:
        handler = signal.getsignal(signal.SIGTERM)
        if callable(handler):
            handler(signal.SIGTERM, None)
        raise


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
