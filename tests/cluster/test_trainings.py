"""The runner of many trainings on a real Ray cluster of two nodes, mostly with processes that do not train."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers import ROOT

pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

from ray_clusters import ENVIRONMENT, HERE, PATIENCE, Cluster, two_nodes, wait_for

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "STARTED", str(tmp_path_factory.mktemp("started") / "started"))
        with contextlib.contextmanager(two_nodes)() as found:
            yield found


def start(cluster: Cluster, folder: Path, *names: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, HERE / "running_jobs.py", cluster.address, folder, *names],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def run(cluster: Cluster, folder: Path, *names: str) -> tuple[dict[str, object], str]:
    output, errors = start(cluster, folder, *names).communicate(timeout=PATIENCE)
    return json.loads(output or "{}"), errors


def begun() -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return [line.split()[0] for line in Path(ENVIRONMENT["STARTED"]).read_text().splitlines()]
    return []


def test_results_come_in_the_order_of_the_jobs_and_are_not_made_again(cluster: Cluster, tmp_path: Path) -> None:
    found, errors = run(cluster, tmp_path, "a", "b", "c")
    assert found == {"results": ["a", "b", "c"]}, errors
    assert errors.startswith("2 at once, 1 thread\n")
    assert (tmp_path / "a.log").read_text() == "warning: it is odd\n"
    assert sorted(begun()) == ["a", "b", "c"]
    assert run(cluster, tmp_path, "a", "b", "c")[0] == found
    assert sorted(begun()) == ["a", "b", "c"]


def test_errors_stop_the_others_and_name_the_training(cluster: Cluster, tmp_path: Path) -> None:
    found, _ = run(cluster, tmp_path, "fails", "waits-too", "never")
    assert found == {"error": "fails: data.train: found nothing", "detail": ["look there"]}
    assert "never" not in begun()
    found, _ = run(cluster, tmp_path, "dies")
    assert str(found["error"]).startswith("dies: the process ended with signal SIGKILL, expected a result: ")
    assert f"{tmp_path / 'dies.log'}: killed by hand" in found["detail"]  # type: ignore[operator]


def test_stopping_asks_the_processes_and_starts_nothing_more(cluster: Cluster, tmp_path: Path) -> None:
    process = start(cluster, tmp_path, "quick", "waits-1", "waits-2", "waits-3")
    wait_for(lambda: {"waits-1", "waits-2"} <= set(begun()), process)
    (tmp_path / "STOP").touch()
    output, errors = process.communicate(timeout=PATIENCE)
    assert json.loads(output) == {"results": ["quick"]}, errors
    assert "waits-3" not in begun()


def test_a_training_whose_machine_is_lost_is_continued_elsewhere(cluster: Cluster, tmp_path: Path) -> None:
    process = start(cluster, tmp_path, "waits-lost")
    wait_for(lambda: begun().count("waits-lost") == 1, process)
    hosts = [
        int(place.parent.name)
        for place in Path("/proc").glob("[0-9]*/cmdline")
        if place.read_bytes().startswith(b"ray::_Host")
    ]
    (host,) = hosts
    os.kill(host, signal.SIGKILL)
    wait_for(lambda: begun().count("waits-lost") == 2, process)
    (tmp_path / "STOP").touch()
    output, errors = process.communicate(timeout=PATIENCE)
    assert json.loads(output) == {"results": []}, errors


@pytest.mark.tensorflow
def test_folds_on_a_cluster_are_those_of_one_machine(tmp_path: Path) -> None:
    sentences = [f"w{i} {'B-X' if i % 3 else 'O'}\n" for i in range(40)]
    (tmp_path / "train.conll").write_text("\n".join(sentences))
    config = (
        "data: {train: train.conll}\nmodel: {units: 3, embedding_dim: 3, layers: 1, characters: none, decoder: constrained}\n"
        "training: {epochs: 2, threads: 1, optimizer: adam, ema: null, clip_norm: null}\n"
    )
    (tmp_path / "c.yaml").write_text(config)
    found = {}
    for name, options in (("here", []), ("ray", ["--ray", "local"])):
        done = subprocess.run(
            [sys.executable, "-m", "tagger", "crossval", "c.yaml", "-k", "2", "--runs", name, "--json", *options],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        fold = tmp_path / name / "fold-1"
        found[name] = [
            (tmp_path / name / "predictions.conll").read_bytes(),
            (fold / "weights.safetensors").read_bytes(),
        ]
    assert found["here"] == found["ray"]
