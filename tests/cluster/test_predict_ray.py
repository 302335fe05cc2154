"""`tagger predict --ray` on real clusters of this machine: the bytes of plain `predict`, whatever dies."""

from __future__ import annotations

import contextlib
import gzip
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import run_tagger

pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")

from ray_clusters import ENVIRONMENT, HERE, PATIENCE, Cluster, two_nodes, wait_for
from small_models import random_sentences, save_small_model  # (needs TensorFlow, which a skip shall not load)

pytestmark = [pytest.mark.ray, pytest.mark.tensorflow]
N_FILES = 60
cluster = pytest.fixture(two_nodes, scope="module")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("model") / "m")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of CoNLL files of several sizes, in folders and compressed, and of other formats."""
    folder = tmp_path_factory.mktemp("inputs") / "in"
    for i in range(N_FILES):
        place = folder / f"part {i % 3}" / f"{i}.conll"
        place.parent.mkdir(parents=True, exist_ok=True)
        sentences = random_sentences(3 + 40 * (i % 5), seed=i)
        place.write_bytes("\n\n".join("\n".join(sentence) for sentence in sentences).encode() + b"\r\n" * (i % 2))
    (folder / "d.jsonl").write_text('{"tokens": ["w1", "w2"], "id": "7"}\n{"tokens": ["w3"]}\n')
    (folder / "brackets.slashed").write_text("w1/B-X w2/O\nw3/O\n")
    (folder / "packed.conll.gz").write_bytes(gzip.compress(b"w1\nw2\n\nw3\n"))
    (folder / "table.csv").write_text("sentence,token\n1,w1\n1,w2\n2,w3\n")
    (folder / "u.conllu").write_text("".join(f"{i}\tw{i}" + "\t_" * 8 + "\n" for i in (1, 2)) + "\n")
    if importlib.util.find_spec("pyarrow") is not None:
        assert run_tagger("convert", folder / "d.jsonl", folder / "table.parquet").exit_code == 0
    if importlib.util.find_spec("spacy") is not None:  # which cuts texts into tokens
        (folder / "brat").mkdir()
        (folder / "brat/1.txt").write_text("w1 w2. w3\n")
        (folder / "brat/1.ann").write_text("T1\tX 0 2\tw1\n")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def output_of(name: str) -> str:
    return f"{name}.jsonl" if name.endswith((".slashed", ".parquet", ".ann", ".csv")) else name.removesuffix(".gz")


@pytest.fixture(scope="module")
def expected(inputs: Path, model: Path) -> dict[str, bytes]:
    """The outputs of plain `predict`."""
    found = {}
    for name in names(inputs):
        if name == "brat/1.txt":  # it belongs to 1.ann
            continue
        result = run_tagger("predict", inputs / name, "--model", model)
        assert result.exit_code == 0, result.errors
        found[output_of(name)] = result.output
    return found


def outputs(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names(folder) if not name.startswith(".tagger-predict.")}


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tagger", "predict", "--ray", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    output, errors = process.communicate(timeout=PATIENCE)
    assert output == b""
    assert not re.search(rb"Traceback|raylet|core_worker|rpc_client|ray\.io", errors), errors.decode()
    return process.returncode, errors.decode()


def n_done(folder: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return (folder / ".tagger-predict.jsonl").read_bytes().count(b"\n") - 1
    return 0


def workers_below(pid: int) -> list[int]:
    """Return the processes of workers that descend from a process."""
    parents, found = dict[int, int](), list[int]()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if (place / "cmdline").read_bytes().startswith(b"ray::_Worker"):
                found.append(int(place.name))

    def descends(one: int) -> bool:
        return one == pid or (one in parents and descends(parents[one]))

    return [one for one in found if descends(one)]


def test_two_nodes_give_the_bytes_of_plain_predict_and_what_is_done_is_not_done_again(
    cluster: Cluster, inputs: Path, expected: dict[str, bytes], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = (cluster.address, inputs, out, "--model", model)
    code, errors = finish(start(*arguments))
    assert code == 0, errors
    assert f"{len(expected)} files; 2 workers" in errors
    assert outputs(out) == expected
    before = {name: (out / name).stat().st_mtime_ns for name in expected}
    (out / "d.jsonl").unlink()
    os.utime(inputs / "part 0/0.conll", (1, 1))
    code, errors = finish(start(*arguments))
    assert code == 0
    assert f"{len(expected)} files, {len(expected) - 2} of them tagged before" in errors
    assert outputs(out) == expected
    after = {name: (out / name).stat().st_mtime_ns for name in expected}
    assert {name for name in after if after[name] != before[name]} == {"d.jsonl", "part 0/0.conll"}


def test_a_killed_worker_loses_nothing(
    cluster: Cluster, inputs: Path, expected: dict[str, bytes], model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(cluster.address, inputs, out, "--model", model)
    for n in (1, 20):
        wait_for(lambda n=n: n_done(out) >= n, process)
        os.kill(workers_below(cluster.process.pid)[0], signal.SIGKILL)
    code, errors = finish(process)
    assert code == 0, errors
    assert outputs(out) == expected


def test_items_that_end_badly_are_reported_and_the_others_are_done(cluster: Cluster, tmp_path: Path) -> None:
    script = [sys.executable, HERE / "killing_items.py", cluster.address, tmp_path / "once"]
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, timeout=PATIENCE, check=True)
    found = json.loads(done.stdout)
    assert {item: found.pop(item) for item in "abcdef"} == {item: item.upper() for item in "abcdef"}
    assert found.pop("kills once") == "KILLS ONCE"
    assert found.pop("kills").startswith("TaggerError: kills: its worker died 3 times, expected a result: its process")
    assert found.pop("refused") == "DataError: refused:3: is odd, expected something even; change it"
    assert found.pop("fails") == (
        "TaggerError: fails: found an error of tagger, expected none; report it: ValueError: never mind"
    )
    assert found.pop("unreadable") == (
        "TaggerError: unreadable: /nowhere cannot be read or written: No such file or directory"
    )
    assert found.pop("full") == (
        "TaggerError: full: it, or its output, cannot be read or written: No space left on device"
    )
    assert not found
    assert done.stderr == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_command_ends_ray_and_is_continued(
    inputs: Path, expected: dict[str, bytes], model: Path, tmp_path: Path, number: int, code: int
) -> None:
    out = tmp_path / "out"
    process = start("local", inputs, out, "--model", model, "--workers", "1")
    wait_for(lambda: n_done(out) >= 1, process)
    (worker,) = workers_below(process.pid)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C in a terminal does
    else:
        process.send_signal(number)
    found, errors = finish(process)
    assert found == code, errors
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    done = outputs(out)
    assert 0 < len(done) < len(expected)
    assert all(expected[name] == content for name, content in done.items()), "nothing is half written"
    assert finish(start("local", inputs, out, "--model", model, "--workers", "1"))[0] == 0
    assert outputs(out) == expected


def test_a_lost_node_loses_nothing_and_a_model_goes_where_it_is_not(
    cluster: Cluster, inputs: Path, expected: dict[str, bytes], model: Path, tmp_path: Path
) -> None:
    """This test is the last one, since it takes a node away."""
    out = tmp_path / "out"
    moved = model.rename(tmp_path / "m")
    try:
        process = start(cluster.address, inputs, out, "--model", moved)
        wait_for(lambda: workers_below(cluster.process.pid), process)
        moved.rename(model)  # a worker that begins from now on takes it from the store
        wait_for(lambda: n_done(out) >= 1, process)
        assert cluster.process.stdin is not None
        cluster.process.stdin.write(b"\n")
        cluster.process.stdin.flush()
        code, errors = finish(process)
    finally:
        if moved.exists():
            moved.rename(model)
    assert code == 0, errors
    assert outputs(out) == expected
    assert not list(Path(os.environ.get("TMPDIR", "/tmp")).glob("tagger-model-*"))


def test_a_command_that_is_stopped_while_ray_starts_has_the_usual_exit_code(
    inputs: Path, model: Path, tmp_path: Path
) -> None:
    process = start("local", inputs, tmp_path / "out", "--model", model)
    wait_for(lambda: (tmp_path / "out/.tagger-predict.jsonl").exists(), process)
    time.sleep(1.5)  # Ray takes about three seconds
    process.terminate()
    assert finish(process)[0] == 143


def test_a_command_that_is_killed_takes_its_cluster_with_it(inputs: Path, model: Path, tmp_path: Path) -> None:
    process = start("local", inputs, tmp_path / "out", "--model", model, "--workers", "1")
    wait_for(lambda: workers_below(process.pid), process)
    (worker,) = workers_below(process.pid)
    process.kill()
    process.communicate()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())


def test_workers_do_not_import_what_is_in_the_folder_of_the_user(model: Path, tmp_path: Path) -> None:
    for name in ("tagger/__init__.py", "numpy.py", "in/a.conll"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("raise SystemExit('imported')\n" if name.endswith(".py") else "w1\n")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "tagger", "predict", "--ray", "local", "in", "out", "--model", model],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out/a.conll").read_bytes().startswith(b"w1\t")


def test_a_cluster_that_is_not_there_is_an_error(inputs: Path, model: Path, tmp_path: Path) -> None:
    code, errors = finish(start("127.0.0.1:1", inputs, tmp_path / "out", "--model", model))
    assert code == 1
    assert "error: --ray 127.0.0.1:1: the cluster cannot be reached: " in errors
