"""Real server processes on the loopback interface, and clients that count what they lose."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.server.settings import Limits, Settings

SENTENCE = ["Hanna", "Berg", "left", "Bonn", "."]
_SECONDS = 60  # in which a server must start, and end


@dataclasses.dataclass(frozen=True)
class Answer:
    """An answer: its status, its headers in lower case, and its body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A running server.

    Attributes:
        port: where it listens.
        process: its process.
        log: the lines that it has written to standard error, which a thread reads.
    """

    def __init__(self, port: int, process: subprocess.Popen[str], log: list[str]) -> None:
        self.port, self.process, self.log = port, process, log

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        try:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, fields)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def tag(self, value: Any) -> Answer:
        """Send a value to be tagged, as JSON."""
        return self.post(json.dumps(value).encode())

    def post(self, body: bytes) -> Answer:
        """Send a body to be tagged."""
        return self.ask("POST", "/v1/tag", body, content_type="application/json")

    def connect(self) -> socket.socket:
        """Return a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS)

    def stop(self) -> int:
        """Send SIGTERM and return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_SECONDS)

    def wait_for(self, text: str) -> None:
        """Wait until a line of the log has a text."""
        deadline = time.monotonic() + _SECONDS
        while not any(text in line for line in self.log):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)


@contextlib.contextmanager
def serving(*arguments: str | Path) -> Iterator[Served]:
    """Run `tagger serve` on a free port, and end it."""
    command = [sys.executable, "-m", "tagger", "serve", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(iter(process.stderr.readline, "")), daemon=True)  # type: ignore[union-attr]
    reader.start()
    served = Served(0, process, log)
    with _ended(process):
        served.wait_for("serving ")
        line = next(line for line in log if line.startswith("serving "))
        served.port = int(re.search(r":(\d+)/", line)[1])  # type: ignore[index]
        yield served
    reader.join(_SECONDS)
    process.stderr.close()  # type: ignore[union-attr]
    assert not any("Traceback" in line for line in log), log


@contextlib.contextmanager
def worker(model: Path, **limits: Any) -> Iterator[Served]:
    """Run one worker with limits that no option of the command sets, and end it."""
    settings = Settings(models={"model": model}, limits=dataclasses.replace(Limits(), **limits))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        process = subprocess.Popen(
            [sys.executable, "-m", "tagger.server.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, pass_fds=[listener.fileno()],
        )  # fmt: skip
        with _ended(process):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"settings": settings.to_json(), "listener": listener.fileno()}) + "\n")
            process.stdin.flush()
            port = listener.getsockname()[1]
            listener.close()
            assert json.loads(process.stdout.readline()) == ["ready"]
            yield Served(port, process, [])


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


class Clients:
    """Loops that send requests, each on its connection, until the server says that it is the last one or refuses.

    Attributes:
        answers: the status of each answer and its body.
        lost: what happened to each request that was sent and got no answer.
    """

    def __init__(self, served: Served, n: int, value: Any = None, *, keep_alive: bool = True) -> None:
        self.answers: list[tuple[int, bytes]] = []
        self.lost: list[str] = []
        self._served, self._keep_alive = served, keep_alive
        self._body = json.dumps(value or {"tokens": SENTENCE}).encode()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(n)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, n: int) -> None:
        """Wait until there are so many answers more."""
        n += len(self.answers)
        deadline = time.monotonic() + _SECONDS
        while len(self.answers) < n:
            assert time.monotonic() < deadline, (len(self.answers), self.lost)
            time.sleep(0.005)

    def end(self) -> None:
        """Let the loops end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(_SECONDS)

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._served.port, timeout=_SECONDS)
            try:
                connection.connect()
            except OSError:  # refused: nothing was accepted
                return
            try:
                while not self._stop.is_set():
                    connection.request("POST", "/v1/tag", self._body, {"content-type": "application/json"})
                    found = connection.getresponse()
                    self.answers.append((found.status, found.read()))
                    if found.getheader("connection") == "close" or not self._keep_alive:
                        break
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                return
            finally:
                connection.close()


def memory_of(pid: int, name: str) -> dict[str, int]:
    """Return the sizes in kB of the mapping of a file in a process, as Linux counts them."""
    text = Path(f"/proc/{pid}/smaps").read_text("utf-8")
    found: dict[str, int] = {}
    inside = False
    for line in text.splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = name in line
        elif inside and (size := re.match(r"(\w+): +(\d+) kB", line)):
            found[size[1]] = found.get(size[1], 0) + int(size[2])
    return found


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
