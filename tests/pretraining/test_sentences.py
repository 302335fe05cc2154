"""Check the pretraining on the sentences of a training against `tagger pretrain`, and the trainings that begin with it."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import SHORT_GRAPH

pytest.importorskip("tensorflow")

from tagger.cli.progress import TrainingProgress
from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.config.pretraining import pretraining_config_of
from tagger.errors import ConfigError
from tagger.formats.raw_sentences import RawSettings
from tagger.model_dir.pretrained import Pretrained
from tagger.model_dir.store import load_model, read_weights
from tagger.network.devices import choose_device, make_deterministic
from tagger.network.language_model_trainer import LanguageModelTrainer, Step
from tagger.pretraining.pretrain import pretrain
from tagger.pretraining.run import Report
from tagger.pretraining.sentences import SentencePretraining, StoppedError
from tagger.training import train as training
from tagger.training.history import Outcome
from tagger.training.init_from import InitFrom
from tagger.training.listener import Told
from tagger.training.parts import Parts, initial_network
from tagger.training.rows import Rows

pytestmark = pytest.mark.tensorflow

TWO_WORKERS = {"cluster": {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}, "task": {"type": "worker", "index": 0}}
WORDS = ("Ann", "saw", "Bob", "the", "old", "sea", "ran", "to", "42", "Zoë")
SIZES = ("model.embedding_dim=4", "model.units=3", "model.character_dim=2", "model.character_units=4")
SHORT = tuple(setting for setting in SHORT_GRAPH if setting != "model.characters=none")
SETTINGS = (
    *SIZES, *SHORT, "training.pretraining_epochs=3", "training.threads=1", "training.epochs=2",
    "vocabulary.lowercase=true", "vocabulary.normalize_digits=false",
)  # fmt: skip


def sentences(n: int) -> list[list[str]]:
    choose = random.Random(1).choice
    return [[choose(WORDS) for _ in range(1 + i % 7)] for i in range(n)]


def write(path: str, some: Sequence[Sequence[str]]) -> None:
    lines = ("".join(f"{token} {'B-PER' if token in ('Ann', 'Bob') else 'O'}\n" for token in tokens) for tokens in some)
    Path(path).write_text("\n".join(lines), "utf-8")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("train.conll", sentences(80))
    write("dev.conll", sentences(100)[80:])
    Path("c.yaml").write_text("data: {train: train.conll, dev: dev.conll}\n")


def config(*settings: str) -> Config:
    return load_config("c.yaml", [*SETTINGS, *settings])


def on(
    some: Sequence[Sequence[str]],
    *settings: str,
    should_stop: Callable[[], bool] = lambda: False,
    notes: list[str] | None = None,
) -> Pretrained:
    note = (notes if notes is not None else []).append
    pretraining = SentencePretraining(config(*settings), note=note, warn=note, should_stop=should_stop)
    vocabulary = pretraining.vocabulary_of(some, 3)
    trained = pretraining.train(threads=1)
    assert trained.encoder.tokens.tokens == vocabulary.encoder.tokens.tokens
    assert trained.weights["embedding"].shape == vocabulary.weights["embedding"].shape
    return trained


def train(*settings: str, n_epochs: int | None = None, **options: Any) -> tuple[Outcome, list[str]]:
    notes, n_ended = list[str](), 0

    class Counting(Told):
        def end_epoch(self, *ended: Any) -> None:
            nonlocal n_ended
            n_ended += 1

    told = Counting(notes.append, notes.append)
    given = {"should_stop": lambda: n_ended == n_epochs} | options
    return training.train(config(*settings), told, device="cpu", **given), notes


def test_it_is_what_the_command_learns_from_the_same_sentences() -> None:
    some = sentences(800)  # enough for two streams
    ours = on(some)
    write("text.conll", some)

    class Listener:
        def note(self, text: str) -> None: ...
        def warn(self, text: str) -> None: ...
        def tokens(self, n: int) -> None: ...
        def step(self, step: int, n_steps: int, tokens_per_second: float) -> None: ...
        def report(self, report: Report) -> None: ...

    settings = [
        *SIZES, "training.epochs=3", "training.streams=3", "training.held_out=0.02", "training.threads=1",
        "vocabulary.min_count=2", "vocabulary.lowercase=true", "vocabulary.normalize_digits=false",
    ]  # fmt: skip
    pretrain(["text.conll"], Path("pre"), pretraining_config_of(settings), Listener(), reading=RawSettings())
    theirs = Pretrained.read(Path("pre"))
    assert ours.encoder.tokens.tokens == theirs.encoder.tokens.tokens
    assert ours.encoder.characters == theirs.encoder.characters
    assert ours.weights.keys() == theirs.weights.keys()
    for name, array in ours.weights.items():
        np.testing.assert_array_equal(array, theirs.weights[name], err_msg=name)
    assert ours.facts["perplexity"] == theirs.facts["perplexity"]


def test_a_training_begins_with_it_and_an_interrupted_one_continues_bit_for_bit() -> None:
    begun = list[dict[str, np.ndarray]]()

    def build(*arguments: Any, **options: Any) -> Any:
        network = initial_network(*arguments, **options)
        begun.append(network.weights_as_arrays())
        return network

    whole, notes = train(parts=Parts(build_network=build))
    expected = on(sentences(80)).weights
    for name in ("characters.kernel", "casing.embedding", "block_1.backward.bias"):
        np.testing.assert_array_equal(begun[0][name], expected[name])
    assert_begins_with(begun[0]["block_1.forward.kernel"], expected["block_1.forward.kernel"])
    assert any(note.startswith("pretraining: step ") and "perplexity" in note for note in notes)
    assert not any(note.startswith("vectors:") for note in notes), "they are of the training's own tokens"
    assert whole.model_dir == Path("models/c").resolve()
    first = load_model(Path("models/c"), read_weights)
    assert "pretrained sha256" not in first.manifest.origin
    assert "pretraining_epochs: 3" in Path("models/c/config.yaml").read_text()

    for n_epochs in (1, None):
        outcome, notes = train("output.model_dir=models/d", n_epochs=n_epochs, resume=True)
    assert not outcome.stopped
    assert not any(note.startswith("pretraining:") for note in notes)  # the state has the weights
    assert_equal("models/c", "models/d")
    with pytest.raises(ConfigError, match=r"training\.pretraining_epochs: found 2, expected 3"):
        train("output.model_dir=models/d", "training.pretraining_epochs=2", resume=True)


def assert_begins_with(kernel: np.ndarray, expected: np.ndarray) -> None:
    """Check the rows that were pretrained; after them come those of two subwords, of 20 numbers each."""
    np.testing.assert_array_equal(kernel[:-40], expected)


def assert_equal(ours: str, theirs: str) -> None:
    first, second = (load_model(Path(directory), read_weights).network for directory in (ours, theirs))
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


def test_frozen_weights_are_those_of_the_pretraining_when_a_training_continues() -> None:
    freeze = "training.freeze=[embedding, characters, casing, block_1]"
    train(freeze, "training.epochs=3")
    ways: tuple[dict[str, Any], ...] = {"n_epochs": 1}, {"resume": True}, {"epochs_more": 1}
    for way in ways:
        _, notes = train(freeze, "training.epochs=2", "output.model_dir=models/d", **way)
        assert any(note.startswith("pretraining:") for note in notes) == ("n_epochs" in way), "a state has its weights"
    assert_equal("models/c", "models/d")
    frozen, expected = load_model(Path("models/c"), read_weights).network, on(sentences(80)).weights
    for name in ("characters.kernel", "casing.embedding", "block_1.backward.bias"):
        np.testing.assert_array_equal(frozen[name], expected[name])
    assert_begins_with(frozen["block_1.forward.kernel"], expected["block_1.forward.kernel"])


def test_only_the_sentences_that_are_trained_on_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read = list[list[list[str]]]()

    class Spy(SentencePretraining):
        def vocabulary_of(self, some: Iterable[Sequence[str]], epochs: int) -> Pretrained:
            read.append([list(tokens) for tokens in some])
            return super().vocabulary_of(read[-1], epochs)

    monkeypatch.setattr(training, "SentencePretraining", Spy)
    train("data.dev=0.25", "training.epochs=1")
    train("data.dev=null", "training.epochs=1", "output.model_dir=models/d", rows=Rows(train=range(0, 80, 2)))
    assert len(read[0]) == 60
    assert read[1] == sentences(80)[::2]


def test_it_is_chosen_for_a_thousand_tokens_unless_the_network_begins_with_something_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stub(SentencePretraining):
        def vocabulary_of(self, some: Iterable[Sequence[str]], epochs: int) -> Pretrained:
            self.found = super().vocabulary_of(some, epochs)
            return self.found

        def train(self, **options: Any) -> Pretrained:
            return self.found

    monkeypatch.setattr(training, "SentencePretraining", Stub)
    Path("v.txt").write_text("the 1 0 0 0\nold 0 1 0 0\n")

    def chosen_for(n: int, *settings: str, **options: Any) -> str:
        write("train.conll", sentences(n))
        Path("c.yaml").write_text("data: {train: train.conll, dev: dev.conll}\ntraining: {epochs: 1, threads: 1}\n")
        given = load_config("c.yaml", [*SIZES, *SHORT, *settings])
        notes = list[str]()
        training.train(given, Told(notes.append, notes.append), device="cpu", **options)
        assert load_config("models/c/config.yaml").training.pretraining_epochs is None, "another begins with another"
        said = re.findall(r"training\.pretraining_epochs: (\d+)", "\n".join(notes))
        model = load_model(Path("models/c"), read_weights).manifest
        Path("models/c").rename(f"before-{n}") if not settings and not options else shutil.rmtree("models/c")
        return f"{said}, lower case {model.normalization.lowercase}"

    assert chosen_for(250) == "['0'], lower case True"  # 995 tokens
    assert chosen_for(251) == "['10'], lower case True"  # 1,001
    assert chosen_for(251, "embeddings.path=v.txt") == "[], lower case False"
    assert chosen_for(251, init=InitFrom(directory=Path("before-251"), replay=None)) == "[], lower case True"
    told = list[str]()
    monkeypatch.setenv("TF_CONFIG", json.dumps(TWO_WORKERS))
    monkeypatch.setattr(training, "wait_for_workers", lambda *_: False)
    training.train(load_config("c.yaml", [*SIZES, *SHORT]), Told(told.append, told.append), device="cpu")
    assert any(one.startswith("training.pretraining_epochs: 0, because several workers train") for one in told)


def test_a_training_that_is_stopped_in_its_pretraining_continues_there_bit_for_bit() -> None:
    train("output.model_dir=models/c")

    def stopped_after(n_checks: int, **options: Any) -> list[str]:
        checks = iter(range(n_checks))
        outcome, notes = train("output.model_dir=models/d", should_stop=lambda: next(checks, None) is None, **options)
        assert outcome.stopped
        assert not Path("models/d").exists()
        return notes

    stopped_after(10)
    with pytest.raises(ConfigError, match=r"found a training that was interrupted in its pretraining, expected none;"):
        train("output.model_dir=models/d")
    with pytest.raises(ConfigError, match=r"training\.learning_rate: found 0\.5, expected 0\.002"):
        train("output.model_dir=models/d", "training.learning_rate=0.5", resume=True)
    notes = stopped_after(10, resume=True)
    assert any(note.startswith("pretraining: continuing after 11 of ") for note in notes)
    _, notes = train("output.model_dir=models/d", resume=True)
    assert any(note.startswith("pretraining: continuing after 22 of ") for note in notes)
    assert_equal("models/c", "models/d")

    def killed(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train("output.model_dir=models/e", parts=Parts(build_network=killed))
    _, notes = train("output.model_dir=models/e", resume=True)
    (said,) = (note for note in notes if note.startswith("pretraining: continuing after "))
    assert re.search(r"after (\d+) of \1 steps", said), "nothing of it is lost before the training has a state"
    assert_equal("models/c", "models/e")
    with pytest.raises(StoppedError):
        on(sentences(80), should_stop=lambda: True)


def test_a_short_text_is_read_in_few_streams_and_too_short_a_one_is_refused() -> None:
    make_deterministic()
    choose_device("cpu", threads=1)
    for n in (21, 22):  # 20 sentences have too little text: 97 tokens and ends of sentences
        found = on(sentences(n), notes=(notes := []))
        assert all(np.isfinite(array).all() for array in found.weights.values())
        assert "pretraining: text:" in notes[0]
    with pytest.raises(
        ConfigError, match=r"^training\.pretraining_epochs: found 97 tokens .+ expected at least 100 .+; set it to 0$"
    ):
        on(sentences(20))


def test_what_is_wrong_with_the_rest_is_found_before_the_pretraining() -> None:
    notes = list[str]()
    with pytest.raises(ConfigError, match="found crf, which this network does not have"):
        training.train(config("training.freeze=[crf]"), Told(notes.append, notes.append))
    with pytest.raises(ConfigError, match="memory"):
        training.train(config(), Told(notes.append, notes.append), parts=Parts(available_memory=lambda: 1))
    assert "dev: 20 sentences" in "\n".join(notes)
    assert not any(note.startswith("pretraining:") for note in notes)


def test_divergence_names_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LanguageModelTrainer, "train_step", lambda *_, **__: Step(float("nan"), False))
    with pytest.raises(
        ConfigError,
        match=r"^training\.pretraining_epochs: found a loss of nan in step 1 of the pretraining.+; set it to 0",
    ):
        on(sentences(80))


def test_what_it_does_not_go_with_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in ("model.pretrained=pre", "embeddings.path=v.txt", "embeddings.name=glove-6b-50d"):
        key = setting.split("=")[0].replace(".", r"\.")
        with pytest.raises(ConfigError, match=rf"pretraining_epochs: found it with {key}, expected one of them"):
            config(setting)
    train("training.pretraining_epochs=0", "training.epochs=1")
    with pytest.raises(ConfigError, match=r"training\.pretraining_epochs: found it with --init-from"):
        train("output.model_dir=models/d", init=InitFrom(directory=Path("models/c"), replay=None))
    monkeypatch.setenv("TF_CONFIG", json.dumps(TWO_WORKERS))
    with pytest.raises(ConfigError, match=r"training\.pretraining_epochs: found it with 2 workers in TF_CONFIG"):
        train("output.model_dir=models/e")


def test_the_display_of_a_training_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    begun = list[None]()
    with TrainingProgress(lambda: begun.append(None)) as progress:
        training.train(config("training.epochs=1"), progress, device="cpu", should_stop=lambda: bool(begun))
    assert "pretraining: text: 314 tokens" in capsys.readouterr().err
    assert len(begun) == 2, "there is something to lose from the first step on"
