"""Check distillations: what a student learns from its teachers, what may be continued, and what is refused."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from helpers import run_tagger  # noqa: E402

from tagger.cli.progress import TrainingProgress  # noqa: E402
from tagger.config.keys import Config  # noqa: E402
from tagger.config.loading import load_config  # noqa: E402
from tagger.corpus.dataset import Piece  # noqa: E402
from tagger.errors import ConfigError, DataError, ModelError  # noqa: E402
from tagger.model_dir.store import load_model, read_weights  # noqa: E402
from tagger.prediction.ensemble import Ensemble  # noqa: E402
from tagger.prediction.onnx_session import load_predictor  # noqa: E402
from tagger.training.history import Outcome  # noqa: E402
from tagger.training.teachers import Lesson, load_teachers  # noqa: E402
from tagger.training.train import train  # noqa: E402

pytestmark = pytest.mark.tensorflow

TRAIN = "Ann B-PER\nLee E-PER\nsaw O\nBob S-PER\n\nshe O\nran O\n\nAnn S-PER\nsaw O\n\nRome S-LOC\nran O\n\n"
RAW = [["Bob", "saw", "Rome"], ["Kim", "ran"], ["she", "saw", "Ann", "Lee"]]
CONFIG = """
data: {train: train.conll, dev: null, trust: true}
model: {units: 6, embedding_dim: 6, characters: none, layers: 1, decoder: DECODER, dropout: 0.0, input_dropout: 0.0, token_dropout: 0.0}
vocabulary: {unk_probability: 0.0}
training: {epochs: 3, batch_size: 2, patience: null, optimizer: adam, clip_norm: null, ema: null, learning_rate: 0.02, decay: 0.0, threads: 1}
output: {model_dir: student}
"""


@pytest.fixture(scope="module")
def with_teachers(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns a folder with the teachers `t1` and `t2`, which have the given decoder."""

    @functools.cache
    def train_both(decoder: str) -> Path:
        folder = tmp_path_factory.mktemp("teachers")
        (folder / "train.conll").write_text(TRAIN)
        (folder / "c.yaml").write_text(CONFIG.replace("DECODER", decoder))
        for seed in (1, 2):
            run(load_config(folder / "c.yaml", [f"output.model_dir={folder}/t{seed}", f"training.seed={seed}"]))
        return folder

    return train_both


@pytest.fixture
def configured(
    with_teachers: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Config]:
    """Return a loader of the config for a student, which also copies the teachers into the folder."""
    monkeypatch.chdir(tmp_path)

    def load(*settings: str, decoder: str = "constrained") -> Config:
        if not Path("t1").exists():
            shutil.copytree(with_teachers(decoder), tmp_path, dirs_exist_ok=True)
        return load_config("c.yaml", settings)

    return load


def run(config: Config, **options: Any) -> Outcome:
    with TrainingProgress(quiet=True) as listener:
        return train(config, listener, **options)


def lesson(*names: str, raw: bool = False, **options: Any) -> Lesson:
    pieces = [Piece([tokens], [], 1, "raw") for tokens in RAW] if raw else []
    teachers = load_teachers([Path(name) for name in names or ("t1", "t2")])
    return Lesson(teachers=teachers, unlabelled=pieces, **options)


def distribution(*names: str) -> list[np.ndarray]:
    sentences = [[line.split()[0] for line in block.split("\n")] for block in TRAIN.strip().split("\n\n")]
    found = Ensemble([load_predictor(Path(name)) for name in names]).logits(sentences)
    return [np.exp(logits) for logits in found]


