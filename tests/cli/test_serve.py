"""The command `tagger serve`: its errors, and what it says about an open address."""

from __future__ import annotations

import importlib.util
import socket
from pathlib import Path

import pytest
from helpers import run_tagger
from served_model import LIGHT, write_model
from serving import serving
from stored_model import save

LIBRARIES = ("starlette", "uvicorn", "httptools", "prometheus_client")
needs_libraries = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in LIBRARIES), reason="the extra serve is not installed"
)


def test_without_the_libraries_the_error_says_how_to_install_them(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a))
    result = run_tagger("serve", "--model", "x")
    assert result.exit_code == 1
    assert result.first_error == (
        "error: tagger serve: found no uvicorn, expected it to serve; run pip install '.[serve]' in a clone of tagger"
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("served") / "model", language=LIGHT)


@needs_libraries
def test_errors_name_the_option(model: Path, tmp_path: Path) -> None:
    with_features = tmp_path / "features"
    save(with_features)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for arguments, expected in [
            (["--model", model, "--port", port], f"--port: found {port}, which 127.0.0.1 cannot be listened on"),
            (["--model", model, "--port", port, "--workers", "2"], f"--port: found {port}"),
            (["--model", model, "--host", "no such host"], "--host: found 'no such host'"),
            (["--model", model, "--allow-host", "a:80"], "--allow-host: found 'a:80'"),
            (["--model", model, "--model", tmp_path / "x" / "model"], "which would both be named model"),
            (["--port", "0", "--model", tmp_path / "none"], "no such model directory"),
            (["--port", "0", "--workers", "2", "--model", tmp_path / "none"], "no such model directory"),
            (["--port", "0", "--model", with_features], "model.onnx"),
        ]:
            result = run_tagger("serve", *arguments)
            assert result.exit_code == 1, arguments
            assert expected in result.first_error, result.first_error


@needs_libraries
def test_an_open_address_is_a_warning_that_says_what_it_means(model: Path) -> None:
    with serving("--model", model) as served:
        assert not any("warning" in line for line in served.log)
        listening = [line.split()[1] for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        assert f"0100007F:{served.port:04X}" in listening, "127.0.0.1 and nothing else"
        assert f"00000000:{served.port:04X}" not in listening
    with serving("--model", model, "--host", "0.0.0.0") as served:
        (warning,) = [line for line in served.log if line.startswith("warning: --host 0.0.0.0")]
        assert "other machines can reach this server" in warning
        assert "encrypts nothing" in warning
        assert served.tag({"tokens": ["Bonn"]}).status == 200
