"""Nothing accepted is lost: when the server stops, when a model is exchanged, and when a worker dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from served_model import LIGHT, write_model
from serving import SENTENCE, Clients, Served, children_of, serving, worker

from tagger.atomic import publish_directory
from tagger.server.listening import drop_new

BODY = json.dumps({"tokens": SENTENCE}).encode()


def exchange(target: Path, source: Path) -> None:
    """Put a copy of a model in the place of another one, in one step, as a training does."""
    publish_directory(target, {path.name: path.read_bytes() for path in source.iterdir()})


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, new connections cannot be kept away")
def test_new_connections_are_kept_away_and_those_that_have_begun_are_not() -> None:
    with socket.socket() as listener, socket.socket() as begun, socket.socket() as new:
        # The handshake of a client that takes itself for connected ends here with its first data.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(20)
        begun.connect(listener.getsockname())
        drop_new(listener)
        new.settimeout(0.2)
        with pytest.raises(TimeoutError):
            new.connect(listener.getsockname())
        begun.sendall(b"x")
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.recv(1) == b"x"


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_under_load_loses_nothing(model: Path, workers: int) -> None:
    with serving("--model", model, "--workers", str(workers)) as served:
        kinds = [Clients(served, 16, keep_alive=keep_alive) for keep_alive in (True, False)]
        for clients in kinds:
            clients.wait_for(200)
        assert served.stop() == 143
        for clients in kinds:
            clients.end()
            assert clients.lost == []
            assert {status for status, _ in clients.answers} == {200}


def test_idle_connections_do_not_hold_the_server_and_a_late_request_is_answered(model: Path) -> None:
    with serving("--model", model) as served:
        idle, late, half = served.connect(), served.connect(), served.connect()
        head = (
            b"POST /v1/tag HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        half.sendall(head % len(BODY) + BODY[:5])
        time.sleep(0.3)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        late.sendall(head % len(BODY) + BODY)
        half.sendall(BODY[5:])
        for connection in (late, half):
            answer = b""
            while part := connection.recv(1 << 16):
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b"connection: close" in answer
        assert idle.recv(1) == b""
        assert served.process.wait(20) == 143
        for connection in (idle, late, half):
            connection.close()


def test_ctrl_c_ends_it_too(model: Path) -> None:
    with serving("--model", model) as served:
        served.process.send_signal(signal.SIGINT)
        assert served.process.wait(20) == 130


def test_a_worker_ends_with_its_parent(model: Path) -> None:
    with worker(model) as served:
        assert served.process.stdin is not None
        served.process.stdin.close()
        assert served.process.wait(20) == 0


def test_a_model_is_exchanged_under_load_without_losing_a_request(model: Path, other: Path, tmp_path: Path) -> None:
    target = tmp_path / "live"
    exchange(target, model)
    with serving("--model", target) as served:
        clients = Clients(served, 8)
        for source in (other, model, other):
            clients.wait_for(50)
            version = json.loads((source / "manifest.json").read_text())["sha256"]
            exchange(target, source)
            _wait_for_version(served, version)
        clients.wait_for(50)
        clients.end()
        assert clients.lost == []
        assert {status for status, _ in clients.answers} == {200}
        found = [json.loads(body)["spans"][0]["type"] for _, body in clients.answers]
        assert set(found) == {"PER", "NAME"}
        assert found[0] == "PER"
        assert found[-1] == "NAME"


def test_a_broken_model_is_not_taken_and_the_next_good_one_is(model: Path, other: Path, tmp_path: Path) -> None:
    target = tmp_path / "live"
    exchange(target, model)
    with serving("--model", target) as served:
        (tmp_path / "broken").mkdir()
        for path in other.iterdir():
            (tmp_path / "broken" / path.name).write_bytes(path.read_bytes()[:-1] + b"x")
        exchange(target, tmp_path / "broken")
        served.wait_for("warning: model live: the one in memory stays: ")
        assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "PER"
        assert (
            'tagger_model_reloads_total{model="live",result="failed"} 1' in served.ask("GET", "/metrics").body.decode()
        )
        exchange(target, other)
        _wait_for_version(served, json.loads((other / "manifest.json").read_text())["sha256"])
        assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "NAME"


def test_a_model_that_is_copied_file_by_file_is_taken_once_it_is_whole(
    model: Path, other: Path, tmp_path: Path
) -> None:
    target = tmp_path / "live"
    exchange(target, model)
    with serving("--model", target) as served:
        for path in target.iterdir():
            path.unlink()
        served.wait_for("warning: model live: the one in memory stays: ")
        assert "found no model, expected one" in served.log[-1]
        assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "PER"
        files = sorted(other.iterdir(), key=lambda path: path.name == "model.onnx")
        for path in files[:-1]:  # the manifest among them, the network not
            (target / path.name).write_bytes(path.read_bytes())
        time.sleep(1.2)
        assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "PER"
        (target / files[-1].name).write_bytes(files[-1].read_bytes())
        _wait_for_version(served, json.loads((other / "manifest.json").read_text())["sha256"])
        assert served.tag({"tokens": ["Peter"]}).json["spans"][0]["type"] == "NAME"


@pytest.mark.parametrize("name", ["m\udcff", "a\nb", "/"])
def test_names_that_no_client_can_write_are_refused(name: str) -> None:
    from tagger.errors import DataError
    from tagger.server.settings import named_models

    with pytest.raises(DataError, match=r"^--model: found .*, expected a directory whose name clients can write"):
        named_models([Path(name)])


def _wait_for_version(served: Served, version: str) -> None:
    deadline = time.monotonic() + 30
    while served.ask("GET", "/v1/models").json["models"][0]["version"] != version:
        assert time.monotonic() < deadline, served.log
        time.sleep(0.05)


def test_workers_share_the_work_and_one_that_dies_is_started_again(model: Path) -> None:
    with serving("--model", model, "--workers", "2") as served:
        pids = children_of(served.process.pid)
        assert len(pids) == 2
        mapped = Path(f"/proc/{served.process.pid}/maps").read_text()
        assert "onnxruntime" not in mapped, "their parent needs nothing that they need"
        clients = Clients(served, 16, keep_alive=False)
        clients.wait_for(200)
        clients.end()
        assert clients.lost == []
        total = sum(
            float(line.split()[-1])
            for line in served.ask("GET", "/metrics").body.decode().splitlines()
            if line.startswith("tagger_sentences_total")
        )
        assert total == len(clients.answers), "the metrics are those of both"
        assert all(_seconds_of(pid) > 0 for pid in pids)
        os.kill(pids[0], signal.SIGKILL)
        served.wait_for("a worker ended with the exit code -9")
        deadline = time.monotonic() + 30
        while len(children_of(served.process.pid)) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        # Connections that the system gives to the new worker wait until it is ready.
        assert [served.tag({"tokens": SENTENCE}).status for _ in range(20)] == [200] * 20
        pids = children_of(served.process.pid)
        served.process.kill()
        served.process.wait(20)
        while any(Path(f"/proc/{pid}").exists() and not _is_zombie(pid) for pid in pids):
            assert time.monotonic() < deadline + 30, "workers outlive their parent"
            time.sleep(0.05)


def test_a_worker_that_cannot_be_started_again_leaves_its_clients_to_the_others(tmp_path: Path) -> None:
    model, away = write_model(tmp_path / "model", language=LIGHT), tmp_path / "away"
    with serving("--model", model, "--workers", "2") as served:
        first, second = children_of(served.process.pid)
        model.rename(away)
        os.kill(first, signal.SIGKILL)
        served.wait_for("error: ")
        time.sleep(0.3)
        for _ in range(20):
            with socket.create_connection(("127.0.0.1", served.port), timeout=10) as connection:
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        away.rename(model)
        deadline = time.monotonic() + 40
        while len(children_of(served.process.pid)) < 2 or served.log[-1].startswith("error: "):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        os.kill(second, signal.SIGKILL)
        assert [served.tag({"tokens": SENTENCE}).status for _ in range(10)] == [200] * 10
        assert served.stop() == 143


def _seconds_of(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_port_is_taken_before_the_model_is_loaded(tmp_path: Path) -> None:
    """Two processes can bind the same port as long as neither listens; the second one must not fail later."""
    from tagger.errors import DataError
    from tagger.server.listening import listeners
    from tagger.server.settings import Settings

    (first,) = listeners(Settings(models={"m": tmp_path}, port=0))
    with first, pytest.raises(DataError, match=r"^--port: found \d+, which 127.0.0.1 cannot be listened on with:"):
        listeners(Settings(models={"m": tmp_path}, port=first.getsockname()[1]))


def test_the_metrics_are_not_those_of_another_program(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "/nowhere")
    with serving("--model", model) as served:
        served.tag({"tokens": SENTENCE})
        assert b'tagger_sentences_total{model="model"} 1.0' in served.ask("GET", "/metrics").body
