"""The settings of a server, which reach its workers as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Self

from tagger.errors import DataError

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252})")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """The bounds of what a client may send, hold and wait for. Sizes are in bytes, times in seconds.

    Attributes:
        body: the size of the body of a request.
        head: the size of the request line and the headers.
        bodies: the size of all bodies that are held at a time.
        connections: the number of open connections.
        queue: the number of requests that are being read, wait or are being tagged.
        documents: the number of documents of a request.
        tokens: the number of tokens of a request.
        head_seconds: the time from the first byte of a head to its last one.
        body_seconds: the time in which a body must arrive.
        send_seconds: the time in which a client must take an answer.
        idle_seconds: the time that a connection may be idle.
        request_seconds: the time after which a request that is still waiting is given up.
        grace_seconds: the time in which the requests that were accepted must end when the server stops.
        batch_tokens: the number of tokens from which on a batch is full.
        batch_seconds: the longest time that a request waits for others, if tagging has nothing else to do.
    """

    body: int = 1 << 20
    head: int = 16 << 10
    bodies: int = 64 << 20
    connections: int = 1024
    queue: int = 512
    documents: int = 1000
    tokens: int = 50_000
    head_seconds: float = 10.0
    body_seconds: float = 20.0
    send_seconds: float = 30.0
    idle_seconds: int = 75
    request_seconds: float = 30.0
    grace_seconds: int = 30
    batch_tokens: int = 4096
    batch_seconds: float = 0.002

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"{field.name}: found {getattr(self, field.name)!r}, expected a number above 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server serves, and where.

    Attributes:
        models: the model directories by name; the first one is used unless a request names another one.
        host: the address or the name that it listens on.
        port: the port, or 0 for a free one.
        allowed_hosts: the names by which clients may call it, beside `localhost` and addresses.
        workers: the number of processes.
        threads: the number of batches that each process computes in parallel.
        limits: the bounds of what a client may do.

    Raises:
        DataError: a value is not allowed.
    """

    models: dict[str, Path]
    host: str = "127.0.0.1"
    port: int = 8000
    allowed_hosts: tuple[str, ...] = ()
    workers: int = 1
    threads: int = 1
    limits: Limits = dataclasses.field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name in self.allowed_hosts:
            if not _HOST_NAME.fullmatch(name):
                raise DataError(
                    f"--allow-host: found {name!r}, expected a host name without a port, such as tagger.example.org"
                )

    def to_json(self) -> str:
        """Return the settings on one line."""
        values = dataclasses.asdict(self)
        return json.dumps(values | {"models": {name: str(path) for name, path in self.models.items()}})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Return the settings that `to_json` has written."""
        values = json.loads(line)
        values["models"] = {name: Path(path) for name, path in values["models"].items()}
        return cls(**values | {"limits": Limits(**values["limits"]), "allowed_hosts": tuple(values["allowed_hosts"])})


def named_models(directories: list[Path]) -> dict[str, Path]:
    """Return model directories by the name that requests use: the last part of the path.

    Raises:
        DataError: two of them have the same name, or one has a name that cannot be written as text.
    """
    found: dict[str, Path] = {}
    for path in directories:
        name = path.resolve().name if path.name in ("", "..") else path.name
        if not name or not name.isprintable():
            raise DataError(
                f"--model: found {str(path)!r}, expected a directory whose name clients can write; rename it, or name a"
                " link to it"
            )
        if name in found:
            raise DataError(
                f"--model: found {found[name]} and {path}, which would both be named {name}, expected directories with"
                " different names; rename one, or name a link to it"
            )
        found[name] = path
    return found
