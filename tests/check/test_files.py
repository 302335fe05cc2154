"""The reports of `tagger check`, and `tagger predict` on files with real defects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from checked_files import check, split_lines
from helpers import run_tagger
from hypothesis import given
from hypothesis import strategies as st
from stub_model import TAGS, stub_manifest, stub_model

from tagger.check.files import CheckSettings, FileReport, check_file
from tagger.corpus.layout import Layout


def messages(report: FileReport) -> list[str]:
    return [problem.format("f") for problem in report.problems]


# --- The corpora -----------------------------------------------------------------------------------------------------

COUNTS = {  # sentences, tokens and entities as conlleval counts them
    "conll2000/train.txt": (8936, 211727, 106978),
    "conll2000/test.txt": (2012, 47377, 23852),
    "wnut17/train.conll": (3394, 62730, 1975),
    "wnut17/dev.conll": (1009, 15733, 836),
    "wnut17/test.conll": (1287, 23394, 1079),
    "wikigold/wikigold.conll": (1696, 39007, 3558),
    "nerkor/train.tsv.gz": (52771, 810656, 37064),
    "chinese/zh_gsd-ud-train.iob2": (3997, 98616, 6136),
}


@pytest.mark.corpora
@pytest.mark.parametrize("name", COUNTS)
def test_check_counts_the_corpora_as_conlleval_does(corpora: Path, name: str) -> None:
    result = run_tagger("check", "--json", corpora / name)
    (found,) = json.loads(result.output)["files"]
    counts = found["counts"]
    assert (counts["sentences"], counts["tokens"], counts["entities"]) == COUNTS[name]
    errors = [(p["line"], p["message"]) for p in found["problems"] if p["severity"] == "error"]
    # The one bad tag is read as O, which does not change the counts.
    bad = [(297269, "tag 'V' of '/' does not fit the scheme IOB2; fix it")] if "nerkor" in name else []
    assert errors == bad
    assert result.exit_code == bool(bad)


_SEQSCORE = {  # the number of token lines: lines that are neither blank nor comments
    "samples/all_NAME.bio": 15,
    "samples/invalid.bio": 15,
    "samples/invalid_repair_conlleval.bio": 15,
    "samples/invalid_repair_discard.bio": 15,
    "samples/keep_ORG.bio": 15,
    "samples/predicted.bio": 15,
    "samples/reference.bio": 15,
    "samples/reference.bioes": 15,
    "samples/remove_ORG.bio": 15,
    "tests/conll_annotation/bad_label1.bio": 5,
    "tests/conll_annotation/bad_label2.bio": 5,
    "tests/conll_annotation/bad_label3.bio": 5,
    "tests/conll_annotation/invalid1.bio": 15,
    "tests/conll_annotation/invalid1.bioes": 25,
    "tests/conll_annotation/invalid1_BIO_discard.txt": 15,
    "tests/conll_annotation/minimal.bio": 15,
    "tests/conll_annotation/minimal.bioes": 15,
    "tests/conll_annotation/minimal.io": 15,
    "tests/conll_annotation/minimal2.bio": 13,
    "tests/conll_annotation/minimal_fields.bio": 17,
    "tests/conll_annotation/minimal_fields.iob": 17,
    "tests/conll_merged_predictions/correct1.bio": 15,
    "tests/conll_merged_predictions/correct1_improper_sequence.bio": 15,
    "tests/conll_merged_predictions/incorrect1.bio": 15,
    "tests/conll_merged_predictions/incorrect1_nopredictions.bio": 15,
    "tests/conll_predictions/correct1.bio": 15,
    "tests/conll_predictions/correct1_improper_sequence.bio": 15,
    "tests/conll_predictions/incorrect1.bio": 15,
    "tests/conll_predictions/incorrect1_nopredictions.bio": 15,
    "tests/conll_predictions/incorrect_type_not_in_reference.bio": 15,
    "tests/test_files/minimal_GPE.bio": 15,
    "tests/test_files/minimal_NAME.bio": 15,
    "tests/test_files/minimal_comments.bio": 26,
    "tests/test_files/minimal_comments_1.bio": 5,
    "tests/test_files/minimal_comments_2.bio": 5,
    "tests/test_files/minimal_comments_3.bio": 5,
    "tests/test_files/minimal_comments_4.bio": 5,
    "tests/test_files/minimal_no_LOC.bio": 15,
    "tests/test_files/minimal_no_names.bio": 15,
}
_TAGGED: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "btc-f.conll": (35427, ()),
    "europeana-de-sbb.bio": (47239, ()),
    "swedish-train.txt": (113125, ()),
    "japanese-eucjp.data": (4772, ("--encoding", "euc_jp")),
    "japanese-seg.data": (965, ()),
    "basenp.data": (1896, ()),
    **{f"seqscore/{name}": (n_tokens, ()) for name, n_tokens in _SEQSCORE.items()},
}
_COMMENTED = ("europeana", "minimal_comments")  # in all other files, a line that begins with # is a token
_REFUSED = {
    "weibo-invalid-utf8.conll": (5873, "byte 0xED at offset 0", "no common encoding fits the whole file"),
    "japanese-eucjp.data": (1, "byte 0xC9 at offset 0", "--encoding euc_jp"),
}


def n_with_added_column(before: bytes, after: bytes, tags: tuple[str, ...] = TAGS) -> int:
    """Return the number of lines with one added column; fail if any other byte has changed."""
    n_added = 0
    endings = tuple(f"{delimiter}{tag}".encode() for delimiter in "\t " for tag in tags)
    for (body, end), (new_body, new_end) in zip(split_lines(before), split_lines(after), strict=True):
        assert new_end == end
        if new_body != body:
            assert new_body.startswith(body)
            assert new_body[len(body) :] in endings
            n_added += 1
    return n_added


@pytest.mark.corpora
@pytest.mark.parametrize("name", _TAGGED)
def test_predict_changes_nothing_in_a_messy_file_but_adds_one_column(corpora: Path, name: str) -> None:
    path = corpora / "messy" / name
    n_tokens, flags = _TAGGED[name]
    comments = "#" if any(part in name for part in _COMMENTED) else None
    delimiter = " " if "europeana" in name else "\t"  # with a space, `# O` is a token line
    layout = Layout(comments=comments, n_columns=2, known_tags=frozenset(TAGS), written_delimiter=delimiter)
    with stub_model(stub_manifest(layout)):
        result = run_tagger("predict", path, *flags)
    assert result.exit_code == 0
    assert all("are not in the model's vocabulary" in line for line in result.errors.splitlines())
    assert n_with_added_column(path.read_bytes(), result.output) == n_tokens


@pytest.mark.corpora
@pytest.mark.parametrize("name", _REFUSED)
def test_predict_names_the_first_invalid_byte_of_a_messy_file(corpora: Path, name: str) -> None:
    path = corpora / "messy" / name
    line, what, advice = _REFUSED[name]
    with stub_model():
        result = run_tagger("predict", path)
    assert result.exit_code == 1
    assert result.first_error.startswith(f"error: {path}:{line}: {what} of the line is not valid utf-8; ")
    assert advice in result.errors


@pytest.mark.corpora
def test_every_messy_file_is_in_one_of_these_lists(corpora: Path) -> None:
    messy = corpora / "messy"
    files = {str(path.relative_to(messy)) for path in messy.rglob("*") if path.is_file()}
    assert files == set(_TAGGED) | set(_REFUSED)


# --- Reports ---------------------------------------------------------------------------------------------------------


def test_all_problems_are_reported_in_the_order_of_the_file(folder: Path) -> None:
    good = "Zürich\tB-LOC\nwärmt\tO\n\n" * 50  # lines 1 to 150
    data = good.encode() + b"a\nb\tB-LOC\n\xff\tO\n\tO\nc\tX\nd\tI-PER\ne\tI-PER\nB-LOC\tO\n\nf\tO\tO\n"
    report = check(data)
    few = "a tag counted from the end (tag: -1) needs the same number on every line; fix the line, or give the tag column a fixed index"
    many = "a token or a tag may hold a blank, or a column is extra; fix the line (between TABs, both can hold blanks), or set data.ragged to true if lines may differ"
    assert messages(report) == [
        f"f:151: error: found 1 column, expected 2 as on most lines: {few}",
        "f:153: error: byte 0xFF at offset 0 of the line is not valid utf-8; name the file's encoding with --encoding, or fix the line",
        "f:154: warning: the token is empty; its tag is O",
        "f:155: error: tag 'X' of 'c' does not fit the scheme IOB2; fix it",
        "f:158: warning: the token 'B-LOC' is a tag of this file; is the line's first column missing?",
        f"f:160: error: found 3 columns, expected 2 as on most lines: {many}",
    ]
    assert report.n_errors == 4
    assert report.counts["sentences"] == 52
    assert report.counts["tokens"] == 109


@pytest.mark.parametrize(
    ("data", "flags", "exit_code"),
    [
        ("a\tO\nb\tO\n", [], 0),
        ("a\tB-X\nb\tO\nb\tO\n", [], 0),  # a warning
        ("a\tB-X\nb\n", [], 1),
        ("", [], 1),
        ("a\tO\n", ["--columns", "token"], 2),
        ("a\tO\n", ["--columns", "token=-1"], 1),
        ("a\tO\n", ["--encoding", "klingon"], 1),
        ("a\tO\n", ["absent.conll"], 1),
        ("a\tO\n", ["--fix", "x.conll", "f.conll"], 2),
    ],
)
def test_the_exit_code_tells_errors_from_warnings(folder: Path, data: str, flags: list[str], exit_code: int) -> None:
    Path("f.conll").write_text(data)
    assert run_tagger("check", "f.conll", *flags).exit_code == exit_code
    assert run_tagger("check", "--json", "f.conll", *flags).exit_code == exit_code


def test_an_error_in_a_later_file_counts_too(folder: Path) -> None:
    Path("a.conll").write_text("a\tO\n")
    Path("b.conll").write_text("a\tO\nb\n")
    assert run_tagger("check", "a.conll", "b.conll").exit_code == 1


def test_standard_input_is_checked_or_refused_in_one_line(folder: Path) -> None:
    result = run_tagger("check", "--json", "-", stdin=b"a\tB-X\nb\tO\n")
    if result.exit_code == 0:
        assert json.loads(result.output)["files"][0]["counts"]["tokens"] == 2
    else:
        assert result.first_error.startswith("error: ")


def test_sentences_of_later_files_that_are_also_in_the_first_are_counted(folder: Path) -> None:
    Path("train.conll").write_text("a\tI-X\nb\tI-X\n\nc\tO\n\nd\tO\ne\tO\nf\tO\n")
    Path("dev.conll").write_text("x\tO\n\nd\tI-X\ne\tI-X\nf\tO\n\nc\tO\n\nc\tO\n\na\tO\n")
    Path("test.conll").write_text("b\tI-X\na\tI-X\nx\tO\ny\tO\n")
    files = json.loads(run_tagger("check", "--json", "train.conll", "dev.conll", "test.conll").output)["files"]
    found = [[p["message"] for p in file["problems"]] for file in files]
    assert found == [
        [],
        ["3 of 5 sentences (60.0 %) are also in train.conll; the longest is on line 3 (3 tokens)"],
        [],
    ]


def test_each_repeated_sentence_with_other_tags_is_named(folder: Path) -> None:
    report = check("a\tO\nb\tB-X\n\na\tB-X\nb\tB-X\n\na\tO\nb\tB-X\n\na\tO\nb\tO\n")
    assert messages(report) == [
        "f:4: warning: repeats the sentence of line 1 with other tags: 'a' is B-X here and O there",
        "f:10: warning: repeats the sentence of line 1 with other tags: 'b' is O here and B-X there",
    ]


def test_tags_that_occur_once_are_named_with_their_line(folder: Path) -> None:
    report = check("a\tB-X\nb\tI-X\nc\tO\nd\tB-Y\n\ne\tB-X\nf\tO\n")
    assert messages(report) == ["f:2: warning: tag I-X occurs only here", "f:4: warning: tag B-Y occurs only here"]
    (only,) = check("a\tB-X\n").problems
    assert only.message.startswith("found only the tag B-X"), "that it occurs once is not worth a warning then"


def test_a_missing_tag_does_not_count_as_a_tag_that_occurs_once(folder: Path) -> None:
    assert [p.severity for p in check("a\tB-X\nb\nc\tB-X\n").problems] == ["error"]


@pytest.mark.parametrize("token", ["B-X", "I-X"])
def test_a_token_that_is_a_tag_of_the_file_may_be_a_shifted_column(folder: Path, token: str) -> None:
    report = check(f"a\tB-X\nb\tI-X\nc\tO\n{token}\tO\nO\tO\nd\tB-X\ne\tI-X\n")
    text = f"the token '{token}' is a tag of this file; is the line's first column missing?"
    assert messages(report) == [f"f:4: warning: {text}"], "the token O is an ordinary word"


def test_empty_and_blank_tokens_are_distinguished_from_ideographic_spaces(folder: Path) -> None:
    report = check("\tO\n \tO\n\u3000\tO\n\u00a0\tB-X\na\tB-X\n")
    assert messages(report) == [
        "f:1: warning: the token is empty; its tag is O",
        "f:2: warning: the token is blank; its tag is O",
    ]


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_a_percentile_is_the_smallest_length_that_covers_its_share_of_sentences(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int]
) -> None:
    path = tmp_path_factory.getbasetemp() / "lengths.conll"
    path.write_text("\n".join("a\tO\n" * n for n in lengths))
    found = check_file(str(path), CheckSettings()).counts["lengths"]
    for percent, name in ((50, "p50"), (90, "p90"), (99, "p99"), (100, "max")):
        enough = [n for n in lengths if 100 * sum(m <= n for m in lengths) >= percent * len(lengths)]
        assert found[name] == min(enough)


@pytest.mark.parametrize(
    ("data", "columns", "n_columns"),
    [
        ("a\tB-X\nb\tO\n", {"token": 0, "tag": -1}, 2),
        ("a NNP B-X\nb VB O\n", {"token": 0, "tag": -1}, 3),
        ("a B-X _\nb O _\n", {"token": 0, "tag": 1}, 3),
        ("a B-NP B-X\nb B-NP O\n", {"token": 0, "tag": -1}, 3),
        ("1\ta\tB-X\t-\tme\n2\tb\tO\t-\tme\n", {"token": 1, "tag": 2}, 5),
        ("# id = 1\n1-2\ta\tO\t_\n1\tb\tB-X\t_\n2\tc\tO\t_\n2.1\td\tO\t_\n", {"token": 1, "tag": 2}, 4),
        ("1\tB-X\n2\tO\n", {"token": 0, "tag": -1}, 2),  # the numbers are tokens, because no other column is left
        ("a NNP\nb VB\n", {"token": 0, "tag": -1}, 2),
        ("a\nb\n", {"token": 0, "tag": -1}, 1),
        ("", {"token": 0, "tag": -1}, None),
    ],
)
def test_columns_are_detected(folder: Path, data: str, columns: dict[str, int], n_columns: int | None) -> None:
    report = check(data)
    assert report.format["columns"] == columns
    assert report.format["n_columns"] == n_columns


def test_given_columns_and_delimiter_are_not_detected(folder: Path) -> None:
    report = check("a|B-X|x\nb|O|x\n", columns={"token": 2, "tag": 0}, delimiter="|")
    assert (report.format["columns"], report.format["delimiter"]) == ({"token": 2, "tag": 0}, "|")
    assert [s.tokens for s in report.sentences] == [["x", "x"]]


def test_line_ends_are_counted_and_mixed_line_ends_are_a_warning(folder: Path) -> None:
    report = check("a\tO\r\nb\tI-X\r\n\r\nc\tO\n\nd\tO\re\tI-X")
    assert report.format["line_ends"] == {"CRLF": 3, "LF": 2, "CR": 1}
    assert report.format["final_newline"] is False
    assert messages(report) == ["f: warning: mixed line ends: 3 CRLF, 2 LF, 1 CR"]
    for end, name in (("\n", "LF"), ("\r\n", "CRLF"), ("\r", "CR"), ("\r\r\n", "CRCRLF")):
        report = check(f"a\tI-X{end}a\tI-X{end}b\tO{end}b\tO{end}{end}")
        assert (report.format["line_ends"], report.format["final_newline"]) == ({name: 5}, True)
        assert [problem.kind for problem in report.problems] == (["sentences"] if name == "CRCRLF" else [])


def test_a_byte_order_mark_is_reported_and_skipped(folder: Path) -> None:
    report = check("\ufeffa\tO\nb\tO\nc\tI-X\nd\tI-X\n")
    assert report.format["byte_order_mark"] is True
    assert report.sentences[0].tokens == ["a", "b", "c", "d"]
    assert not report.problems
    assert check("a\tO\n").format["byte_order_mark"] is False


# --- Encodings -------------------------------------------------------------------------------------------------------

_GERMAN = "Zürich und Köln sind schöne Städte, überall wächst grünes Gras für müde Füße"
_GERMAN_TAGS = ["I-LOC", "O", "I-LOC"] + ["O"] * 10


@pytest.mark.corpora
def test_euc_jp_is_detected(corpora: Path) -> None:
    result = run_tagger("check", "--json", corpora / "messy" / "japanese-eucjp.data")
    (found,) = json.loads(result.output)["files"]
    assert found["format"]["encoding"] == "euc_jp"
    (error,) = (p["message"] for p in found["problems"] if p["severity"] == "error")
    assert error.startswith(
        "the file is not valid utf-8; it is read here as euc_jp, with words such as 病院, 名詞-一般, 記号-読点"
    )
    assert (found["counts"]["sentences"], found["counts"]["tokens"]) == (216, 4772)
    clean = run_tagger("check", "--json", "--encoding", "euc_jp", corpora / "messy" / "japanese-eucjp.data")
    assert clean.exit_code == 0


def test_the_error_of_a_single_byte_encoding_names_encodings_that_fit(folder: Path) -> None:
    data = "".join(f"{word}\t{tag}\n" for word, tag in zip(_GERMAN.split(), _GERMAN_TAGS, strict=True))
    report = check(data.encode("latin-1"))
    assert report.n_errors == 1
    assert report.problems[0].message.startswith(
        "the file is not valid utf-8; it is read here as cp1252, with words such as Zürich, Köln, schöne"
    )
    assert report.sentences[0].tokens == _GERMAN.split()
    given_encoding = check(data.encode("latin-1"), encoding="latin-1")
    assert (given_encoding.format["encoding"], given_encoding.problems) == ("latin-1", [])


def test_a_few_invalid_bytes_do_not_suggest_another_encoding(folder: Path) -> None:
    words = zip(_GERMAN.split(), _GERMAN_TAGS, strict=True)
    good = ("".join(f"{word}\t{tag}\n" for word, tag in words) + "\n") * 20
    report = check(good.encode() + b"Z\xfcrich\tO\n\xff\tO\n")
    assert report.format["encoding"] == "utf-8"
    lines = good.count("\n")
    assert [(p.line, p.severity) for p in report.problems] == [(lines + 1, "error"), (lines + 2, "error")]
    assert report.sentences[-1].tokens == ["Z\ufffdrich", "\ufffd"]


# --- The config's files ----------------------------------------------------------------------------------------------


def test_the_files_of_a_config_are_read_with_its_settings(folder: Path) -> None:
    (folder / "sub").mkdir()
    Path("sub/train.conll").write_bytes("% x\nB-X|é\nO|b\nI-X|c\n\nB-X|d\nO|é\n".encode("latin-1"))
    Path("sub/test.conll").write_bytes("B-X|d\nO|é\n".encode("latin-1"))
    Path("sub/c.yaml").write_text(
        "data: {train: train.conll, test: test.conll, columns: {token: 1, tag: 0}, delimiter: '|',"
        " comments: '%', encoding: latin-1, scheme: IOB1}\n"
    )
    result = run_tagger("check", "--config", "sub/c.yaml", "--json")
    files = json.loads(result.output)["files"]
    assert [Path(file["path"]).relative_to(folder) for file in files] == [
        Path("sub/train.conll"),
        Path("sub/test.conll"),
    ]
    for file in files:
        found = file["format"]
        assert (found["columns"], found["delimiter"], found["scheme"]) == ({"token": 1, "tag": 0}, "|", "IOB1")
        assert found["encoding"] == "latin-1"
    assert [(file["counts"]["sentences"], file["counts"]["tokens"]) for file in files] == [(2, 5), (1, 2)]
    assert "1 of 1 sentence (100.0 %) is also in" in files[1]["problems"][0]["message"]


def test_options_override_the_config(folder: Path) -> None:
    Path("train.conll").write_text("a O B-X\nb O O\n")
    Path("c.yaml").write_text("data: {train: train.conll, columns: {token: 0, tag: 1}}\n")
    for flags, tag in (([], 1), (["--columns", "token=0,tag=2"], 2)):
        (file,) = json.loads(run_tagger("check", "--config", "c.yaml", "--json", *flags).output)["files"]
        assert file["format"]["columns"]["tag"] == tag


def test_a_missing_config_is_an_error(folder: Path) -> None:
    result = run_tagger("check", "--config", "absent.yaml")
    assert result.exit_code == 1
    assert result.first_error.startswith("error: absent.yaml: ")


# --- Further checks ---------------------------------------------------------------------------------------------------


def test_a_byte_order_mark_does_not_hide_a_column_of_numbers(folder: Path) -> None:
    rows = b"1\ta\tO\t-\n2\tb\tB-PER\t-\n"
    assert check(rows).layout.columns == check(b"\xef\xbb\xbf" + rows).layout.columns == {"token": 1, "tag": 2}


def test_the_files_of_a_config_are_read_as_training_reads_them(folder: Path) -> None:
    Path("train").write_bytes(b"a\tB-X\nb\tI-X\nc\tO\n")
    Path("dev").write_bytes(b"a\tB-X\nb\tE-X\n# c d\n")
    Path("c.yaml").write_text("data: {train: train, dev: dev}\n")
    result = run_tagger("check", "--config", "c.yaml")
    assert result.exit_code == 1
    assert b"scheme IOBES" in result.output, "dev is in another scheme, and its spans are scored"
    assert result.output.count(b": error: ") == 1, (
        "the comment in dev counts as an error, because the training file has no comments"
    )
    assert run_tagger("check", "train", "dev").exit_code == 0


def test_all_training_files_of_a_config_are_checked(folder: Path) -> None:
    Path("a").write_bytes(b"a\tB-X\nb\tI-X\nc\tO\n\n" * 9)
    Path("b").write_bytes(b"a\tB-X\nb\tE-X\nc\tO\n\n" * 9)
    Path("dev").write_bytes(b"a\tB-X\nb\tE-X\nc\tO\n\n")
    Path("c.yaml").write_text("data: {train: [a, b], dev: dev}\n")
    output = run_tagger("check", "--config", "c.yaml").output.decode()
    where = Path.cwd()
    assert f"{where}/b: error: found tags in IOBES, expected IOB2 as in {where}/a: training files must have" in output
    assert f"1 of 1 sentence (100.0 %) is also in {where}/b" in output
    assert f"is also in {where}/a" in output


def test_several_training_files_are_read_together_as_training_reads_them(folder: Path) -> None:
    Path("a").write_bytes(b"a\tI-X\nb\tI-X\nc\tO\n\n" * 9)
    Path("b").write_bytes(b"# text = a b\na\tI-X\nb\tB-X\n# c\tO\n\n" * 9)
    Path("c.yaml").write_text("data: {train: [a, b]}\n")
    result = run_tagger("check", "--config", "c.yaml", "--json")
    reports = json.loads(result.output)["files"]
    # Only b shows that the tags are IOB1 rather than IO, and that lines can be comments.
    assert [report["format"]["scheme"] for report in reports] == ["IOB1", "IOB1"]
    assert [report["format"]["comments"] for report in reports] == ["#", "#"]
    assert [report["counts"]["entities"] for report in reports] == [9, 18]
    assert result.exit_code == 0


def test_training_files_with_other_columns_are_an_error(folder: Path) -> None:
    Path("a").write_bytes(b"a\tB-X\nb\tI-X\nc\tO\n\n" * 9)
    Path("b").write_bytes(b"a\tN\tB-X\nb\tN\tI-X\nc\tV\tO\n\n" * 9)
    Path("c.yaml").write_text("data: {train: [a, b]}\n")
    result = run_tagger("check", "--config", "c.yaml")
    assert result.exit_code == 1
    text = " ".join(result.output.decode().split())
    assert "b: error: found 3 columns by TAB (token 0, tag -1), expected 2 columns by TAB" in text


def test_a_tag_that_holds_a_space_is_explained_in_a_file_with_spaces_and_read_between_tabs(folder: Path) -> None:
    rows = "Ilsa x B-PER\nreads x O\nDune x B-Titre 2\n\n" * 20
    errors = [problem for problem in check(rows.encode()).problems if problem.severity == "error"]
    assert [error.line for error in errors] == list(range(3, 80, 4))
    assert errors[0].message.startswith(
        "found 4 columns, expected 3 as on most lines: a token or a tag may hold a blank, or a column is extra; fix the"
        " line (between TABs, both can hold blanks)"
    )
    report = check(rows.replace("Titre 2", "Titre~2").replace(" ", "\t").replace("~", " ").encode())
    assert not report.n_errors
    assert report.counts["types"] == {"PER": 20, "Titre 2": 20}


def test_one_malformed_first_line_is_the_only_error(folder: Path) -> None:
    report = check(b"EU x B-ORG\n" + b"a O\nb B-PER\n" * 20)
    assert [problem.line for problem in report.problems if problem.severity == "error"] == [1]
    assert report.counts["entities"] == 20


def test_many_distinct_bad_tags_are_found_in_one_pass(folder: Path) -> None:
    data = b"a\tB-X\nb\tO\n" * 2000 + b"".join(b"v\tbad%d\n" % i for i in range(1500))
    assert check(data).n_errors == 1500


@pytest.mark.parametrize(("scheme", "n_errors"), [(None, 0), ("auto", 0), ("IOBES", 0), ("IOB2", 2), ("none", 0)])
def test_the_scheme_of_check_can_be_named(folder: Path, scheme: str | None, n_errors: int) -> None:
    Path("f").write_text("a\tB-X\nb\tE-X\nc\tO\n\nd\tS-X\ne\tO\n")
    result = run_tagger("check", "--json", "f", *([] if scheme is None else ["--scheme", scheme]))
    (file,) = json.loads(result.output)["files"]
    assert file["format"]["scheme"] == ("IOBES" if scheme in (None, "auto") else scheme)
    assert sum(problem["severity"] == "error" for problem in file["problems"]) == n_errors
    assert result.exit_code == bool(n_errors)


def test_the_scheme_option_wins_over_the_config(folder: Path) -> None:
    Path("f").write_text("a\tI-X\nb\tO\nc\tB-X\nd\tO\n")
    Path("c.yaml").write_text("data: {train: f, scheme: IOB1}\n")
    for flags, scheme in (([], "IOB1"), (["--scheme", "IOB2"], "IOB2")):
        (file,) = json.loads(run_tagger("check", "--config", "c.yaml", "--json", *flags).output)["files"]
        assert file["format"]["scheme"] == scheme
