"""`tagger next`: what is chosen, how it is written, and that nothing is lost."""

from __future__ import annotations

import collections
import gzip
import io
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from helpers import Result, run_tagger
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_model import P_CHOSEN, TAGS, span_probability, stub_manifest, stub_model

from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME
from tagger.formats.document import ReadOptions
from tagger.formats.jsonl import FORMAT as JSONL
from tagger.text.tokenizer import is_installed

POOL = "# about the EU\nEU\trejects\ngood\tx\n\n-DOCSTART-\n\nBlackburn\tx\nsaid\tx\n\nEU\trejects\ngood\tx\n\nthis\tx"


LAYOUT = Layout(n_columns=2, comments="#", known_tags=frozenset(TAGS))


def run(path: Path, *options: str | Path, stdin: bytes = b"", **changes: Any) -> Result:
    with stub_model(stub_manifest(**{"layout": LAYOUT, **changes})):
        result = run_tagger("next", path, *options, stdin=stdin)
    assert result.exit_code == 0, result.errors
    return result


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "pool.conll"
    path.write_bytes(POOL.encode())
    return path


def test_the_chosen_lines_get_the_predicted_tag_and_the_rest_keeps_its_bytes(pool: Path, tmp_path: Path) -> None:
    out, rest = tmp_path / "batch.conll", tmp_path / "rest.conll"
    result = run(pool, "-n", "2", "-o", out, "--rest", rest)
    assert result.output == b""
    assert out.read_bytes() == (
        b"Blackburn\tx\tB-PER\nsaid\tx\tO\n\n# about the EU\nEU\trejects\tB-ORG\ngood\tx\tO\n\n"
    )
    assert rest.read_bytes() == b"-DOCSTART-\n\nEU\trejects\ngood\tx\n\nthis\tx"


def test_what_is_reported(pool: Path, tmp_path: Path) -> None:
    blackburn = 2 - span_probability(["Blackburn", "said"], 0, 1) - P_CHOSEN
    eu = 2 - span_probability(["EU", "good"], 0, 1) - P_CHOSEN
    errors = 2 * eu + blackburn + (1 - P_CHOSEN)
    result = run(pool, "-n", "2", "-o", tmp_path / "batch.conll", "--json")
    assert result.errors.splitlines() == [
        "chosen: 2 of 4 sentences, 4 of 7 tokens, the most useful first",
        f"expected errors of the model: {blackburn + eu:.1f} in them, {100 * (blackburn + eu) / 4:.1f} per 100 tokens;"
        f" {100 * errors / 7:.1f} per 100 tokens in all",
        f"  {pool}:7: {blackburn:.1f} expected errors in 2 tokens: Blackburn said",
        f"  {pool}:2: {eu:.1f} expected errors in 2 tokens: EU good",
        "1 sentence passed over: each is equal to one that could be chosen",
    ]
    found = json.loads(result.output)
    assert found["expected_errors"] == pytest.approx(errors, abs=1e-3)
    assert (found["sentences"], found["tokens"], found["repeated"]) == (4, 7, 1)
    assert [(one["line"], one["tokens"], one["text"]) for one in found["chosen"]] == [
        (7, 2, "Blackburn said"), (2, 2, "EU good"),
    ]  # fmt: skip
    assert found["chosen"][0]["expected_errors"] == pytest.approx(blackburn, abs=1e-3)


def test_without_tags_the_lines_are_those_of_the_file(pool: Path) -> None:
    result = run(pool, "-n", "9", "--without-tags")
    assert result.output == (b"Blackburn\tx\nsaid\tx\n\n# about the EU\nEU\trejects\ngood\tx\n\nthis\tx\n\n")
    assert "note: found fewer different sentences than -n 9, so all of them are chosen" in result.errors


def test_the_header_of_a_file_stays_in_the_rest(tmp_path: Path) -> None:
    path, rest = tmp_path / "pool.conll", tmp_path / "rest.conll"
    path.write_text("token tag\r\nBlackburn O\r\n\r\nthis O\r\n")
    layout = Layout(n_columns=2, header=("token", "tag"), delimiter="space")
    result = run(path, "-n", "1", "--rest", rest, layout=layout)
    assert result.output == b"Blackburn O B-PER\r\n\r\n"
    assert rest.read_bytes() == b"token tag\r\nthis O\r\n"
    result = run(rest, "-n", "1", layout=layout)
    assert result.output == b"this O O\r\n\r\n"


