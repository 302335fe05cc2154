"""Check whole pretrainings: that they can be resumed bit for bit, and what a training takes from their result."""

from __future__ import annotations

import errno
import hashlib
import json
import random
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("tensorflow")

from helpers import run_tagger

from tagger.cli.progress import TrainingProgress
from tagger.config.loading import load_config
from tagger.config.pretraining import pretraining_config_of
from tagger.errors import ConfigError, DataError, ModelError, TaggerError
from tagger.formats.raw_sentences import RawSettings
from tagger.model_dir.checkpoints import Checkpoints
from tagger.model_dir.pretrained import SETTINGS, Pretrained
from tagger.model_dir.store import load_model, read_weights
from tagger.network.bilstm import Kernel
from tagger.network.devices import Device
from tagger.prediction.onnx_graph import structure_of
from tagger.prediction.onnx_session import load_predictor
from tagger.pretraining import text_file
from tagger.pretraining.pretrain import pretrain
from tagger.pretraining.run import PretrainingOutcome, Report
from tagger.pretraining.vectors import described
from tagger.training.parts import initial_network
from tagger.training.preparation import Prepared, prepare
from tagger.training.pretrained import load_pretrained, with_settings_of
from tagger.training.train import train
from tagger.vectors.table import read_vectors

pytestmark = pytest.mark.tensorflow

SMALL = (
    "model.embedding_dim=4", "model.units=3", "model.character_dim=2", "model.character_units=4",
    "training.streams=2", "training.steps=4", "training.samples=8", "training.epochs=2", "training.threads=1",
    "vocabulary.min_count=2", "training.held_out=0.1",
)  # fmt: skip
TOKENS = RawSettings(source="text", tokenized=True)
WORDS = ("Ann", "saw", "Bob", "the", "old", "sea", "ran", "to", "42", "Zoë")
TRAIN = "Ann nn B-PER\nLee nn I-PER\nsaw vb O\nEd nn B-PER\n\nthe dt O\nsea nn O\nran vb O\nfrøm in O\n\n"


class Listener:
    """Collects what it is told, and can be asked to stop after some steps."""

    def __init__(self, n_steps: int = 1 << 30) -> None:
        self.notes, self.reports, self.left = list[str](), list[Report](), n_steps

    def note(self, text: str) -> None:
        self.notes.append(text)

    warn = note

    def tokens(self, n: int) -> None: ...

    def step(self, step: int, n_steps: int, tokens_per_second: float) -> None:
        self.left -= 1

    def report(self, report: Report) -> None:
        self.reports.append(report)

    def stop(self) -> bool:
        return self.left <= 1  # in the last step


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    choose = random.Random(1).choice
    Path("raw.txt").write_text("".join(f"{' '.join(choose(WORDS) for _ in range(1 + i % 7))}\n" for i in range(80)))


def run(*settings: str, output: str = "pre", n_steps: int = 1 << 30, **options: bool) -> PretrainingOutcome:
    listener = Listener(n_steps)
    config = pretraining_config_of([*SMALL, *settings])
    return pretrain(["raw.txt"], Path(output), config, listener, reading=TOKENS, should_stop=listener.stop, **options)


def files_of(directory: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(directory).iterdir() if path.name != "history.csv"}


