"""Small inputs that were misread: how each is read now, or what is said about it.

The folder `cases` of the benchmark corpora has a README that says what is right for each of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.check.files import CheckSettings, FileReport, check_file
from tagger.corpus.dataset import shown_sentences

pytestmark = pytest.mark.corpora


def check(corpora: Path, name: str, **settings: object) -> FileReport:
    path = corpora / "cases" / name
    if not path.exists():
        pytest.skip(f"the small input is not here ({path})")
    return check_file(str(path), CheckSettings(**settings))  # type: ignore[arg-type]


def said(report: FileReport) -> str:
    return "\n".join([*report.notes, *(problem.message for problem in report.problems if problem.line == 0)])


@pytest.mark.parametrize(
    ("name", "token", "tag", "first", "n_distinct", "scheme"),
    [
        ("1-index-column/train.tsv", 1, -1, "Carl→B-PER  besucht→O  heute→O  Bonn→B-LOC  .→O", 20, "IOB2"),
        ("1-index-column/train-two-layers.tsv", 1, 2, "Hanna→B-PER  besucht→O  heute→O  Kiel→B-LOC  .→O", 20, "IOB2"),
        ("2-conllu-misc/norne-like.conllu", 1, 9, "Dommer→O  Kari→B-PER  Berg→I-PER  kom→O  til→O  …", 7, "IOB2"),
        ("6-ragged/mecab-like.tsv", 0, -1, "7→B-DAT  月→I-DAT  東京→B-LOC  XY→O", 4, "IOB2"),
        ("7-header/hipe-like.tsv", 0, 1, "Dr→B-pers  Berg→I-pers  ,→O  Bonn→B-loc  .→O  Dr→B-pers  …", 6, "IOB2"),
        ("10-mwt/mwt.conllu", 1, -1, "I→PRON  do→AUX  n't→PART", 3, "none"),
        ("14-tag-first/train.bio", 1, 0, "Bruno→B-PER  Lund→I-PER  went→O  to→O  Lindau→B-LOC  .→O", 52, "IOB2"),
        ("14-tag-first/train-space.bio", 1, 0, "Bruno→B-PER  Lund→I-PER  went→O  to→O  Lindau→B-LOC  .→O", 52, "IOB2"),
        ("17-label-studio/train.conll", 0, -1, "Bruno→B-PER  Lund→I-PER  went→O  to→O  Lindau→B-LOC  .→O", 52, "IOB2"),
        (
            "17-label-studio/train-o.conll",
            0,
            -1,
            "Bruno→B-PER  Lund→I-PER  went→O  to→O  Lindau→B-LOC  .→O",
            52,
            "IOB2",
        ),
        ("22-wikiann/train", 0, -1, "Bruno→B-PER  Lund→I-PER  went→O  to→O  Lindau→B-LOC  .→O", 52, "IOB2"),
    ],
)
def test_a_file_is_read_as_it_was_meant(
    corpora: Path, name: str, token: int, tag: int, first: str, n_distinct: int, scheme: str
) -> None:
    report = check(corpora, name)
    assert (report.layout.columns["token"], report.layout.columns["tag"]) == (token, tag)
    assert shown_sentences(report.sentences, 1) == [first]
    assert (report.counts["distinct_tokens"], report.format["scheme"]) == (n_distinct, scheme)
    assert report.n_errors == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1-index-column/train-two-layers.tsv", "columns 2 and 3 look like tags; using 2; set tag in --columns"),
        ("5-csv/kaggle-like.csv", "the file is CSV with 4 columns, expected CoNLL"),
        ("5-csv/e-ner-like.csv", "the file is CSV with 2 columns, expected CoNLL"),
        ("7-header/hipe-like.tsv", "columns 1 NE-COARSE-LIT and 2 NE-NESTED look like tags; using 1"),
        (
            "8-brackets/conll12-like.conll",
            "columns 5, 10 hold spans in brackets, as CoNLL-2012 (OntoNotes) writes them",
        ),
        ("13-hf-integers/train.tsv", "the tags are the numbers 0 to 5, as data sets of Hugging Face have them"),
        (
            "15-nested-pipe/train.tsv",
            "23 tokens have several tags, such as B-ORG|O, expected one each; set data.several_",
        ),
        ("15-nested-pipe/space.tsv", "13 tokens have several tags, such as B-PER,B-TITLE, expected one each"),
        ("18-jsonl/train.jsonl", "the lines are JSON objects, expected CoNLL"),
        ("19-slash/train.txt", "each line holds a sentence of token/TAG pairs, expected one token a line"),
        ("20-one-line-pairs/train.txt", "each line holds a whole sentence of tokens and tags in turn"),
        ("21-kaggle-csv/ner_dataset.csv", "the file is CSV with 4 columns, expected CoNLL"),
        ("22-wikiann/train", "every token begins with en:, which is not read as part of it"),
        ("29-conll2012/train.v4_gold_conll", "columns 5, 10 hold spans in brackets, as CoNLL-2012 (OntoNotes) writes"),
        ("30-webanno/train.tsv", "the file is WebAnno TSV, expected CoNLL; run tagger convert"),
        ("32-leading-tab/train.txt", "802 of 802 tokens in column 0 are empty or blank, expected words"),
    ],
)
def test_what_a_file_is_or_may_be_is_said(corpora: Path, name: str, expected: str) -> None:
    assert expected in said(check(corpora, name))


def test_the_names_of_a_header_choose_a_column(corpora: Path) -> None:
    report = check(corpora, "7-header/hipe-like.tsv", columns={"tag": "NE-NESTED"})
    assert report.layout.columns == {"token": 0, "tag": 2}


def test_one_mistyped_tag_of_a_hashtag_is_an_error_on_its_line(corpora: Path) -> None:
    report = check(corpora, "25-hashtag-typo/train.conll")
    assert report.layout.comments is None
    (error,) = [problem for problem in report.problems if problem.severity == "error"]
    assert "B:LOC" in error.message
    assert error.line > 0


def test_a_bare_line_with_a_blank_is_one_token_of_a_tab_file(corpora: Path) -> None:
    report = check(corpora, "31-space-token-predict/train.tsv")
    assert report.layout.splitter()("San Porto") == ["San Porto"]


@pytest.mark.parametrize(
    ("name", "options", "n_spans"),
    [
        ("5-csv/kaggle-like.csv", [], 58),
        ("8-brackets/conll12-like.conll", [], 40),
        ("13-hf-integers/train.tsv", ["--names", "O,B-PER,I-PER,B-LOC,I-LOC,B-ORG"], None),
        ("15-nested-pipe/train.tsv", ["--overlap", "outer"], 199),
        ("18-jsonl/train.jsonl", [], 199),
        ("19-slash/train.txt", [], 199),
        ("20-one-line-pairs/train.txt", [], 199),
        ("21-kaggle-csv/ner_dataset.csv", ["--encoding", "cp1252"], 199),
        ("29-conll2012/train.v4_gold_conll", [], 199),
        ("30-webanno/train.tsv", [], 199),
    ],
)
def test_a_file_in_another_format_is_converted_to_one_that_check_accepts(
    corpora: Path, tmp_path: Path, name: str, options: list[str], n_spans: int | None
) -> None:
    path = corpora / "cases" / name
    if not path.exists():
        pytest.skip(f"the small input is not here ({path})")
    result = run_tagger("convert", path, tmp_path / "train.conll", *options)
    assert result.exit_code == 0, result.errors
    report = check_file(str(tmp_path / "train.conll"), CheckSettings())
    assert report.n_errors == 0
    assert n_spans in (None, report.counts["entities"])
