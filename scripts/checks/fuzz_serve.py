"""Send malformed requests to a real `tagger serve`, and stop it under load.

    python scripts/checks/fuzz_serve.py --model models/sample                    # 10,000 bodies: about two minutes
    python scripts/checks/fuzz_serve.py --model models/sample --without json     # a check is off: must notice it
    python scripts/checks/fuzz_serve.py --model models/sample --kills 20 --inputs 0

A body is made from a good one: bytes are changed, parts are doubled, cut out or replaced by what is known to be
difficult. An answer must be 200 or 4xx, never 5xx, must be JSON, and must not show a path or a traceback. From time to
time a good request must get the right answer. With --kills, the server gets SIGTERM under load again and again, and
each request that was sent must have its answer. Exits with 1 if something went wrong.

`--without CHECK` switches a check off in the server: the fuzzer must then notice it.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

GOOD: list[Any] = [
    {"tokens": ["Hanna", "Berg", "left", "Bonn", "."]},
    {"id": "7", "text": "Hanna left. Bob, 😀 too.", "scores": True, "min_probability": 0.5},
    {"documents": [{"text": "a"}, {"id": 3, "tokens": ["b", "é"]}], "model": None},
]
DIFFICULT = [
    b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5000, b"null", b"true", b"[]", b"{}", b'""', b'"\\ud800"',
    b'"\\u0000"', b"\x00", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"[" * 3000, b'{"a":' * 3000, b'"text":',
    b'"tokens":', b'"id":', b'"documents":', b'"model":"x",', b'"scores":1,', b",", b":", b"}", b"]", b'"', b"\\",
    b" " * 500, b'"\\u2028"', "\u202e\u200b\U000e0001".encode(), b"[" + b'"a",' * 3000 + b'"a"]',
    b'"' + b"x" * 5000 + b'"', b"1.5", b"-1", b"2e308",
]  # fmt: skip
LEAKS = re.compile(rb"Traceback|File \"|/site-packages/|/tagger/|line \d+, in")
SWITCHES = {
    "json": "import tagger.server.requests as m; import json; m.value_of = json.loads",
    "tokens": "import tagger.server.requests as m; m._check_tokens = lambda *_: None",
    "errors": "import tagger.server.guard as m, traceback\n"
    "async def show(self, scope, receive, send):\n"
    "    try: await self._app(scope, receive, send)\n"
    "    except Exception as e:\n"
    "        b = traceback.format_exc().encode()\n"
    "        await m.RefusedError(m.HTTPStatus.BAD_REQUEST, b.decode())(scope, receive, send)\n"
    "m.Guard.__call__ = show",
    "drain": "import tagger.server.process as m, uvicorn; m.Server.shutdown = uvicorn.Server.shutdown",
}
_START = "import sys\n{switch}\nfrom tagger.cli.commands import main\nsys.argv[1:] = {arguments!r}\nmain()\n"


@contextlib.contextmanager
def served(model: str, without: str | None) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Serve a model on a free port, without a check if one is named."""
    arguments = ["serve", "--model", model, "--port", "0"]
    program = _START.format(switch="" if without is None else SWITCHES[without], arguments=arguments)
    process = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"^serving .*:(\d+)/", line)
        if found is None:
            raise SystemExit(f"the server did not start: {line}{process.stderr.read()}")
        threading.Thread(target=process.stderr.read, daemon=True).start()
        yield int(found[1]), process
    finally:
        process.terminate()
        process.wait(60)


def mutated(rng: random.Random) -> bytes:
    """Return a body that is probably malformed."""
    data = bytearray(json.dumps(rng.choice(GOOD)).encode())
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[min(at, len(data) - 1)] = rng.randrange(256)
        elif kind == 1:
            data[at : at + rng.randrange(4)] = rng.choice(DIFFICULT)
        elif kind == 2:
            data[at:end] = b""
        elif kind == 3:
            data[at:at] = data[at:end]
        elif kind == 4:
            data = bytearray(_with_other_value(rng, bytes(data)))
        else:
            data = data[:at]
    return bytes(data)


