"""Check cross-validation with trainings that take a moment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from helpers import run_tagger
from watcher import Heard

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import ConfigError
from tagger.evaluation.scores import evaluate
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.crossval import CrossSettings, CrossValidation, cross_validate
from tagger.runs.job import JobResult

pytestmark = pytest.mark.tensorflow

SENTENCES = ["anna B_PER\nsleeps O\n\n", "bob B_PER\nruns O\n\n", "# id 7\nrome B_LOC\nis O\nold O\n\n\n"]
CORPUS = "-DOCSTART- O\n\n" + "".join(SENTENCES * 8) + "# the end\n"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Config]:
    with contextlib.chdir(tmp_path_factory.mktemp("crossval")):
        Path("train").write_text(CORPUS)
        Path("c.yaml").write_text(
            "data: {train: train, dev: 0.2}\n"
            "model: {units: 8, layers: 1, embedding_dim: 8, decoder: softmax, dropout: 0, characters: none}\n"
            "training: {epochs: 3, patience: null, batch_size: 4, optimizer: adam, ema: null, clip_norm: null}\n"
        )
        yield load_config("c.yaml")


@pytest.fixture(scope="module")
def found(config: Config) -> CrossValidation:
    """The cross-validation whose files are in `out`."""
    found = validate(config)
    assert found is not None
    return found


def validate(config: Config, **options: object) -> CrossValidation | None:
    settings = CrossSettings(**{"k": 2, "directory": Path("out"), **options})
    return cross_validate(config, settings, Heard(), note=lambda text: None, warn=lambda text: None)


def test_each_sentence_is_tagged_by_the_model_of_the_other_folds(config: Config, found: CrossValidation) -> None:
    assert found.by == "sentence"
    lines = Path("out/predictions.conll").read_text().splitlines()
    original = CORPUS.splitlines()
    assert len(lines) == len(original)
    tokens = [(line, written) for line, written in zip(original, lines, strict=True) if " " in line and line[0] != "#"]
    for line, written in tokens:
        assert written.startswith(f"{line} ")
        tag, probability = written.removeprefix(f"{line} ").split(" ")
        assert 0 < float(probability) <= 1
        assert tag in {"O", "B_PER", "I_PER", "B_LOC", "I_LOC"}
    assert [a for a, b in zip(original, lines, strict=True) if a == b] == [
        line for line in original if not line or line[0] == "#"
    ]
    assert lines[0] == "-DOCSTART- O O 1.0000"
    # The scores are those of the tags in the file.
    rows = [[written.split(" ") for written in block.splitlines() if written[:1] not in ("", "#", "-")]
            for block in "\n".join(lines).split("\n\n")]  # fmt: skip
    rows = [block for block in rows if block]
    gold = [[row[1].replace("_", "-") for row in block] for block in rows]
    pred = [[row[2].replace("_", "-") for row in block] for block in rows]
    assert found.pooled == evaluate(gold, pred, "IOB2")
    assert sum(fold.tokens for fold in found.folds) == found.pooled.tokens == 56
    # What a fold's model says of a sentence outside its fold is another thing.
    sets = []
    for name in ("fold-1", "fold-2"):
        tagged = load_predictor(Path("out", name)).tag([["anna", "sleeps"]])
        sets.append(tagged[0].probabilities)
    assert sets[0] != sets[1]
    check_that_it_is_not_repeated(config, found)


def test_means_are_those_of_the_folds() -> None:
    tags = [["B-X", "O", "B-X", "O"]] * 3
    folds = [evaluate(tags, [["B-X"] * n + ["O"] * (4 - n)] * 3, "IOB2") for n in (1, 2, 4)]
    results = [JobResult(f"fold-{i}", 1, 1, None, "") for i in (1, 2, 3)]
    found = CrossValidation(folds, folds[0], "sentence", results, Path("p"))
    assert found.means()["precision"] == pytest.approx((2 / 3, 0.28867513))  # of 1, 1/2 and 1/2
    assert found.means()["f1"][0] == pytest.approx((2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert found.to_json()["mean"]["f1"] == found.means()["f1"][0]


def check_that_it_is_not_repeated(config: Config, first: CrossValidation) -> None:
    before = Path("out/fold-1/manifest.json").stat()
    with pytest.raises(ConfigError, match=r"^out: found trainings of an earlier command"):
        validate(config)
    again = validate(config, resume=True)
    assert again == first
    assert Path("out/fold-1/manifest.json").stat() == before
    with pytest.raises(ConfigError, match=r"^--resume: -k: found 3, expected 2"):
        validate(config, k=3, resume=True)


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_command_is_continued_bit_for_bit(found: CrossValidation) -> None:
    command = ("crossval", "c.yaml", "-k", "2", "--runs", "killed", "--jobs", "2")
    running = subprocess.Popen([sys.executable, "-m", "tagger", *command], stderr=subprocess.DEVNULL)
    wait_for(lambda: list(Path("killed").glob("fold-*.training/state-*")))
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    ended = run_tagger(*command, "--resume", "--json")
    assert ended.exit_code == 0, ended.errors
    assert json.loads(ended.output)["pooled"] == found.pooled.to_json()
    assert Path("killed/predictions.conll").read_bytes() == Path("out/predictions.conll").read_bytes()
    for name in ("fold-1", "fold-2"):
        weights = [Path(where, name, "weights.safetensors").read_bytes() for where in ("killed", "out")]
        assert weights[0] == weights[1]
