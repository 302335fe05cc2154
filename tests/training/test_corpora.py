"""The corpora of a config: other formats, several files, and changed labels. Does not need TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.config.loading import load_config
from tagger.corpus.dataset import Corpus
from tagger.errors import ConfigError, DataError
from tagger.training.corpora import load_corpora

SENTENCES = [["Ann", "met", "Bob"], ["in", "Bonn", "Germany"]]
TAGS = [["B-PER", "O", "B-PER"], ["O", "B-LOC", "B-GPE"]]
CSV = "sentence,Wort,Art\n" + "".join(
    f"{i},{token},{tag}\n"
    for i, (tokens, tags) in enumerate(zip(SENTENCES, TAGS, strict=True))
    for token, tag in zip(tokens, tags, strict=True)
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    conll = "\n".join(
        "".join(f"{token}\t{tag}\n" for token, tag in zip(*pair, strict=True))
        for pair in zip(SENTENCES, TAGS, strict=True)
    )
    Path("a.conll").write_text(conll)
    for i, (tokens, tags) in enumerate(zip(SENTENCES, TAGS, strict=True)):
        Path(f"{i}.jsonl").write_text(json.dumps({"tokens": tokens, "ner_tags": tags}) + "\n")
    Path("a.csv").write_text(CSV)


def load(*settings: str, data: str) -> tuple[Corpus, Corpus | None, list[str], list[str]]:
    Path("c.yaml").write_text(f"data: {{{data}, trust: true}}\n")
    notes, warnings = list[str](), list[str]()
    found = load_corpora(load_config("c.yaml", settings).data, 1, notes.append, warnings.append)
    return found.train, found.dev, notes, warnings


def tokens(corpus: Corpus | None) -> list[list[str]]:
    assert corpus is not None
    return [sentence.tokens for sentence in corpus.sentences]


@pytest.mark.parametrize("train", ["[0.jsonl, 1.jsonl]", "'?.jsonl'"])
@pytest.mark.parametrize("dev", ["b.csv", "a.conll", "'b*.csv'", "slashed.txt", "b"])
def test_lists_and_globs_of_one_format_and_dev_in_another(train: str, dev: str) -> None:
    Path("b.csv").write_text(CSV.replace("Wort,Art", "word,tag"))
    run_tagger("convert", "a.conll", "slashed.txt", "--to", "slashed")
    run_tagger("convert", "a.conll", "b", "--to", "parallel")
    found, other, _, _ = load(data=f"train: {train}, dev: {dev}")
    assert other is not None
    assert (tokens(found), found.tags, tokens(other), other.tags) == (SENTENCES, TAGS, SENTENCES, TAGS)


def test_names_in_the_header_of_csv_name_its_columns() -> None:
    Path("b.csv").write_text(CSV)
    found, other, _, _ = load(data="train: '*.csv', dev: b.csv, columns: {token: Wort, tag: Art}")
    assert other is not None
    assert (tokens(found), found.tags, other.tags) == (2 * SENTENCES, 2 * TAGS, TAGS)


@pytest.mark.parametrize(
    ("train", "dev"),
    [
        ("'?.jsonl'", "b.csv"),
        ("b.csv", "'?.jsonl'"),
        ("a.conll", "b.csv"),
        ("b.csv", "a.conll"),
        ("'?.jsonl'", "h.conll"),
    ],
)
def test_names_of_columns_are_for_the_files_that_have_them(train: str, dev: str) -> None:
    rows = [line.split(",") for line in CSV.splitlines()]
    Path("b.csv").write_text(
        "".join(f"{row[0]},{'Lemma' if row is rows[0] else i},{row[1]},{row[2]}\n" for i, row in enumerate(rows))
    )
    with_lemmas = "".join(f"x\t{line}\n" if line else "\n" for line in Path("a.conll").read_text().splitlines())
    Path("h.conll").write_text(f"Lemma\tWort\tArt\n\n{with_lemmas}")
    found, other, _, _ = load(data=f"train: {train}, dev: {dev}, columns: {{token: Wort, tag: Art}}")
    assert (tokens(found), found.tags) == (SENTENCES, TAGS)
    assert other is not None
    assert (tokens(other), other.tags) == (SENTENCES, TAGS)
    files = json.loads(run_tagger("check", "--config", "c.yaml", "--json").output)["files"]
    assert sum(file["counts"]["tokens"] for file in files) == 12


def test_a_name_that_no_file_has_is_an_error() -> None:
    message = (
        r"^columns\.token: found 'Wrot', expected the name of a column of one of .*0\.jsonl, .*a\.csv; fix the name"
    )
    with pytest.raises(DataError, match=message):
        load(data="train: '?.jsonl', dev: a.csv, columns: {token: Wrot, tag: Art}")


def test_labels_are_changed_in_all_files_and_counted() -> None:
    rules = "labels: {map: {GPE: LOC}, keep: [LOC]}"
    for train in ("a.conll", "'?.jsonl'", "a.csv, columns: {token: Wort, tag: Art}"):
        found, dev, notes, _ = load(data=f"train: {train}, dev: a.csv, {rules}" if "csv" in train else
                                    f"train: {train}, dev: a.conll, {rules}")  # fmt: skip
        assert dev is not None
        assert found.tags == dev.tags == [["O", "O", "O"], ["O", "B-LOC", "B-LOC"]]
        assert "train: data.labels: renamed GPE to LOC (1 span)" in notes
        assert "dev: data.labels: renamed GPE to LOC (1 span)" in notes
    _, _, notes, _ = load(data=f"train: a.conll, dev: a.conll, {rules}")
    assert "train: data.labels: left out PER (2 spans)" in notes


def test_a_misspelled_type_is_an_error_unless_the_data_are_trusted() -> None:
    setting = "data.labels={map: {GPF: LOC}}"
    _, _, _, warnings = load(setting, data="train: a.conll, dev: null")
    assert [text for text in warnings if "did you mean GPE?" in text]
    with pytest.raises(DataError, match=r"^data\.labels\.map: found GPF, .* did you mean GPE\?$"):
        load(setting, "data.trust=false", data="train: a.conll, dev: null")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("{kep: [A]}", r"data\.labels: found the key kep, expected keep or map; fix it"),
        ("{map: {A: B}, keep: [A]}", r"data\.labels: keep: found A, which map renames to B"),
        ("{keep: []}", r"data\.labels: found "),
    ],
)
def test_wrong_rules_name_the_line_of_the_config(labels: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"^c\.yaml:1: {message}"):
        load(data=f"train: a.conll, labels: {labels}")


@pytest.mark.parametrize("names", ["[O, B-PER, B-LOC, B-GPE]", "names.txt"])
def test_numbered_tags_get_their_names(names: str) -> None:
    Path("names.txt").write_text("O\nB-PER\nB-LOC\nB-GPE\n")
    numbers = {"O": 0, "B-PER": 1, "B-LOC": 2, "B-GPE": 3}
    rows = [{"tokens": a, "ner_tags": [numbers[tag] for tag in b]} for a, b in zip(SENTENCES, TAGS, strict=True)]
    Path("n.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    lines = [f"{token} {numbers[tag]}\n" for token, tag in zip(SENTENCES[0], TAGS[0], strict=True)]
    Path("n.conll").write_text("".join(lines) + "\nBonn 2\nGermany 3\n")
    found, _, _, _ = load(data=f"train: n.jsonl, dev: null, names: {names}")
    assert found.tags == TAGS
    found, _, _, _ = load(data=f"train: n.conll, dev: null, names: {names}")
    assert found.tags == [TAGS[0], ["B-LOC", "B-GPE"]]
    for path in ("n.jsonl", "n.conll"):
        with pytest.raises(DataError, match=r"set data\.names to the names in their order"):
            load("data.trust=false", data=f"train: {path}, dev: null")


def test_spans_beside_tokens_are_listed_with_the_key_that_says_what_becomes_of_them() -> None:
    word = {"text": "Annie", "start": 0, "end": 5}, {"text": "left", "start": 6, "end": 10}
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    Path("p.jsonl").write_text(json.dumps({"text": "Annie left", "tokens": word, "spans": spans}) + "\n")
    with pytest.raises(DataError, match=r"fix them, or set data\.align to expand, contract, split or drop\n") as caught:
        load(data="train: p.jsonl, dev: null")
    assert any("[[Ann]]ie left" in line for line in caught.value.detail)
    found, _, _, _ = load(data="train: p.jsonl, dev: null, align: expand")
    assert found.tags == [["B-PER", "O"]]
    result = run_tagger("convert", "p.jsonl", "p.conll")
    assert "fix them, or set --align to expand, contract, split or drop" in result.first_error


def test_check_counts_the_labels_that_training_learns() -> None:
    Path("c.yaml").write_text("data: {train: a.conll, labels: {map: {GPE: LOC}, keep: [LOC]}}\n")
    (report,) = json.loads(run_tagger("check", "--config", "c.yaml", "--json").output)["files"]
    assert (report["counts"]["entities"], report["counts"]["types"], report["counts"]["tags"]) == (2, {"LOC": 2}, 2)
    assert "data.labels: renamed GPE to LOC (1 span)" in report["notes"]
    Path("c.yaml").write_text("data: {train: a.conll, labels: {keep: [LOK]}}\n")
    result = run_tagger("check", "--config", "c.yaml", "--json")
    (report,) = json.loads(result.output)["files"]
    assert (result.exit_code, report["problems"][0]["message"].rpartition("; ")[2]) == (1, "did you mean LOC?")
