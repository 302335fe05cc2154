"""The bounds on what clients send and hold: slow ones, large ones, and too many of them."""

from __future__ import annotations

import dataclasses
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from serving import SENTENCE, Clients, Served, memory_of, worker

BODY = json.dumps({"tokens": SENTENCE}).encode()
HEAD = b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
END = b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n"
LIMITS = {
    "head": 2000, "head_seconds": 1.0, "body": 5000, "body_seconds": 1.0, "send_seconds": 1.0, "idle_seconds": 1,
    "connections": 40,
}  # fmt: skip


@pytest.fixture(scope="module")
def limited(model: Path) -> Iterator[Served]:
    with worker(model, **LIMITS) as served:
        yield served


@pytest.fixture(scope="module")
def narrow(model: Path) -> Iterator[Served]:
    """A server with room for few requests."""
    with worker(model, queue=3, bodies=500_000, send_seconds=0.5) as served:
        yield served


def status_and_rest(connection: socket.socket) -> tuple[int | None, bytes]:
    """Read until the server ends the connection; return the status of the first answer, or None, and all bytes."""
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    finally:
        connection.close()
    return (int(data[9:12]) if data else None), data


def answer_of(connection: socket.socket) -> bytes:
    """Read one answer, whose head and body may come separately."""
    data = b""
    while not data.endswith(b"}\n"):
        data += connection.recv(1 << 16)
    return data


def sent(served: Served, data: bytes) -> tuple[int | None, bytes]:
    connection = served.connect()
    connection.sendall(data)
    return status_and_rest(connection)


def test_heads_are_limited(limited: Served) -> None:
    end = b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(BODY) + BODY
    assert sent(limited, HEAD + b"X: %s\r\n" % (b"x" * 1500) + end)[0] == 200
    assert sent(limited, HEAD + b"X: %s\r\n" % (b"x" * 2500) + end)[0] == 431
    assert sent(limited, HEAD + b"X: y\r\n" * 500 + end)[0] == 431
    assert sent(limited, b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * 2500))[0] == 431


def test_a_head_without_an_end_is_not_collected(limited: Served) -> None:
    before = memory(limited)
    connection = limited.connect()
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(1000):
            connection.sendall(b"x" * (1 << 16))
    connection.close()
    assert memory(limited) - before < 8000


