"""The connection with a cluster: what a local one leaves to the network and on the disk, and addresses of something else."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.cluster import connection
from tagger.cluster import own_directory as own_directory_module
from tagger.errors import TaggerError

pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

from ray_clusters import ENVIRONMENT, HERE, PATIENCE

pytestmark = pytest.mark.ray


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="sockets are found in /proc")
def test_a_local_cluster_listens_on_this_machine_only_and_leaves_nothing_behind() -> None:
    environment = {**ENVIRONMENT, "RAY_ADDRESS": "192.0.2.1:6379", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "1"}
    with tempfile.TemporaryDirectory(prefix="longer-than-a-socket-allows-") as directory:
        done = subprocess.run(
            [sys.executable, HERE / "listening.py"],
            env={**environment, "TMPDIR": directory},
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    found = json.loads(done.stdout)
    assert found["commands"] >= 3
    assert set(found["addresses"]) == {"127.0.0.1"}
    top = Path(found["directory"]).parents[1]
    assert top.parent == Path("/tmp")
    assert found["mode"] == 0o700
    assert not top.exists()


def test_directories_of_processes_that_were_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(own_directory_module, "_LONGEST", 1000)
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    for name in ("tagger-ray-killed", "tagger-ray-young", "tagger-ray-not-ours", "other"):
        (tmp_path / name / "r").mkdir(parents=True)
        if name != "tagger-ray-not-ours":
            (tmp_path / name / "lock").touch()
    with own_directory_module.own_directory() as first:
        for place in (*tmp_path.iterdir(), first.parent):
            if place.name != "tagger-ray-young":
                os.utime(place, (1, 1))
        with own_directory_module.own_directory() as second:
            found = sorted(path.name for path in tmp_path.iterdir())
            names = ["other", "tagger-ray-not-ours", "tagger-ray-young", first.parent.name, second.parent.name]
            assert found == sorted(names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "tagger-ray-not-ours", "tagger-ray-young"]


@pytest.fixture
def answer() -> list[bytes]:
    return []


@pytest.fixture
def address(answer: list[bytes]) -> Iterator[str]:
    """The address of a server that sends one answer, or nothing."""

    def serve() -> None:
        with server.accept()[0] as peer, contextlib.suppress(ConnectionError):
            if answer:
                peer.sendall(answer[0])
            while peer.recv(100):
                pass

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()


def test_a_server_of_another_kind_is_refused_at_once(address: str, answer: list[bytes]) -> None:
    answer.append(b"SSH-2.0-OpenSSH_9.6\r\n")
    with (
        pytest.raises(TaggerError, match=r"cannot be reached: found a server of another kind, which answers b'SSH-2.0"),
        connection.connected(address),
    ):
        pass


def test_a_server_that_is_silent_is_refused_soon(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_PATIENCE", 0.2)
    with (
        pytest.raises(TaggerError, match=r"127.0.0.1:\d+: the cluster cannot be reached: timed out; expected `local`"),
        connection.connected(address),
    ):
        pass


def test_the_address_of_a_client_is_refused() -> None:
    with (
        pytest.raises(TaggerError, match=r"--ray ray://h:10001: the cluster cannot be reached: found a URL; expected"),
        connection.connected("ray://h:10001"),
    ):
        pass


def test_a_local_cluster_that_cannot_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("The node timed out during startup.\nLogs are somewhere.")

    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr("ray.init", fail)
    with (
        pytest.raises(
            TaggerError, match=r"^--ray local: Ray cannot start: The node timed out during startup; expected"
        ),
        connection.connected("local"),
    ):
        pass
