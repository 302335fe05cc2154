"""The comparison of a file's tokens with those of the tokenizer of its language."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from helpers import run_tagger

from tagger.check import tokenization
from tagger.check.tokenization import check_tokenization
from tagger.corpus.conll import Sentence
from tagger.text.tokenizer import is_installed

needs_libraries = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")


def sentence(tokens: str) -> Sentence:
    words = tokens.split()
    return Sentence(words, ["O"] * len(words), [], range(len(words)), [], 1)


@needs_libraries
def test_tokens_that_the_tokenizer_cuts_are_counted_with_examples() -> None:
    wrong = [sentence("I don't pay $5 there .")] * 10
    (problem,) = check_tokenization([sentence("It costs $ 5 , and I do n't pay .")] * 10 + wrong, "en")
    assert problem.message.startswith("20 of 170 tokens (11.8 %) are cut differently by spaCy en")
    assert "\"don't\" → do n't (10), '$5' → $ 5 (10)" in problem.message
    assert "tagger predict --text" in problem.message


@needs_libraries
def test_nothing_is_said_of_few_differences_or_of_equal_tokens() -> None:
    right = [sentence("It costs $ 5 in the U.S. , and Mr. Smith 's dog ca n't pay for well-known things .")] * 10
    assert check_tokenization(right, "en") == []
    assert check_tokenization([*right, sentence("don't")], "en") == []
    assert check_tokenization([], "en") == []


@needs_libraries
def test_a_language_without_blanks_is_compared_as_it_is_written() -> None:
    assert check_tokenization([sentence("引起 的 加速度 不同 。")], "zh") == []
    (problem,) = check_tokenization([sentence("引 起 的 加速度 不同 。")], "zh")
    assert "'引' → 引起" in problem.message


@needs_libraries
def test_a_large_file_is_sampled() -> None:
    many = [sentence("I don't pay .")] * 100_000
    check_tokenization(many[:10], "en")
    start = time.process_time()
    (problem,) = check_tokenization(many, "en")
    assert time.process_time() - start < 5
    assert "of 20000 tokens" in problem.message


def test_without_the_libraries_nothing_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenization, "is_installed", lambda: False)
    assert check_tokenization([sentence("I don't pay .")], "en") == []


@needs_libraries
def test_check_warns_with_a_language_only(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("I O\ndon't O\npay O\nBonn B-LOC\n. O\n\n" * 20)
    assert "cut differently" not in run_tagger("check", str(path)).output.decode()
    done = run_tagger("check", str(path), "--language", "en")
    assert "warning: 20 of 100 tokens (20.0 %) are cut differently by spaCy en" in done.output.decode()
    done = run_tagger("check", str(path), "--language", "enn")
    assert done.exit_code == 1
    assert done.first_error.startswith("error: --language: found 'enn', expected one of af, ")
    assert done.output == b""
    config = tmp_path / "a.yaml"
    config.write_text("data: {train: a.conll, language: en}\n")
    assert "cut differently" in run_tagger("check", "--config", str(config)).output.decode()
