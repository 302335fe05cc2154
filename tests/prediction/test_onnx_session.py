"""Check that ONNX Runtime loads only verified files, and that results do not depend on how they are computed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from helpers import run_tagger, tag_files

from tagger.prediction.predictor import Predictor

pytest.importorskip("tensorflow")  # TensorFlow builds the models; nothing here predicts with it

from small_models import random_sentences, save_small_model, small_model

from tagger import Tagger
from tagger.errors import DeviceError, ModelError
from tagger.model_dir.files import ModelFiles
from tagger.model_dir.manifest import dump_manifest
from tagger.model_dir.store import load_model, read_weights
from tagger.network.onnx_export import model_graph
from tagger.prediction import onnx_session
from tagger.prediction.onnx_session import load_predictor

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_model(tmp_path_factory.mktemp("models") / "model", units=20, embedding_dim=16, max_length=30)


# --- The same tags, however they are computed ------------------------------------------------------------------------


def test_tags_and_probabilities_do_not_depend_on_batches_order_or_threads(directory: Path) -> None:
    sentences = random_sentences(300, longest=45)  # some sentences are tagged in windows
    expected = [load_predictor(directory, threads=1).tag([tokens])[0] for tokens in sentences]
    assert len({tag for tagged in expected for tag in tagged.tags}) == 5
    order = np.random.default_rng(1).permutation(len(sentences))
    for threads in (1, 2, 5):
        predictor = load_predictor(directory, threads=threads)
        for batch_tokens in (1, 50, 333, 1024, 8192):
            predictor = Predictor(predictor.model, threads=threads, batch_tokens=batch_tokens)
            assert predictor.tag(sentences) == expected, (threads, batch_tokens)
            shuffled = predictor.tag([sentences[i] for i in order])
            assert shuffled == [expected[i] for i in order]


def test_threads_share_a_tagger(directory: Path) -> None:
    tagger = Tagger.load(directory, threads=2)
    work = [random_sentences(60, seed=seed) for seed in range(40)]
    expected = [tagger.tag(sentences) for sentences in work]
    assert expected[0] != expected[1]
    start = threading.Barrier(8)

    def tag(worker: int) -> list[bool]:
        start.wait()
        mine = range(len(work)) if worker % 2 else reversed(range(len(work)))
        if worker < 4:
            return [tagger.tag(work[i]) == expected[i] for i in mine]
        return [list(tagger.tag_stream(iter(work[i]), read_ahead=7)) == expected[i] for i in mine]

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(tag, range(8)))
    assert [len(found) for found in results] == [40] * 8
    assert all(map(all, results))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_process_can_use_the_tagger_of_its_parent(directory: Path) -> None:
    if "fork" not in multiprocessing.get_all_start_methods():
        pytest.skip("this system does not fork")
    # The code runs in a separate process because TensorFlow, which these tests import, does not survive a fork.
    code = (
        "import sys, os, json, multiprocessing; from tagger import Tagger;"
        "tagger = Tagger.load(sys.argv[1], threads=2); sentences = json.loads(sys.argv[2]);"
        "tags = lambda *_: [p.tags for p in tagger.tag(sentences)]; expected = tags();\n"
        "def child(i):\n    return tags() == expected\n"
        "with multiprocessing.get_context('fork').Pool(4) as pool: print(pool.map_async(child, range(8)).get(60))"
    )
    sentences = random_sentences(200)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, str(directory), json.dumps(sentences)],
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert done.stdout == f"{[True] * 8}\n", done.stderr


# --- Verification of files -------------------------------------------------------------------------------------------


def test_a_changed_byte_is_detected(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    rng = np.random.default_rng(1)
    for name in ("model.onnx", "embeddings.bin", "tokens.txt", "tags.txt", "manifest.json"):
        content = (saved / name).read_bytes()
        for _ in range(40):
            changed = bytearray(content)
            changed[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
            (saved / name).write_bytes(changed)
            with pytest.raises(ModelError, match=name):
                load_predictor(saved)
        (saved / name).unlink()
        with pytest.raises(ModelError, match=f"found no {name}, expected one"):
            load_predictor(saved)
        (saved / name).write_bytes(content)
    load_predictor(saved)


def replace(saved: Path, name: str, content: bytes) -> None:
    """Replace the content of a file, and correct its checksum in the manifest."""
    (saved / name).write_bytes(content)
    values = json.loads((saved / "manifest.json").read_text("utf-8"))
    del values["sha256"]
    values["files"][name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    (saved / "manifest.json").write_bytes(dump_manifest(values))


def test_files_that_do_not_match_are_errors_even_if_their_checksums_are_right(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    graph, table = (saved / "model.onnx").read_bytes(), (saved / "embeddings.bin").read_bytes()
    replace(saved, "embeddings.bin", table[:-4])
    with pytest.raises(
        ModelError, match=rf"embeddings\.bin: found {len(table) - 4} bytes, expected {len(table)}: 202 ids"
    ):
        load_predictor(saved)
    replace(saved, "embeddings.bin", table)
    for wrong in (b"", b"no graph", graph[: len(graph) // 2]):
        replace(saved, "model.onnx", wrong)
        with pytest.raises(ModelError, match=r"model\.onnx: is not the network that the manifest describes: found .*"):
            load_predictor(saved)
    other = small_model(tmp_path, tags=("O", "B-X", "I-X"))
    replace(saved, "model.onnx", model_graph(other))
    with pytest.raises(
        ModelError,
        match=r"model\.onnx: is not the network that the manifest describes: found the outputs .*; train again",
    ):
        load_predictor(saved)


def test_nan_logits_are_an_error(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    model = small_model(tmp_path)
    weights = {**model.network, "softmax.bias": np.array([0, np.nan, 0, 0, 0], np.float32)}
    replace(saved, "model.onnx", model_graph(dataclasses.replace(model, network=weights)))
    with pytest.raises(
        ModelError,
        match=r"model\.onnx: found logits of the shape \(2, 2, 5\), some of them too large or not finite",
    ):
        load_predictor(saved).tag([["w2"], ["w2", "w3"]])
    result = run_tagger("predict", "--model", saved, stdin=b"w2\n\nw3\n")
    assert result.first_error.startswith(f"error: {saved}/model.onnx: found logits of the shape")


def test_logits_too_large_to_add_up_are_an_error(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    model = small_model(tmp_path)
    weights = {**model.network, "softmax.bias": np.array([3e38, -3e38, 3e38, -3e38, 0], np.float32)}
    replace(saved, "model.onnx", model_graph(dataclasses.replace(model, network=weights)))
    with pytest.raises(ModelError, match="some of them too large or not finite"):
        load_predictor(saved).tag([["w2"]])


def test_a_manifest_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    values = json.loads((saved / "manifest.json").read_text("utf-8"))
    del values["sha256"]
    values["notation"]["scheme"] = "none"
    (saved / "manifest.json").write_bytes(dump_manifest(values))
    with pytest.raises(ModelError, match=r"scheme: found IOB2 and notation.scheme none, expected both to be none"):
        load_predictor(saved)


def test_the_size_of_the_embedding_is_checked_before_its_content(tmp_path: Path) -> None:
    saved = save_small_model(tmp_path / "model")
    with (saved / "embeddings.bin").open("r+b") as file:
        file.truncate(1 << 40)  # reading this file would take an hour
    with pytest.raises(ModelError, match=r"embeddings\.bin: its checksum does not match"):
        load_predictor(saved)


def test_a_sentence_too_large_for_memory_is_refused_before_it_is_tagged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = load_predictor(save_small_model(tmp_path / "model", max_length=1 << 20))
    sentence = ["w1"] * 40_000
    monkeypatch.setattr(onnx_session, "_ALWAYS_FITS", 15_000_000)  # this network is smaller than usual
    network = predictor.model.network
    assert isinstance(network, onnx_session.OnnxSession)
    network.available_memory = lambda: 10_000_000
    with pytest.raises(ModelError, match=r"model\.onnx: 1 sentence of up to 40000 tokens need 0\.0 GB of mem"):
        predictor.tag([sentence])
    for free in (20_000_000_000, None):
        network.available_memory = lambda free=free: free
        assert len(predictor.tag([sentence], probabilities=False)[0].tags) == 40_000
    network.available_memory = lambda: 0
    assert len(predictor.tag([sentence[:1000]])[0].tags) == 1000, "memory is not checked for a batch of usual size"


class Recorded:
    """A session that keeps the shape of each input that it is given."""

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self.session, self.shapes = session, []

    def run(self, names: list[str] | None, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.shapes.append(feeds["characters"].shape)
        return self.session.run(names, feeds)


@pytest.mark.parametrize("characters", ["cnn", "lstm"])
def test_the_characters_of_tokens_need_little_memory_however_many_and_long_they_are(
    tmp_path: Path, characters: str
) -> None:
    predictor = load_predictor(save_small_model(tmp_path / "model", characters=characters, character_units=64))
    network = predictor.model.network
    assert isinstance(network, onnx_session.OnnxSession)
    network._forms = recorded = Recorded(network._forms)
    sentences = [[f"w{i:0{1 + i % 63}}" for i in range(start, start + 500)] for start in range(0, 10_000, 500)]
    tags = [tagged.tags for tagged in predictor.tag(sentences)]
    assert sum(n for n, _ in recorded.shapes) == 10_001, "each distinct token once, and padding"
    sizes = [n * longest * network.bytes_per_character for n, longest in recorded.shapes]
    assert max(sizes) <= 1 << 22
    assert min(sizes[:-1]) > 1 << 20, "few runs, since each costs time"
    alone = load_predictor(tmp_path / "model", threads=1)
    assert tags[::7] == [alone.tag([tokens])[0].tags for tokens in sentences[::7]]
    network.bytes_per_character = 1 << 30
    recorded.shapes.clear()
    assert predictor.tag([["w1", "word"]])[0].tags == alone.tag([["w1", "word"]])[0].tags
    assert recorded.shapes == [(1, 1), (1, 2), (1, 4)], "at least one at a time"


def test_distinct_tokens_that_need_too_much_memory_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = load_predictor(save_small_model(tmp_path / "model", characters="cnn", character_units=2048))
    network = predictor.model.network
    assert isinstance(network, onnx_session.OnnxSession)
    monkeypatch.setattr(onnx_session, "_ALWAYS_FITS", 800_000)
    network.available_memory = lambda: 800_000
    with pytest.raises(ModelError, match=r"model\.onnx: 101 distinct tokens need 0\.0 GB of memory, expected at most"):
        predictor.tag([[f"w{i}" for i in range(100)]])  # 101 · 8,192 bytes
    assert len(predictor.tag([["w1"] * 10])[0].tags) == 10


def test_logits_of_another_shape_are_an_error(tmp_path: Path) -> None:
    class Constant:
        def get_outputs(self) -> list[SimpleNamespace]:
            return [SimpleNamespace(shape=("B", "T", 5))]

        def run(self, names: list[str], feeds: object) -> list[np.ndarray]:
            return [np.zeros((1, 1, 5), np.float32)]

    predictor = load_predictor(save_small_model(tmp_path / "model"))
    predictor.model.network._session = Constant()
    with pytest.raises(
        ModelError,
        match=r"found logits of the shape \(1, 1, 5\), expected finite logits of the shape \(1, 3, 5\) up to 1e\+30",
    ):
        predictor.tag([["w1", "w2", "w3"]])


def test_a_stream_continues_in_both_processes_after_a_fork(directory: Path) -> None:
    code = (
        "import os, sys; from tagger import Tagger; tagger = Tagger.load(sys.argv[1], threads=2)\n"
        "stream = tagger.tag_stream([['w1', 'w2']] * 20000); next(stream)\n"
        "child = os.fork(); n = sum(1 for _ in stream)\n"
        "if not child: os._exit(n == 19999)\n"
        "print(n, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert done.stdout == "19999 1\n", done.stderr


def test_the_graph_is_read_through_the_descriptor_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another directory replaces the one that is being read, just before ONNX Runtime opens its files by name.
    save_small_model(tmp_path / "model")
    save_small_model(tmp_path / "other", seed=2)
    (expected,) = load_predictor(tmp_path / "other").tag([["w1", "w2", "w3"]])
    verified, done = ModelFiles.verified, []

    def read(self: ModelFiles, name: str) -> bytes:
        content = verified(self, name)
        if name == "model.onnx" and not done:
            done.append(name)
            (tmp_path / "model").rename(tmp_path / ".model.1.old")
            (tmp_path / "other").rename(tmp_path / "model")
        return content

    monkeypatch.setattr(ModelFiles, "verified", read)
    assert load_predictor(tmp_path / "model").tag([["w1", "w2", "w3"]]) == [expected]
    assert done


def test_a_directory_whose_name_is_not_utf_8_is_loaded(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems do not have such names")
    saved = save_small_model(Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff")))
    assert load_predictor(saved).tag([["w1"]])


# --- The device ------------------------------------------------------------------------------------------------------


def test_a_gpu_that_cannot_be_used_is_an_error(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_tagger("predict", "--device", "gpu", "--model", directory, stdin=b"w1\n")
    assert result.first_error.startswith(
        "error: --device gpu: this ONNX Runtime was built for the CPU; replace it with onnxruntime-gpu"
    )
    # If ONNX Runtime has the provider but cannot load it, it continues with the CPU and only warns.
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnx_session.onnxruntime, "get_available_providers", lambda: providers)
    build = onnx_session.onnxruntime.InferenceSession
    monkeypatch.setattr(
        onnx_session.onnxruntime,
        "InferenceSession",
        lambda *a, providers: build(*a, providers=["CPUExecutionProvider"]),
    )
    with pytest.raises(DeviceError, match="its CUDA provider does not load"):
        load_predictor(directory, device="gpu")


# --- Imports ---------------------------------------------------------------------------------------------------------


def test_predict_and_eval_import_only_what_they_need(directory: Path, tmp_path: Path) -> None:
    heavy = ["tensorflow", "keras", "pydantic", "yaml", "seqeval", "sklearn", "onnx", "safetensors", "rich"]
    code = (
        "import sys; from tagger.cli import commands; code = commands.run(sys.argv[1:]);"
        f" print(code, sorted(set({heavy}) & set(sys.modules)), file=sys.stderr)"
    )
    (tmp_path / "x").write_text("w1 O\nw2 B-X\n")
    for command, expected in (("predict", []), ("eval", ["seqeval"])):
        arguments = [sys.executable, "-c", code, command, str(tmp_path / "x"), "--model", str(directory)]
        done = subprocess.run(arguments, capture_output=True, text=True, check=True)
        assert done.stderr.splitlines() == [f"model: {directory}", f"0 {expected}"]


def test_without_onnxruntime_the_error_says_what_to_install(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tagger.prediction.onnx_session")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    result = run_tagger("predict", "--model", directory, stdin=b"w1\n")
    assert result.first_error.startswith("error: onnxruntime cannot be imported: ")
    assert "run pip install . in a clone of tagger to reinstall it" in result.first_error


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("decoder", "constrained"), ("decoder", "softmax"), ("network.characters", "none"), ("network.characters", "lstm"),
        ("network.casing", False), ("network.units", 7), ("network.layers", 2), ("network.merge", "sum"),
        ("layout.columns", {"token": 0, "pos": 1, "tag": -1}), ("layout.columns", {"token": 0, "tag": -1}),
    ],
)  # fmt: skip
def test_a_manifest_that_does_not_match_the_graph_is_refused(tmp_path: Path, key: str, value: object) -> None:
    directory = save_small_model(
        tmp_path / "model", decoder="crf", characters="cnn", casing=True, features=("pos", "chunk")
    )
    change_manifest(directory, key, value)
    with pytest.raises(ModelError, match=r"(model\.onnx: is not the network that|features\.txt: found the line)"):
        load_predictor(directory)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("characters.txt", b"w\n1\n", "is not the network"),
        ("characters.txt", b"w\n1\n2", "found '2' without a line end, expected one"),
        ("characters.txt", b"w\n12\n", "found a line that is not a single character"),
        ("features.txt", b"", "is not the network"),
        ("features.txt", b"pos\tN\n" * 2, "a token occurs twice"),
        ("features.txt", b"pos\n", "found the line 'pos', expected chunk or pos, a TAB and a value"),
        ("features.txt", b"x\tN\n", "found the line 'x\\tN', expected chunk or pos, a TAB and a value"),
    ],
)
def test_vocabularies_of_another_network_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    directory = save_small_model(tmp_path / "model", characters="cnn", features=("pos", "chunk"))
    replace(directory, name, content)
    with pytest.raises(ModelError, match=re.escape(message)):
        load_predictor(directory)


@pytest.mark.parametrize(
    "description", ["", "null", "[1]", "[" * 200_000, '{"a":' * 200_000, '{"a":' + "9" * 5000 + "}", "1 for true"]
)
def test_a_graph_with_another_description_of_itself_is_refused(tmp_path: Path, description: str) -> None:
    directory = save_small_model(tmp_path / "model", casing=True)
    graph = onnx.load(directory / "model.onnx", load_external_data=False)
    (found,) = (entry for entry in graph.metadata_props if entry.key == "network")
    assert "true" in found.value
    found.value = found.value.replace("true", "1") if description == "1 for true" else description
    replace(directory, "model.onnx", graph.SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx: is not the network that the manifest and the vocab"):
        load_predictor(directory)


def change_manifest(directory: Path, key: str, value: object) -> None:
    """Change a value of the manifest, and correct its checksum."""
    path = directory / "manifest.json"
    values = json.loads(path.read_text("utf-8"))
    del values["sha256"]
    section, _, name = key.partition(".")
    if name:
        values[section][name] = value
    else:
        values[section] = value
    path.write_bytes(dump_manifest(values))


@pytest.mark.parametrize(
    ("key", "value"), [("network.layers", 3), ("network.units", 7), ("decoder", "crf"), ("network.characters", "none")]
)
def test_a_manifest_that_does_not_match_the_weights_is_not_exported(tmp_path: Path, key: str, value: object) -> None:
    directory = save_small_model(tmp_path / "model", characters="cnn")
    change_manifest(directory, key, value)
    for form in ("onnx", "saved-model"):
        result = run_tagger("export", tmp_path / "out", "--format", form, "--model", directory)
        message = (
            r"model/weights\.safetensors: \S+: found .*, expected .* for the network that manifest\.json describes"
        )
        assert re.search(message, result.first_error)
        assert not (tmp_path / "out").exists()


def test_a_pipe_instead_of_a_file_is_an_error_and_does_not_block(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model")
    for name in ("tokens.txt", "manifest.json", "embeddings.bin"):
        content = (directory / name).read_bytes()
        (directory / name).unlink()
        os.mkfifo(directory / name)
        with pytest.raises(ModelError, match=rf"{name}: is not a file; copy the whole directory"):
            load_predictor(directory)
        (directory / name).unlink()
        (directory / name).write_bytes(content)
    load_predictor(directory)


def test_no_memory_is_allocated_for_a_file_of_another_size(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model")
    os.truncate(directory / "tokens.txt", 1 << 40)  # a sparse file takes no space on the disk
    with pytest.raises(ModelError, match=r"tokens\.txt: its checksum does not match"):
        load_predictor(directory)
    os.truncate(directory / "manifest.json", 1 << 40)
    with pytest.raises(ModelError, match=r"manifest\.json: found more than \d+ bytes"):
        load_predictor(directory)


def test_every_changed_bit_of_a_model_is_detected(tmp_path: Path) -> None:
    directory = save_small_model(tmp_path / "model", decoder="crf", characters="lstm", casing=True, features=("pos",))
    rng = random.Random(1)
    n_refused = 0
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        # Change every byte of the small files, and a sample of the large ones.
        places = range(len(content)) if len(content) < 500 else sorted(rng.sample(range(len(content)), 500))
        for i in places:
            changed = bytearray(content)
            changed[i] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            if path.name in ("config.yaml", "history.csv"):
                break  # neither tagging nor exporting reads these files
            with pytest.raises(ModelError):
                if path.name == "weights.safetensors":
                    load_model(directory, read_weights)
                else:
                    load_predictor(directory)
            n_refused += 1
        path.write_bytes(content)
    assert n_refused > 2000
    load_predictor(directory)


def test_a_thousand_files_have_the_same_tags_in_threads_and_processes_as_one_by_one(directory: Path) -> None:
    sentences = random_sentences(3000, longest=12, seed=3)
    files = [sentences[3 * i : 3 * i + 3] for i in range(1000)]
    expected = tag_files(str(directory), files)
    assert len({str(tags) for tags in expected}) > 500
    predictor = load_predictor(directory, threads=2)
    with ThreadPoolExecutor(8) as threads:
        found = threads.map(lambda file: [sentence.tags for sentence in predictor.tag(file)], files)
        assert list(found) == expected
    parts = [files[i::4] for i in range(4)]
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as processes:
        found_parts = list(processes.map(tag_files, [str(directory)] * 4, parts))
    assert [found_parts[i % 4][i // 4] for i in range(1000)] == expected
