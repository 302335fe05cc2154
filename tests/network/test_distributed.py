"""Check that several replicas train the same network as a single one, and stay bit-identical."""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from helpers import ROOT, SHORT_GRAPH, run_tagger
from safetensors.numpy import load_file

from tagger.errors import DeviceError

pytest.importorskip("tensorflow")

from tagger.network import distributed
from tagger.network.distributed import Task, connect, meet, read_task

pytestmark = pytest.mark.tensorflow

CONLL = "".join(
    f"{name}\tB-PER\nsaw\tO\n{place}\tB-LOC\n" + "today\tO\n" * (i % 4) + "\n"
    for i, (name, place) in enumerate([("Ada", "Oslo"), ("Linus", "Turin"), ("Grace", "Rome")] * 7)
)
SETTINGS = [
    "--set=training.epochs=3", "--set=model.dropout=0.0", "--set=model.input_dropout=0.0", "--set=model.token_dropout=0.0", "--set=training.batch_size=4", "--set=model.units=8",
    "--set=model.embedding_dim=8", "--set=training.learning_rate=0.01", "--set=vocabulary.unk_probability=0.5",
]  # fmt: skip
TRAINING = ["train", "config.yaml", *SETTINGS, *(f"--set={setting}" for setting in SHORT_GRAPH)]


# --- Replicas in one process ---------------------------------------------------------------------------------------


def test_each_gpu_is_a_replica_and_a_single_device_is_one_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[object] = []
    strategy = SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(distributed.tf.distribute, "MirroredStrategy", lambda devices: made.append(devices) or strategy)
    assert connect(Task(), 2).n == 2
    assert connect(Task(), 1).n == connect(Task(), 0).n == 1
    assert made == [None]  # None stands for all visible GPUs


@pytest.fixture(scope="module")
def two_replicas() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests/two_replicas.py")], check=True, stdout=subprocess.PIPE, timeout=200
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "sgd"])
def test_two_replicas_have_the_losses_of_one_with_the_whole_batch(two_replicas: dict[str, Any], optimizer: str) -> None:
    found = two_replicas[optimizer]
    np.testing.assert_allclose(found["losses"], found["expected"], atol=1e-4)
    assert len(found["losses"]) == 20
    assert found["weights_differ_by"] < 1e-4
    assert found["moved"] > 0.01
    assert found["averages_differ_by"] < 1e-4
    assert found["averages_moved"] > 0.001


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "sgd"])
def test_replicas_are_bit_identical_after_twenty_steps(two_replicas: dict[str, Any], optimizer: str) -> None:
    assert set(two_replicas[optimizer]["replicas"]) == {2}
    assert two_replicas[optimizer]["equal"]


def test_two_replicas_have_the_losses_of_one_with_weights_and_tokens_without_annotation(
    two_replicas: dict[str, Any],
) -> None:
    found = two_replicas["partly annotated"]
    np.testing.assert_allclose(found["losses"], found["expected"], atol=1e-5)
    assert len(set(found["losses"])) == 12


def test_two_replicas_pretrain_as_one_does(two_replicas: dict[str, Any]) -> None:
    found = two_replicas["pretrained"]
    np.testing.assert_allclose(found["losses"], found["expected"], atol=1e-4)
    assert len(set(found["losses"])) == 13
    assert found["losses"][-1] < found["losses"][0] - 0.01
    assert max(found["differ_by"].values()) < 1e-4
    assert {"rows.0", "state.forward.output", "state.backward.cell"} <= set(found["differ_by"])
    assert found["fixed"] == 0 < found["trained"], "the first columns of some rows stay"
    for streams in found["streams"]:  # the state of a stream at a boundary is zero
        assert {stream % 2 for stream in streams} == {0, 1}, "each replica knows the states of the other's streams"
    assert found["broken"].startswith("DeviceError: replicas: found weights that differ")


def test_rows_of_the_embedding_are_set_on_every_replica(two_replicas: dict[str, Any]) -> None:
    assert two_replicas["set rows"] == [True, True]


