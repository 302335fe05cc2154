"""Check that an interrupted training continues bit for bit as if nothing had happened."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import SHORT_GRAPH

tf = pytest.importorskip("tensorflow")

from tagger.architecture import Decoder  # noqa: E402
from tagger.cli.progress import TrainingProgress  # noqa: E402
from tagger.config.keys import Config  # noqa: E402
from tagger.config.loading import load_config  # noqa: E402
from tagger.errors import ConfigError, ModelError, TaggerError  # noqa: E402
from tagger.evaluation.scores import Evaluation, evaluate  # noqa: E402
from tagger.model_dir.checkpoints import Checkpoints, State  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.devices import Device  # noqa: E402
from tagger.runs.seeds import train_seeds  # noqa: E402
from tagger.training import train as train_module  # noqa: E402
from tagger.training.facts import EpochStart, Steps  # noqa: E402
from tagger.training.history import EpochResult, Outcome  # noqa: E402
from tagger.training.parts import Parts  # noqa: E402
from tagger.training.preparation import prepare  # noqa: E402
from tagger.training.resume import (  # noqa: E402
    check_same,
    checksum_of,
    fingerprint_of,
    with_choices_of,
    with_epochs,
    with_epochs_of,
)
from tagger.training.seeds_outcome import SeedsOutcome  # noqa: E402

pytestmark = pytest.mark.tensorflow

# A small network with everything that a state must hold, such as moments by row, a moving average and every kind of
# random draw.
CONFIG = """
data: {train: train, dev: dev, columns: {token: 0, pos: 1, tag: 2}}
vocabulary: {word_dropout: 0.1, character_dropout: 0.1}
model: {units: 6, embedding_dim: 6, character_dim: 3, character_units: 4, decoder: crf, recurrent_dropout: 0.1, dropout: 0.2}
training: {epochs: 6, batch_size: 2, patience: 2, learning_rate: 0.05, ema: 0.8}
"""
# With a moving average, the model is not what the trainer continues with.
AVERAGED = (*SHORT_GRAPH, "training.ema=0.8")
# The settings, and for each part of the training the number of the stop check that is the first to request a stop.
VARIANTS = [
    ((), (3, 9, 1, 1000)),
    (("training.ema=null", "training.optimizer=adam", "training.accumulate=2", "data.dev=null"), (5, 1000)),
    (("training.optimizer=sgd", "training.steps={3: 0.1}", "embeddings.path=vectors.txt",
      "embeddings.trainable=false", "embeddings.dtype=float16"), (8, 1000)),
]  # fmt: skip


def write_files(folder: Path) -> None:
    rng = np.random.default_rng(0)

    def corpus(n: int) -> str:
        lines = []
        for _ in range(n):
            for token in rng.integers(0, 40, rng.integers(1, 9)):
                lines.append(f"w{token} {'NV'[token % 2]} {'B-X' if token % 3 == 0 else 'O'}")
            lines.append("")
        return "\n".join(lines) + "\n"

    (folder / "train").write_text(corpus(50))
    (folder / "dev").write_text(corpus(10))
    words = [f"w{i}" for i in range(60)]
    (folder / "vectors.txt").write_text(
        "".join(" ".join([word, *(f"{x:.3f}" for x in rng.normal(size=6))]) + "\n" for word in words)
    )
    (folder / "c.yaml").write_text(CONFIG)


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    return lambda *settings: load_config("c.yaml", settings)


@pytest.fixture
def small(configured):
    return lambda *settings: configured(*SHORT_GRAPH, *settings)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, object]]:
    """Return a function that returns the content of the model of a training that never stopped."""

    @functools.cache
    def train_whole(*settings: str) -> dict[str, object]:
        folder = tmp_path_factory.mktemp("whole")
        write_files(folder)
        with contextlib.chdir(folder):
            train(load_config("c.yaml", [*settings, "output.model_dir=whole"]))
            return content("whole")

    return train_whole


def stop_after(n: int) -> Callable[[], bool]:
    """Return a function that requests a stop from its n-th call on."""
    asked = iter(range(1, n))
    return lambda: next(asked, None) is None


def content(model: str) -> dict[str, object]:
    """Return all contents that must be equal: every file except config.yaml.

    The history comes without its timing columns, and the manifest without the hash of the history and its own.
    """
    found: dict[str, object] = {}
    for path in Path(model).iterdir():
        if path.name == "history.csv":
            found[path.name] = [_without_times(line) for line in path.read_text().splitlines()]
        elif path.name == "manifest.json":
            values = json.loads(path.read_text())
            del values["files"]["history.csv"], values["sha256"]
            found[path.name] = values
        elif path.name != "config.yaml":
            found[path.name] = path.read_bytes()
    return found


def _without_times(line: str) -> list[str]:
    epoch, loss, score, _seconds, _tokens_per_second, *others = line.split(",")
    return [epoch, loss, score, *others]


def train(config, *, listener: type[TrainingProgress] = TrainingProgress, **options) -> Outcome:
    with listener() as progress:
        return train_module.train(config, progress, **options)


@pytest.mark.parametrize(("settings", "stops"), VARIANTS)
def test_a_training_that_is_stopped_anywhere_and_resumed_equals_one_that_never_stopped(
    configured, uninterrupted, settings: tuple[str, ...], stops: tuple[int, ...]
) -> None:
    expected = uninterrupted(*settings)
    config = configured(*settings, "output.model_dir=parts")
    outcomes = []
    for n in stops:
        outcomes.append(train(config, resume=True, should_stop=stop_after(n)))
        assert len(list(Path("parts.training").glob("state-*"))) <= 2
    outcome = outcomes[-1]
    assert [outcome.stopped for outcome in outcomes] == [n < 1000 for n in stops]
    assert content("parts") == expected
    # A finished training stays finished, and does not prevent the next training.
    assert len(list(Path("parts.training").glob("state-*"))) == 1
    if settings:
        return
    again = train(config, resume=True)
    assert [result.to_json() for result in again.history] == [result.to_json() for result in outcome.history]
    assert content("parts") == expected
    train(config)
    assert content("parts") == expected
    assert content("parts.previous") == expected


@pytest.mark.parametrize(("settings", "stops"), VARIANTS)
def test_a_finished_training_continues_as_if_it_had_had_more_epochs_from_the_start(
    configured, settings: tuple[str, ...], stops: tuple[int, ...]
) -> None:
    settings = (*settings, "training.patience=6")
    train(configured("output.model_dir=whole", "training.epochs=5", *settings))
    few = configured("output.model_dir=parts", "training.epochs=1", *settings)
    assert len(train(few).history) == 1
    first = content("parts")
    assert train(few, epochs_more=2, should_stop=stop_after(stops[0])).stopped
    assert content("parts") == first, "the finished model stays until the additional epochs are done"
    with pytest.raises(
        ConfigError, match=r"--epochs-more: found a training in .* interrupted in epoch 2, expected a fin"
    ):
        train(few, epochs_more=2)
    outcome = train(few, resume=True)  # the config still has one epoch
    assert (len(outcome.history), outcome.stopped) == (3, False)
    assert content("parts.previous") == first
    assert len(train(few, resume=True).history) == 3, "nothing is left to do"
    assert len(train(configured("output.model_dir=parts", "training.epochs=5", *settings), resume=True).history) == 5
    assert content("parts") == content("whole")
    assert "epochs: 5\n" in Path("parts/config.yaml").read_text()
    assert len(list(Path("parts.training").glob("state-*"))) == 1


def test_epochs_can_be_added_only_where_that_makes_a_training_longer(small) -> None:
    gold, empty = [["B-X", "O"]], [["O", "O"]]
    config = small("output.model_dir=m", "training.epochs=9", "training.patience=1")
    with pytest.raises(
        ConfigError, match=r"^--epochs-more: found no finished training in .*m\.training, expected one to"
    ):
        train(config, epochs_more=1)
    scores = iter([gold, empty])
    parts = Parts(evaluate=lambda *_: evaluate(gold, next(scores), "IOB2"))
    assert len(train(config, parts=parts).history) == 2
    with pytest.raises(
        ConfigError,
        match=r"^training\.patience: found 1, which ended the training in epoch 2, expected more: .* raise training\.pat",
    ):
        train(config, epochs_more=1)
    assert (
        len(train(small("output.model_dir=m", "training.epochs=12", "training.patience=1"), resume=True).history) == 2
    )
    fewer = small("output.model_dir=m", "training.epochs=1", "training.patience=1")
    with pytest.raises(
        ConfigError, match=r"^--resume: training\.epochs: found 1, expected 9, as in the training so far"
    ):
        train(fewer, resume=True)
    longer = small("output.model_dir=m", "training.epochs=3", "training.patience=5")
    scores = iter([empty])
    assert [result.best for result in train(longer, resume=True, parts=parts).history] == [True, False, False]
    # The state of an older version holds no weights.
    (path,) = Path("m.training").glob("state-*")
    record = State.from_bytes(path.read_bytes()).record
    path.write_bytes(State(record, {}).to_bytes())
    with pytest.raises(
        ConfigError, match=r"^--epochs-more: the state in .*m\.training was written by an older version"
    ):
        train(longer, epochs_more=1)
    assert len(train(longer, resume=True).history) == 3
    path.write_bytes(State({**record, "settings": {**record["settings"], "--seeds": 2}}, {}).to_bytes())
    with pytest.raises(
        ConfigError, match=r"^--epochs-more: found a training with --seeds in .* train the best seed by"
    ):
        train(longer, epochs_more=1)


def test_a_stop_request_does_not_wait_for_the_end_of_scoring_dev(configured, uninterrupted) -> None:
    epoch, n_left = 0, 0

    class Counting(TrainingProgress):
        def start_epoch(self, start: EpochStart) -> None:
            nonlocal epoch, n_left
            epoch, n_left = start.epoch, start.n_tokens
            super().start_epoch(start)

        def step(self, steps: Steps) -> None:
            nonlocal n_left
            n_left -= steps.n_tokens
            super().step(steps)

    def scored(*arguments: object) -> Evaluation:
        assert epoch < 3, "the dev set of the third epoch was scored to its end"
        return evaluate(*arguments)

    # After the last step of the third epoch the trainer asks once. The scoring of the dev set asks next.
    trainer_asks = iter([False])
    outcome = train(
        configured(*AVERAGED, "output.model_dir=parts"),
        listener=Counting,
        should_stop=lambda: epoch == 3 and n_left == 0 and next(trainer_asks, True),
        parts=Parts(evaluate=scored),
    )
    assert (outcome.stopped, len(outcome.history)) == (True, 2)
    state = State.from_bytes(sorted(Path("parts.training").glob("state-*"))[-1].read_bytes())
    assert state.record["progress"]["steps"] == 25
    train(configured(*AVERAGED, "output.model_dir=parts"), resume=True)
    assert content("parts") == uninterrupted(*AVERAGED)


def test_the_same_data_in_several_files_is_the_same_data(tmp_path: Path) -> None:
    first, second = "a B-X\nb O\n\n", "c O\nd B-X\n\ne O\n"
    for name, text in {"whole": first + second, "1.txt": first, "2.txt": second}.items():
        (tmp_path / name).write_text(text)
    found = []
    for paths in ("whole", "[1.txt, 2.txt]", "'*.txt'", "[2.txt, 1.txt]"):
        (tmp_path / "c.yaml").write_text(f"data: {{train: {paths}, dev: {paths}}}\n")
        config = load_config(tmp_path / "c.yaml")
        prepared = prepare(config, note=lambda text: None, warn=lambda text: None)
        found.append(fingerprint_of(config, prepared, Device("CPU", Kernel.BLOCK)))
    assert found[0] == found[1] == found[2]
    assert found[0]["settings"] == found[3]["settings"]
    assert {key for key, value in found[0]["data"].items() if value != found[3]["data"][key]} == {
        "data.train", "data.dev",
    }  # fmt: skip
    names = [prepared.names.of(i) for i in range(3)]
    assert names == [
        f"{tmp_path}/2.txt:1: 2 tokens: c d",
        f"{tmp_path}/2.txt:4: 1 token: e",
        f"{tmp_path}/1.txt:1: 2 tokens: a b",
    ]


@pytest.fixture(scope="module")
def interrupted_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupted")
    write_files(folder)
    with contextlib.chdir(folder):
        interrupt(load_config("c.yaml", [*SHORT_GRAPH, "output.model_dir=m"]))
    return folder


@pytest.fixture
def interrupted(interrupted_once: Path, small) -> Callable[..., Config]:
    """Return a function that loads the config of a training that was stopped in its second epoch."""
    shutil.copytree(interrupted_once, ".", dirs_exist_ok=True)
    return lambda *settings: small("output.model_dir=m", *settings)


def interrupt(config: Config) -> None:
    """Stop a training in its second epoch."""
    train(config, should_stop=stop_after(30))
    assert len(list(Path("m.training").glob("state-*"))) == 2


def moved_end(text: str) -> str:
    """Move the first line of the second sentence to the end of the first sentence."""
    first, second, rest = text.split("\n\n", 2)
    line, *others = second.split("\n")
    assert others, "the second sentence must keep a token"
    return "\n\n".join([f"{first}\n{line}", "\n".join(others), rest])


def test_resuming_with_other_settings_or_data_names_the_changes(interrupted) -> None:
    def message(config) -> tuple[str, list[str]]:
        with pytest.raises(ConfigError) as error:
            train(config, resume=True)
        return error.value.message, error.value.detail

    what, detail = message(interrupted("training.patience=1", "model.dropout=0.5"))
    assert what == (
        "--resume: model.dropout: found 0.5, expected 0.2, as in the training so far; change it back, or delete"
        f" {Path('m.training').absolute()} and train again without --resume"
    )
    assert list(detail) == ["training.patience: found 1, expected 2, as in the training so far"]
    assert not message(interrupted("training.epochs=7", "training.patience=3", "model.dropout=0.5"))[1], "both may grow"
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
    # Files elsewhere with the same content are the same data, and the interval between states may change.
    Path("train").write_text(train_text)
    for name in ("train", "dev"):
        Path(name).rename(f"moved-{name}")
    moved = ("data.train=moved-train", "data.dev=moved-dev", "training.checkpoint_minutes=1")
    assert not train(interrupted(*moved), resume=True).stopped


def test_an_interrupted_training_is_not_started_over_by_accident(interrupted) -> None:
    with pytest.raises(ConfigError) as error:
        train(interrupted())
    assert error.value.message == (
        f"{Path('m.training').absolute()}: found a training that was interrupted in epoch 2, expected none; continue"
        " it with --resume, or delete that directory to start over"
    )


def test_training_continues_from_the_state_before_a_damaged_one(
    configured, uninterrupted, capfd: pytest.CaptureFixture[str]
) -> None:
    config = configured(*AVERAGED, "output.model_dir=m")
    interrupt(config)
    _, newest = sorted(Path("m.training").glob("state-*"))
    damaged = bytearray(newest.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    newest.write_bytes(damaged)
    assert not train(config, resume=True).stopped
    errors = capfd.readouterr().err
    assert f"warning: {newest.absolute()}: its checksum does not match; trying the previous state" in errors
    assert "continuing in epoch 2, after 0 steps of it" in errors
    assert content("m") == uninterrupted(*AVERAGED)


def test_only_damaged_states_are_an_error(interrupted) -> None:
    for path in Path("m.training").glob("state-*"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        ModelError, match=r"m\.training: found only damaged states \(2\), expected one to continue from; delete"
    ):
        train(interrupted(), resume=True)


def test_a_state_is_written_within_an_epoch_too(small) -> None:
    saved: list[tuple[int, int]] = []

    class Noted(Checkpoints):
        def save(self, state: State, **options: int) -> None:
            saved.append((state.record["epoch"], state.record["progress"]["steps"]))
            super().save(state, **options)

    parts = Parts(checkpoints=Noted)
    train(small("training.epochs=1", "training.checkpoint_minutes=0.00001"), parts=parts)
    assert saved == [(0, 16), (0, 25), (1, 0), (1, 0)]
    saved.clear()
    train(small("training.epochs=1", "training.checkpoint_minutes=null"), parts=parts)
    assert saved == [(1, 0), (1, 0)]


def test_the_sentences_of_a_batch_whose_loss_is_not_finite_are_named(small) -> None:
    # One batch yields infinity because of a vector that only one sentence has.
    text = Path("train").read_text() + "huge N O\nw1 V O\n"
    Path("train").write_text(text)
    Path("vectors.txt").write_text("w1 1 1\nhuge 3e38 3e38\n")
    settings = ("embeddings.path=vectors.txt", "model.embedding_dim=2", "training.epochs=1")
    with pytest.raises(
        TaggerError, match=r"epoch 1: found a loss of .* per token at step \d+: training diverged"
    ) as error:
        train(small(*settings))
    line = len(text.splitlines()) - 1
    assert any(f"train:{line}: 2 tokens: huge w1" in detail for detail in error.value.detail), error.value.detail


def test_two_trainings_cannot_write_one_model(small) -> None:
    config = small("output.model_dir=m")
    with Checkpoints(Path("m")).lock(), pytest.raises(ModelError) as error:
        train(config)
    assert error.value.message == (
        f"{Path('m').absolute()}: another training is writing this model, expected none; wait for it, or choose"
        " another place with --model"
    )


@pytest.mark.parametrize(
    ("settings", "before", "after"),
    [
        # The token ids do not show the letters, but the network also reads these.
        (("vocabulary.normalize_digits=true",), "w136 N O", "w361 N O"),
        (("vocabulary.max_size=5",), "unheard N O", "uNheard N O"),
        (("vocabulary.min_count=2",), "unheard N O", "unehard N O"),
        # The change affects how predictions are written.
        (("data.dev=null",), "x N B-X", "x N U-X"),
        (("data.dev=null",), "x N O", "x\tN\tO"),
    ],
)
def test_every_change_of_the_training_data_is_detected(
    configured, settings: tuple[str, ...], before: str, after: str
) -> None:
    def fingerprint(text: str) -> dict[str, object]:
        lines = ["w1 V O", "w2 N B-X", "w1 V O", "w2 N B-X", "w3 V O", *[f"{token} V O" for token in "abcabc"], text]
        lines = lines if " " in text else [line.replace(" ", "\t") for line in lines]
        lines = [line.replace("B-X", "U-X") for line in lines] if "U-X" in text else lines
        Path("train").write_text("\n".join(lines) + "\n")
        config = configured(*settings)
        prepared = prepare(config, note=lambda text: None, warn=lambda text: None)
        return fingerprint_of(config, prepared, Device("CPU", Kernel.BLOCK))

    first = fingerprint(before)
    check_same(fingerprint(before), first, "here")
    with pytest.raises(ConfigError, match=r"^--resume: data\.train: found 1 sentences, 12 tokens, SHA-256"):
        check_same(first, fingerprint(after), "here")


@pytest.mark.parametrize(
    ("settings", "train", "dev"),
    [
        ((), "1d608801eb2876b0", "146000395aaccc19"),
        (
            ("vocabulary.normalize_digits=true", "data.columns={token: 0, pos: 1, tag: 3}"),
            "087d644db440c28c",
            "6f424ddcfefd00ca",
        ),
        (
            (
                "vocabulary.lowercase=true", "model.characters=none", "model.casing=false",
                "data.columns={token: 0, pos: 1, y: 2, tag: 3}",
            ),
            "de49bb0bfafc7312",
            "0ab9444adb62d8cb",
        ),
    ],
)  # fmt: skip
def test_states_of_earlier_versions_recognize_their_data(
    tmp_path: Path, settings: tuple[str, ...], train: str, dev: str
) -> None:
    """Check the checksums that states of format 3 have always held; renaming a class must not change them."""
    (tmp_path / "t").write_text("a N x B-X\nb1 V y O\n\nc\u00a0 N x O\nd V z I-X\n" * 2)
    (tmp_path / "c.yaml").write_text("data: {train: t, dev: t}\n")
    # Their defaults were others.
    settings_then = {
        "vocabulary.lowercase": False,
        "vocabulary.normalize_digits": False,
        "model.decoder": "constrained",
    }
    earlier = State({"settings": settings_then}, {})
    config = with_choices_of(earlier, load_config(tmp_path / "c.yaml", settings))
    prepared = prepare(config, note=lambda text: None, warn=lambda text: None)
    found = fingerprint_of(config, prepared, Device("CPU", Kernel.BLOCK))
    assert found["settings"]["training.pretraining_epochs"] == 0
    assert found["settings"]["features.subwords"] == 0
    again = with_choices_of(State(found, {}), load_config(tmp_path / "c.yaml", settings))
    kept = again.training.pretraining_epochs, again.normalization, again.model.decoder
    expected = 0, config.normalization, Decoder.CONSTRAINED
    assert kept == expected, "a training that was continued once can be continued again"
    assert found["format"] == 3, "a new format may have other checksums"
    assert found["data"] == {
        "data.train": f"3 sentences, 8 tokens, SHA-256 {train}",
        "data.dev": f"3 sentences, 8 tokens, SHA-256 {dev}",
    }


def test_a_model_that_is_missing_or_of_a_later_epoch_is_restored_from_the_state(configured) -> None:
    config = configured(*AVERAGED, "output.model_dir=m", "data.dev=null", "training.epochs=2")
    train(config)
    expected = content("m")
    shutil.rmtree("m.training")

    class Killed(Checkpoints):
        def save(self, state: State, **options: int) -> None:
            if len(state.record["history"]) == 2:
                raise KeyboardInterrupt  # after the model and before the state is written
            super().save(state, **options)

    shutil.rmtree("m")
    with pytest.raises(KeyboardInterrupt):
        train(config, parts=Parts(checkpoints=Killed))
    assert json.loads(Path("m/manifest.json").read_text())["dev"] == {"epoch": 2}
    outcome = train(config, resume=True, should_stop=lambda: True)
    assert (outcome.stopped, outcome.best.epoch if outcome.best else None) == (True, 1)
    assert json.loads(Path("m/manifest.json").read_text())["dev"] == {"epoch": 1}, (
        "the model on disk must be the one that the outcome names"
    )
    shutil.rmtree("m")
    train(config, resume=True)
    assert content("m") == expected
    Path("m/model.onnx").write_bytes(b"")
    train(config, resume=True)
    assert content("m") == expected, "the state of a finished training holds the weights too"
    # In older versions it did not.
    (path,) = Path("m.training").glob("state-*")
    path.write_bytes(State(State.from_bytes(path.read_bytes()).record, {}).to_bytes())
    Path("m/model.onnx").write_bytes(b"")
    with pytest.raises(
        ModelError,
        match=r"m: found no complete model, expected the model of a finished training; delete .*m\.training and give",
    ) as error:
        train(config, resume=True)
    assert "model.onnx" in error.value.detail[0]


HOSTILE = {
    "threads": lambda record, arrays: record.update(threads="x"),
    "best": lambda record, arrays: record.update(best=99),
    "history": lambda record, arrays: record.update(history=3),
    "settings": lambda record, arrays: record.update(settings=[]),
    "progress": lambda record, arrays: record.update(progress={"steps": "x"}),
    "no progress": lambda record, arrays: record.pop("progress"),
    "a missing array": lambda record, arrays: arrays.pop("best.softmax.kernel"),
    "a strange array": lambda record, arrays: arrays.update({"best.foo": np.zeros(1, np.float32)}),
    "another shape": lambda record, arrays: arrays.update({"best.embedding": np.zeros((3, 99), np.float32)}),
    "another type": lambda record, arrays: arrays.update({"best.softmax.bias": np.zeros(3)}),
    "other rows": lambda record, arrays: arrays.update({"trainer.embedding": np.zeros((3, 1), np.float64)}),
}


def test_a_malformed_state_is_an_error_without_a_traceback(interrupted) -> None:
    newest = sorted(Path("m.training").glob("state-*"))[-1]
    good = State.from_bytes(newest.read_bytes())
    assert "best.softmax.kernel" in good.arrays
    for what, change in HOSTILE.items():
        record, arrays = copy.deepcopy(dict(good.record)), dict(good.arrays)
        change(record, arrays)
        newest.write_bytes(State(record, arrays).to_bytes())
        with pytest.raises(TaggerError, match="delete that directory"):
            train(interrupted("training.epochs=6"), resume=True)
        assert newest.exists(), what


def test_a_training_that_cannot_start_keeps_the_finished_state_and_leaves_no_files(small) -> None:
    config = small("output.model_dir=m", "training.epochs=1")
    train(config)
    state = next(Path("m.training").glob("state-*")).read_bytes()
    with pytest.raises(TaggerError, match="nothere"):
        train(small("output.model_dir=m", "data.train=nothere"))
    assert next(Path("m.training").glob("state-*")).read_bytes() == state
    with pytest.raises(TaggerError, match="nothere"):
        train(small("output.model_dir=n", "data.train=nothere"))
    assert not list(Path().glob("n*"))


def test_a_resumed_training_keeps_its_number_of_threads(interrupted, capfd: pytest.CaptureFixture[str]) -> None:
    threads = State.from_bytes(sorted(Path("m.training").glob("state-*"))[-1].read_bytes()).record["threads"]
    train(interrupted(f"training.threads={threads + 1}", "training.epochs=6"), resume=True, should_stop=lambda: True)
    expected = (
        f"warning: --resume: training.threads: found {threads + 1}, continuing with {threads}, as in the training"
    )
    assert expected in capfd.readouterr().err
    assert f"threads: {threads}\n" in Path("m/config.yaml").read_text()


def test_a_deleted_state_directory_is_restored_unless_another_training_has_its_lock(small) -> None:
    config, epochs = small("output.model_dir=m", "training.epochs=2"), []

    class Deleting(TrainingProgress):
        def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
            epochs.append(result)
            shutil.rmtree("m.training")

    assert len(train(config, listener=Deleting).history) == len(epochs) == 2
    assert len(list(Path("m.training").glob("state-*"))) == 1
    with contextlib.ExitStack() as stack:

        class Taking(Deleting):
            def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
                super().end_epoch(result, patience_left)
                stack.enter_context(Checkpoints(Path("m")).lock())

        with pytest.raises(ModelError, match="another training is writing this model"):
            train(config, listener=Taking)


def test_seeds_continue_where_they_were_interrupted(configured, capfd: pytest.CaptureFixture[str]) -> None:
    def train_both(model: str, *settings: str, n: int = 2, **options: object) -> SeedsOutcome:
        config = configured(*AVERAGED, f"output.model_dir={model}", "data.test=dev", "training.epochs=2", *settings)
        with TrainingProgress() as progress:
            return train_seeds(config, n, progress, **options)

    whole = train_both("whole")
    assert not whole.stopped
    assert len({run.dev for run in whole.runs}) == 2, "the seeds must give different results to test anything"

    stopped = train_both("parts", should_stop=stop_after(3))
    assert (stopped.stopped, stopped.best) == (True, None)
    with pytest.raises(ConfigError, match=r"parts\.training: found a training that was interrupted after 0 of 2 seeds"):
        train_both("parts", "training.seed=7")
    with pytest.raises(ConfigError, match=r"--resume: training\.seed: found 7, expected 1"):
        train_both("parts", "training.seed=7", resume=True)
    in_second = iter([False] * 60)
    stopped = train_both("parts", resume=True, should_stop=lambda: next(in_second, True))
    assert stopped.stopped
    assert stopped.runs == whole.runs[:1]
    with pytest.raises(ConfigError, match=r"parts\.training: found a training that was interrupted after 1 of 2 seeds"):
        train_both("parts")
    with pytest.raises(ConfigError, match=r"--resume: --seeds: found 3, expected 2, as in the training so far"):
        train_both("parts", n=3, resume=True)
    with pytest.raises(ConfigError, match=r"--resume: --seeds: found null, expected 2, as in the training so far"):
        train(configured(*AVERAGED, "output.model_dir=parts", "data.test=dev", "training.epochs=2"), resume=True)
    dev = Path("dev").read_bytes()
    Path("dev").write_bytes(dev + b"w1 V O\n")
    with pytest.raises(
        ConfigError, match=r"--resume: data\.dev: found SHA-256 \w+, expected SHA-256 \w+, as in"
    ) as error:
        train_both("parts", resume=True)
    assert error.value.detail[0].startswith("data.test: ")
    Path("dev").write_bytes(dev)
    Path("parts").rename("away")
    with pytest.raises(
        ModelError,
        match=r"parts: found no complete model of seed 1 \(dev [0-9.]+\), expected it because it is the best",
    ):
        train_both("parts", resume=True)
    Path("away").rename("parts")
    resumed = train_both("parts", resume=True)
    assert (resumed.runs, resumed.best) == (whole.runs, whole.best)
    assert content("parts") == content("whole")
    assert not list(Path().glob(".parts*"))
    capfd.readouterr()
    again = train_both("parts", resume=True)
    assert (again.runs, again.stopped) == (whole.runs, False)
    assert capfd.readouterr().err.split("\n", 1)[0] == "this training is already finished; there is nothing left to do"


def test_seeds_do_not_replace_foreign_files_even_if_they_appear_late(small) -> None:
    class Arriving(TrainingProgress):
        def end_epoch(self, result: EpochResult, patience_left: int | None) -> None:
            Path("m").mkdir()
            Path("m/thesis").write_text("precious")

    config = small("output.model_dir=m", "training.epochs=1")
    with Arriving() as progress, pytest.raises(ModelError, match=r"m: holds thesis, which is not part of a mod"):
        train_seeds(config, 1, progress)
    assert Path("m/thesis").read_text() == "precious"


def test_a_checksum_of_workers_depends_on_data_and_settings_but_not_on_paths_and_threads(
    tiny_config, tmp_path: Path
) -> None:
    def fingerprint(text: str, *settings: str) -> int:
        (tmp_path / "train").write_text(text)
        config = tiny_config(*settings)
        return checksum_of(fingerprint_of(config, prepare(config, note=str, warn=str), Device("", Kernel.BLOCK)))

    text = "a B-X\nb O\n\nc O\nd O\n"
    first = fingerprint(text)
    assert first == fingerprint(text) < 2**32
    assert first == fingerprint(text, "training.threads=3", "output.model_dir=elsewhere")
    others = [
        fingerprint("a B-X\nb O\nc O\n\nd O\n"),  # the sentence ends elsewhere
        fingerprint("a B-X\nb O\n\nc O\ne O\n"),
        fingerprint("a B-Y\nb O\n\nc O\nd O\n"),
        fingerprint("a B-X\nb B-X\n\nc O\nd O\n"),
        *(fingerprint(text, f"{key}={value}") for key, value in {
            "training.seed": 2, "training.batch_size": 5, "model.units": 3, "vocabulary.unk_probability": 0.1,
            "data.max_length": 1, "training.learning_rate": 0.5,
        }.items()),
    ]  # fmt: skip
    assert len({first, *others}) == 1 + len(others)


def test_a_training_with_a_chosen_batch_size_continues_and_its_config_stores_the_number(small) -> None:
    auto, epochs = ("training.batch_size=null",), ("training.epochs=2", "output.model_dir=parts")
    train(small(*auto, "training.epochs=2", "output.model_dir=whole"))
    train(small(*auto, *epochs), should_stop=stop_after(3))
    with pytest.raises(ConfigError) as error:
        train(small("training.batch_size=8", *epochs), resume=True)
    assert error.value.message.startswith(
        "--resume: training.batch_size: found 8, expected 4, as in the training so far; change it back"
    )
    assert train(small(*auto, *epochs), resume=True, should_stop=stop_after(3)).stopped
    assert not train(small("training.batch_size=4", *epochs), resume=True).stopped
    assert content("parts") == content("whole")
    stored = load_config(Path("whole/config.yaml")).training
    assert (stored.batch_size, stored.epochs) == (4, 2)


def test_epochs_that_were_added_to_a_chosen_number_stay_when_the_training_continues(configured) -> None:
    given = configured("training.epochs=null", "output.model_dir=m")
    longer = with_epochs(given, 103)
    prepared, device = prepare(longer, note=str, warn=str), Device("CPU", Kernel.BLOCK)
    record = fingerprint_of(longer, prepared, device, given)
    assert record["settings"]["training.epochs"] == 103
    assert with_epochs_of(State(record, {}), given, None, Checkpoints(Path("m"))).training.epochs == 103
    other = configured("training.epochs=5", "output.model_dir=m")
    assert with_epochs_of(State(record, {}), other, None, Checkpoints(Path("m"))).training.epochs == 5


def test_the_fingerprint_of_vectors_is_that_of_the_rows_of_all_ids(configured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.training.vocabularies._BLOCK_VALUES", 20)
    config = configured("embeddings.path=vectors.txt", "output.model_dir=m")
    prepared = prepare(config, note=str, warn=str)
    vectors = prepared.vectors
    whole = vectors.table[vectors.rows[vectors.has_vector]]
    assert whole.shape == (60, 6)
    checksum = hashlib.sha256(vectors.has_vector.tobytes() + b"\n" + whole.tobytes() + b"\n").hexdigest()[:16]
    found = fingerprint_of(config, prepared, Device("CPU", Kernel.BLOCK))
    assert found["data"]["embeddings"] == f"60 vectors of size 6, SHA-256 {checksum}"