def memory(served: Served) -> int:
    """Return the memory of a server in kB."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))


SLOW_HEADS = [b"", b"POST /v1", HEAD + b"X: "]
SLOW_BODIES = [HEAD + b"Content-Length: 100\r\n\r\n{", HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"]
SLOW_AFTER_AN_ANSWER = [HEAD + END, HEAD + END + HEAD]


@dataclasses.dataclass(frozen=True)
class Slow:
    """What has become of slow clients, which all waited at the same time.

    Attributes:
        ended: what each of them sent → the status that it got, and the seconds until its end.
        byte_by_byte: the seconds until the end of one that sent a byte each tenth of a second.
        second_head: the statuses that one got that sent a request, waited for its answer and sent half of a head.
        counted: how much the metrics have grown.
    """

    ended: dict[bytes, tuple[int | None, float]]
    byte_by_byte: float
    second_head: tuple[int | None, int | None]
    counted: dict[str, int]


@pytest.fixture(scope="module")
def slow(limited: Served) -> Slow:
    def ended(data: bytes) -> tuple[int | None, float]:
        since = time.monotonic()
        return sent(limited, data)[0], time.monotonic() - since

    def byte_by_byte() -> float:
        connection, since = limited.connect(), time.monotonic()
        with pytest.raises((ConnectionResetError, BrokenPipeError)), connection:
            for byte in HEAD * 10:
                connection.sendall(bytes([byte]))
                time.sleep(0.1)
        return time.monotonic() - since

    def second_head() -> tuple[int | None, int | None]:
        connection = limited.connect()
        connection.sendall(HEAD + END)
        first = int(answer_of(connection)[9:12])
        connection.sendall(HEAD)
        return first, status_and_rest(connection)[0]

    data = [*SLOW_HEADS, *SLOW_BODIES, *SLOW_AFTER_AN_ANSWER]
    before = counted(limited)
    with ThreadPoolExecutor(len(data) + 2) as pool:
        others = pool.submit(byte_by_byte), pool.submit(second_head)
        found = dict(zip(data, pool.map(ended, data), strict=True))
        return Slow(found, others[0].result(), others[1].result(), growth(before, counted(limited)))


def counted(served: Served) -> dict[str, int]:
    """Return how often a server has given each answer."""
    lines = served.ask("GET", "/metrics").body.decode().splitlines()
    found = [line.removeprefix("tagger_answers_total") for line in lines if line.startswith("tagger_answers_total")]
    return {name: int(float(value)) for name, value in map(str.split, found)}


def growth(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0)}


@pytest.mark.parametrize("data", SLOW_HEADS)
def test_slow_heads_end(slow: Slow, data: bytes) -> None:
    status, seconds = slow.ended[data]
    assert status == (408 if data else None)
    assert 0.5 < seconds < 8


def test_a_head_that_comes_byte_by_byte_ends_too(slow: Slow) -> None:
    assert slow.byte_by_byte < 8


def test_a_slow_second_head_ends(slow: Slow) -> None:
    assert slow.ended[HEAD + END + HEAD][0] == 200
    assert slow.second_head == (200, 408)


def test_idle_connections_end(slow: Slow) -> None:
    assert slow.ended[HEAD + END][0] == 200


@pytest.mark.parametrize("data", SLOW_BODIES)
def test_slow_bodies_end(slow: Slow, data: bytes) -> None:
    assert slow.ended[data][0] == 408


def test_bodies_are_limited(limited: Served) -> None:
    def body(size: int) -> bytes:
        return BODY + b" " * (size - len(BODY))

    assert limited.post(body(5000)).status == 200
    assert limited.post(body(5001)).status == 413
    assert limited.post(body(50_000)).status == 413
    assert sent(limited, HEAD + b"Content-Length: 99999999\r\n\r\n")[0] == 413, "nobody waits for it"
    assert sent(limited, HEAD + b"Content-Length: %s\r\n\r\n" % (b"9" * 30))[0] == 400
    chunk = b"400\r\n" + b" " * 0x400 + b"\r\n"
    assert sent(limited, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 8 + b"0\r\n\r\n")[0] == 413


def test_a_client_that_does_not_read_is_sent_away(narrow: Served) -> None:
    # The answer is far larger than what the system buffers for a client that does not read.
    body = json.dumps({"documents": [{"tokens": ["Bonn"] * 2000}] * 25}).encode()
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", narrow.port))
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    connection.recv(100)
    deadline = time.monotonic() + 20
    while ended := _is_established(narrow, connection):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not ended
    connection.close()


def _is_established(served: Served, connection: socket.socket) -> bool:
    """Return whether the server has the connection, as Linux lists it."""
    port = f"{connection.getsockname()[1]:04X}"
    local = f":{served.port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(local) and row[2].endswith(":" + port) and row[3] == "01" for row in rows)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET /é HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(limited: Served, data: bytes) -> None:
    status, answer = sent(limited, data)
    assert status in (400, 408)
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["status"] == status


def test_what_comes_after_a_body_is_no_header(limited: Served) -> None:
    status, answer = sent(limited, HEAD + b"Connection: close\r\n" + CHUNKED + b"Host: evil.example\r\n\r\n")
    assert (status, b"PER" in answer) == (200, True)


def test_what_comes_after_a_body_is_not_collected(narrow: Served) -> None:
    connection = narrow.connect()
    connection.sendall(HEAD + CHUNKED + b"X: ")
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        for _ in range(200):
            connection.sendall(b"x" * (1 << 16))
    connection.close()


def test_the_answer_to_a_bad_request_does_not_come_before_earlier_answers(limited: Served) -> None:
    status, answer = sent(limited, HEAD + END + b"BAD\r\n\r\n")
    assert (status, b"PER" in answer, answer.count(b"HTTP/1.1 ")) == (200, True, 1)
    assert b"connection: close" in answer
    status, answer = sent(limited, HEAD + END + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n")
    assert [int(line[9:12]) for line in answer.splitlines() if line.startswith(b"HTTP/1.1 ")] == [200, 400]


def test_an_offer_of_another_protocol_is_ignored(limited: Served) -> None:
    """Java's client sends one with each request, unless it is told not to."""
    offer = HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    _, answer = sent(limited, offer + END + offer + CHUNKED + b"\r\n" + get + HEAD + b"Connection: close\r\n" + END)
    assert answer.count(b"HTTP/1.1 200 ") == 4
    assert answer.count(b'"PER"') == 3
    assert b"HTTP/1.1 4" not in answer
    connection = limited.connect()
    for part in (offer, END[:-10], END[-10:]):
        connection.sendall(part)
        time.sleep(0.1)
    assert answer_of(connection).startswith(b"HTTP/1.1 200 ")
    connection.sendall(get * 5000)
    connection.close()
    assert limited.post(BODY).status == 200


