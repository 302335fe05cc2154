"""The commands as a user runs them: train, eval and predict, and the errors that they report."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import SHORT_GRAPH, run_tagger

from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.errors import DataError
from tagger.evaluation.scores import evaluate

pytestmark = pytest.mark.tensorflow

NAMES = ["Ada", "Linus", "Grace", "Alan", "Barbara"]
PLACES = ["Paris", "Turin", "Oslo", "New York", "San Marino"]
SMALL = [
    f"--set={setting}"
    for setting in (
        *SHORT_GRAPH, "model.units=16", "model.embedding_dim=16", "training.batch_size=4", "model.casing=false",
        "model.token_dropout=0", "model.scheme=IOB2",
    )
]  # fmt: skip


def corpus() -> bytes:
    """Return 20 sentences with entities of one and two tokens."""
    lines = []
    for i in range(20):
        name, place = NAMES[i % 5], PLACES[(i // 2) % 5]
        tags = "\n".join(f"{token}\t{'BI'[j > 0]}-LOC" for j, token in enumerate(place.split()))
        verb = ["saw", "left", "likes"][i % 3]
        lines.append(f"{name}\tB-PER\n{verb}\tO\n{tags}\n{'today' if i % 4 else 'again'}\tO\n.\tO\n")
    return "\n".join(lines).encode()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model until it tags all of its 20 training sentences correctly, and return the folder."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.conll").write_bytes(corpus())
    (folder / "config.yaml").write_text(
        "data: {train: train.conll, dev: train.conll, test: train.conll}\n"
        "training: {epochs: 40, learning_rate: 0.02, patience: 3}\nmodel: {dropout: 0.1, input_dropout: 0.1}\n"
        "vocabulary: {unk_probability: 0.0}\n"
    )
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = run_tagger("train", "config.yaml", *SMALL)
    finally:
        os.chdir(before)
    assert result.exit_code == 0, result.errors
    assert result.output == b""
    (folder / "log").write_text(result.errors)
    return folder


@pytest.fixture
def in_trained(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(trained)
    monkeypatch.delenv("TAGGER_MODEL", raising=False)
    return trained


def test_twenty_training_sentences_are_tagged_perfectly(in_trained: Path) -> None:
    scores = json.loads(run_tagger("eval", "--json").output)
    assert scores["f1"] == scores["strict"]["f1"] == scores["accuracy"] == 1.0
    assert scores["types"]["PER"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 20}
    assert (scores["sentences"], scores["tokens"]) == (20, corpus().count(b"\t"))
    assert list(scores) == ["precision", "recall", "f1", "accuracy", "strict", "types", "sentences", "tokens"]


def test_training_logs_the_data_the_device_and_its_progress(in_trained: Path) -> None:
    log = (in_trained / "log").read_text()
    tokens = corpus().count(b"\t")
    assert f"train: 20 sentences, {tokens} tokens from train.conll, scheme IOB2 (detected)" in log
    assert re.search(r"^device: CPU, \d+ threads; kernel of both branches: fused CPU LSTM", log, re.MULTILINE)
    assert re.search(r"^epoch +1  loss \d\.\d{4}  dev P +[\d.]+  R +[\d.]+  F1 +[\d.]+ ", log, re.MULTILINE)
    assert re.search(r"tokens/s  \*$", log, re.MULTILINE)
    assert max(map(len, re.findall(r"^epoch.*", log, re.MULTILINE))) <= 80


def test_training_ends_with_scores_the_time_the_files_and_the_next_command(in_trained: Path) -> None:
    lines = (in_trained / "log").read_text().splitlines()
    begin = next(i for i, line in enumerate(lines) if line.startswith("model of epoch"))
    model, head, *rows, test, took, following = lines[begin:]
    assert re.fullmatch(r"model of epoch \d+ \(dev 100\.00\) is in models/config", model)
    assert head.split() == ["dev", "P", "R", "F1", "support", "test", "P", "R", "F1", "support"]
    perfect = ["100.00"] * 3
    assert [row.split() for row in rows] == [
        ["LOC", *perfect, "20", *perfect, "20"],
        ["PER", *perfect, "20", *perfect, "20"],
        ["all", *perfect, "40", *perfect, "40"],
    ]
    assert test == "the test file had no part in choosing the model"
    assert re.fullmatch(r"it took [\d.]+ (minutes|seconds?); the epochs are in models/config/history\.csv", took)
    assert (in_trained / took.split()[-1]).is_file()
    assert following == "next: tagger predict FILE --model models/config"


def test_a_test_file_that_cannot_be_scored_is_a_warning_because_the_model_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DataError("tag 'X-PER' does not fit", path="test", line=1)

    monkeypatch.setattr("tagger.evaluation.evaluate.evaluate_file", fail)
    (tmp_path / "test").write_bytes(corpus())
    log, model = train_again(tmp_path, corpus(), "training.epochs=1", f"data.test={tmp_path}/test")
    assert "\nwarning: the test file cannot be scored: test:1: tag 'X-PER' does not fit\n" in log
    assert "had no part" not in log
    assert (model / "manifest.json").exists()


def test_the_best_epoch_is_kept_and_patience_ends_the_training(in_trained: Path) -> None:
    with (in_trained / "models/config/history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "train_loss", "dev_f1", "seconds", "tokens_per_second", "dev_loss"]
    scores = [float(row["dev_f1"]) for row in rows]
    best = scores.index(max(scores)) + 1
    manifest = json.loads((in_trained / "models/config/manifest.json").read_text())
    kept = manifest["dev"]["epoch"]
    assert manifest["dev"]["f1"] == pytest.approx(max(scores), abs=1e-6)
    assert scores[kept - 1] == max(scores)
    losses = {i: float(row["dev_loss"]) for i, row in enumerate(rows, start=1) if scores[i - 1] == max(scores)}
    assert losses[kept] == min(losses.values()), "equal scores are decided by the loss on dev"
    assert len(rows) == best + 3 < 40


def test_the_resolved_config_is_in_the_model_with_paths_relative_to_it(in_trained: Path) -> None:
    text = (in_trained / "models/config/config.yaml").read_text()
    assert "train: ../../train.conll" in text
    assert "units: 16" in text
    assert str(in_trained) not in text


def test_predict_writes_every_line_back_with_one_more_column(in_trained: Path) -> None:
    text = b"# no comment\n-DOCSTART- -X- O\n\nAda saw\r\nLinus\tx\tx\r\n \t\n\n.\nleft"
    result = run_tagger("predict", stdin=text)
    assert result.exit_code == 0
    lines = result.output.splitlines(keepends=True)
    added = re.compile(rb"[\t ][^\t \r\n]+(?=\r?\n?\Z)")
    assert [added.sub(b"", line) if line.strip() else line for line in lines] == text.splitlines(keepends=True)
    assert lines[1] == b"-DOCSTART- -X- O O\n"
    assert lines[4] == b"Linus\tx\tx\tB-PER\r\n"
    assert result.errors.startswith(
        "model: models/config\nwarning: <standard input>:1: 2 of the first 5 lines hold blanks"
    )


def test_predict_reads_a_file_and_standard_input_alike(in_trained: Path) -> None:
    (in_trained / "input.txt").write_bytes(b"Grace\nleft\nSan\nMarino\n.\n")
    from_file = run_tagger("predict", "input.txt")
    assert from_file.output == run_tagger("predict", stdin=b"Grace\nleft\nSan\nMarino\n.\n").output
    assert from_file.output == b"Grace\tB-PER\nleft\tO\nSan\tB-LOC\nMarino\tI-LOC\n.\tO\n"


def test_scores_are_probabilities_after_the_tag(in_trained: Path) -> None:
    result = run_tagger("predict", "--scores", stdin=b"-DOCSTART-\n\nAda\nsaw\n")
    rows = [line.split("\t") for line in result.output.decode().splitlines() if line]
    assert rows[0] == ["-DOCSTART-", "O", "1.0000"]
    assert [row[:2] for row in rows[1:]] == [["Ada", "B-PER"], ["saw", "O"]]
    assert all(re.fullmatch(r"[01]\.\d{4}", row[2]) and 0.5 < float(row[2]) <= 1 for row in rows[1:])


def test_eval_agrees_with_an_independent_scorer_of_the_predicted_file(in_trained: Path) -> None:
    # The model cannot know these gold tags: they have other boundaries, other types and an ill-formed I- after O.
    text = corpus().replace(b"York\tI-LOC", b"York\tB-LOC").replace(b"Oslo\tB-LOC", b"Oslo\tB-ORG")
    text = text.replace(b"San\tB-LOC", b"San\tO").replace(b"Ada\tB-PER", b"Ada\tO")
    (in_trained / "hard.conll").write_bytes(text)
    predicted = run_tagger("predict", "hard.conll").output
    gold: list[list[str]] = [[]]
    pred: list[list[str]] = [[]]
    for line in predicted.decode().split("\n"):
        if line:
            gold[-1].append(line.split("\t")[1])
            pred[-1].append(line.split("\t")[2])
        elif gold[-1]:
            gold.append([])
            pred.append([])
    expected = conlleval_f1(gold, pred)
    found = json.loads(run_tagger("eval", "hard.conll", "--json").output)["f1"]
    assert 0 < found < 1
    assert found == pytest.approx(expected, abs=1e-9)


def conlleval_f1(gold: list[list[str]], pred: list[list[str]]) -> float:
    """Return the F1 that seqscore computes with its conlleval repair of ill-formed sequences."""
    from seqscore.scoring import score_label_sequences

    classification, _ = score_label_sequences(pred, gold, "BIO", repair="conlleval")
    return float(classification.f1)


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_eval_uses_the_configs_test_file_or_reports_that_it_is_missing(in_trained: Path, flag: list[str]) -> None:
    assert run_tagger("eval", *flag).output == run_tagger("eval", "train.conll", *flag).output
    (in_trained / "train.conll").rename(in_trained / "moved")
    try:
        result = run_tagger("eval")
    finally:
        (in_trained / "moved").rename(in_trained / "train.conll")
    assert result.exit_code == 1
    assert result.first_error.endswith(
        "train.conll: the config's test file is no longer there, or is not a file; pass FILE"
    )


def test_eval_prints_a_table(in_trained: Path) -> None:
    table = run_tagger("eval").output.decode().splitlines()
    assert table[0] == f"20 sentences, {corpus().count(chr(9).encode())} tokens, accuracy 100.00"
    assert [row.split() for row in table[3:]] == [
        ["precision", "recall", "F1", "support"],
        ["LOC", "100.00", "100.00", "100.00", "20"],
        ["PER", "100.00", "100.00", "100.00", "20"],
        ["all", "100.00", "100.00", "100.00", "40"],
        ["all,", "strict", "100.00", "100.00", "100.00", "40"],
    ]


def test_unseen_gold_tags_count_as_errors(in_trained: Path) -> None:
    (in_trained / "unseen.conll").write_bytes(b"Ada\tB-ORG\nsaw\tO\nOslo\tB-LOC\n.\tO\n")
    scores = json.loads(run_tagger("eval", "unseen.conll", "--json").output)
    assert scores["recall"] == 0.5
    assert scores["types"]["ORG"]["support"] == 1


def test_columns_delimiter_and_encoding_read_a_file_with_another_layout(in_trained: Path) -> None:
    text = "1|Ada|é|B-PER\n2|saw|é|O\n3|Oslo|é|B-LOC\n4|.|é|O\n".encode("latin-1")
    options = ["--columns", "token=1,tag=3", "--delimiter", "|", "--encoding", "latin-1"]
    predicted = run_tagger("predict", *options, stdin=text)
    assert predicted.output.decode("latin-1") == ("1|Ada|é|B-PER|B-PER\n2|saw|é|O|O\n3|Oslo|é|B-LOC|B-LOC\n4|.|é|O|O\n")
    (in_trained / "other.txt").write_bytes(text)
    assert json.loads(run_tagger("eval", "other.txt", "--json", *options).output)["f1"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["predict", "no.txt"], b"", 1, "error: no.txt: no such file; check the path"),
        (["predict", "--columns", "token=2"], b"a\tb\tc\na\tb\n", 1, "error: <standard input>:2: found 2 columns, expected at least 3: column 2 (token) is missing"),
        (["predict"], b"Ada\nA\xff\n", 1, "error: <standard input>:2: byte 0xFF at offset 1 of the line is not valid utf-8; name the file's encoding"),
        (["predict", "--encoding", "klingon"], b"", 1, "error: --encoding: 'klingon' is unknown"),
        (["predict", "--delimiter", ""], b"", 1, "error: --delimiter: found ''"),
        (["predict", "--columns", "token"], b"", 2, "error: Invalid value for --columns: found 'token', expected NAME=INDEX, each name only once"),
        (["predict", "--columns", "token=1,token=0"], b"", 2, "error: Invalid value for --columns: found 'token=0', expected NAME=INDEX, each name only once"),
        (["predict", "--delimiter", "\n"], b"", 1, "error: --delimiter: found '\\n', expected some text without line ends"),
        (["predict", "--delimiter", "│", "--encoding", "latin-1"], b"", 1, "error: --delimiter: found '│', which latin-1 cannot encode"),
        (["eval", "-"], b"Ada\n", 1, "error: <standard input>:1: found 1 column"),
        (["check"], b"", 2, "error: found no FILE and no --config"),
        (["check", "a", "b", "--fix", "c"], b"", 2, "error: --fix: found 2 files, expected one"),
        (["train", "config.yaml", "--set", "data.train=~nosuchuser/x"], b"", 1, "~nosuchuser/x: no such file"),
        (["train", "config.yaml", "--set", 'data.train="a\\0"'], b"", 1, "data.train: found a NUL character in the path, expected a path without it; choose another"),
        (["train", "config.yaml", "--set", "training.seed=" + "9" * 5000], b"", 1, "error: --set training.seed=999"),
        (["train", "config.yaml", "--set", "model.units=010"], b"", 1, "model.units: found text ('010'), expected a whole number"),
        (["train", "config.yaml", "--set", "data.columns.token=x"], b"", 1, "train.conll: columns.token: found 'x', expected an index, because the file has no header line; set it to one"),
        (["predict", "--columns", "pos=1"], b"", 2, "error: Invalid value for --columns: found pos=1, expected the columns that the model knows: token and tag"),
        (["predict", "--columns", "tag=1"], b"", 1, "error: --columns: found {'tag': 1}, expected a `token` column"),
        (["predict", "--model", "no"], b"", 1, "error: no: no such model directory; train one with tagger train"),
        (["eval", "one-column"], b"", 1, "error: one-column:1: found 1 column, expected at least 2: column -1 (tag) is missing"),
        (["eval", "bad-tag"], b"", 1, "error: bad-tag:2: tag 'X-PER' does not fit the scheme IOB2, expected tags as in the training file, such as"),
        (["eval", "empty"], b"", 1, "error: empty: found no sentence, expected lines with a token and a tag"),
        (["train", "no.yaml"], b"", 1, "error: no.yaml: no such config file"),
        (["train", "config.yaml", "--force", "--set", "data.train=empty"], b"", 1, "no sentence, expected lines with a token and a tag"),
        (["train", "config.yaml", "--set", "data.train=gone"], b"", 1, "gone: no such file"),
        (["train", "config.yaml", "--force", "--set", "data.train=ragged"], b"", 1, "ragged:2: found 2 columns, expected 3 as on most lines"),
        (["train", "config.yaml", "--set", "model.unit=5"], b"", 1, "error: --set model.unit=5: model.unit: is not a known key; did you mean units?"),
        (["train", "config.yaml", "--device", "tpu"], b"", 2, "error: Invalid value for '--device': 'tpu' is not one of"),
        (["train", "config.yaml", "--model", "."], b"", 1, "found the working directory in it, expected a separate directory; choose another place with --model"),
        (["trian"], b"", 2, "error: tagger trian: no such command; did you mean train?"),
    ],
)  # fmt: skip
def test_each_mistake_is_reported_in_one_clear_line(
    in_trained: Path, arguments: list[str], stdin: bytes, code: int, message: str
) -> None:
    (in_trained / "one-column").write_bytes(b"Ada\n")
    (in_trained / "bad-tag").write_bytes(b"Ada\tB-PER\nsaw\tX-PER\n")
    (in_trained / "ragged").write_bytes(b"Ada NNP B-PER\nsaw O\n")
    (in_trained / "empty").write_bytes(b"\n \n\t\n")
    result = run_tagger(*arguments, stdin=stdin)
    assert message in result.first_error
    assert result.exit_code == code


def test_device_gpu_without_a_gpu_says_what_is_missing(in_trained: Path) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("this machine has a GPU")
    result = run_tagger("train", "config.yaml", "--device", "gpu")
    assert result.exit_code == 1
    assert result.first_error.startswith("error: --device gpu: TensorFlow does not see a GPU: ")
    assert "use --device cpu" in result.first_error
    assert re.search(r"\n  TensorFlow \S+ needs CUDA \S+ and cuDNN \S+\n", result.errors)


def test_a_damaged_model_is_an_error(in_trained: Path, tmp_path: Path) -> None:
    shutil.copytree(in_trained / "models/config", tmp_path / "model")
    with (tmp_path / "model/tags.txt").open("ab") as file:
        file.write(b"B-X\n")
    result = run_tagger("predict", "--model", tmp_path / "model", stdin=b"Ada\n")
    assert result.exit_code == 1
    assert result.first_error.endswith("tags.txt: its checksum does not match manifest.json: the file was altered or"
                                       " only partly copied; copy the model again")  # fmt: skip
    assert result.output == b""


def test_the_model_option_wins_over_the_environment_and_the_pointer(
    in_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(in_trained / "models/config", tmp_path / "copy")
    assert run_tagger("predict", stdin=b"Ada\n").errors == "model: models/config\n"
    monkeypatch.setenv("TAGGER_MODEL", str(tmp_path / "copy"))
    assert run_tagger("predict", stdin=b"Ada\n").errors == f"model: {tmp_path / 'copy'}\n"
    assert run_tagger("predict", "--model", "models/config", stdin=b"Ada\n").errors == "model: models/config\n"
    monkeypatch.delenv("TAGGER_MODEL")
    monkeypatch.chdir(tmp_path)
    result = run_tagger("predict", stdin=b"Ada\n")
    assert result.exit_code == 1
    assert "--model" in result.first_error
    assert "$TAGGER_MODEL" in result.first_error


def test_the_pointer_is_relative_and_still_works_after_its_folder_is_moved(
    in_trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (in_trained / ".tagger-model").read_text() == "models/config\n"
    shutil.copytree(in_trained, tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "moved")
    assert run_tagger("predict", stdin=b"Ada\n").output == b"Ada\tB-PER\n"


def train_again(folder: Path, train: bytes, *settings: str, dev: bytes | None = None) -> tuple[str, Path]:
    (folder / "train").write_bytes(train)
    (folder / "dev").write_bytes(train if dev is None else dev)
    (folder / "c.yaml").write_text(
        "data: {train: train, dev: dev}\ntraining: {epochs: 25, learning_rate: 0.03}\nmodel: {dropout: 0.0, input_dropout: 0.0}\n"
    )
    overrides = [f"--set={setting}" for setting in settings]
    result = run_tagger("train", folder / "c.yaml", *SMALL, *overrides, "--model", folder / "model")
    assert result.exit_code == 0, result.errors
    return result.errors, folder / "model"


@pytest.mark.parametrize(
    ("rewrite", "expected"),
    [
        (lambda text: text.replace(b"-", b"_"), b"Ada\tB_PER\nsaw\tO\nSan\tB_LOC\nMarino\tI_LOC\n"),
        (lambda text: text.replace(b"\tO", b"\t0"), b"Ada\tB-PER\nsaw\t0\nSan\tB-LOC\nMarino\tI-LOC\n"),
        (lambda text: text.replace(b"B-", b"I-"), b"Ada\tI-PER\nsaw\tO\nSan\tI-LOC\nMarino\tI-LOC\n"),
        (
            lambda text: re.sub(rb"B-(?!LOC\n\w+\tI)", b"S-", text),
            b"Ada\tS-PER\nsaw\tO\nSan\tB-LOC\nMarino\tI-LOC\n",
        ),
        (
            lambda text: re.sub(rb"([BI])-(\w+)", rb"\2_\1", text).replace(b"\tO", b"\tOTHER"),
            b"Ada\tPER_B\nsaw\tOTHER\nSan\tLOC_B\nMarino\tLOC_I\n",
        ),
        (
            lambda text: text.replace(b"PER", b"Titre 2"),
            b"Ada\tB-Titre 2\nsaw\tO\nSan\tB-LOC\nMarino\tI-LOC\n",
        ),
    ],
)
def test_predict_writes_the_training_files_scheme_and_spelling(tmp_path: Path, rewrite, expected: bytes) -> None:
    _, model = train_again(tmp_path, rewrite(corpus()))
    assert run_tagger("predict", "--model", model, stdin=b"Ada\nsaw\nSan\nMarino\n").output == expected
    scores = json.loads(run_tagger("eval", tmp_path / "train", "--model", model, "--json").output)
    assert (scores["f1"], scores["strict"]["f1"], scores["accuracy"]) == (1.0, 1.0, 1.0)


def test_plain_tags_have_accuracy_and_no_spans(tmp_path: Path) -> None:
    text = (
        corpus().replace(b"B-PER", b"NNP").replace(b"B-LOC", b"NNP").replace(b"I-LOC", b"NNP").replace(b"\tO", b"\tX")
    )
    log, model = train_again(tmp_path, text)
    assert "scheme none (detected)" in log
    assert "dev accuracy 100.00" in log
    assert run_tagger("predict", "--model", model, stdin=b"Ada\nsaw\n").output == b"Ada\tNNP\nsaw\tX\n"
    scores = json.loads(run_tagger("eval", tmp_path / "train", "--model", model, "--json").output)
    assert (scores["accuracy"], scores["f1"], scores["types"]) == (1.0, None, {})


def test_a_warning_names_dev_tags_that_are_not_in_the_training_data(tmp_path: Path) -> None:
    log, _ = train_again(tmp_path, corpus(), "training.epochs=1", dev=corpus().replace(b"B-PER", b"B-GOD"))
    assert re.search(r"^warning: .*dev has tags that are not in the training data: B-GOD \(20\); they count", log, re.M)


def test_a_second_training_gives_the_same_model_except_for_its_timings(tmp_path: Path) -> None:
    models = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        models.append(train_again(tmp_path / name, corpus(), "training.epochs=2", "model.dropout=0.5")[1])
    for name in ("weights.safetensors", "tokens.txt", "tags.txt", "config.yaml"):
        assert (models[0] / name).read_bytes() == (models[1] / name).read_bytes(), name


def test_a_new_process_predicts_the_same(in_trained: Path) -> None:
    text = b"Linus\nlikes\nNew\nYork\n,\nTurin\nand\nunknown\nPlaces\n.\n\nToday\n"
    here = run_tagger("predict", "--scores", stdin=text)
    there = subprocess.run(
        [sys.executable, "-m", "tagger", "predict", "--scores"], input=text, capture_output=True, check=True
    )
    assert there.stdout == here.output
    assert there.stderr.decode() == "model: models/config\n"


def test_predict_exits_quietly_when_its_pipe_is_closed(in_trained: Path) -> None:
    (in_trained / "long.txt").write_bytes(b"Ada\nsaw\nOslo\n\n" * 20_000)
    command = f"{sys.executable} -m tagger predict long.txt | head -n 2; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.splitlines() == [b"Ada\tB-PER", b"saw\tO", b"0"]
    assert done.stderr.decode() == "model: models/config\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_training_and_keeps_the_best_epoch(
    in_trained: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    shutil.copy(in_trained / "train.conll", tmp_path)
    shutil.copy(in_trained / "config.yaml", tmp_path)
    command = [sys.executable, "-m", "tagger", "train", "config.yaml", *SMALL]
    command += [
        "--set",
        "training.epochs=100000",
        "--set",
        "training.patience=null",
        "--set",
        "training.learning_rate=1e-6",
    ]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch   2"):
            break
    process.send_signal(number)
    start = time.monotonic()
    rest = process.communicate(timeout=30)[1]
    assert time.monotonic() - start < 10
    assert process.returncode == code, rest
    assert "stopping after this step" in rest
    assert re.search(r"model of epoch \d+ \(dev .*\) is in models/config", rest)
    assert not (tmp_path / ".tagger-model").exists()  # only a successful training writes it
    assert run_tagger("predict", "--model", tmp_path / "models/config", stdin=b"Ada\n").exit_code == 0


def test_help_and_version_are_quick_and_import_nothing_heavy() -> None:
    code = (
        "import sys; from tagger.cli import commands; commands.run(sys.argv[1:]);"
        " print(sorted({'tensorflow', 'numpy', 'pydantic', 'yaml', 'seqeval', 'rich', 'ray'} & set(sys.modules)))"
    )
    for arguments in (["--help"], ["--version"], ["train", "--help"], ["predict", "--help"], ["eval", "--help"]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, check=True, text=True)
        assert done.stdout.splitlines()[-1] == "[]", arguments
        assert done.stdout.startswith(("Usage: tagger", "tagger, version"))


def test_reading_and_scoring_need_no_tensorflow() -> None:
    code = (
        "import sys; import tagger.prediction.predictor, tagger.model_dir.store, tagger.evaluation.evaluate,"
        " tagger.cli.reports; print(sorted({'tensorflow', 'keras', 'pydantic', 'yaml', 'ray'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


@pytest.mark.corpora
def test_predict_leaves_every_byte_of_a_real_test_set_unchanged(in_trained: Path, corpora: Path) -> None:
    original = (corpora / "conll2000/test.txt").read_bytes()
    predicted = run_tagger("predict", "--delimiter", "auto", stdin=original).output
    restored = re.sub(rb" [^ \n]+\n", b"\n", predicted)
    assert restored == original
    layout = Layout(columns={"token": 0, "tag": -1})
    import io

    sentences = list(read_sentences(io.BytesIO(predicted), layout, gold=True))
    assert sum(len(sentence.tokens) for sentence in sentences) == 47377
    assert evaluate([s.tags for s in sentences], [s.tags for s in sentences], "IOB2").sentences == 2012


def test_line_buffered_tags_a_sentence_before_it_reads_the_next(in_trained: Path) -> None:
    command = [sys.executable, "-m", "tagger", "predict", "--line-buffered"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Ada\nsaw\n\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"Ada\tB-PER\n"
        process.stdin.write(b"Oslo\n\n")
        process.stdin.close()
        assert process.stdout.read() == b"saw\tO\n\nOslo\tB-LOC\n\n"


def test_output_begins_before_input_ends(in_trained: Path) -> None:
    command = [sys.executable, "-m", "tagger", "predict"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"Ada\nsaw\n\n" * 1100)
        process.stdin.flush()
        seen = [
            process.stdout.readline() for _ in range(3 * 1024)
        ]  # the whole batch, although the stream is still open
        assert seen == [b"Ada\tB-PER\n", b"saw\tO\n", b"\n"] * 1024
        process.stdin.close()
        assert process.stdout.read() == b"Ada\tB-PER\nsaw\tO\n\n" * 76


def test_closed_streams_are_errors_and_not_tracebacks(in_trained: Path) -> None:
    (in_trained / "short.txt").write_bytes(b"Ada\n")
    tagger = f"{sys.executable} -m tagger predict"
    for command, code, message in (
        (f"{tagger} <&-", 1, "error: <standard input>: is closed"),
        (f"{tagger} short.txt >&-", 1, "error: standard output: is closed"),
        (f"{tagger} short.txt 2>&-", 0, ""),
    ):
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr
        assert message in done.stderr
        assert done.stdout == ("Ada\tB-PER\n" if code == 0 else "")


def test_one_b_tag_in_the_wrong_place_does_not_change_the_detected_scheme(tmp_path: Path) -> None:
    text = corpus().replace(b"B-", b"I-").replace(b"Paris\tI-LOC", b"Paris\tB-LOC", 1)
    log, model = train_again(tmp_path, text)
    assert "scheme IOB1 (detected)" in log
    assert json.loads(run_tagger("eval", tmp_path / "train", "--model", model, "--json").output)["f1"] == 1.0


def test_ill_formed_training_tags_are_learned_as_spans(tmp_path: Path) -> None:
    log, model = train_again(tmp_path, corpus().replace(b"B-PER", b"I-PER"), "data.scheme=IOB2")
    assert "20 tags are ill-formed in IOB2" in log
    assert run_tagger("predict", "--model", model, stdin=b"Ada\nsaw\n").output == b"Ada\tB-PER\nsaw\tO\n"
    scores = json.loads(run_tagger("eval", tmp_path / "train", "--model", model, "--json").output)
    assert scores["f1"] == 1.0
    assert scores["strict"]["f1"] < 0.8, "under strict scoring, a gold I-PER after O does not begin a span"


def test_training_continues_when_nobody_reads_its_messages(in_trained: Path, tmp_path: Path) -> None:
    shutil.copy(in_trained / "train.conll", tmp_path)
    shutil.copy(in_trained / "config.yaml", tmp_path)
    options = " ".join([*SMALL, "--set training.epochs=2"])
    command = f"{sys.executable} -m tagger train config.yaml {options} 2>&1 | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0"
    assert (tmp_path / "models/config/manifest.json").exists()


# --- Several seeds ------------------------------------------------------------------------------------------------------


@pytest.mark.tensorflow
def test_seeds_are_trained_in_turn_and_the_best_model_is_kept(trained: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"data: {{train: {trained}/train.conll, dev: 0.4, test: {trained}/train.conll}}\n"
        "training: {epochs: 9, learning_rate: 0.02, seed: 5}\n"
    )
    result = run_tagger("train", config, *SMALL, "--seeds", "3", "--jobs", "1", "--model", tmp_path / "all")
    assert result.exit_code == 0, result.errors
    assert result.output == b""
    alone, scores = {}, {}
    for seed in (5, 6, 7):
        directory = tmp_path / f"alone-{seed}"
        assert run_tagger("train", config, *SMALL, f"--set=training.seed={seed}", "--model", directory).exit_code == 0
        alone[seed] = (directory / "model.onnx").read_bytes(), (directory / "embeddings.bin").read_bytes()
        manifest = json.loads((directory / "manifest.json").read_text())
        test = json.loads(run_tagger("eval", "--json", "--model", directory).output)["f1"]
        scores[seed] = 100 * manifest["dev"]["f1"], 100 * test
        assert f"seed {seed}: dev {scores[seed][0]:.2f} (epoch {manifest['dev']['epoch']}), test {100 * test:.2f}" in (
            result.errors
        )
    assert len(set(scores.values())) == 3, "seeds with equal scores would prove nothing"
    for i, name in enumerate(("dev", "test")):
        values = [pair[i] for pair in scores.values()]
        mean, spread = np.mean(values), np.std(values, ddof=1)
        expected = f"{name:8} {mean:5.2f} ± {spread:.2f}   {min(values):6.2f} {max(values):6.2f}"
        assert expected in result.errors.splitlines()
    best = max(scores, key=lambda seed: scores[seed][0])
    found = (tmp_path / "all/model.onnx").read_bytes(), (tmp_path / "all/embeddings.bin").read_bytes()
    assert found == alone[best]
    assert f"model of seed {best} (dev {scores[best][0]:.2f}) is in" in result.errors
    assert json.loads((tmp_path / "all/manifest.json").read_text())["seed"] == best
    assert {path.name for path in tmp_path.iterdir()} == {"c.yaml", "all", "all.training"} | {
        path.name for pattern in (".tagger-model", "alone-*") for path in tmp_path.glob(pattern)
    }


@pytest.mark.tensorflow
def test_seeds_need_a_dev_set(trained: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("data: {train: train, dev: null}\n")
    (tmp_path / "train").write_text("a B-X\nb O\n")
    result = run_tagger("train", config, *SMALL, "--seeds", "2", "--model", tmp_path / "m")
    assert result.exit_code == 1
    assert "--seeds: found data.dev null, expected a dev set" in result.first_error


def test_seeds_leave_files_beside_the_model_alone_and_follow_a_link(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "train.conll").write_bytes((trained / "train.conll").read_bytes())
    (tmp_path / "c.yaml").write_text("data: {train: train.conll, dev: 0.4, test: train.conll}\ntraining: {epochs: 1}\n")
    (tmp_path / ".m.seed-1").mkdir()
    (tmp_path / ".m.seed-1/thesis").write_text("precious")
    (tmp_path / "deep/er").mkdir(parents=True)
    (tmp_path / "m").symlink_to("deep/er/model")
    result = run_tagger("train", tmp_path / "c.yaml", *SMALL, "--seeds", "1", "--model", tmp_path / "m")
    assert result.exit_code == 0, result.errors
    assert (tmp_path / ".m.seed-1/thesis").read_text() == "precious"
    assert {path.name for path in (tmp_path / "deep/er").iterdir()} == {"model", "model.training"}
    assert (tmp_path / "m").is_symlink()
    assert run_tagger("eval", "--model", tmp_path / "m").exit_code == 0, (
        "eval finds the test file relative to the linked directory"
    )
    assert json.loads((tmp_path / "m/manifest.json").read_text())["test"] == "../../../train.conll"


@pytest.mark.tensorflow
def test_a_failed_seed_keeps_the_best_model_so_far_and_reports_it(trained: Path, tmp_path: Path) -> None:
    (tmp_path / ".m.seed-2.training").write_text("not a directory")
    (tmp_path / "c.yaml").write_text(f"data: {{train: {trained}/train.conll, dev: 0.4}}\ntraining: {{epochs: 1}}\n")
    result = run_tagger("train", tmp_path / "c.yaml", *SMALL, "--seeds", "3", "--jobs", "1", "--model", tmp_path / "m")
    assert result.exit_code == 1
    assert result.first_error.startswith("error: seed 2: ")
    assert re.search(r"^  the model of seed 1, dev \d+\.\d\d, is in .*/m$", result.errors, re.MULTILINE)
    kept = {path.name for path in tmp_path.iterdir() if path.name != ".tagger-model"}
    assert kept == {"c.yaml", "m", "m.training", ".m.seed-2.training"}
    # After the cause of the failure is removed, --resume continues the training.
    (tmp_path / ".m.seed-2.training").unlink()
    result = run_tagger("train", tmp_path / "c.yaml", *SMALL, "--seeds", "3", "--model", tmp_path / "m", "--resume")
    assert result.exit_code == 0, result.errors
    assert "3 seeds" in result.errors
    result = run_tagger(
        "train",
        tmp_path / "c.yaml",
        *SMALL,
        "--seeds",
        "2",
        "--set=training.seed=2147483647",
        "--model",
        tmp_path / "m",
    )
    assert result.first_error.startswith(
        "error: --seeds: found 2 seeds from training.seed 2147483647 on, expected seeds below"
    )


def test_a_model_of_another_config_is_replaced_only_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b"):
        Path(folder).mkdir()
        Path(folder, "train.conll").write_bytes(corpus())
        Path(folder, "my.yaml").write_text(
            "data: {train: train.conll, dev: train.conll}\ntraining: {epochs: 1}\nmodel: {units: 4}\n"
        )
    manifest, previous = Path("models/my/manifest.json"), Path("models/my.previous/manifest.json")
    assert run_tagger("train", "a/my.yaml", *SMALL, "--set=training.seed=3").exit_code == 0
    first = manifest.read_bytes()
    refused = run_tagger("train", "b/my.yaml", *SMALL)
    assert refused.exit_code == 1
    assert (
        "found a model that was trained with a/my.yaml, expected one of b/my.yaml; name another" in refused.first_error
    )
    assert manifest.read_bytes() == first
    forced = run_tagger("train", "b/my.yaml", *SMALL, "--force")
    assert forced.exit_code == 0, forced.errors
    assert "\nthe model that it replaced is in models/my.previous\n" in forced.errors
    assert previous.read_bytes() == first
    second = manifest.read_bytes()
    more = run_tagger("train", "b/my.yaml", *SMALL, "--epochs-more", "1", "--no-keep-previous")
    assert more.exit_code == 0, more.errors
    assert Path("models/my/history.csv").read_text().count("\n") == 3
    assert manifest.read_bytes() != second
    assert previous.read_bytes() == first, "without --keep-previous, what is there stays"


@pytest.mark.parametrize("other", [["--resume"], ["--seeds", "2"]])
def test_epochs_are_added_to_one_finished_training(other: list[str]) -> None:
    result = run_tagger("train", "c.yaml", "--epochs-more", "2", *other)
    assert result.exit_code == 2
    assert result.first_error == f"error: --epochs-more: found {other[0]} too, expected one of them; leave one out"
