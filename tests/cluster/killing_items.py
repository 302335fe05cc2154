"""Run workers over items of which one kills each of its workers, one is refused, one fails and one ends a worker once."""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tagger.cluster.connection import connected
from tagger.cluster.workers import Workers
from tagger.errors import DataError, TaggerError


def make() -> Callable[[str], str]:
    once = Path(sys.argv[2] if len(sys.argv) > 2 else os.environ["ONCE"])

    def work(item: str) -> str:
        if item == "kills" or (item == "kills once" and not once.exists()):
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "refused":
            raise DataError("is odd, expected something even; change it", path=item, line=3)
        if item == "fails":
            raise ValueError("never mind")
        if item == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if item == "unreadable":
            Path("/nowhere").read_bytes()
        return item.upper()

    return work


def main() -> None:
    with connected(sys.argv[1]):
        items = ["kills", "kills once", "refused", "fails", "unreadable", "full", *"abcdef"]
        workers: Workers[str, str] = Workers(make, 2)
        found = {
            item: f"{type(result).__name__}: {result.message}" if isinstance(result, TaggerError) else result
            for item, result in workers.results(items)
        }
    sys.stdout.write(json.dumps(found))


main()