def test_other_formats_of_out(pool: Path, tmp_path: Path) -> None:
    out = tmp_path / "batch.jsonl"
    run(pool, "-n", "1", "-o", out)
    (record,) = map(json.loads, out.read_text("utf-8").splitlines())
    assert record["text"] == "Blackburn said"
    assert [(span["start"], span["end"], span["type"]) for span in record["spans"]] == [(0, 9, "PER")]
    run(pool, "-n", "1", "-o", out, "--without-tags", "--force")
    (record,) = map(json.loads, out.read_text("utf-8").splitlines())
    assert record["spans"] == []
    packed = tmp_path / "batch.conll.gz"
    run(pool, "-n", "1", "-o", packed)
    assert gzip.decompress(packed.read_bytes()) == b"Blackburn\tx\tB-PER\nsaid\tx\tO\n\n"


DOCUMENTS = [
    {"id": "one", "text": "EU left.  Peter Blackburn came.", "source": "news",
     "sentences": [{"tokens": ["EU", "left."], "offsets": [[0, 2], [3, 8]]},
                   {"tokens": ["Peter", "Blackburn", "came."], "offsets": [[10, 15], [16, 25], [26, 31]]}],
     "spans": [{"start": 0, "end": 2, "type": "LOC"}, {"start": 26, "end": 31, "type": "LOC"}]},
    {"id": "two", "text": "nothing here", "sentences": [{"tokens": ["nothing", "here"], "offsets": [[0, 7], [8, 12]]}], "spans": []},
]  # fmt: skip


def test_sentences_of_documents_are_documents_and_the_rest_keeps_its_spans(tmp_path: Path) -> None:
    path, out, rest = tmp_path / "pool.jsonl", tmp_path / "batch.jsonl", tmp_path / "rest.jsonl"
    path.write_text("".join(f"{json.dumps(document)}\n" for document in DOCUMENTS))
    result = run(path, "-n", "1", "-o", out, "--rest", rest, "--json")
    (chosen,) = json.loads(result.output)["chosen"]
    assert (chosen["document"], chosen["sentence"], chosen["line"]) == ("one", 2, 1)
    (one,) = map(json.loads, out.read_text("utf-8").splitlines())
    assert (one["id"], one["text"], one["source"]) == ("one:2", "Peter Blackburn came.", "news")
    assert [(span["start"], span["end"], span["type"]) for span in one["spans"]] == [(0, 15, "PER")]
    first, second = JSONL.read(rest, ReadOptions())
    assert (first.id, first.text) == ("one:1", "EU left.  ")
    assert [(span.start, span.end, span.type) for span in first.spans] == [(0, 2, "LOC")]
    original = list(JSONL.read(path, ReadOptions()))
    assert (second.id, second.text, second.sentences) == ("two", "nothing here", original[1].sentences)


@pytest.mark.skipif(not is_installed(), reason="needs the extra text")
def test_raw_text_from_standard_input(tmp_path: Path) -> None:
    text = b"Peter Blackburn. EU!\n\nNothing.\n"
    rest = tmp_path / "rest.txt"
    result = run(Path("-"), "-n", "1", "--from", "text", "--language", "en", "--rest", rest, stdin=text)
    assert result.output.splitlines()[:2] in (
        [b"Peter\tB-PER", b"Blackburn\tI-PER"], [b"EU\tB-ORG", b"!\tO"],
    )  # fmt: skip
    assert "<standard input>" in result.errors
    missing = b"Peter Blackburn." if result.output.startswith(b"Peter") else b"EU!"
    assert rest.read_bytes() == text.replace(missing, b"")


def write_twice(pipe: Path) -> None:
    """Write the pool; whoever opens the pipe again finds its end at once."""
    pipe.write_bytes(POOL.encode())
    pipe.write_bytes(b"")


def test_a_pipe_is_read_twice_too(pool: Path, tmp_path: Path) -> None:
    expected = tmp_path / "1.conll", tmp_path / "1.rest"
    run(pool, "-n", "1", "-o", expected[0], "--rest", expected[1])
    for name, options in (("pipe", ()), ("pipe.jsonl", ("--from", "conll"))):
        os.mkfifo(tmp_path / name)
        threading.Thread(target=write_twice, args=(tmp_path / name,), daemon=True).start()
        out, rest = tmp_path / f"out-{name}.conll", tmp_path / f"rest-{name}.conll"
        result = run(tmp_path / name, "-n", "1", "-o", out, "--rest", rest, *options)
        assert f"{name}:7: " in result.errors
        assert (out.read_bytes(), rest.read_bytes()) == (expected[0].read_bytes(), expected[1].read_bytes())


