"""The tokenizers: every character that is not blank is in one token, and known texts are cut as corpora are."""

from __future__ import annotations

import importlib.util
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagger.errors import DataError
from tagger.text import tokenizer as module
from tagger.text.tokenizer import Tokenizer, is_installed, languages, load_tokenizer

needs_libraries = pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")
_LOADED: dict[str, Tokenizer] = {}


def tokenizer(language: str) -> Tokenizer:
    return _LOADED.setdefault(language, load_tokenizer(language)) if language not in _LOADED else _LOADED[language]


def cut(text: str, language: str = "en") -> list[list[str]]:
    return [[text[start:end] for start, end in sentence] for sentence in tokenizer(language).sentences(text)]


# Blanks, signs of no width, half characters, emoji, and letters of several scripts.
TEXTS = st.text(
    st.one_of(
        st.sampled_from(" \t\r\n.!?\"'()-$…\u200b\ufeff\u00a0\u3000\u00ad\x1c\x85\u2028😀👩‍🚀é是東ก"), st.characters()
    )
)


@needs_libraries
@pytest.mark.parametrize("language", ["en", "de", "hu", "sv", "zh", "ja", "th", "xx"])
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
@example(text="")
@example(text="\ufeffAnn\u200b left.\r\n\r\nBob \ud83d stayed")
@example(text="a" * 2500 + " b")
def test_each_character_is_in_exactly_one_token(language: str, text: str) -> None:
    sentences = list(tokenizer(language).sentences(text))
    assert all(sentences), "a sentence has a token"
    covered = [place for sentence in sentences for start, end in sentence for place in range(start, end)]
    assert covered == [place for place, character in enumerate(text) if re.match(r"\S", character)]
    assert all(start < end for sentence in sentences for start, end in sentence)


@needs_libraries
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_an_empty_line_ends_a_sentence(line_end: str) -> None:
    assert cut(f"A title{line_end}{line_end}it goes{line_end}on{line_end} \t{line_end}and on") == [
        ["A", "title"], ["it", "goes", "on"], ["and", "on"],
    ]  # fmt: skip


@needs_libraries
@pytest.mark.parametrize(
    ("language", "text", "tokens"),
    [
        ("en", "I don't owe $5 to Mr. O'Neil's well-known U.S. bank (10%).",
         "I do n't owe $ 5 to Mr. O'Neil 's well-known U.S. bank ( 10 % ) ."),
        ("en", 'She said: "We can\'t" -- twice.', 'She said : " We ca n\'t " -- twice .'),
        ("de", "Dr. Müller sagte z.B. nichts.", "Dr. Müller sagte z.B. nichts ."),
        ("hu", "Az MTA-ban, kb. 5-kor.", "Az MTA-ban , kb. 5-kor ."),
        ("zh", "引起的加速度不同。", "引起 的 加速度 不同 。"),
        ("ja", "東京の市場。", "東京 の 市場 。"),
    ],
)  # fmt: skip
def test_a_text_is_cut_as_corpora_are(language: str, text: str, tokens: str) -> None:
    assert [token for sentence in cut(text, language) for token in sentence] == tokens.split()


@needs_libraries
@pytest.mark.parametrize("language", ["en", "hu"])
def test_the_rules_are_those_of_a_pipeline_of_spacy(language: str) -> None:
    import spacy

    text = '("He doesn\'t," kb. 5km/h... [U.S.] a.b@c.de http://d.e/f?g=1, x/y 3*4 $5.10 :-) e.g. 10% x.Y Az)'
    assert cut(text, language) == [[token.text for token in spacy.blank(language)(text)]]


@needs_libraries
def test_sentences_are_found_and_abbreviations_do_not_end_them() -> None:
    assert [" ".join(sentence) for sentence in cut("Mr. Smith left. Did he? He did!")] == [
        "Mr. Smith left .", "Did he ?", "He did !",
    ]  # fmt: skip


@needs_libraries
def test_a_long_paragraph_has_the_sentences_of_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = ["Dr. Ann left.", "“Bob stayed!”", "The price rose to 3.5 million in the U.S. yesterday.", "Why?"]
    text = " ".join(random.Random(1).choices(sentences, k=400))
    expected = cut(text)
    assert len(expected) == 400
    for window in (1100, 2000, 5003):
        monkeypatch.setattr(module, "_LONGEST_WINDOW", window)
        assert cut(text) == expected
    monkeypatch.setattr(module, "_LONGEST_WINDOW", 2000)
    assert [len(sentence) for sentence in cut("one two " * 500)] == [500, 500], "cut between words, not within one"