def test_answers_that_the_application_does_not_give_are_counted(limited: Served, slow: Slow) -> None:
    before = counted(limited)
    assert sent(limited, HEAD + b"X: %s\r\n" % (b"x" * 2500) + END)[0] == 431
    assert sent(limited, b"BAD\r\n\r\n")[0] == 400
    assert growth(before, counted(limited)) == {
        '{endpoint="/metrics",status="200"}': 1,
        '{endpoint="/v1/tag",status="431"}': 1,
        '{endpoint="other",status="400"}': 1,
    }
    assert slow.counted == {
        '{endpoint="/metrics",status="200"}': 1,
        '{endpoint="/v1/tag",status="200"}': 3,
        '{endpoint="/v1/tag",status="408"}': 2,  # bodies
        '{endpoint="other",status="408"}': 4,  # heads, but not the one that came together with a whole request
    }


def test_connections_are_limited(limited: Served) -> None:
    held = [limited.connect() for _ in range(45)]
    try:
        time.sleep(0.3)
        status, answer = sent(limited, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (status, b"retry-after: " in answer) == (503, True)
    finally:
        for connection in held:
            connection.close()
    time.sleep(0.3)
    assert limited.post(BODY).status == 200


def test_a_full_queue_says_when_to_try_again(narrow: Served) -> None:
    value = {"documents": [{"tokens": ["Bonn"] * 1000}] * 4}
    clients = Clients(narrow, 12, value)  # the bodies of all of them would have room
    clients.wait_for(60)
    clients.end()
    assert clients.lost == []
    assert {status for status, _ in clients.answers} == {200, 429}
    assert narrow.post(BODY).status == 200, "the places are free again"


def test_refusals_for_want_of_room_have_retry_after(narrow: Served) -> None:
    found = narrow.post(BODY + b" " * 500_000)
    assert found.status == 429
    assert 1 <= int(found.headers["retry-after"]) <= 60
    assert narrow.post(BODY).status == 200


def test_requests_that_wait_too_long_are_given_up(model: Path) -> None:
    with worker(model, request_seconds=0.05) as served:
        clients = Clients(served, 8, {"documents": [{"tokens": ["Bonn"] * 200}] * 50})
        deadline = time.monotonic() + 60
        while all(status != 503 for status, _ in clients.answers):
            assert time.monotonic() < deadline, len(clients.answers)
            time.sleep(0.02)
        clients.end()
        assert clients.lost == []
        while served.post(BODY).status != 200:  # what is being tagged cannot be stopped
            assert time.monotonic() < deadline


def test_a_text_that_takes_too_long_to_cut_is_given_up_and_does_not_hold_the_process(english: Path) -> None:
    pytest.importorskip("spacy", reason="the extra text is not installed")
    with worker(english, request_seconds=0.2, grace_seconds=1) as served:
        since = time.monotonic()
        found = served.tag({"text": "\n\n".join(["'" * 500] * 1200)})  # the tokenizer takes half a minute
        assert (found.status, "retry-after" in found.headers) == (503, True)
        assert time.monotonic() - since < 10
        assert served.process.stdin is not None
        served.process.stdin.close()
        assert served.process.wait(15) == 0


def test_the_table_is_mapped(narrow: Served) -> None:
    narrow.post(BODY)
    found = memory_of(narrow.process.pid, "embeddings.bin")
    assert found, "the embedding is read through a mapping"
    assert found["Private_Dirty"] == 0