def test_an_interrupted_pretraining_continues_bit_for_bit() -> None:
    whole = run(output="whole")
    assert not whole.stopped
    assert whole.last is not None
    n = whole.last.n_steps
    for n_steps in (3, n // 2, n):  # the last one begins in the second epoch, and ends it
        outcome = run(resume=True, n_steps=n_steps)
    assert not outcome.stopped
    first, second = files_of("whole"), files_of("pre")
    assert first.keys() == second.keys() == {
        "manifest.json", "tokens.txt", "characters.txt", "weights.safetensors", "embeddings.bin"
    }  # fmt: skip
    # The manifest has the checksum of the history, and with it of the times.
    assert all(first[name] == second[name] for name in first if name != "manifest.json")
    assert not list(Path().glob("pre.*"))
    assert outcome.last is not None
    assert (outcome.last.forward, outcome.last.loss) == (whole.last.forward, whole.last.loss)
    Path("pre.text").mkdir()  # as --keep-text leaves it
    assert run(resume=True) == PretrainingOutcome(stopped=False, last=None)  # nothing left to do
    Path("pre.text").rmdir()
    assert not {key for key in Pretrained.read(Path("pre")).facts["settings"] if "embeddings." in key}
    assert "vectors" not in Pretrained.read(Path("pre")).facts, "as before pretraining could begin with vectors"
    with pytest.raises(ConfigError, match=r"pre: found a pretrained directory, expected a new one; .* --force"):
        run()
    assert not list(Path().glob("pre.*")), "neither cuts the text into tokens again"


def test_an_interrupted_pretraining_refuses_other_settings_and_data() -> None:
    assert run(n_steps=2).stopped
    with pytest.raises(ConfigError, match="interrupted after 2 steps, expected none; continue it with --resume"):
        run()
    with pytest.raises(ConfigError, match=r"--resume: training\.seed: found 2, expected 1; change it back"):
        run("training.seed=2", resume=True)
    with pytest.raises(ModelError, match=r"found an unfinished pretraining in pre\.training, .*finish it with"):
        Pretrained.read(Path("pre"))
    numbers = Path("pre.text/numbers.bin").read_bytes()
    Path("raw.txt").write_text(Path("raw.txt").read_text() + "more\n")
    with pytest.raises(ConfigError, match="--resume: RAW: found another text, or another way to read it"):
        run(resume=True)
    assert Path("pre.text/numbers.bin").read_bytes() == numbers, "the right text can still be continued with"


def test_an_error_about_the_place_names_its_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(text_file, "write_blocks_atomically", no_space)
    with pytest.raises(ModelError, match=r"pre\.text: cannot be written: No space left .*-o") as caught:
        run()
    assert "--model" not in caught.value.message
    with Checkpoints(Path("pre")).lock(), pytest.raises(ModelError) as caught:
        run()
    assert "--model" not in caught.value.message
    assert "-o" in caught.value.message


def test_too_little_text_is_an_error() -> None:
    with pytest.raises(
        DataError, match=r"RAW: found \d+ tokens, expected at least .*, of which \d+ are held out; add text"
    ):
        run("training.streams=200")
    for content in ("a", "a b\n", "a b c d e f\n"):
        Path("raw.txt").write_text(content)
        with pytest.raises(DataError, match=r"RAW: found [01] tokens, expected at least 2: .*, of which [01] are held"):
            run()


def write_vectors(names: tuple[str, ...], *, seed: int = 3) -> npt.NDArray[np.float32]:
    """Write vectors of 4 numbers as `v.npy`; return them."""
    table = np.random.default_rng(seed).normal(size=(len(names), 4)).astype(np.float32)
    np.save("v.npy", table)
    Path("v.txt").write_text("".join(f"{name}\n" for name in names))
    return table


@pytest.mark.parametrize("trainable", [True, False])
def test_the_embedding_begins_with_vectors_and_tokens_that_only_they_have_join_the_result(trainable: bool) -> None:
    Path("raw.txt").write_text(Path("raw.txt").read_text() + "once other\n")
    names = ("saw", "Ann", "ed", "sea", "once", "lee")
    table = write_vectors(names)
    settings = ("embeddings.path=v.npy", f"embeddings.trainable={str(trainable).lower()}", "training.epochs=1")
    run(*settings)
    found = Pretrained.read(Path("pre"))
    tokens = found.encoder.tokens.tokens
    assert set(tokens[:-2]) == {word.lower() for word in WORDS if word != "42"} | {"00", "once"}, (
        "a token that occurs once is known if it has a vector; one without a vector is not"
    )
    assert tokens[-2:] == ("ed", "lee"), "`Ann` could never be looked up, since tokens are lower-cased"
    rows = dict(zip(tokens, found.weights["embedding"][2:], strict=True))
    vectors = dict(zip(names, table, strict=True))
    for name in ("ed", "lee"):
        np.testing.assert_array_equal(rows[name], vectors[name])
    for name in ("saw", "sea", "once"):
        assert np.array_equal(rows[name], vectors[name]) != trainable
        assert np.abs(rows[name] - vectors[name]).max() < 0.5, "it began with the vector"
    run(*settings, "training.epochs=2", output="longer")
    longer = dict(zip(tokens, Pretrained.read(Path("longer")).weights["embedding"][2:], strict=True))
    assert not np.array_equal(longer["bob"], rows["bob"]), "a token without a vector is trained either way"
    assert np.array_equal(longer["saw"], rows["saw"]) != trainable
    prepared, _ = prepared_of()
    weights = initial_network(prepared, Device("CPU", Kernel.BLOCK)).weights_as_arrays()
    (ed,) = prepared.encoder.tokens.encode(["Ed"])
    np.testing.assert_array_equal(weights["embedding"][ed], vectors["ed"])


def test_columns_after_the_vectors_are_learned() -> None:
    names = ("saw", "ed", "sea", "lee")
    vectors = dict(zip(names, write_vectors(names), strict=True))
    settings = ("embeddings.path=v.npy", "embeddings.trainable=false", "model.embedding_dim=6")
    found = []
    for n, output in (("1", "one"), ("2", "two")):
        run(*settings, f"training.epochs={n}", output=output)
        pretrained = Pretrained.read(Path(output))
        rows = dict(zip(pretrained.encoder.tokens.tokens, pretrained.weights["embedding"][2:], strict=True))
        for name in names:
            np.testing.assert_array_equal(rows[name][:4], vectors[name])
        for name in ("ed", "lee"):  # the text does not have them
            np.testing.assert_array_equal(rows[name][4:], pretrained.weights["embedding"][1, 4:])
        found.append(rows)
    for name in ("saw", "sea"):
        assert np.abs(found[0][name] - found[1][name])[4:].min() > 0
    assert np.abs(found[0]["bob"] - found[1]["bob"]).min() > 0


def test_a_token_that_occurs_once_is_known_if_a_variant_of_it_has_a_vector() -> None:
    Path("raw.txt").write_text(Path("raw.txt").read_text() + "Once other\n")
    write_vectors(("once", "saw"))
    run("embeddings.path=v.npy", "vocabulary.lowercase=false", "training.epochs=1")
    tokens = Pretrained.read(Path("pre")).encoder.tokens.tokens
    assert tokens[-1] == "once", "the other token of the vectors"
    assert "Once" in tokens[:-1]
    assert "other" not in tokens


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_tables_of_any_kind_are_described_by_their_numbers(dtype: str, order: Literal["C", "F"]) -> None:
    table = np.random.default_rng(1).normal(size=(5, 3)).astype("float16")
    Path("v.txt").write_text("a\nb\nc\nd\ne\n")
    np.save("v.npy", table.astype(dtype, order=order))
    wide = table if dtype == "float16" else table.astype(np.float32)
    digest = hashlib.sha256(b"a\nb\nc\nd\ne\n" + wide.tobytes()).hexdigest()
    assert described(read_vectors("v.npy")) == f"5 vectors of size 3, SHA-256 {digest}"


def test_divergence_names_the_vectors_if_there_are_any() -> None:
    Path("v.txt").write_text("saw\nsea\n")
    np.save("v.npy", np.full((2, 4), 1e37, np.float32))
    message = r"training diverged; lower training\.learning_rate, or scale the vectors, which hold numbers up to 1e\+37"
    with pytest.raises(TaggerError, match=message):
        run("embeddings.path=v.npy")


def test_more_workers_than_streams_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = {"cluster": {"worker": ["a:1", "b:1", "c:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(cluster))
    with pytest.raises(ConfigError, match=r"training\.streams: found 2, expected at least one for each of the 3 worke"):
        run()
    assert not list(Path().glob("pre*"))


def test_at_most_some_tokens_of_the_vectors_join() -> None:
    write_vectors(("ed", "saw", "lee", "kim"))
    run("embeddings.path=v.npy", "embeddings.max_rows=2", "training.epochs=1")
    assert Pretrained.read(Path("pre")).encoder.tokens.tokens[-2:] == ("ed", "lee")


def test_a_pretraining_with_vectors_continues_with_the_same_vectors_only() -> None:
    names = ("saw", "sea", "ed")
    write_vectors(names)
    settings = ("embeddings.path=v.npy", "embeddings.trainable=false")
    run(*settings, output="whole")
    assert run(*settings, n_steps=3).stopped
    with pytest.raises(ConfigError, match=r"--resume: embeddings\.trainable: found True, expected False; change it"):
        run("embeddings.path=v.npy", resume=True)
    with pytest.raises(ConfigError, match=r"--resume: embeddings: found no vectors, expected 3 vectors of size 4, "):
        run(resume=True)
    message = (
        r"--resume: embeddings: found 3 vectors of size 4, SHA-256 \w+, expected 3 vectors of size 4, SHA-256 \w+;"
    )
    for others, seed in ((names, 4), (("saw", "sea", "lee"), 3)):  # other vectors, and the same of other tokens
        write_vectors(others, seed=seed)
        with pytest.raises(ConfigError, match=message):
            run(*settings, resume=True)
    write_vectors(names)
    for suffix in (".npy", ".txt"):  # moving them changes nothing
        Path(f"v{suffix}").rename(f"moved{suffix}")
    settings = ("embeddings.path=moved.npy", "embeddings.trainable=false")
    assert not run(*settings, resume=True).stopped
    first, second = files_of("whole"), files_of("pre")
    assert all(first[name] == second[name] for name in first if name != "manifest.json")
    assert run(*settings, resume=True) == PretrainingOutcome(stopped=False, last=None)  # nothing left to do


def test_the_size_of_the_vectors_is_that_of_the_embedding() -> None:
    write_vectors(("saw", "sea"))
    with pytest.raises(ConfigError) as caught:
        run("embeddings.path=v.npy", "model.embedding_dim=3")
    assert caught.value.message == (
        "--set model.embedding_dim: found 3, expected at least 4, the size of the vectors from v.npy; raise it, or leave"
        " it out"
    )
    with pytest.raises(ConfigError, match=r"embeddings: found both path and name, expected one of them"):
        run("embeddings.path=v.npy", "embeddings.name=glove-6b-50d")
    with pytest.raises(DataError, match=r"missing\.npy: no such file"):
        run("embeddings.path=missing.npy")
    np.save("v.npy", np.zeros((2, 9000), np.float32))
    with pytest.raises(ConfigError) as caught:
        run("embeddings.path=v.npy", "model.embedding_dim=5")
    assert caught.value.message == (
        "--set embeddings.path: found vectors of 9000 numbers in v.npy, expected at most 8192; use other vectors"
    )
    assert not list(Path().glob("pre*")), "nothing was begun"


def prepared_of(*settings: str) -> tuple[Prepared, Pretrained]:
    Path("train").write_text(TRAIN)
    Path("c.yaml").write_text(
        "data: {train: train, dev: train, columns: {token: 0, pos: 1, tag: 2}, trust: true}\n"
        "model: {pretrained: pre, layers: 2, feature_dim: 2}\ntraining: {epochs: 1}\n"
    )
    config = load_config("c.yaml", settings)
    pretrained = load_pretrained(config)
    assert pretrained is not None
    config, _ = with_settings_of(pretrained, config)
    return prepare(config, note=lambda text: None, warn=lambda text: None, pretrained=pretrained), pretrained


def test_a_training_begins_with_the_pretrained_weights() -> None:
    run()
    prepared, pretrained = prepared_of()
    weights, old = initial_network(prepared, Device("CPU", Kernel.BLOCK)).weights_as_arrays(), pretrained.weights
    encoder, before = prepared.encoder, pretrained.encoder
    assert set(before.tokens.tokens) == {word.lower() for word in WORDS if word != "42"} | {"00"}
    assert set(encoder.tokens.tokens) == set(before.tokens.tokens) | {"lee", "ed", "frøm"}
    by_token = dict(zip(encoder.tokens.tokens, weights["embedding"][2:], strict=True))
    for token in before.tokens.tokens:
        np.testing.assert_array_equal(by_token[token], old["embedding"][before.tokens.encode([token])[0]])
    for token in ("lee", "ed", "frøm"):
        np.testing.assert_array_equal(by_token[token], old["embedding"][1])
    np.testing.assert_array_equal(weights["embedding"][:2], old["embedding"][:2])
    assert before.characters is not None
    assert encoder.characters is not None
    n = len(before.characters)
    assert encoder.characters.characters[: n - 2] == before.characters.characters
    assert "ø" in encoder.characters.characters[n - 2 :]
    np.testing.assert_array_equal(weights["characters.embedding"][:n], old["characters.embedding"])
    for name in ("characters.kernel", "characters.bias", "casing.embedding", "block_1.backward.recurrent_kernel"):
        np.testing.assert_array_equal(weights[name], old[name])
    for branch in ("forward", "backward"):  # the first block also reads a feature column, of 2 numbers
        kernel, pretrained_kernel = weights[f"block_1.{branch}.kernel"], old[f"block_1.{branch}.kernel"]
        assert len(kernel) == len(pretrained_kernel) + 2
        np.testing.assert_array_equal(kernel[:-2], pretrained_kernel)
        assert np.abs(kernel[-2:]).max() > 0


@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_is_trained_from_a_pretrained_directory(frozen: bool) -> None:
    run()
    prepared_of()
    config = load_config("c.yaml", ["training.freeze=[embedding, characters, casing, block_1]"] if frozen else [])
    with TrainingProgress(quiet=True) as listener:
        train(config, listener)
    model = load_predictor(Path("models/c")).model
    assert model.manifest.network.units == 3
    assert model.manifest.normalization.lowercase
    assert model.manifest.origin["pretrained sha256"] == Pretrained.read(Path("pre")).checksum
    assert "pretrained: ../../pre" in Path("models/c/config.yaml").read_text()
    weights, old = load_model(Path("models/c"), read_weights).network, Pretrained.read(Path("pre")).weights
    for name in ("characters.kernel", "casing.embedding", "block_1.forward.recurrent_kernel", "block_1.backward.bias"):
        assert np.array_equal(weights[name], old[name]) == frozen
    # The network has the graph of one of its size that was not pretrained, and so its speed.
    sizes = [f"model.{name}={getattr(model.manifest.network, name)}" for name in SETTINGS]
    other = load_config("c.yaml", ["model.pretrained=null", *sizes]).model.spec()
    ours, same = (structure_of(spec, model.encoder.sizes(9)) for spec in (model.manifest.network, other))
    assert (ours.nodes, ours.weights) == (same.nodes, same.weights)


def test_settings_that_the_directory_decides_cannot_differ() -> None:
    run()
    with pytest.raises(ConfigError) as caught:
        prepared_of("model.units=5", "vocabulary.lowercase=false", "model.casing=true")
    assert caught.value.message == (
        "model.units: found 5, expected 3 as in model.pretrained; set it to 3, or delete the key"
    )
    assert len(caught.value.detail) == 1
    assert "vocabulary.lowercase: found false, expected true as in model.pretrained" in caught.value.detail[0]
    with pytest.raises(ConfigError, match=r"embeddings\.name: found it with model\.pretrained"):
        prepared_of("embeddings.name=glove-6b-50d")


def test_foreign_and_altered_directories_are_refused() -> None:
    run()
    prepared_of()
    with TrainingProgress(quiet=True) as listener:
        train(load_config("c.yaml", ["model.pretrained=null", "model.units=2"]), listener)
    with pytest.raises(ModelError, match=r"model\.pretrained: models/c: found a model, expected a directory that"):
        Pretrained.read(Path("models/c"))
    with pytest.raises(ModelError, match="pre: found a pretrained directory, expected a model"):
        load_predictor(Path("pre"))
    with pytest.raises(ModelError, match=r"holds \S+, which is not part of a pretrained directory"):
        run(output="models/c")
    with pytest.raises(ModelError, match=r"model\.pretrained: missing: no such pretrained directory; make one with"):
        Pretrained.read(Path("missing"))
    content = bytearray(Path("pre/weights.safetensors").read_bytes())
    content[-1] ^= 1
    Path("pre/weights.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.pretrained: pre/weights\.safetensors: its checksum does not match"):
        Pretrained.read(Path("pre"))


def test_the_command() -> None:
    command = ["pretrain", "raw.txt", "--tokenized", "-o", "pre", *(f"--set={setting}" for setting in SMALL)]
    done = run_tagger(*command)
    assert done.exit_code == 0, done.errors
    assert "perplexity on held-out text" in done.errors
    assert "next: tagger train CONFIG --set model.pretrained=pre" in done.errors
    assert "reading raw.txt as text" in done.errors.splitlines()
    for other in (["--from", "conll"], ["--lines"], ["--language", "de"]):
        refused = run_tagger(*command, "--force", *other)
        assert refused.exit_code == 2
        assert f"--tokenized: found it with {other[0]}" in refused.errors
    again = run_tagger(*command, "--set=model.layers=2")
    assert again.exit_code == 1
    assert "error: --set model.layers=2: model.layers: is not a known key" in again.errors
