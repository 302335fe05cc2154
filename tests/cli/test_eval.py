"""The options of `tagger eval` beside seqeval's table: errors, unseen entities and the schemas of SemEval-2013."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from helpers import run_tagger
from stub_model import TAGS, fixed_logits, stub_manifest, stub_models, stub_predictor

from tagger.corpus.notation import Notation
from tagger.evaluation import training_data
from tagger.inputs.batching import Ids, pad
from tagger.prediction.decoding import Logits
from tagger.prediction.predictor import ComputeLogits

# The model tags EU as ORG, German as MISC, Peter and Blackburn as PER, and nothing else.
GOLD = (
    "EU\tB-ORG\nrejects\tO\nGerman\tB-LOC\n\nPeter\tB-PER\nvan\tI-PER\nBlackburn\tI-PER\n\n"
    "-DOCSTART-\tO\n\nEU\tB-LOC\nArmy\tI-LOC\nin\tO\nOslo\tB-LOC\n\nGerman\tO\n"
)


@pytest.fixture
def gold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold").write_text(GOLD)
    with stub_models(lambda _: stub_predictor()):
        yield tmp_path


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, dialect="excel-tab"))


def test_the_errors_are_written_with_their_places_and_probabilities(gold: Path) -> None:
    plain = run_tagger("eval", "gold")
    result = run_tagger("eval", "gold", "--errors", "e.tsv")
    assert (result.exit_code, result.output) == (0, plain.output)
    assert result.errors.splitlines()[-1] == "the errors are in e.tsv"
    rows = rows_of(gold / "e.tsv")
    shown = [(row["place"], row["kind"], row["gold text"], row["predicted text"], row["sentence"]) for row in rows]
    assert shown == [
        ("gold:3", "type", "German", "German", "1"),
        ("gold:5", "boundary", "Peter van Blackburn", "Peter", "2"),
        ("gold:7", "made up", "", "Blackburn", "2"),
        ("gold:11", "both", "EU Army", "EU", "3"),
        ("gold:14", "missed", "Oslo", "", "3"),
        ("gold:16", "made up", "", "German", "4"),
    ]
    predicted = [json.loads(line) for line in run_tagger("predict", "gold", "--format", "jsonl").output.splitlines()]
    spans = [span for document in predicted for span in document["spans"]]
    expected = [f"{span['probability']:.4f}" for span in spans]  # of EU, which is right, and then of the errors
    assert [row["probability"] for row in rows] == [*expected[1:5], "", expected[5]]
    assert rows[1]["sentence text"] == "Peter van Blackburn"
    assert rows[0]["gold type"] + rows[0]["predicted type"] == "LOCMISC"


def test_a_sentence_that_is_read_in_parts_has_whole_errors(gold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.evaluation.evaluate.CHUNK_LINES", 3)
    tokens = ["x", "x", "EU", "x", "x", "x", "Peter", "Blackburn", "x"]
    tags = ["O", "O", "B-LOC", "I-LOC", "O", "O", "B-PER", "O", "O"]
    (gold / "long").write_text("".join(f"{token}\t{tag}\n" for token, tag in zip(tokens, tags, strict=True)))
    assert run_tagger("eval", "long", "--errors", "e.tsv").exit_code == 0
    first, second = rows_of(gold / "e.tsv")
    assert (first["place"], first["gold start"], first["gold end"], first["kind"]) == ("long:3", "2", "4", "both")
    assert (second["place"], second["predicted text"], second["kind"]) == ("long:7", "Peter Blackburn", "boundary")
    assert second["sentence text"] == " ".join(tokens)


def test_errors_in_other_formats_name_the_users_file(gold: Path) -> None:
    (gold / "g.jsonl").write_text(json.dumps({"tokens": ["EU", "x"], "tags": ["B-LOC", "O"]}) + "\n")
    result = run_tagger("eval", "g.jsonl", "--errors", "e.tsv")
    assert result.exit_code == 0, result.errors
    assert [row["place"] for row in rows_of(gold / "e.tsv")] == ["g.jsonl (as CoNLL):1"]


def test_the_schemas_are_a_table_and_part_of_the_json_object(gold: Path) -> None:
    lines = run_tagger("eval", "gold", "--metric", "nervaluate").output.decode().splitlines()
    assert lines[0] == run_tagger("eval", "gold").output.decode().splitlines()[0]
    # gold: ORG EU, LOC German, PER Peter van Blackburn, LOC EU Army, LOC Oslo; predicted: ORG EU, MISC German, PER
    # Peter, PER Blackburn, ORG EU, MISC German.
    assert [line.split()[:6] for line in lines[4:8]] == [
        ["strict", "1", "3", "0", "1", "2"],
        ["exact", "2", "2", "0", "1", "2"],
        ["partial", "2", "0", "2", "1", "2"],
        ["ent_type", "2", "2", "0", "1", "2"],
    ]
    assert lines[6].split()[6:] == ["50.00", "60.00", "54.55"]
    assert [line.split()[0] for line in lines[9:]] == ["F1", "LOC", "MISC", "ORG", "PER"]
    assert lines[-1].split() == ["PER", "0.00", "0.00", "33.33", "66.67", "1"]
    assert max(map(len, lines)) <= 80
    usual, found = (
        json.loads(run_tagger("eval", "gold", "--json", *more).output) for more in ([], ["--metric", "nervaluate"])
    )
    schemas = found.pop("schemas")
    assert found == usual
    assert schemas["partial"]["f1"] == pytest.approx(6 / 11)
    assert schemas["types"]["PER"]["ent_type"]["spurious"] == 1


def test_types_with_long_names_have_a_row_each(gold: Path) -> None:
    names = [f"{'X' * 60}{i}" for i in range(2)]
    (gold / "long").write_text("".join(f"a\tB-{name}\n\n" for name in names))
    lines = run_tagger("eval", "long", "--metric", "nervaluate").output.decode().splitlines()
    assert len([line for line in lines if line.startswith("XXX")]) == 2
    assert max(map(len, lines)) <= 90


def test_seen_and_unseen_entities_have_scores_of_their_own(gold: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[str, ...]] = []

    def entities(_model: object, train: tuple[str, ...], _note: object) -> frozenset[tuple[str, str]]:
        given.append(train)
        return frozenset({("ORG", "EU"), ("LOC", "Oslo"), ("MISC", "German")})

    monkeypatch.setattr(training_data, "training_entities", entities)
    (gold / "t").write_text(GOLD)
    plain = run_tagger("eval", "gold").output.decode()
    result = run_tagger("eval", "gold", "--unseen", "--train", "t", "--train", "t")
    assert given == [("t", "t")]
    assert result.output.decode().startswith(plain)
    rows = [line.split() for line in result.output.decode()[len(plain) :].splitlines() if line]
    assert rows[2:] == [
        ["seen", "in", "the", "training", "data", "25.00", "50.00", "33.33", "2"],
        ["not", "seen", "there", "0.00", "0.00", "0.00", "3"],
        ["all", "tokens", "known", "16.67", "50.00", "25.00", "2"],
        ["with", "unknown", "tokens", "0.00", "0.00", "0.00", "3"],
    ]
    found = json.loads(run_tagger("eval", "gold", "--unseen", "--json").output)["unseen"]
    assert set(found) == {"seen", "unseen", "known_tokens", "unknown_tokens"}
    assert found["seen"] == {"precision": 0.25, "recall": 0.5, "f1": pytest.approx(1 / 3), "support": 2}


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--train", "gold"], 2, "error: --train: found no --unseen, expected it too"),
        (["--errors", "gold"], 1, "error: gold: is there and is not a table of errors, expected a new name"),
        (
            ["--errors", "no/e.tsv"],
            1,
            "error: no/e.tsv: found no folder for it, expected one; make it, or choose another place",
        ),
        (["--metric", "muc"], 2, "error: Invalid value for '--metric': 'muc' is not one of 'seqeval', 'nervaluate'"),
        (["--unseen"], 1, "error: stub: no such model directory"),
    ],
)
def test_what_cannot_be_done_is_one_error(gold: Path, arguments: list[str], code: int, message: str) -> None:
    result = run_tagger("eval", "gold", *arguments)
    assert (result.exit_code, result.output) == (code, b"")
    assert result.first_error.startswith(message)
    assert (gold / "gold").read_text() == GOLD


@pytest.mark.parametrize("option", ["--metric nervaluate", "--unseen", "--errors e.tsv"])
def test_models_of_plain_tags_have_no_spans_to_count(gold: Path, option: str) -> None:
    manifest = dataclasses.replace(stub_manifest(notation=Notation(scheme="none")), scheme="none")
    with stub_models(lambda _: stub_predictor(manifest)):
        result = run_tagger("eval", "gold", *option.split())
    assert result.exit_code == 1
    name = option.removesuffix(" e.tsv")
    assert result.first_error == (
        f"error: {name}: found a model of plain tags (scheme none), expected one of spans; leave the option out"
    )
    assert not (gold / "e.tsv").exists()


def test_several_models_and_their_ensemble_are_in_one_table(gold: Path) -> None:
    def scored(tag: str, logit: float) -> ComputeLogits:
        def score(sentences: Sequence[Ids], _: object) -> Logits:
            logits = fixed_logits()[pad(sentences)[0]]
            logits[..., TAGS.index(tag)] += logit
            return logits

        return score

    stubs = {"a": stub_predictor(), "b": stub_predictor(score=scored("B-LOC", 9.0)), "c": stub_predictor()}
    with stub_models(lambda name: stubs[name]):
        names = [f"--model={name}" for name in stubs]
        result = run_tagger("eval", "gold", *names, "--json")
        found = json.loads(result.output)
        alone = {name: json.loads(run_tagger("eval", "gold", f"--model={name}", "--json").output) for name in "abc"}
        assert found["models"] == [{"model": name, **alone[name]} for name in "abc"]
        for key in ("precision", "recall", "f1", "accuracy"):
            assert found["mean"][key] == pytest.approx((2 * alone["a"][key] + alone["b"][key]) / 3)
        assert found["ensemble"] == alone["a"] != alone["b"]  # two sure models outvote the third
        table = run_tagger("eval", "gold", *names).output.decode().splitlines()
        assert table[0] == "4 sentences, 11 tokens"
        assert [line.split()[0] for line in table[2:]] == ["precision", "a", "b", "c", "mean", "ensemble"]
        assert table[3].split()[1:] == table[-1].split()[1:]
        assert table[-1].split()[3] == f"{100 * found['ensemble']['f1']:.2f}"


@pytest.mark.parametrize("option", [["--unseen"], ["--errors", "e.tsv"], ["--metric", "nervaluate"]])
def test_several_models_have_no_details(gold: Path, option: list[str]) -> None:
    result = run_tagger("eval", "gold", "--model=a", "--model=b", *option)
    assert result.exit_code == 2
    assert f"{option[0]}: found 2 models, expected one" in result.errors


def test_a_model_is_named_once(gold: Path) -> None:
    result = run_tagger("eval", "gold", "--model=a", "--model=b", "--model=a")
    assert result.exit_code == 2
    assert "--model: found a twice, expected each model once" in result.errors
    again = run_tagger("eval", "gold", "--model=a", "--model=./a/")
    assert again.exit_code == 2
    assert "--model: found ./a/ twice, expected each model once" in again.errors