def test_a_replica_with_different_weights_is_detected(two_replicas: dict[str, Any]) -> None:
    assert two_replicas["broken"].startswith(
        "DeviceError: replicas: found weights that differ, expected weights that are equal"
    )


# --- Two processes -------------------------------------------------------------------------------------------------


def two_workers(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    return subprocess.run(
        [ROOT / "scripts/checks/two_workers.sh", *arguments],
        capture_output=True, text=True, check=False, cwd=folder, timeout=200, env=environment,
    )  # fmt: skip


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    (tmp_path / "train.conll").write_text(CONLL)
    (tmp_path / "config.yaml").write_text("data: {train: train.conll, dev: train.conll}\n")
    return tmp_path


def losses(model: Path) -> list[float]:
    with (model / "history.csv").open() as file:
        return [float(row["train_loss"]) for row in csv.DictReader(file)]


def test_two_workers_train_the_same_model_as_one_and_only_the_chief_writes(corpus: Path) -> None:
    done = two_workers(corpus, "train", "config.yaml", *SETTINGS, "--model", "two")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "WARNING" not in done.stderr
    assert "worker 0: 2 replicas; each batch of 4 sentences is divided among them" in done.stderr
    assert "worker 1: the model is written by the chief worker" in done.stderr
    shown = [line.partition(": ")[::2] for line in done.stderr.splitlines()]
    assert {worker for worker, line in shown if re.match("epoch |network |data  ", line)} == {"worker 0"}
    assert [worker for worker, line in shown if line == "the chief worker shows the progress"] == ["worker 1"]
    assert sorted(path.name for path in corpus.iterdir()) == [
        ".tagger-model", "config.yaml", "train.conll", "two", "two.training",
    ]  # fmt: skip
    with contextlib.chdir(corpus):
        assert run_tagger("train", "config.yaml", *SETTINGS, "--model", "one").exit_code == 0
    one, two = (load_file(corpus / name / "weights.safetensors") for name in ("one", "two"))
    np.testing.assert_allclose(losses(corpus / "two"), losses(corpus / "one"), atol=1e-4)
    assert losses(corpus / "two")[-1] < losses(corpus / "two")[0]
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-4)


PRETRAINING = [
    f"--set={setting}" for setting in (
        "model.embedding_dim=4", "model.units=3", "model.characters=none", "training.streams=3", "training.steps=4",
        "training.samples=8", "vocabulary.min_count=1", "training.held_out=0.1", "training.threads=1",
    )
]  # fmt: skip


def test_two_workers_pretrain_the_same_directory_as_one_though_they_are_interrupted(corpus: Path) -> None:
    pretrain = ["pretrain", "train.conll", *PRETRAINING, "--set=training.epochs=80", "--resume", "-o"]
    first, second = workers = start_workers(corpus, [*pretrain, "two"], [*pretrain, "two"])
    for line in first.stderr or ():
        if line.startswith("step "):
            break
    second.send_signal(signal.SIGTERM)  # not the chief, which has to save
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == [130, 143], errors
    assert not [line for line in errors[1].splitlines() if line.startswith(("step ", "perplexity "))]
    assert sorted(path.name for path in corpus.glob("two*")) == ["two.text", "two.text-1", "two.training"]
    done = two_workers(corpus, *pretrain, "two")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    begun = re.findall(r"worker (\d): continuing after ([\d,]+) of", done.stderr)
    assert {worker for worker, _ in begun} == {"0", "1"}
    assert len({step for _, step in begun} - {"0"}) == 1
    assert "worker 0: 2 workers; the streams of the text are divided among them" in done.stderr
    assert "worker 1: the result is written by the chief worker" in done.stderr
    assert not list(corpus.glob("two.*")), "nothing is left beside it"
    with contextlib.chdir(corpus):
        assert run_tagger(*pretrain, "one").exit_code == 0
    one, two = (load_file(corpus / name / "weights.safetensors") for name in ("one", "two"))
    one["embedding"], two["embedding"] = (np.fromfile(corpus / n / "embeddings.bin", "<f4") for n in ("one", "two"))
    for name in one:
        np.testing.assert_allclose(two[name], one[name], atol=1e-3)
    again = two_workers(corpus, *pretrain, "two")
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("this pretraining is already finished; there is nothing left to do") == 2


