"""The commands where Windows' stand-in takes away what Windows does not have; see `windows`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers import ROOT, SHORT_GRAPH, run_tagger
from windows import hide_directory_descriptors, lock_open_files, locked

from tagger import atomic, filesystem
from tagger.cli import console
from tagger.corpus.lines import read_line_blocks
from tagger.errors import DataError
from tagger.formats import brat
from tagger.vectors.table import Vectors
from tagger.vectors.writing import write_vectors

WINDOWS = [sys.executable, "-W", "ignore", str(ROOT / "tests/windows.py")]
CORPUS = b"".join(b"w%d B-X\r\nw%d I-X\nw%d O\n\n" % (i, i + 1, i + 2) for i in range(40))


def on_windows(
    *arguments: str | Path, cwd: Path, stdin: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*WINDOWS, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        check=False,
        timeout=200,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from small_models import save_small_model

    return save_small_model(tmp_path_factory.mktemp("windows") / "model")


@pytest.mark.tensorflow
def test_all_modules_are_imported_and_the_memory_is_that_of_windows(tmp_path: Path) -> None:
    done = on_windows("--import-all", cwd=tmp_path)
    n_modules, *memory = map(int, done.stdout.split())
    assert memory == [3 << 30, 1 << 30], done.stderr
    assert n_modules > 250


def test_help_is_the_same_as_here(tmp_path: Path) -> None:
    here = run_tagger("predict", "--help")
    assert on_windows("predict", "--help", cwd=tmp_path).stdout == here.output
    # A code page of Windows, which knows few letters.
    done = on_windows("train", "--help", cwd=tmp_path, PYTHONIOENCODING="cp1252", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.tensorflow
def test_predict_and_eval_give_the_bytes_that_they_give_here(model: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.conll").write_bytes(CORPUS)
    here = run_tagger("predict", "--model", model, stdin=CORPUS)
    done = on_windows("predict", "--model", model, cwd=tmp_path, stdin=CORPUS)
    assert (done.returncode, done.stdout) == (0, here.output), done.stderr
    assert here.output.count(b"\r\n") == 40

    here = run_tagger("eval", tmp_path / "corpus.conll", "--model", model, "--json")
    (tmp_path / ".tagger-model").write_text(f"{model}\n")
    done = on_windows("eval", "corpus.conll", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == json.loads(here.output), done.stderr
    assert json.loads(done.stdout)["f1"] > 0


@pytest.mark.tensorflow
def test_each_sentence_is_answered_before_the_next_one_is_written(model: Path) -> None:
    with subprocess.Popen(
        [*WINDOWS, "predict", "--model", str(model)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)},
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        for i in range(3):
            process.stdin.write(b"w%d O\n\n" % i)
            process.stdin.flush()
            assert process.stdout.readline().startswith(b"w%d O " % i)
            assert process.stdout.readline() == b"\n"
        process.stdin.close()
        assert process.wait(100) == 0


@pytest.mark.tensorflow
def test_training_and_writing_leave_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_bytes(CORPUS)
    config = "data: {train: train.conll, dev: train.conll}\ntraining: {epochs: 1, threads: 1}\noutput: {model_dir: m}\n"
    (tmp_path / "c.yaml").write_text(config)
    done = on_windows("train", "c.yaml", *(f"--set={setting}" for setting in SHORT_GRAPH), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".tagger-model").read_bytes() == b"m\n"
    assert "train: ../train.conll" in (tmp_path / "m/config.yaml").read_text("utf-8")
    tagged = on_windows("predict", "train.conll", cwd=tmp_path).stdout
    assert [line.rsplit(b"\t" if b"\t" in line else b" ", 1)[0] for line in tagged.split(b"\n") if line] == [
        line.rstrip(b"\r") for line in CORPUS.split(b"\n") if line
    ]
    for _ in range(2):
        done = on_windows("convert", "train.conll", "brat", "--to", "brat", "--force", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    found = {path.name for path in tmp_path.iterdir()}
    assert found == {"train.conll", "c.yaml", "m", "m.training", ".tagger-model", "brat"}


@pytest.mark.tensorflow
def test_a_model_in_use_can_be_replaced(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from small_models import save_small_model

    from tagger.prediction.onnx_session import load_predictor

    directory = save_small_model(tmp_path / "model")
    sentence = [["w1", "w2", "w3"]]
    mapped = load_predictor(directory)
    assert locked(directory), "on POSIX the embedding is mapped; the stand-in must see that"
    hide_directory_descriptors(monkeypatch)
    lock_open_files(monkeypatch)
    expected = mapped.tag(sentence)
    monkeypatch.setattr(filesystem, "_PATIENCE", 0.05)
    with pytest.raises(Exception, match=r"cannot be written: .*close the programs that have it open"):
        save_small_model(directory, seed=2)
    assert load_predictor(directory).tag(sentence) == expected, "the old model must be in its place again"
    del mapped

    loaded = load_predictor(directory)
    assert not locked(directory)
    save_small_model(directory, seed=2)
    assert loaded.tag(sentence) == expected
    assert load_predictor(directory).tag(sentence) != expected
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("is_read", [False, True])
def test_a_file_that_is_open_for_a_moment_is_replaced_later(
    tmp_path: Path, is_read: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    lock_open_files(monkeypatch)
    file = path.open("rb")
    if is_read:
        monkeypatch.setattr(filesystem, "_PATIENCE", 0.05)
        with pytest.raises(PermissionError):
            atomic.write_atomically(path, b"new")
        assert path.read_bytes() == b"old"
        file.close()
    else:
        threading.Timer(0.1, file.close).start()
        atomic.write_atomically(path, b"new")
        assert path.read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("which", ["m.txt", "m.npy"])
def test_vectors_that_somebody_reads_stay_whole(tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import numpy as np

    def vectors(value: float) -> Vectors:
        return Vectors({"a": 0, "b": 1}, np.full((2, 2), value, np.float32))

    write_vectors(vectors(1), tmp_path / "m.npy")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    lock_open_files(monkeypatch)
    monkeypatch.setattr(filesystem, "_PATIENCE", 0.05)
    with (tmp_path / which).open("rb"), pytest.raises(DataError, match="cannot be written"):
        write_vectors(vectors(2), tmp_path / "m.npy")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_scanner_that_opens_the_old_file_for_a_moment_does_not_lose_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"old a")
    second.write_bytes(b"old b")
    replace, n_restored = os.replace, 0

    def scanned(source: Path, target: Path) -> None:
        nonlocal n_restored
        n_restored += str(source).endswith(".old")
        if Path(target) == second or (str(source).endswith(".old") and n_restored == 1):
            raise PermissionError(13, "The process cannot access the file")
        replace(source, target)

    monkeypatch.setattr(os, "replace", scanned)
    monkeypatch.setattr(filesystem, "LOCKS_OPEN_FILES", True)
    monkeypatch.setattr(filesystem, "_PATIENCE", 0.1)
    with pytest.raises(PermissionError):
        atomic.replace_together({first: [b"new a"], second: [b"new b"]})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old a", "b": b"old b"}


def test_several_processes_cannot_serve(tmp_path: Path) -> None:
    from tagger.server.listening import listeners
    from tagger.server.settings import Settings

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with pytest.raises(DataError, match=r"^--workers: found 2, expected 1: .* on Windows; leave the option out"):
            listeners(Settings(models={"m": tmp_path}, host="127.0.0.1", port=0, workers=2, threads=1))


def test_a_closed_pipe_is_recognized_by_the_error_of_windows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    error = OSError(22, "Invalid argument")
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb"), os.fdopen(writer, "w", encoding="utf-8") as pipe, (tmp_path / "f").open("w") as file:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert type(console._not_written(error)).__name__ == "_ReaderGoneError"
        monkeypatch.setattr(sys, "stdout", file)
        assert "standard output: Invalid argument" in str(console._not_written(error))


def test_a_pipe_that_cannot_be_asked_counts_as_paused_and_a_file_does_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(10038, "not a socket")

    monkeypatch.setattr("tagger.corpus.lines.select.select", refuse)
    reader, writer = os.pipe()
    os.write(writer, b"a\nb\n")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert list(read_line_blocks(pipe, pauses=True)) == [[], [b"a\n", b"b\n"], []]
    (tmp_path / "f").write_bytes(b"a\nb\n")
    with (tmp_path / "f").open("rb") as file:
        assert list(read_line_blocks(file, pauses=True)) == [[b"a\n", b"b\n"]]


@pytest.mark.parametrize("name", ["con", "NUL.a", "a/com1", "aux .b/c"])
def test_names_of_devices_are_not_names_of_files(name: str) -> None:
    assert not brat._NAME.fullmatch(name)
    assert brat._NAME.fullmatch(f"{name}sole".replace(".", "").replace(" ", ""))