@needs_libraries
@pytest.mark.parametrize("unclosed", ["“", "« a "])
def test_opening_quotes_that_are_never_closed_take_linear_time(unclosed: str) -> None:
    text, since = unclosed * (300_000 // len(unclosed)), time.process_time()
    assert sum(len("".join(tokens)) for tokens in cut(text)) == len(text.replace(" ", ""))
    assert time.process_time() - since < 6, "half a minute if each quote looks through all of the text"


@needs_libraries
def test_a_tokenizer_has_a_name_with_its_version() -> None:
    assert re.fullmatch(r"spaCy en \d+\.\d+", tokenizer("en").name)
    assert re.fullmatch(r"ICU zh \d+\.\d+", tokenizer("zh").name)
    assert (tokenizer("en").language, tokenizer("en").joiner, tokenizer("zh").joiner) == ("en", " ", "")


SINGLE = "()[]{}?!,😀©〈〉"


@needs_libraries
@settings(max_examples=60, deadline=None)
@given(st.text(SINGLE + "\"'«»", min_size=1, max_size=200), st.sampled_from(["", "a", "Ann-"]))
def test_signs_are_cut_in_pieces_as_they_are_at_once(signs: str, word: str) -> None:
    signs = re.sub(r"[\"'«»]+", lambda match: match[0][0], signs)  # some rules join two quotes
    text, rules = word + signs, tokenizer("en")._cut
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MOST_SIGNS", 10**9)
        at_once = rules(text)
    assert rules(text) == at_once


@pytest.mark.parametrize("signs", [SINGLE, "[", "😀", "'(", '"['])
def test_the_rules_get_long_runs_of_signs_in_small_pieces(signs: str) -> None:
    text = "Ann " + "".join(random.Random(1).choices(signs, k=300_000)) + " left."
    pieces = list(module._pieces(text))
    assert "".join(text[start:end] for start, end in pieces) == text
    # The rules copy the rest of a word for each sign at its edges.
    assert sum((end - start) ** 2 for start, end in pieces) < 60 * len(text)


@needs_libraries
def test_memory_does_not_grow_with_the_number_of_distinct_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_STRINGS", 1)
    own = load_tokenizer("en")
    assert [sum(len(sentence) for sentence in own.sentences("One, two.")) for _ in range(3)] == [4, 4, 4]


@needs_libraries
def test_the_rules_of_a_language_are_built_once_for_all_files_of_a_folder() -> None:
    rules = load_tokenizer("sv")._cut
    assert load_tokenizer("sv")._cut is rules
    assert load_tokenizer("da")._cut is not rules


@needs_libraries
@pytest.mark.parametrize(("found", "meant"), [("en-US", "en"), ("EN", "en"), ("hun", "hu"), ("xx1", "xx")])
def test_an_unknown_language_is_an_error_that_lists_the_known_ones(found: str, meant: str) -> None:
    with pytest.raises(DataError) as raised:
        load_tokenizer(found)
    assert raised.value.message.startswith(f"data.language: found {found!r}, expected one of af, ")
    assert re.search(rf"\(did you mean {meant}( or \w+)*\?\)$", raised.value.message)


@needs_libraries
def test_all_listed_languages_have_a_tokenizer() -> None:
    assert {"en", "de", "hu", "sv", "zh", "ja", "th", "xx"} <= set(languages())
    for language in languages():
        text = "Ann, 5. Bob"
        assert list(load_tokenizer(language).sentences(text)), language


def test_without_the_libraries_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sentencex", None)
    with pytest.raises(DataError, match=r"found no sentencex, .*pip install 'twobranch-tagger\[text\]'"):
        load_tokenizer("en")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not is_installed()
    with pytest.raises(DataError, match="found no spaCy"):
        languages()


def test_the_decision_names_the_libraries() -> None:
    page = (Path(__file__).parents[2] / "docs/decisions/0007-tokenizers.md").read_text("utf-8")
    assert all(name in page for name in ("spaCy", "sentencex", "icu4py"))


def test_the_command_line_of_spacy_is_left_out_but_can_be_imported_later() -> None:
    program = (
        "import sys; from tagger.text.tokenizer import load_tokenizer; load_tokenizer('en');"
        "assert 'weasel' not in sys.modules and 'spacy.cli' not in sys.modules;"
        "from spacy.cli.info import info; assert info()['spacy_version']"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