def test_workers_that_pretrain_on_different_texts_are_refused(corpus: Path) -> None:
    (corpus / "other.conll").write_text(CONLL.replace("Oslo", "Bergen"))
    differing = (("train.conll", "1"), ("other.conll", "2"))
    commands = [
        ["pretrain", name, *PRETRAINING, f"--set=training.seed={seed}", "-o", "pre"] for name, seed in differing
    ]
    for i, worker in enumerate(start_workers(corpus, *commands)):
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 1
        (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
        assert line.startswith(f"error: TF_CONFIG: worker {i} and another have different texts and settings, expected")


def test_workers_with_different_data_are_refused(corpus: Path) -> None:
    (corpus / "other.conll").write_text(CONLL.replace("Oslo", "Bergen"))
    files = ("train.conll", "other.conll")
    workers = start_workers(corpus, *([*TRAINING, f"--set=data.train={name}"] for name in files))
    for i, worker in enumerate(workers):
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 1
        (line,) = (line for line in errors.splitlines() if line.startswith("error: "))
        assert line.startswith(f"error: TF_CONFIG: worker {i} and another have different training data or settings")


@pytest.mark.parametrize(
    ("number", "codes"), [(signal.SIGTERM, [143, 130]), (signal.SIGKILL, [-signal.SIGKILL, 1])], ids=["stop", "kill"]
)
def test_when_one_worker_is_stopped_or_dies_the_other_ends_too(
    corpus: Path, number: signal.Signals, codes: list[int]
) -> None:
    # With a moving average, whose state must be the same in both workers too.
    endless = [*TRAINING, "--set=training.epochs=1000000", "--set=training.patience=null", "--set=training.ema=0.8"]
    first, second = workers = start_workers(corpus, endless, endless)
    wait_for_epoch(first, "2 ")
    first.send_signal(number)
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == codes, errors
    assert "Traceback" not in errors[0] + errors[1]
    if codes[1] == 1:
        (line,) = (line for line in errors[1].splitlines() if line.startswith("error: "))
        assert line.startswith("error: TF_CONFIG: another worker ended or cannot be reached; ")
        return
    assert "model of epoch " in errors[0]
    # Only the chief wrote a state. The workers compare their weights after the next epoch.
    first, second = workers = start_workers(corpus, [*endless, "--resume"], [*endless, "--resume"])
    begun = list(itertools.takewhile(lambda line: not line.startswith("the chief worker "), second.stderr or ()))
    assert any(re.match(r"continuing in epoch [2-9]\d*, after \d+ steps of it", line) for line in begun), begun
    wait_for_epoch(first)
    first.send_signal(number)
    errors = [worker.communicate(timeout=60)[1] for worker in workers]
    assert [worker.returncode for worker in workers] == codes, errors


def wait_for_epoch(chief: subprocess.Popen[str], number: str = "") -> None:
    """Read what the chief shows, which alone shows the epochs, up to the end of one of them."""
    for line in chief.stderr or ():
        if re.match(rf"epoch +{number}", line):
            return


def start_workers(folder: Path, *arguments: list[str]) -> list[subprocess.Popen[str]]:
    addresses = json.dumps(free_addresses(len(arguments)))
    workers = []
    for i, more in enumerate(arguments):
        config = f'{{"cluster": {{"worker": {addresses}}}, "task": {{"type": "worker", "index": {i}}}}}'
        command = [sys.executable, "-m", "tagger", *more]
        environment = os.environ | {"TF_CONFIG": config}
        workers.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=folder, env=environment))
    return workers


def free_addresses(n: int) -> list[str]:
    servers = [socket.create_server(("localhost", 0)) for _ in range(n)]
    addresses = [f"localhost:{server.getsockname()[1]}" for server in servers]
    for server in servers:
        server.close()
    return addresses


