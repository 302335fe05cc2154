"""The process of one worker among several: `python -m tagger.server.worker`.

The first line of its standard input has its settings, and the number of the socket that it has inherited. When standard
input ends, because its parent asks it to stop or has died, the worker answers what it has accepted and ends. Standard
output has one line: `ready`, or `failed` and what a person should read. The log goes to standard error.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

from tagger.errors import TaggerError
from tagger.machine import tune_interpreter
from tagger.server.process import Server, prepare
from tagger.server.settings import Settings
from tagger.server.workers import FAILED, READY
from tagger.wording import abridged, visible


def main() -> None:
    """Serve as the first line of standard input says."""
    tune_interpreter()
    job = json.loads(sys.stdin.readline())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints must not come between the messages

    def say(word: str, *lines: str) -> None:
        answers.write(json.dumps([word, *lines]) + "\n")
        answers.flush()

    def log(text: str) -> None:
        sys.stderr.write(f"{visible(abridged(text))}\n")
        sys.stderr.flush()

    def started() -> None:
        stop_at_end(server)
        say(READY)

    try:
        server = prepare(Settings.from_json(job["settings"]), log, started)
    except TaggerError as error:
        say(FAILED, error.message, *error.detail)
        sys.exit(1)
    server.run([socket.socket(fileno=job["listener"])])
    os._exit(0)  # a thread that still works on a request that was given up would hold the process


def stop_at_end(server: Server) -> None:
    """Stop a server when standard input ends."""
    loop = asyncio.get_running_loop()

    def read() -> None:
        if not os.read(0, 1024):
            loop.remove_reader(0)
            server.should_exit = True

    loop.add_reader(0, read)


if __name__ == "__main__":
    main()