def distance(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return max(float(np.abs(a - b).max()) for a, b in zip(first, second, strict=True))


def bits(directory: str) -> bytes:
    model = load_model(Path(directory), read_weights)
    return b"".join(array.tobytes() for _, array in sorted(model.network.items()))


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_a_student_of_one_teacher_without_gold_tags_becomes_the_teacher(
    configured: Callable[..., Config], decoder: str
) -> None:
    configured(decoder=decoder)
    text = TRAIN.replace("B-PER", "O").replace("E-PER", "O").replace("S-PER", "O")
    Path("train.conll").write_text(30 * text)  # the gold tags are wrong, and do not count
    student = configured("training.epochs=5", "training.seed=9", decoder=decoder)
    before = distance(distribution("t1"), distribution("t2"))
    run(student, lesson=lesson("t1", gold_weight=0.0))
    assert distance(distribution("student"), distribution("t1")) < 0.03 < before


def test_a_student_of_two_teachers_becomes_their_mean(configured: Callable[..., Config]) -> None:
    configured()
    Path("train.conll").write_text(30 * TRAIN)
    run(configured("training.epochs=5", "training.seed=9"), lesson=lesson("t1", "t2", gold_weight=0.0))
    mean = [(a + b) / 2 for a, b in zip(distribution("t1"), distribution("t2"), strict=True)]
    assert distance(distribution("student"), mean) < 0.03 < distance(distribution("t1"), mean)


def test_with_a_gold_weight_of_1_it_is_a_training_like_any_other(configured: Callable[..., Config]) -> None:
    run(configured("training.seed=9", "output.model_dir=plain"))
    run(configured("training.seed=9"), lesson=lesson(gold_weight=1.0))
    plain, student = (load_model(Path(name), read_weights).network for name in ("plain", "student"))
    assert all(np.abs(plain[name] - student[name]).max() < 1e-4 for name in plain)


def test_an_interrupted_distillation_continues_bit_for_bit(configured: Callable[..., Config]) -> None:
    run(configured("output.model_dir=whole"), lesson=lesson(raw=True))
    calls = iter(range(100))
    config = configured()
    stopped = run(config, lesson=lesson(raw=True), should_stop=lambda: next(calls) > 9)
    assert stopped.stopped
    assert not run(config, lesson=lesson(raw=True), resume=True).stopped
    assert bits("student") == bits("whole")


def test_an_altered_teacher_or_text_or_weight_is_refused(configured: Callable[..., Config]) -> None:
    config, calls = configured(), iter(range(100))
    run(config, lesson=lesson(raw=True), should_stop=lambda: next(calls) > 9)
    for changed in (lesson(raw=False), lesson("t2", "t1", raw=True), lesson(raw=True, gold_weight=0.25)):
        with pytest.raises(ConfigError, match=r"^--resume: (--teachers|data.train|--gold-weight|--unlabelled-ratio): "):
            run(config, lesson=changed, resume=True)
    with pytest.raises(ConfigError, match=r"^--resume: .*--gold-weight: found null, expected 0.5"):
        run(config, resume=True)
    shutil.rmtree("t2")
    run(load_config("c.yaml", ["output.model_dir=t2", "training.seed=3"]))
    with pytest.raises(ConfigError, match=r"^--resume: --teachers: found a model with SHA-256 .*, expected"):
        run(config, lesson=lesson(raw=True), resume=True)
    manifest = Path("t1/tags.txt")
    manifest.write_bytes(manifest.read_bytes() + b"B-X\n")
    with pytest.raises(ModelError, match=r"^--teachers: .*tags.txt"):
        lesson(raw=True)


def test_each_epoch_has_other_text(configured: Callable[..., Config]) -> None:
    config = configured("training.batch_size=4")
    from tagger.training.preparation import prepare

    notes = list[str]()
    prepared = prepare(config, note=notes.append, warn=notes.append, lesson=lesson(raw=True, ratio=0.5))
    assert "distilling 2 teachers (t1 and t2), on the training sentences and 3 unlabelled sentences (9 tokens)" in notes
    epochs = [sorted(np.concatenate(prepared.training_set.order(epoch)).tolist()) for epoch in range(3)]
    assert all(rows[:4] == [0, 1, 2, 3] and len(rows) == 6 for rows in epochs)
    assert sorted(row for rows in epochs for row in rows[4:]) == [4, 4, 5, 5, 6, 6]
    lengths = prepared.training_set.lengths
    assert [prepared.training_set.n_tokens(epoch) for epoch in range(3)] == [lengths[rows].sum() for rows in epochs]
    assert prepared.names.of(5) == "raw:1: 2 tokens: Kim ran"
    soft = prepared.targets and prepared.targets.soft
    assert soft
    mean = np.concatenate([*distribution("t1", "t2")])
    assert soft.probabilities[: len(mean)] == pytest.approx(mean, abs=1e-5)
    gold = [prepared.tags.tags[i] for i in soft.gold[: len(mean)]]
    assert gold == [line.split()[1] for line in TRAIN.split("\n") if line]
    assert soft.gold[len(mean) :].tolist() == [-1] * 9


def test_teachers_must_fit(configured: Callable[..., Config]) -> None:
    config = configured("model.scheme=IOB2")
    with pytest.raises(ConfigError, match=r"model.scheme: found IOB2, expected IOBES, as in the teacher t1; set"):
        run(config, lesson=lesson())
    Path("train.conll").write_text(TRAIN + "x S-MISC\n")
    with pytest.raises(DataError, match=r"train.conll: found tags that the teacher t1 does not know, .* S-MISC; train"):
        run(configured(), lesson=lesson())
    run(load_config("c.yaml", ["output.model_dir=t3"]))
    with pytest.raises(ModelError, match=r"--teachers: t1 and t3 have different tags, .* only t3 has S-MISC"):
        lesson("t1", "t3")
    with pytest.raises(ConfigError, match=r"--teachers: found t1 twice"):
        lesson("t1", "t2", "./t1")
    shutil.copytree("t1", "copy")
    with pytest.raises(ConfigError, match="--teachers: found the same model in t1 and copy, expected each model once"):
        lesson("t1", "t2", "copy")
    with pytest.raises(ConfigError, match="--teachers: found an empty name"):
        lesson("t1", "")
    with pytest.raises(ModelError, match="--teachers: none"):
        lesson("none")


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_an_annotation_that_no_tags_of_the_teachers_agree_with_is_an_error(
    configured: Callable[..., Config], decoder: str
) -> None:
    """Its probability is 0, so that training would diverge."""
    configured(decoder=decoder)
    place = len(TRAIN.split("\n"))
    Path("train.conll").write_text(TRAIN + "the ?\ncity I-LOC\nfell ?\n\n")
    partial = ("data.unknown_tag=?", "data.scheme=IOBES")
    with pytest.raises(
        DataError, match=rf"train.conll:{place}: found a sentence .* the teacher t1 knows, expected"
    ) as e:
        run(configured(*partial, decoder=decoder), lesson=lesson())
    assert e.value.detail[0].startswith("the teacher knows O, B-PER, E-PER")
    Path("train.conll").write_text(TRAIN + "she ?\nLee E-PER\nran ?\n\n")
    run(configured(*partial, decoder=decoder), lesson=lesson(raw=True))


def test_the_command_finds_the_seeds_and_reads_text(configured: Callable[..., Config], tmp_path: Path) -> None:
    configured()
    Path("dev.conll").write_text(TRAIN)
    quick = ("c.yaml", "--set", "data.dev=dev.conll", "--quiet")
    missing = run_tagger("distill", *quick)
    assert missing.exit_code == 1
    assert "--teachers: found none, and no student.seed-N beside" in missing.errors
    seeds = run_tagger("train", *quick, "--seeds", "2", "--keep-seeds", "--jobs", "1")
    assert seeds.exit_code == 0, seeds.errors
    Path("raw.txt").write_text("Bob saw Rome. Kim ran.\n\nshe saw Ann Lee\n")
    result = run_tagger("distill", *quick, "--unlabelled", "raw.txt", "train.conll")
    assert result.exit_code == 0, result.errors
    manifest = json.loads(Path("student-distilled/manifest.json").read_text())
    assert len(manifest["origin"]["teachers sha256"].split("\n")) == 2
    scores = json.loads(
        run_tagger(
            "eval", "dev.conll", "--json", *[f"--model=student{x}" for x in (".seed-1", ".seed-2", "-distilled")]
        ).output
    )
    assert [one["model"] for one in scores["models"]] == ["student.seed-1", "student.seed-2", "student-distilled"]
    folder = Path("many")
    folder.mkdir()
    for name in ("m-10", "m-9"):
        shutil.copytree("t1" if name == "m-9" else "t2", folder / name)
    assert load_teachers([folder]).checksums == load_teachers([Path("t1"), Path("t2")]).checksums
    own = run_tagger("distill", *quick, "--teachers", "t1", "t2", "--model", "t2")
    assert own.exit_code == 1
    assert "--model: found t2, which is a teacher, expected another directory" in own.errors.replace(f"{tmp_path}/", "")
    several = run_tagger("distill", *quick, "--teachers", "t1", "t2", "--model", "other", "--resume")
    assert several.exit_code == 0, several.errors


def test_a_student_that_is_still_improving_gets_advice_that_distill_can_follow(
    configured: Callable[..., Config],
) -> None:
    Path("dev.conll").write_text(TRAIN)
    outcome = run(configured("data.dev=dev.conll", "training.epochs=1"), lesson=lesson())
    (advice,) = [line for line in dataclasses.replace(outcome, still_rising=True).summary() if "still" in line]
    assert advice.endswith("; raise training.epochs, and continue with --resume")
    further = run(configured("data.dev=dev.conll", "training.epochs=2"), lesson=lesson(), resume=True)
    assert [epoch.epoch for epoch in further.history] == [1, 2]


def test_text_that_does_not_fit_into_memory_is_refused_before_the_teachers_see_it(
    configured: Callable[..., Config], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, found = configured(), lesson(raw=True)
    monkeypatch.setattr("tagger.training.teachers.available_memory", lambda: 100)
    monkeypatch.setattr(Ensemble, "probabilities", lambda *_: pytest.fail("computed"))
    with pytest.raises(ConfigError, match=r"^--unlabelled: what the teachers say about 19 tokens needs 0.0 GB"):
        run(config, lesson=found)


def test_text_without_the_columns_of_the_teachers_is_refused(configured: Callable[..., Config]) -> None:
    Path("t.conll").write_text(TRAIN.replace(" ", " X "))
    columns = ("data.train=t.conll", "data.columns={token: 0, pos: 1, tag: 2}")
    run(configured(*columns, "output.model_dir=t3"))
    Path("raw.txt").write_text("Ann saw Bob. He ran.\n")
    settings = [f"--set={one}" for one in columns]
    result = run_tagger("distill", "c.yaml", *settings, "--quiet", "--teachers", "t3", "--unlabelled", "raw.txt")
    assert result.exit_code == 1
    assert "--teachers: found a model that reads the feature columns pos" in result.first_error


def test_text_that_seems_to_be_misread_is_named(configured: Callable[..., Config]) -> None:
    configured()
    Path("train.conll").write_text(TRAIN.replace(" ", "\t"))
    run(load_config("c.yaml", ["output.model_dir=t3"]))
    Path("two.txt").write_text("Bob saw\nAnn ran\n")  # read as two tokens with a blank each
    command = ("distill", "c.yaml", "--quiet", "--teachers", "t3", "--unlabelled", "two.txt")
    result = run_tagger(*command)
    assert "two.txt:1: 2 of the first 2 lines hold blanks but no TAB" in result.errors
    assert "pass --from text if it is raw text" in result.errors
    again = run_tagger(*command, "--from", "text", "--force")
    assert again.exit_code == 0, again.errors
    assert "hold blanks" not in again.errors