# --- Meeting before TensorFlow starts --------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_workers_meet_whichever_arrives_first(order: tuple[int, ...]) -> None:
    addresses = tuple(free_addresses(3))
    met: dict[int, bool] = {}

    def arrive(index: int) -> None:
        met[index] = meet(addresses, index)

    threads = [threading.Thread(target=arrive, args=[index]) for index in order]
    for n, thread in enumerate(threads, start=1):
        thread.start()
        time.sleep(0.3)
        assert not met or n == 3
    for thread in threads:
        thread.join(timeout=20)
    assert met == {0: True, 1: True, 2: True}


def test_strangers_at_the_chiefs_port_are_not_taken_for_workers() -> None:
    addresses = tuple(free_addresses(2))
    stop, met = threading.Event(), []
    chief = threading.Thread(target=lambda: met.append(meet(addresses, 0, stop.is_set)))
    chief.start()
    host, port = addresses[0].split(":")
    for greeting in (b"GET / HTTP/1.1\r\n", b"", b"0\n", b"2\n", b"\xff"):
        for _ in range(50):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection((host, int(port))) as stranger:
                stranger.sendall(greeting)
                break
            time.sleep(0.1)
    time.sleep(0.5)
    assert met == []
    assert meet(addresses, 1)
    chief.join(timeout=20)
    assert met == [True]


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_waits_for_the_others_can_be_stopped(index: int) -> None:
    asked = iter([False, False, True])
    start = time.monotonic()
    assert not meet(tuple(free_addresses(2)), index, lambda: next(asked, True))
    assert time.monotonic() - start < 5


def test_a_port_in_use_and_an_unknown_host_are_errors_that_name_them() -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            DeviceError, match=rf"^TF_CONFIG: worker 1: port {port} cannot be used: .*; stop the process that uses it"
        ):
            meet(("localhost:1", f"localhost:{port}"), 1)
    with pytest.raises(
        DeviceError, match=r"^TF_CONFIG: worker 1: the chief's host nowhere.invalid is unknown: .*check"
    ):
        meet(("nowhere.invalid:1", *free_addresses(1)), 1)


def test_a_worker_without_the_others_is_ended_by_a_signal(corpus: Path) -> None:
    config = json.dumps({"cluster": {"worker": free_addresses(2)}, "task": {"type": "worker", "index": 0}})
    command = [sys.executable, "-m", "tagger", "train", "config.yaml"]
    worker = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, cwd=corpus, env=os.environ | {"TF_CONFIG": config}
    )
    for line in worker.stderr or ():
        if "waiting for all of them" in line:
            break
    worker.send_signal(signal.SIGTERM)
    _, errors = worker.communicate(timeout=30)
    assert worker.returncode == 143
    assert "Traceback" not in errors


# --- Reading TF_CONFIG -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "task"),
    [
        ("", Task()),
        ('{"task": {"type": "worker", "index": 0}}', Task()),
        ('{"cluster": {"worker": ["a:1", "b:2"]}, "task": {"type": "worker", "index": 1}}', Task(("a:1", "b:2"), 1)),
        (
            '{"cluster": {"worker": ["b:2", "c:3"], "chief": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
            Task(("a:1", "b:2", "c:3"), 2),
        ),
        (
            '{"cluster": {"worker": ["b:2"], "chief": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
            Task(("a:1", "b:2"), 0),
        ),
    ],
)
def test_the_index_of_a_worker_is_read_from_tf_config(config: str, task: Task) -> None:
    assert read_task({"TF_CONFIG": config}) == task
    assert task.is_chief == (task.index == 0)


@pytest.mark.parametrize(
    "config",
    [
        "x", "[]", "1", '{"cluster": {"worker": ["a:1"]}}', '{"cluster": 3, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": -1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "chief": ["b:1", "c:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", 3]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": "0"}}',
    ],
)  # fmt: skip
def test_a_malformed_tf_config_is_an_error_that_shows_it_and_how_to_write_it(config: str) -> None:
    with pytest.raises(DeviceError, match=r"^TF_CONFIG: found .*, expected .*; write it as \{"):
        read_task({"TF_CONFIG": config})
