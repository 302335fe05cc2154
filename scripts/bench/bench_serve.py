"""Measure `tagger serve`: requests per second and latencies, beside `tagger predict` on the same sentences; memory.

    python scripts/bench/bench_serve.py --model models/sample data/sample/test.conll
    python scripts/bench/bench_serve.py --model DIR FILE --workers 2 --clients 1 16 64 --seconds 10 --rounds 3
    python scripts/bench/bench_serve.py --model DIR FILE --soak 600        # ten minutes at saturation, with memory

FILE is a CoNLL file, of which the sentences with at most --longest tokens are used: one a request. The clients are
loops in a process of their own, which send a request as soon as they have the answer to the last one. The server, the
clients and `predict` share the cores of this machine. Rounds alternate between the server and `predict`; numbers are
medians. Everything stays on the loopback interface. Exits with 1 if the server is below half of `predict --format
jsonl`, if an answer is not 200, or if memory grows by more than a tenth in the second half of a soak.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus

LEAST_SHARE = 0.5  # of the sentences per second of `predict`
MOST_GROWTH = 0.1
COLUMNS = ("requests_per_second", "p50_ms", "p99_ms")
N_SENTENCES = 20_000  # that `predict` tags in a round, so that its start hardly counts
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Client(asyncio.Protocol):
    """A closed loop over one connection."""

    def __init__(self, requests: list[bytes], first: int, seen: Seen) -> None:
        self._requests, self._next, self._seen = requests, first, seen
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._send()

    def _send(self) -> None:
        self._buffer, self._since = b"", time.perf_counter()
        self._transport.write(self._requests[self._next % len(self._requests)])
        self._next += 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._buffer, 0, end) if end >= 0 else None
        if length is None or len(self._buffer) < end + 4 + int(length[1]):
            return
        now = time.perf_counter()
        self._seen.add(int(self._buffer[9:12]), now - self._since)
        if now < self._seen.until:
            self._send()
        else:
            self._transport.close()


class Seen:
    """The answers that the clients have received, and how long they took."""

    def __init__(self, seconds: float) -> None:
        self.start = time.perf_counter()
        self.until = self.start + seconds
        self.seconds: list[float] = []
        self.statuses: dict[int, int] = {}

    def add(self, status: int, seconds: float) -> None:
        self.seconds.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1


async def load(port: int, requests: list[bytes], n_clients: int, seconds: float) -> dict[str, Any]:
    """Return what `n_clients` loops have seen in some seconds."""
    seen, loop = Seen(seconds), asyncio.get_running_loop()
    step = max(1, len(requests) // n_clients)
    for i in range(n_clients):
        await loop.create_connection(lambda i=i: Client(requests, i * step, seen), "127.0.0.1", port)
    await asyncio.sleep(seconds + 0.5)
    latencies = sorted(seen.seconds)
    return {
        "requests_per_second": len(latencies) / seconds,
        "p50_ms": 1000 * latencies[len(latencies) // 2],
        "p99_ms": 1000 * latencies[int(len(latencies) * 0.99)],
        "statuses": seen.statuses,
    }


def child(port: int, requests_file: str, n_clients: int, seconds: float) -> None:
    """Be the process of the clients."""
    requests = Path(requests_file).read_bytes().split(b"\0")
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    print(json.dumps(asyncio.run(load(port, requests, n_clients, seconds))))


@contextlib.contextmanager
def served(model: str, *options: str) -> Iterator[tuple[int, int]]:
    """Serve a model on a free port; yield the port and the process id."""
    command = [sys.executable, "-m", "tagger", "serve", "--model", model, "--port", "0", *options]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        found = re.search(r"^serving .* on http://127\.0\.0\.1:(\d+)/", line)
        if found is None:
            raise SystemExit(f"the server did not start: {line}{process.stderr.read()}")
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def memory(pid: int) -> float:
    """Return the memory of a process and its children in MB, in which shared pages count once (PSS)."""
    total = 0
    for one in [pid, *children(pid)]:
        with contextlib.suppress(OSError):
            total += int(re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.M)[1])  # type: ignore[index]
    return total / 1000


def children(pid: int) -> list[int]:
    """Return the processes that a process has started."""
    return [int(one) for task in Path(f"/proc/{pid}/task").iterdir() for one in (task / "children").read_text().split()]


class Bench:
    """The sentences, as requests and as a file, and the measurements."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        with open_corpus(arguments.file) as stream:
            layout = Layout(columns={"token": 0, "tag": -1})
            found = [one.tokens for one in read_sentences(stream, layout, path=arguments.file) if one.tokens]
        self.sentences = [tokens for tokens in found if len(tokens) <= arguments.longest]
        mean = statistics.mean(map(len, self.sentences))
        print(f"{len(self.sentences)} sentences of {mean:.1f} tokens on average, one a request", flush=True)
        (folder / "requests").write_bytes(b"\0".join(map(_request, self.sentences)))
        n = N_SENTENCES // len(self.sentences) + 1
        text = "".join("".join(f"{token}\tO\n" for token in tokens) + "\n" for tokens in self.sentences) * n
        (folder / "sentences.conll").write_text(text, "utf-8")
        self.n_predicted = n * len(self.sentences)

    def predict(self, format_: str) -> float:
        """Return the sentences per second of `tagger predict`, its start included."""
        command = [sys.executable, "-m", "tagger", "predict", "--model", self.arguments.model, "--format", format_]
        since = time.perf_counter()
        with (self.folder / "sentences.conll").open("rb") as stdin:
            subprocess.run(command, stdin=stdin, check=True, capture_output=True)
        return self.n_predicted / (time.perf_counter() - since)

    def load(self, port: int, n_clients: int, seconds: float) -> dict[str, Any]:
        """Return what the clients have seen, in a process of their own."""
        command = [sys.executable, __file__, "--child", str(port), str(self.folder / "requests"), str(n_clients)]
        done = subprocess.run([*command, str(seconds)], check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        if set(found["statuses"]) != {"200"}:
            raise SystemExit(f"found answers that are not 200: {found['statuses']}")
        return found

    def table(self) -> dict[str, Any]:
        """Print the table of loads and return it."""
        numbers: dict[str, list[Any]] = {name: [] for name in ("conll", "jsonl", *map(str, self.arguments.clients))}
        with served(self.arguments.model, *self._options()) as (port, _):
            self.load(port, 4, 1)  # warm up
            for i in range(self.arguments.rounds):
                for format_ in ("conll", "jsonl"):
                    numbers[format_].append(self.predict(format_))
                for n_clients in self.arguments.clients:
                    numbers[str(n_clients)].append(self.load(port, n_clients, self.arguments.seconds))
                print(f"  round {i + 1} of {self.arguments.rounds}", file=sys.stderr, flush=True)
        predicted = {name: statistics.median(numbers[name]) for name in ("conll", "jsonl")}
        for name, value in predicted.items():
            print(f"tagger predict --format {name}: {value:,.0f} sentences/s")
        print("\n| clients | requests/s | p50 ms | p99 ms | share of predict |\n|---|---|---|---|---|")
        rows = {}
        for n_clients in self.arguments.clients:
            rounds = numbers[str(n_clients)]
            row = {
                name: statistics.median(one[name] for one in rounds)
                for name in ("requests_per_second", "p50_ms", "p99_ms")
            }
            pairs = zip(rounds, numbers["jsonl"], strict=True)
            row["share"] = statistics.median(one["requests_per_second"] / other for one, other in pairs)
            rows[n_clients] = row
            print(
                f"| {n_clients} | {row['requests_per_second']:,.0f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f}"
                f" | {row['share']:.2f} |"
            )
        return {"predict": predicted, "clients": rows}

    def soak(self) -> dict[str, Any]:
        """Load the server for minutes, and print its memory."""
        samples: list[tuple[float, float]] = []
        with served(self.arguments.model, *self._options()) as (port, pid):
            self.load(port, 64, 5)
            command = [sys.executable, __file__, "--child", str(port), str(self.folder / "requests"), "64"]
            clients = subprocess.Popen([*command, str(self.arguments.soak)], stdout=subprocess.PIPE, text=True)
            since = time.monotonic()
            while clients.poll() is None:
                samples.append((time.monotonic() - since, memory(pid)))
                time.sleep(max(1.0, self.arguments.soak / 120))
            assert clients.stdout is not None
            found = json.loads(clients.stdout.read())
            clients.stdout.close()
        half = [mb for at, mb in samples if at >= self.arguments.soak / 2]
        growth = half[-1] / half[0] - 1
        print(
            f"{self.arguments.soak} s at saturation: {found['requests_per_second']:,.0f} requests/s,"
            f" {found['statuses']}"
        )
        shown = [f"{mb:.0f}" for _, mb in samples[:: max(1, len(samples) // 12)]]
        print(f"memory in MB over time: {', '.join(shown)}; second half: {100 * growth:+.1f} %")
        if growth > MOST_GROWTH or set(found["statuses"]) != {"200"}:
            raise SystemExit("memory has grown, or answers were not 200")
        return {"requests_per_second": found["requests_per_second"], "memory_mb": samples}

    def _options(self) -> list[str]:
        return ["--workers", str(self.arguments.workers)]


def _request(tokens: list[str]) -> bytes:
    body = json.dumps({"tokens": tokens}).encode()
    head = ["POST /v1/tag HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode() + body


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file")
    parser.add_argument("--model", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--longest", type=int, default=12, help="the most tokens of a sentence")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=0, metavar="SECONDS", help="only this: load for so long")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(arguments, Path(folder))
        found = bench.soak() if arguments.soak else bench.table()
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    if not arguments.soak and max(row["share"] for row in found["clients"].values()) < LEAST_SHARE:
        raise SystemExit(f"found less than {LEAST_SHARE} of predict")


if __name__ == "__main__":
    main()