def _with_other_value(rng: random.Random, data: bytes) -> bytes:
    """Replace one value, so that the JSON stays well-formed more often."""
    places = list(re.finditer(rb'(?<=[:\[,] )("[^"]*"|[\d.]+|true|null)|(?<=\[)"[^"]*"', data))
    if not places:
        return data
    place = rng.choice(places)
    return data[: place.start()] + rng.choice(DIFFICULT) + data[place.end() :]


def fuzz(model: str, n: int, seed: int, without: str | None) -> Counter[int]:
    """Send malformed bodies; raise SystemExit with the first that goes wrong."""
    rng, statuses = random.Random(seed), Counter[int]()
    with served(model, without) as (port, process):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        expected = ask(connection, json.dumps(GOOD[0]).encode())
        for number in range(1, n + 1):
            body = mutated(rng)
            try:
                status, answer = ask(connection, body)
            except (OSError, http.client.HTTPException) as error:
                raise SystemExit(f"input {number} got no answer ({error!r}): {body[:200]!r}") from None
            statuses[status] += 1
            problem = _problem(status, answer)
            if problem is None and number % 100 == 0 and ask(connection, json.dumps(GOOD[0]).encode()) != expected:
                problem = "a good request after it got another answer"
            if problem is not None or process.poll() is not None:
                raise SystemExit(f"input {number} got {problem or 'the server to end'}: {body[:200]!r}")
            if number % 1000 == 0:
                print(f"  {number} of {n}", file=sys.stderr, flush=True)
        connection.close()
    return statuses


def ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    """Return the answer to a body; a connection that was closed for want of use is opened once more."""
    try:
        return _ask(connection, body)
    except (OSError, http.client.HTTPException):
        connection.close()
        return _ask(connection, body)


def _ask(connection: http.client.HTTPConnection, body: bytes) -> tuple[int, bytes]:
    connection.request("POST", "/v1/tag", body, {"content-type": "application/json"})
    found = connection.getresponse()
    return found.status, found.read()


def _problem(status: int, answer: bytes) -> str | None:
    """Return what is wrong with an answer, or None."""
    if status != 200 and not 400 <= status < 500:
        return f"{status} {answer[:200]!r}"
    if LEAKS.search(answer):
        return f"an answer that shows the inside: {answer[:300]!r}"
    try:
        value = json.loads(answer)
    except ValueError:
        return f"an answer that is not JSON: {answer[:200]!r}"
    fits = ("error" in value) if status != 200 else ("spans" in value or "documents" in value)
    return None if fits else f"another answer than is described: {answer[:200]!r}"


def kill_under_load(model: str, without: str | None, n_clients: int = 32) -> tuple[int, list[str]]:
    """Send SIGTERM under load; return the number of answers and the requests without one."""
    body = json.dumps(GOOD[0]).encode()
    answers, lost = Counter[int](), list[str]()

    def loop(port: int) -> None:
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.connect()
            except OSError:
                return  # refused: nothing was accepted
            try:
                while True:
                    connection.request("POST", "/v1/tag", body, {"content-type": "application/json"})
                    found = connection.getresponse()
                    found.read()
                    answers[found.status] += 1
                    if found.getheader("connection") == "close":
                        break
            except (OSError, http.client.HTTPException) as error:
                lost.append(repr(error))
                return
            finally:
                connection.close()

    with served(model, without) as (port, process):
        threads = [threading.Thread(target=loop, args=(port,)) for _ in range(n_clients)]
        for thread in threads:
            thread.start()
        time.sleep(1 + random.random())
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
        for thread in threads:
            thread.join(60)
    if code != 143 or set(answers) != {200}:
        lost.append(f"exit code {code}, answers {dict(answers)}")
    return answers.total(), lost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--without", choices=SWITCHES)
    arguments = parser.parse_args()
    if arguments.inputs:
        statuses = fuzz(arguments.model, arguments.inputs, arguments.seed, arguments.without)
        print(f"{statuses.total()} bodies: {dict(sorted(statuses.items()))}")
    for number in range(1, arguments.kills + 1):
        n, lost = kill_under_load(arguments.model, arguments.without)
        print(f"kill {number}: {n} answers, {len(lost)} lost {lost[:3]}", flush=True)
        if lost:
            raise SystemExit("requests were lost")


if __name__ == "__main__":
    main()