def test_the_rest_is_written_even_if_nobody_reads_the_chosen_sentences(
    pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(data: bytes) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("tagger.cli.console.write", gone)
    with stub_model(stub_manifest(LAYOUT)):
        run_tagger("next", pool, "-n", "1", "--rest", tmp_path / "rest.conll")
    assert (tmp_path / "rest.conll").read_bytes().startswith(b"# about the EU")


def test_plain_tags_are_doubted_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "pool.conll"
    path.write_text("a\nb\n\nBlackburn\nBlackburn\n\n")
    result = run(path, "-n", "1", notation=Notation(scheme=NO_SCHEME), scheme=NO_SCHEME)
    assert result.output == b"Blackburn\tI-PER\nBlackburn\tI-PER\n\n"


@pytest.mark.parametrize(
    ("content", "options", "expected"),
    [
        (b"", (), "pool.conll: found no sentence, expected at least one"),
        (b"# nothing\n\n\n", (), "pool.conll: found no sentence, expected at least one"),
        (b"a\n", ("-o", "pool.conll", "--force"), "is what is read"),
        (b"a\n", ("-o", "there.conll"), "already exists"),
        (b"a\n", ("-o", "b.conll", "--rest", "b.conll"), "--rest: found b.conll, which is also OUT"),
        (b"a\n", ("--rest", "pool.conll", "--force"), "is what is read"),
        (b"a\n", ("--json",), "--json: found no -o OUT"),
        (b"a\n", ("--format", "brat"), "brat, which cannot go to a pipe"),
        (
            b"a\n",
            ("-o", "out.conll", "--rest", "no/rest.conll"),
            "no/rest.conll: cannot be written: No such file",
        ),
        (b"a\n", ("--format", "bart"), "--format: found 'bart'"),
        (b"a\n", ("--format", "parquet"), "--format: found parquet, which"),
    ],
)
def test_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, options: tuple[str, ...], expected: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pool.conll").write_bytes(content)
    Path("there.conll").write_bytes(b"x\n")
    with stub_model(stub_manifest(LAYOUT)):
        result = run_tagger("next", "pool.conll", *options)
    assert result.exit_code != 0
    assert expected in result.first_error
    assert Path("pool.conll").read_bytes() == content
    assert Path("there.conll").read_bytes() == b"x\n"
    assert {path.name for path in tmp_path.iterdir()} == {"pool.conll", "there.conll"}


_TOKEN = st.sampled_from(["EU", "German", "Peter", "Blackburn", "a", "b", "c", "-"])
_LINE = st.one_of(
    _TOKEN, _TOKEN.map(lambda token: f"{token} x"), st.sampled_from(["", "", "", " ", "# note", "-DOCSTART- O"])
)


@settings(deadline=None, max_examples=60)
@given(st.lists(_LINE, max_size=25), st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 6))
def test_chosen_and_rest_are_the_input(lines: list[str], end: str, has_end: bool, n: int) -> None:
    layout = Layout(comments="#", n_columns=2, delimiter="space")

    def sentences(data: bytes) -> list[tuple[str, ...]]:
        return [tuple(one.tokens) for one in read_sentences(io.BytesIO(data), layout) if one.tokens]

    data = (end.join(lines) + (end if has_end and lines else "")).encode()
    with tempfile.TemporaryDirectory() as folder, stub_model(stub_manifest(layout=layout)):
        path, out, rest = Path(folder, "pool"), Path(folder, "out"), Path(folder, "rest")
        path.write_bytes(data)
        result = run_tagger("next", path, "-n", str(n), "-o", out, "--rest", rest, "--without-tags")
        if not sentences(data):
            assert "found no sentence" in result.first_error
            return
        assert result.exit_code == 0, result.errors
        chosen, others = out.read_bytes(), rest.read_bytes()
    assert len(sentences(chosen)) == min(n, len(set(sentences(data))))
    assert len(set(sentences(chosen))) == len(sentences(chosen))
    assert collections.Counter(sentences(chosen) + sentences(others)) == collections.Counter(sentences(data))
    filled = [line for line in (chosen + b"\n" + others).splitlines() if line.strip()]
    assert collections.Counter(filled) == collections.Counter(line for line in data.splitlines() if line.strip())
    remaining = iter(data.splitlines(keepends=True))
    assert all(line in remaining for line in others.splitlines(keepends=True))  # in the order of the file
