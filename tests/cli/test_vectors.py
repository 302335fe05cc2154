"""`tagger vectors` on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers import needs, run_tagger

from tagger.inputs.vocabulary import LOOKUPS
from tagger.vectors.matching import match
from tagger.vectors.table import read_vectors

pytestmark = needs("gensim", extra="vectors")


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.conll").write_text("Bonn B-LOC\nin O\n1987 O\n\n" * 4)
    Path("b.conll").write_text("Rome B-LOC\nin O\n2001 O\n\n" * 3 + "rare O\n\n")


def test_vectors_are_written_and_it_says_what_was_read_and_how_tokens_are_found() -> None:
    result = run_tagger("vectors", "a.conll", "b.conll", "-o", "v.npy", "--size", 4, "--epochs", 2)
    assert (result.exit_code, result.output) == (0, b"")
    lines = result.errors.splitlines()
    assert lines[0] == "reading a.conll as conll because of its name and content"
    assert [line.split(" (")[0] for line in lines if line.startswith("read ")] == [
        "read 22 tokens, 5 distinct ones, in 8 sentences"
    ]
    assert [line.split(":")[0] for line in lines if line.startswith("epoch ")] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert lines[-2:] == [
        "4 vectors of 4 numbers; embeddings.path finds a token exactly, else in lower case, and with digits as 0; with"
        " vocabulary.lowercase, use --lowercase",
        "the vectors are in v.npy, and their tokens in v.txt beside it",
    ]
    found = read_vectors("v.npy")
    assert list(found.rows) == ["in", "0000", "Bonn", "Rome"]
    assert found.table.shape == (4, 4)
    matches = match(["1999", "Bonn", "IN", "rare"], found)
    assert [LOOKUPS[lookup] if lookup >= 0 else "" for lookup in matches.lookups] == [
        "with digits as 0", "exactly", "in lower case", "",
    ]  # fmt: skip


def test_the_spelling_of_tokens_is_kept_or_changed_as_the_options_say() -> None:
    given = ["vectors", "a.conll", "-o", "v.npy", "--size", 2, "--force", "--lowercase", "--no-normalize-digits"]
    result = run_tagger(*map(str, given))
    assert result.errors.splitlines()[-2].endswith("; embeddings.path finds a token in lower case")
    assert list(read_vectors("v.npy").rows) == ["bonn", "in", "1987"]


def test_text_that_is_cut_into_tokens_already_is_read_as_it_is() -> None:
    Path("seq.in").write_text("do n't go , Mr. X\n" * 3)
    result = run_tagger("vectors", "seq.in", "--tokenized", "-o", "v.npy", "--size", "2")
    assert result.errors.splitlines()[0] == "reading seq.in as text"
    assert list(read_vectors("v.npy").rows) == ["do", "n't", "go", ",", "Mr.", "X"]


def test_options_reach_the_learning() -> None:
    # gensim passes over most occurrences of frequent tokens, so there must be many tokens.
    Path("c.conll").write_text("".join(f"{word} O\n" for word in "abcdefghijklmnop") * 20)

    def table(*options: str) -> np.ndarray:
        assert run_tagger("vectors", "c.conll", "-o", "v.npy", "--size", "3", "--force", *options).exit_code == 0
        return np.array(read_vectors("v.npy").table)

    plain = table()
    np.testing.assert_array_equal(table("--seed", "1", "--workers", "1"), plain)
    for options in (
        ["--seed", "2"], ["--epochs", "9"], ["--algorithm", "cbow"], ["--window", "1"], ["--algorithm", "fasttext"],
    ):  # fmt: skip
        other = table(*options)
        assert other.shape == plain.shape
        assert not np.array_equal(other, plain), options
    assert len(table("a.conll")) == len(plain) + 3, "both files count"
    assert len(table("a.conll", "--min-count", "5")) == len(plain)


def test_errors_name_the_options_and_leave_no_file() -> None:
    Path("latin.txt").write_bytes("In Núñez we trust, she said, and left.\n".encode("latin-1"))
    result = run_tagger("vectors", "latin.txt", "--from", "text", "-o", "v.npy")
    assert result.exit_code == 1
    assert result.first_error.startswith(
        "error: latin.txt:1: byte 0xFA at offset 4 of the line is not valid utf-8; name"
    )
    assert "--encoding" in result.first_error
    result = run_tagger("vectors", "a.conll", "-o", "v.npy", "--min-count", "9")
    assert result.first_error == (
        "error: found 12 tokens, of which none occurs more than 4 times, expected some that occur 9 times; give more text,"
        " or lower --min-count"
    )
    assert run_tagger("vectors", "", "-o", "v.npy").first_error.startswith("error: RAW: found an empty name")
    assert run_tagger("vectors", "missing", "-o", "v.npy").first_error.startswith("error: missing: no such file")
    assert sorted(path.name for path in Path().iterdir()) == ["a.conll", "b.conll", "latin.txt"]


def test_standard_input_is_read_once() -> None:
    result = run_tagger("vectors", "-", "-", "-o", "v.npy")
    assert result.exit_code == 2
    assert "RAW: found - (standard input) twice, expected it once; delete one" in result.errors
