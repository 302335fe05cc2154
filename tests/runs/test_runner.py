"""Check the runner of many trainings with processes that do not train."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import ROOT
from watcher import Heard

from tagger.config.keys import Config, DataConfig, FeaturesConfig
from tagger.config.loading import with_model_dir
from tagger.errors import ConfigError, TaggerError
from tagger.runs.job import Job, JobResult
from tagger.runs.messages import Ended, Epoch, Failed, Message, Pretraining, Started, Steps, Told, from_line, to_line
from tagger.runs.resources import Resources, expected_memory, share_out
from tagger.runs.runner import run_all
from tagger.training.rows import Rows

WORKER = (sys.executable, str(Path(__file__).with_name("fake_worker.py")))
TWO = Resources(2, 1, 0)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Job]]:
    monkeypatch.setenv("STARTED", str(tmp_path / "started"))
    monkeypatch.setenv("JOB_SECONDS", "0")
    config = Config(data=DataConfig(train=str(tmp_path / "train")))
    return lambda *names: [Job(name, with_model_dir(config, tmp_path / name), Rows([0, 2], [1])) for name in names]


def started(directory: Path) -> list[str]:
    return (directory / "started").read_text().splitlines()


def test_results_are_those_of_the_jobs_in_their_order(jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOB_SECONDS", "0.5")
    heard, finished = Heard(), list[str]()
    results = run_all(
        jobs("a", "b", "c"), tmp_path, TWO, heard, on_result=lambda one: finished.append(one.name), worker=WORKER
    )
    assert [result.name for result in results] == ["a", "b", "c"]
    assert sorted(finished) == sorted(heard.finished) == ["a", "b", "c"]
    assert ("a", Told("it is odd", is_warning=True)) in heard.messages
    assert (tmp_path / "a.log").read_text() == "warning: it is odd\n"
    order = [(name, type(message)) for name, message in heard.messages]
    begun = {name: order.index((name, Started)) for name in "abc"}
    ended = {name: order.index((name, Ended)) for name in "ab"}
    assert max(begun["a"], begun["b"]) < min(ended.values()) < begun["c"], "two at a time"


def test_what_is_finished_is_not_run_again_unless_its_model_is_gone(jobs, tmp_path: Path) -> None:
    first = run_all(jobs("a", "b"), tmp_path, TWO, Heard(), worker=WORKER)
    (tmp_path / "started").unlink()
    heard = Heard()
    assert run_all(jobs("a", "b"), tmp_path, TWO, heard, worker=WORKER) == first
    assert heard.done == ["a", "b"]
    assert not (tmp_path / "started").exists()
    shutil.rmtree(tmp_path / "b")
    assert run_all(jobs("a", "b"), tmp_path, TWO, Heard(), worker=WORKER) == first
    assert started(tmp_path) == ["b"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"name": 1}', b"\xff"])
def test_a_damaged_result_is_made_again(jobs, tmp_path: Path, content: bytes) -> None:
    run_all(jobs("a"), tmp_path, TWO, Heard(), worker=WORKER)
    (tmp_path / "a.json").write_bytes(content)
    (result,) = run_all(jobs("a"), tmp_path, TWO, Heard(), worker=WORKER)
    assert JobResult.from_json(json.loads((tmp_path / "a.json").read_bytes())) == result


def test_an_error_stops_the_others_and_is_raised_with_the_name(jobs, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match=r"^fails: data.train: found nothing\n") as caught:
        run_all(jobs("fails", "waits", "never"), tmp_path, TWO, Heard(), worker=WORKER)
    assert caught.value.detail == ("look there",)
    assert sorted(started(tmp_path)) == ["fails", "waits"]


def test_a_process_that_dies_is_an_error_with_the_end_of_its_log(jobs, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match=r"^dies: the process ended with signal SIGKILL, .* lower --jobs") as caught:
        run_all(jobs("dies"), tmp_path, TWO, Heard(), worker=WORKER)
    assert f"{tmp_path / 'dies.log'}: killed by hand" in caught.value.detail


def test_a_process_that_cannot_start_is_an_error(jobs, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match=r"^a: the process ended with exit code 3, expected a result"):
        run_all(jobs("a"), tmp_path, TWO, Heard(), worker=(sys.executable, "-c", "raise SystemExit(3)"))


def test_a_log_that_cannot_be_written_stops_nothing(jobs, tmp_path: Path) -> None:
    (tmp_path / "a.log").symlink_to("/dev/full")
    results = run_all(jobs("a", "b"), tmp_path, TWO, Heard(), worker=WORKER)
    assert [result.name for result in results] == ["a", "b"]


def test_stopping_leaves_results_and_starts_nothing_more(jobs, tmp_path: Path) -> None:
    heard = Heard()
    results = run_all(
        jobs("a", "waits", "c", "waits-too"),
        tmp_path,
        TWO,
        heard,
        should_stop=lambda: "c" in heard.finished,
        worker=WORKER,
    )
    assert [result.name for result in results] == ["a", "c"]


def test_the_trainings_end_with_their_parent(jobs, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from tagger.runs.job import Job\n"
        "from test_runner import TWO, WORKER, Heard, run_all\n"
        "run_all([Job.from_line(sys.stdin.readline())], Path(sys.argv[1]), TWO, Heard(), worker=WORKER)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdin=subprocess.PIPE,
        text=True,
    )
    assert parent.stdin is not None
    parent.stdin.write(jobs("waits")[0].to_line())
    parent.stdin.flush()
    until = time.monotonic() + 60
    while not (tmp_path / "waits.log").exists() or not (tmp_path / "waits.log").read_text():
        assert time.monotonic() < until
        time.sleep(0.05)
    children = [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdin.close()
    assert children
    while any(Path(f"/proc/{pid}").exists() for pid in children):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("cluster", "refused"),
    [({}, False), ({"worker": ["a:1"]}, False), ({"chief": ["a:1"], "worker": ["b:1"]}, True), (7, False)],
)
def test_several_workers_are_refused(jobs, tmp_path: Path, monkeypatch, cluster: object, refused: bool) -> None:
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    with pytest.raises(ConfigError, match=r"^TF_CONFIG: found several") if refused else contextlib.nullcontext():
        assert len(run_all(jobs("a"), tmp_path, TWO, Heard(), worker=WORKER)) == 1


@pytest.mark.parametrize(
    "message",
    [Told("ä\n", is_warning=False), Pretraining(0.5), Started(3, 1, 0.5), Steps(0.25, 7), Epoch(2, None, 0.1), Ended(None),
     Ended({"name": "a"}), Failed("no", ["a", "b"])],
)  # fmt: skip
def test_messages_come_back(message: Message) -> None:
    assert from_line(to_line(message)) == message


@pytest.mark.parametrize("line", ["", "x", "[]", "{}", '{"is": "Steps"}', '{"is": "Other"}', '{"is": ["Told"]}'])
def test_other_lines_are_no_messages(line: str) -> None:
    with pytest.raises(ValueError, match="expected a message"):
        from_line(line)


def test_a_job_comes_back(jobs) -> None:
    (job,) = jobs("a")
    assert Job.from_line(job.to_line()) == job
    other = Job("b", job.config, None, "cpu")
    assert Job.from_line(other.to_line()) == other
    ready = job.ready(3, {"data.train": "SHA-256 0"})
    assert Job.from_line(ready.to_line()) == ready
    assert (ready.config.training.threads, ready.checksum) == (3, job.checksum)
    assert job.checksum != other.checksum != Job("a", job.config, Rows([0, 2], [])).checksum


@pytest.mark.parametrize(
    ("n_jobs", "at_once", "cores", "memory", "expected"),
    [
        (5, None, 4, 100, (4, 1)),
        (2, None, 8, 100, (2, 4)),
        (5, 3, 8, 100, (3, 2)),
        (5, None, 4, 2, (2, 1)),  # memory for two; the threads do not depend on it
        (5, None, 4, 0, (1, 1)),
        (5, 4, 4, 0, (4, 1)),  # the user knows better
        (1, None, 4, 100, (1, 4)),
    ],
)
def test_cores_and_memory_are_shared_out(tmp_path: Path, n_jobs, at_once, cores, memory, expected) -> None:
    (tmp_path / "train").write_bytes(b"x" * 1000)
    config = Config(data=DataConfig(train=str(tmp_path / "train")))
    need = expected_memory(config)
    found = share_out(
        config, n_jobs, at_once=at_once, device="cpu", cores=cores, memory=memory * need + 1, gpu=tmp_path / "none"
    )
    assert (found.n_at_once, found.threads) == expected


def test_lists_and_clusters_take_memory(tmp_path: Path) -> None:
    for name in ("train", "list", "clusters"):
        (tmp_path / name).write_bytes(b"x" * 1000)
    data = DataConfig(train=str(tmp_path / "train"))

    def more(**features: object) -> int:
        return expected_memory(Config(data=data, features=FeaturesConfig(**features))) - expected_memory(
            Config(data=data)
        )

    assert more(lists={"city": str(tmp_path / "list")}) == 40_000
    assert more(clusters=str(tmp_path / "clusters")) == 40_000
    assert more(cluster_language="en") == 200_000_000


def test_trainings_on_a_gpu_follow_each_other(tmp_path: Path) -> None:
    config = Config(data=DataConfig(train="train"))
    (tmp_path / "gpu").touch()
    assert share_out(config, 3, cores=8, memory=10**12, gpu=tmp_path / "gpu").n_at_once == 1
    assert share_out(config, 3, cores=8, memory=10**12, gpu=tmp_path / "gpu", device="cpu").n_at_once == 3


def test_a_key_that_is_not_set_stays_so_on_the_way_to_a_process(jobs) -> None:
    (job,) = jobs("a")
    found = Job.from_line(job.ready(2, {}).to_line()).config
    assert found.training.threads == 2
    assert "embedding_dim" not in found.model.model_fields_set  # pretrained vectors decide then
    own = job.config.model_copy(update={"model": job.config.model.model_copy(update={"embedding_dim": 7})})
    (again,) = [Job.from_line(Job("b", own).to_line()).config]
    assert again.model.embedding_dim == 7
    assert "embedding_dim" in again.model.model_fields_set


def test_an_error_about_the_place_names_the_option_that_was_used(jobs, tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match=r"full: cannot be written; choose another place with --runs$"):
        run_all(jobs("full"), tmp_path, TWO, Heard(), worker=WORKER)
