"""Workers meet before TensorFlow connects them, because its own wait can be neither interrupted nor explained.

Each worker sends its index to the chief's address, and the chief answers all of them when it has heard from all. Then
the port is free again for TensorFlow.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable

from tagger.errors import DeviceError

_POLL = 0.2  # seconds between two looks at whether to stop
_GO = b"go\n"


def meet(workers: tuple[str, ...], index: int, should_stop: Callable[[], bool] = lambda: False) -> bool:
    """Wait until all workers are there; False if asked to stop before.

    Args:
        workers: their addresses, `host:port`, the chief first.
        index: which of them this is.

    Raises:
        DeviceError: this worker's port is taken, or the chief's host is unknown.
    """
    with _listen(workers[index], index) as server:
        if index == 0:
            return _gather(server, len(workers), should_stop)
    return _report(workers[0], index, should_stop)


def _listen(address: str, index: int) -> socket.socket:
    port = int(address.rpartition(":")[2])
    try:
        return socket.create_server(("", port))
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DeviceError(
            f"TF_CONFIG: worker {index}: port {port} cannot be used: {reason}; end what uses it, or name another port"
            " on all workers"
        ) from None


def _gather(server: socket.socket, n: int, should_stop: Callable[[], bool]) -> bool:
    server.settimeout(_POLL)
    with contextlib.ExitStack() as stack:
        present: dict[int, socket.socket] = {}
        while len(present) < n - 1:
            if should_stop():
                return False
            with contextlib.suppress(OSError, ValueError):  # nobody yet, or somebody who is no worker
                connection, _ = server.accept()
                stack.callback(connection.close)
                connection.settimeout(1.0)
                index = int(connection.recv(16).decode("ascii"))
                if 0 < index < n:
                    present[index] = connection  # a worker that was started again takes its own place
        for connection in present.values():
            with contextlib.suppress(OSError):  # gone again: TensorFlow will say so
                connection.sendall(_GO)
    return True


def _report(chief: str, index: int, should_stop: Callable[[], bool]) -> bool:
    host, _, port = chief.rpartition(":")
    while not should_stop():
        try:
            with socket.create_connection((host.strip("[]"), int(port)), timeout=2.0) as connection:
                connection.sendall(f"{index}\n".encode())
                connection.settimeout(_POLL)
                answer = b""
                while not should_stop():
                    try:
                        answer = connection.recv(len(_GO))
                        break
                    except TimeoutError:
                        continue
            if answer == _GO:
                return True
        except socket.gaierror as error:
            raise DeviceError(
                f"TF_CONFIG: worker {index}: the chief's host {host} is unknown: {error.strerror}; check the address"
            ) from None
        except OSError:
            pass  # the chief is not there yet
        time.sleep(_POLL)
    return False
