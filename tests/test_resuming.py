"""An interrupted training goes on as if nothing had been: to the bit."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from tagger.config import load_config  # noqa: E402
from tagger.errors import ConfigError, ModelError, TaggerError  # noqa: E402
from tagger.evaluation.progress import TrainingProgress  # noqa: E402
from tagger.network import pipeline  # noqa: E402
from tagger.network.run import Run  # noqa: E402
from tagger.runtime.checkpoints import Checkpoints, State  # noqa: E402

pytestmark = pytest.mark.tensorflow

# Small, with everything that a state must hold: moments by row, a moving average, every kind of random draw, ...
CONFIG = """
data: {train: train, dev: dev, columns: {token: 0, pos: 1, tag: 2}}
vocabulary: {word_dropout: 0.1, character_dropout: 0.1}
model: {units: 6, embedding_dim: 6, character_dim: 3, character_units: 4, decoder: crf, recurrent_dropout: 0.1, dropout: 0.2}
training: {epochs: 6, batch_size: 2, patience: 2, learning_rate: 0.05, ema: 0.8}
"""
# When to ask for a stop: the n-th time that training looks whether somebody does, of each part.
VARIANTS = [
    ((), (3, 9, 1, 1000)),
    (("training.ema=null", "training.optimizer=adam", "training.accumulate=2", "data.dev=null"), (5, 1000)),
    (("training.optimizer=sgd", "training.steps={3: 0.1}", "embeddings.path=vectors.txt",
      "embeddings.trainable=false", "embeddings.dtype=float16"), (8, 1000)),
]  # fmt: skip


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)

    def corpus(n: int) -> str:
        lines = []
        for _ in range(n):
            for token in rng.integers(0, 40, rng.integers(1, 9)):
                lines.append(f"w{token} {'NV'[token % 2]} {'B-X' if token % 3 == 0 else 'O'}")
            lines.append("")
        return "\n".join(lines) + "\n"

    (tmp_path / "train").write_text(corpus(50))
    (tmp_path / "dev").write_text(corpus(10))
    words = [f"w{i}" for i in range(60)]
    (tmp_path / "vectors.txt").write_text(
        "".join(" ".join([word, *(f"{x:.3f}" for x in rng.normal(size=6))]) + "\n" for word in words)
    )
    (tmp_path / "c.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return lambda *settings: load_config("c.yaml", settings)


def stop_after(n: int) -> Callable[[], bool]:
    """Asks to stop from the n-th question on."""
    asked = iter(range(1, n))
    return lambda: next(asked, None) is None


def content(model: str) -> dict[str, object]:
    """All that must be equal: every file, the history without its timing columns, the manifest without the hash of it."""
    found: dict[str, object] = {}
    for path in Path(model).iterdir():
        if path.name == "history.csv":
            found[path.name] = [line.split(",")[:3] for line in path.read_text().splitlines()]
        elif path.name == "manifest.json":
            values = json.loads(path.read_text())
            del values["files"]["history.csv"], values["sha256"]
            found[path.name] = values
        elif path.name != "config.yaml":
            found[path.name] = path.read_bytes()
    return found


def train(config, **options) -> pipeline.Outcome:
    with TrainingProgress() as progress:
        return pipeline.train(config, progress, **options)


@pytest.mark.parametrize(("settings", "stops"), VARIANTS)
def test_stopped_anywhere_and_resumed_is_as_never_stopped(
    configured, settings: tuple[str, ...], stops: tuple[int, ...]
) -> None:
    train(configured(*settings, "output.model_dir=whole"))
    expected = content("whole")
    config = configured(*settings, "output.model_dir=parts")
    outcomes = []
    for n in stops:
        outcomes.append(train(config, resume=True, should_stop=stop_after(n)))
        assert len(list(Path("parts.training").glob("state-*"))) <= 2
    outcome = outcomes[-1]
    assert [outcome.stopped for outcome in outcomes] == [n < 1000 for n in stops]
    assert content("parts") == expected
    # What was finished stays so, and is no hindrance to the next training.
    assert len(list(Path("parts.training").glob("state-*"))) == 1
    if settings:
        return
    again = train(config, resume=True)
    assert [result.to_json() for result in again.history] == [result.to_json() for result in outcome.history]
    assert content("parts") == expected
    train(config)
    assert content("parts") == expected


def test_a_stop_while_dev_is_scored_does_not_wait_for_the_end_of_it(
    configured, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(configured("output.model_dir=whole"))
    evaluate_dev, calls = Run._evaluate_dev, []

    def stopped_in(self: Run):
        calls.append(1)
        if len(calls) == 3:
            monkeypatch.setattr(self, "_should_stop", lambda: True)
        return evaluate_dev(self)

    monkeypatch.setattr(Run, "_evaluate_dev", stopped_in)
    outcome = train(configured("output.model_dir=parts"))
    assert (outcome.stopped, len(outcome.history)) == (True, 2)
    train(configured("output.model_dir=parts"), resume=True)
    assert content("parts") == content("whole")


@pytest.fixture
def interrupted(configured):
    """A training that was stopped in its second epoch; how to get its config."""
    train(configured("output.model_dir=m"), should_stop=stop_after(30))
    assert len(list(Path("m.training").glob("state-*"))) == 2
    return lambda *settings: configured("output.model_dir=m", *settings)


def moved_end(text: str) -> str:
    """The same lines in as many sentences, the first of which begins with a line more of its own."""
    first, second, rest = text.split("\n\n", 2)
    line, *others = second.split("\n")
    assert others, "the second sentence must keep a token"
    return "\n\n".join([f"{first}\n{line}", "\n".join(others), rest])


def test_what_changed_is_named_when_another_training_is_to_go_on(interrupted) -> None:
    def message(config) -> tuple[str, list[str]]:
        with pytest.raises(ConfigError) as error:
            train(config, resume=True)
        return error.value.message, error.value.detail

    what, detail = message(interrupted("training.epochs=7", "model.dropout=0.5"))
    assert what == (
        "--resume: model.dropout: found 0.5, expected 0.2, as in the training so far; give back what it was, or delete"
        f" {Path('m.training').absolute()} and train again without --resume"
    )
    assert list(detail) == ["training.epochs: found 7, expected 6, as in the training so far"]
    text = Path("dev").read_text()
    for changed, key in (
        (text + "w1 V O\n", "11 sentences"),
        (text.replace("B-X", "O", 1), "10 sentences"),
        (moved_end(text), "10 sentences"),
    ):
        Path("dev").write_text(changed)
        what, _ = message(interrupted())
        assert what.startswith(f"--resume: data.dev: found {key}, ")
    Path("dev").write_text(text)
    train_text = Path("train").read_text()
    Path("train").write_text(train_text.replace("w1 ", "w2 ", 1))
    assert message(interrupted())[0].startswith("--resume: data.train: found 50 sentences, ")
    # Elsewhere, with the same content, they are the same data; and how often to save may change.
    Path("train").write_text(train_text)
    for name in ("train", "dev"):
        Path(name).rename(f"moved-{name}")
    moved = ("data.train=moved-train", "data.dev=moved-dev", "training.checkpoint_minutes=1")
    assert not train(interrupted(*moved), resume=True).stopped


def test_an_interrupted_training_is_not_begun_anew_by_accident(interrupted) -> None:
    with pytest.raises(ConfigError) as error:
        train(interrupted())
    assert error.value.message == (
        f"{Path('m.training').absolute()}: holds a training that was interrupted in epoch 2, expected none; go on with"
        " it with --resume, or delete that directory to begin anew"
    )


def test_a_damaged_state_is_passed_over_for_the_one_before(interrupted, capfd: pytest.CaptureFixture[str]) -> None:
    older, newest = sorted(Path("m.training").glob("state-*"))
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert not train(interrupted(), resume=True).stopped
    errors = capfd.readouterr().err
    assert f"warning: {newest.absolute()}: its checksum does not match; looking at the state before it" in errors
    assert "going on in epoch 2, after 0 steps of it" in errors
    whole = interrupted("output.model_dir=whole")
    train(whole)
    assert content_without_place("m") == content_without_place("whole")
    del older


def content_without_place(model: str) -> dict[str, object]:
    return {name: value for name, value in content(model).items() if name != "manifest.json"}


def test_only_damaged_states_are_an_error(interrupted) -> None:
    for path in Path("m.training").glob("state-*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        ModelError, match=r"m\.training: found 2 damaged states, expected a whole one to go on from; del"
    ):
        train(interrupted(), resume=True)


def test_a_state_is_written_within_an_epoch_too(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    saved: list[tuple[int, int]] = []
    save = Checkpoints.save

    def noted(self: Checkpoints, state: State, **options: int) -> None:
        saved.append((state.facts["epoch"], state.facts["progress"]["steps"]))
        save(self, state, **options)

    monkeypatch.setattr(Checkpoints, "save", noted)
    train(configured("training.epochs=1", "training.checkpoint_minutes=0.00001"))
    assert saved == [(0, 16), (0, 25), (1, 0), (1, 0)]
    saved.clear()
    train(configured("training.epochs=1", "training.checkpoint_minutes=null"))
    assert saved == [(1, 0), (1, 0)]


def test_the_sentences_of_a_batch_whose_loss_is_no_number_are_named(configured) -> None:
    # Infinity is a number that one batch brings along: a vector which only one sentence has.
    text = Path("train").read_text() + "huge N O\nw1 V O\n"
    Path("train").write_text(text)
    Path("vectors.txt").write_text("w1 1 1\nhuge 3e38 3e38\n")
    settings = ("embeddings.path=vectors.txt", "model.embedding_dim=2", "training.epochs=1")
    with pytest.raises(TaggerError, match=r"epoch 1: found loss .* a token at step \d+: training diverged") as error:
        train(configured(*settings))
    line = len(text.splitlines()) - 1
    assert any(f"train:{line}: 2 tokens: huge w1" in detail for detail in error.value.detail), error.value.detail


def test_two_trainings_cannot_write_one_model(configured) -> None:
    config = configured("output.model_dir=m")
    with Checkpoints(Path("m")).lock(), pytest.raises(ModelError) as error:
        train(config)
    assert error.value.message == (
        f"{Path('m').absolute()}: another training is writing this model, expected none; wait for it, or choose"
        " another place with --model"
    )


def test_what_killed_trainings_left_is_removed_or_put_back(tmp_path: Path) -> None:
    model = tmp_path / "m"
    for name in (".m.12.new", ".m.13.old", ".m.x.new", ".mm.12.new", "m.training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "m.training/.state-000003.safetensors.99.new").write_text("half")
    with Checkpoints(model).lock():
        assert (model / "file").read_text() == ".m.13.old", "it was on its way to be exchanged"
    assert {path.name for path in tmp_path.iterdir()} == {"m", ".m.x.new", ".mm.12.new", "m.training"}
    assert {path.name for path in (tmp_path / "m.training").iterdir()} == {"file", "lock"}


def test_every_changed_byte_of_a_state_is_noticed() -> None:
    arrays = {"a": np.arange(3, dtype=np.float32), "b": np.zeros((), np.int64), "empty": np.zeros((0, 2), np.float32)}
    state = State({"epoch": 3, "text": "ä\ud800"}, arrays)
    content = state.to_bytes()
    again = State.from_bytes(content)
    assert again.facts == state.facts
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in again.arrays.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }
    same = 0
    for i in range(len(content)):
        for bit in (1, 0x80):
            changed = bytearray(content)
            changed[i] ^= bit
            try:
                found = State.from_bytes(bytes(changed))
            except ValueError:
                continue
            # A blank of the header's JSON may have become another one.
            assert found.facts == state.facts
            assert all(np.array_equal(found.arrays[name], array) for name, array in arrays.items())
            same += 1
    assert same < 100
    for n in range(0, len(content), 7):
        with pytest.raises(ValueError, match="is no state"):
            State.from_bytes(content[:n])
