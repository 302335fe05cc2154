"""The comparison of two models on a file, and the files that it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run_tagger
from stub_model import fixed_logits, stub_manifest, stub_models, stub_predictor

from tagger.corpus.labels import Labels
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.evaluation.evaluate import gold_files
from tagger.inputs.batching import pad
from tagger.model_dir.manifest import Manifest


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a gold file and models by name: `good`, `bad` (predicts only O), `iobes` and `plain` (other schemes)."""
    table = np.zeros_like(fixed_logits())
    table[:, 0] = 1.0
    predictors = {
        "good": stub_predictor(),
        "bad": stub_predictor(score=lambda sentences, _: table[pad(sentences)[0]]),
        "iobes": stub_predictor(stub_manifest(notation=Notation(scheme="IOBES"))),
        "plain": stub_predictor(stub_manifest(notation=Notation(scheme="none"), scheme="none")),
    }
    sentences = "EU\tB-ORG\nx\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\n" * 20
    (tmp_path / "gold").write_text(f"{sentences}German\tO\nx\tO\n\n")
    monkeypatch.chdir(tmp_path)
    with stub_models(predictors.__getitem__):
        yield tmp_path


def test_models_are_compared_on_a_file(models: Path) -> None:
    found = json.loads(run_tagger("compare", "good", "bad", "gold", "--json", "--samples", "500").output)
    assert found["f1"] == [pytest.approx(2 * 40 / 81), 0.0], (
        "the model finds all 40 gold spans and predicts one wrong span"
    )
    assert found["difference"] == pytest.approx(2 * 40 / 81)
    assert (found["samples"], found["p_value"] < 0.01, found["interval"][0] > 0.9) == (500, True, True)
    text = run_tagger("compare", "good", "bad", "gold", "--samples", "500").output.decode().splitlines()
    assert text[:3] == ["good  F1  98.77", "bad   F1   0.00", "difference +98.77"]
    assert text[3].startswith("95 % interval +9")
    assert text[4].startswith("p = 0.00")


def test_a_model_does_not_differ_from_itself_in_any_scheme(models: Path) -> None:
    text = run_tagger("compare", "good", "good", "gold", "--samples", "100").output.decode()
    assert "difference +0.00\n" in text
    assert "p = 1.0000 " in text
    data = (models / "gold").read_text().replace("EU\tB-", "EU\tS-").replace("n\tI-", "n\tE-")
    (models / "gold-iobes").write_text(data)
    assert run_tagger("compare", "iobes", "iobes", "gold-iobes", "--samples", "100").output.startswith(
        b"iobes  F1  98.77"
    )


def test_a_gold_file_in_another_scheme_is_scored_by_its_spans(models: Path) -> None:
    data = (models / "gold").read_text()
    (models / "bios").write_text(data.replace("EU\tB-", "EU\tS-").replace("German\tO", "German\tS-MISC"))
    (models / "suffix").write_text(data.replace("B-PER", "PER-B").replace("I-PER", "PER-I").replace("B-ORG", "ORG-B"))
    for name, scheme in (("bios", "BIOS"), ("suffix", "IOB2, spelled PER-B and PER-I")):
        result = run_tagger("eval", name, "--model", "good", "--json")
        found = json.loads(result.output)
        f1 = 1.0 if name == "bios" else 2 * 40 / 81
        assert (found["f1"], found["strict"]["f1"]) == (pytest.approx(f1), pytest.approx(f1))
        assert found["accuracy"] == pytest.approx(1.0 if name == "bios" else 81 / 82)
        assert (
            f"{name}: its tags are {scheme}, those of the training data IOB2; their spans are compared" in result.errors
        )
    assert "its tags" not in run_tagger("eval", "gold", "--model", "good").errors


def test_the_test_files_of_the_config_are_scored_together(models: Path) -> None:
    (models / "m").mkdir()
    for name in ("one", "two"):
        (models / name).write_text("EU\tB-ORG\nx\tO\n\n")
    predictor = stub_predictor(stub_manifest(test=["../one", "../two"]))
    predictor.model = dataclasses.replace(predictor.model, directory=models / "m")
    with stub_models({"listed": predictor}.__getitem__):
        found = json.loads(run_tagger("eval", "--model", "listed", "--json").output)
        assert (found["sentences"], found["tokens"], found["f1"]) == (2, 4, 1.0)
        assert run_tagger("compare", "listed", "listed", "--samples", "100").exit_code == 0
        (models / "two").unlink()
        assert "two: the config's test file is no longer there" in run_tagger("eval", "--model", "listed").first_error
        given = run_tagger("eval", "one", "--model", "listed")
        assert given.exit_code == 0, given.errors


def test_models_of_different_schemes_are_compared_by_spans(models: Path) -> None:
    text = run_tagger("compare", "good", "iobes", "gold", "--samples", "100").output.decode()
    assert text.startswith("good   F1  98.77\niobes  F1  98.77\n")


def test_plain_tags_are_compared_by_accuracy(models: Path) -> None:
    text = run_tagger("compare", "plain", "plain", "gold", "--samples", "100").output.decode()
    assert text.startswith("plain  accuracy  98.78\n"), "81 of 82 tokens must be correct"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["good", "plain", "gold"], "gold: the two models read different sentences or spans in it, expected the same"),
        (["good", "bad", "one"], "one: found 1 sentence, expected at least two"),
        (["good", "bad", "none"], "none: no such file"),
        (["good", "bad", "-"], "<standard input>: found a stream, expected a file because it is read twice"),
        (["good", "bad", "pipe"], "pipe: is not a regular file, expected one because it is read twice"),
        (["good", "bad"], "FILE: found none, and the model's config does not set data.test"),
    ],
)
def test_models_and_files_that_cannot_be_compared_are_errors(models: Path, arguments: list[str], message: str) -> None:
    (models / "one").write_text("EU\tB-ORG\n")
    os.mkfifo("pipe")
    result = run_tagger("compare", *arguments)
    assert result.exit_code == 1
    assert result.first_error.startswith(f"error: {message}")


def test_too_few_samples_for_an_interval_are_refused(models: Path) -> None:
    result = run_tagger("compare", "good", "bad", "gold", "--samples", "99")
    assert (result.exit_code, result.output) == (2, b"")
    assert "--samples" in result.first_error
    assert "99 is not in the range x>=100" in result.first_error


@pytest.mark.parametrize(
    ("columns", "conversion"),
    [
        ({"token": 0, "tag": -1}, {}),
        ({"token": 1, "tag": 3}, {"columns": {"tag": 3}, "delimiter": "space", "encoding": "cp1252"}),
    ],
)
def test_what_a_config_says_of_conll_is_not_said_of_other_formats(
    columns: dict[str, int], conversion: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(
        columns=columns, delimiter=conversion.get("delimiter", "tab"), encoding=conversion.get("encoding", "utf-8")
    )
    monkeypatch.chdir(tmp_path)
    rest = "\t_" * 7
    (tmp_path / "a.conllu").write_text(f"# newdoc\n1\tEU{rest}\tname=B-ORG\n2\tx{rest}\t_\n\n")
    (tmp_path / "bare.conllu").write_text(f"1\tEU{rest}\tname=B-ORG\n2\tx{rest}\t_\n\n")
    (tmp_path / "a.csv").write_text("sentence,token,tag\n1,EU,B-ORG\n1,x,O\n")
    with stub_models(lambda name: stub_predictor(stub_manifest(layout=layout, conversion=conversion))):
        for name in ("a.conllu", "bare.conllu", "a.csv"):
            result = run_tagger("eval", name, "--model", "m", "--json")
            assert result.exit_code == 0, result.errors
            found = json.loads(result.output)
            assert (found["f1"], found["types"]["ORG"]["support"], found["tokens"]) == (1.0, 1, 2), name


def test_names_of_columns_in_the_training_files_are_for_the_files_that_have_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("n,Wort,x,Art\n1,EU,1,B-ORG\n1,x,2,O\n")
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["EU", "x"], "ner_tags": ["B-ORG", "O"]}) + "\n")
    manifest = stub_manifest(conversion={"columns": {"token": "Wort", "tag": "Art"}})
    for name in ("a.csv", "a.jsonl"):
        with stub_models(lambda _: stub_predictor(manifest)):
            found = json.loads(run_tagger("eval", name, "--model", "m", "--json").output)
        assert (found["f1"], found["tokens"]) == (1.0, 2), name


def test_a_model_with_feature_columns_refuses_files_without_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(columns={"token": 0, "pos": 1, "tag": 2})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text(json.dumps({"tokens": ["EU"], "ner_tags": ["B-ORG"]}) + "\n")
    with stub_models(lambda name: stub_predictor(stub_manifest(layout=layout))):
        result = run_tagger("eval", "a.jsonl", "--model", "m")
    assert result.exit_code == 1
    assert "found a model that reads the feature columns pos" in result.first_error


def test_gold_files_are_read_with_the_labels_and_settings_of_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, conversion = Labels(map={"FAC": "ORG"}, keep=("ORG", "PER")), {"names": ["O", "B-FAC", "B-PER", "I-PER"]}
    manifest = stub_manifest(labels=labels, conversion=conversion)
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))).labels == labels
    monkeypatch.chdir(tmp_path)
    gold = "EU\tB-FAC\nx\tO\n\nPeter\tB-PER\nBlackburn\tI-PER\n\nParis\tB-LOC\n\n"
    (tmp_path / "gold").write_text(gold)
    (tmp_path / "mapped").write_text(gold.replace("FAC", "ORG").replace("B-LOC", "O"))
    rows = [{"tokens": ["EU", "x"], "ner_tags": [1, 0]}, {"tokens": ["Peter", "Blackburn"], "ner_tags": [2, 3]}]
    (tmp_path / "n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with stub_models(lambda name: stub_predictor(manifest)):
        for name, changed in (("gold", True), ("mapped", False), ("n.jsonl", True)):
            result = run_tagger("eval", name, "--model", "m", "--json")
            found = json.loads(result.output)
            assert (found["f1"], set(found["types"])) == (1.0, {"ORG", "PER"}), name
            assert ("data.labels: renamed FAC to ORG (1 span), as in training" in result.errors) == changed, name
            assert "warning: " not in result.errors
        compared = run_tagger("compare", "m", "m", "n.jsonl", "--json", "--samples", "100")
        assert json.loads(compared.output)["f1"] == [1.0, 1.0]


def test_the_test_files_of_a_config_are_named_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("models/m", "data"):
        Path(folder).mkdir(parents=True)
    Path("data/test").touch()
    model = dataclasses.replace(stub_predictor(stub_manifest(test="../../data/test")).model, directory=Path("models/m"))
    assert gold_files(model, None) == ["data/test"]
    assert gold_files(model, "given") == ["given"]
