"""The generated corpora: the script reproduces the committed sample, which has the promised properties."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "data" / "sample"
REGENERATE = "python scripts/make_sample_corpus.py --out data/sample --seed 1"

Sentence = list[tuple[str, str]]


def run(script: str, *arguments: str, hash_seed: str = "0") -> None:
    """Run a script as a user would; different hash seeds would reveal an order that comes from a set."""
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), *arguments],
        check=True,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.DEVNULL,
        timeout=120,
    )


def read(path: Path) -> list[Sentence]:
    """Read a CoNLL file without the reader of tagger, so that these tests do not depend on it."""
    text = path.read_bytes().decode("utf-8")
    assert text.endswith("\n\n")
    assert "\r" not in text
    sentences: list[Sentence] = []
    for block in text[:-2].split("\n\n"):
        rows = [line.split("\t") for line in block.split("\n")]
        assert all(len(row) == 2 and all(row) for row in rows), block
        sentences.append([(token, tag) for token, tag in rows])
    return sentences


def spans(sentence: Sentence) -> list[tuple[int, int]]:
    """Return the start and the end of each entity of a valid IOB2 sentence."""
    starts = [place for place, (_, tag) in enumerate(sentence) if tag.startswith("B-")]
    ends = []
    for start in starts:
        end = start + 1
        while end < len(sentence) and sentence[end][1].startswith("I-"):
            end += 1
        ends.append(end)
    return list(zip(starts, ends, strict=True))


@pytest.fixture(scope="module")
def sample() -> dict[str, list[Sentence]]:
    return {name: read(SAMPLE / f"{name}.conll") for name in ("train", "dev", "test")}


# --- the sample corpus ---------------------------------------------------------------------------


@pytest.mark.parametrize("hash_seed", ["0", "4321"])
def test_the_script_writes_the_committed_files(tmp_path: Path, hash_seed: str) -> None:
    run("make_sample_corpus.py", "--out", str(tmp_path), "--seed", "1", hash_seed=hash_seed)
    written = sorted(path.name for path in tmp_path.iterdir())
    assert written == ["README.md", "dev.conll", "test.conll", "train.conll"]
    for name in written:
        same = (tmp_path / name).read_bytes() == (SAMPLE / name).read_bytes()
        assert same, f"data/sample/{name} differs from the output of the script; regenerate it with: {REGENERATE}"


def test_another_seed_gives_other_sentences(tmp_path: Path) -> None:
    run("make_sample_corpus.py", "--out", str(tmp_path), "--seed", "2")
    assert (tmp_path / "train.conll").read_bytes() != (SAMPLE / "train.conll").read_bytes()


def test_sizes(sample: dict[str, list[Sentence]]) -> None:
    assert {name: len(sentences) for name, sentences in sample.items()} == {
        "train": 1500,
        "dev": 250,
        "test": 250,
    }
    assert sum((SAMPLE / f"{name}.conll").stat().st_size for name in sample) < 600_000


def test_tags_are_valid_iob2(sample: dict[str, list[Sentence]]) -> None:
    kinds = set()
    for sentences in sample.values():
        for sentence in sentences:
            before = "O"
            for _, tag in sentence:
                assert re.fullmatch(r"O|[BI]-(PER|LOC|ORG|MISC)", tag)
                if tag.startswith("I-"):
                    assert before in (f"B-{tag[2:]}", tag), sentence
                before = tag
                kinds.add(tag)
    assert len(kinds) == 9


def test_entities_have_one_to_five_tokens(sample: dict[str, list[Sentence]]) -> None:
    lengths = {end - start for sentence in sample["train"] for start, end in spans(sentence)}
    assert lengths == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", ["dev", "test"])
def test_no_sentence_occurs_in_train(sample: dict[str, list[Sentence]], name: str) -> None:
    def text(sentence: Sentence) -> str:
        return " ".join(token for token, _ in sentence).lower()

    train = {text(sentence) for sentence in sample["train"]}
    assert [text(sentence) for sentence in sample[name] if text(sentence) in train] == []


@pytest.mark.parametrize("name", ["train", "dev", "test"])
def test_short_uppercase_and_lowercase_sentences_occur(sample: dict[str, list[Sentence]], name: str) -> None:
    lengths = [len(sentence) for sentence in sample[name]]
    assert 1 in lengths
    assert 2 in lengths
    texts = [" ".join(token for token, _ in sentence) for sentence in sample[name] if len(sentence) > 2]
    assert sum(text.isupper() for text in texts) > 0.03 * len(texts)
    assert sum(text.islower() for text in texts) > 0.06 * len(texts)


def test_numbers_punctuation_and_non_ascii_tokens_occur(sample: dict[str, list[Sentence]]) -> None:
    tokens = {token for sentence in sample["train"] for token, _ in sentence}
    assert {".", ",", "!", "?", "'s", "$", "(", ")"} <= tokens
    assert any(token.isdigit() for token in tokens)
    assert not all(token.isascii() for token in tokens)


@pytest.mark.parametrize("name", ["dev", "test"])
def test_the_previous_word_does_not_determine_the_tag(sample: dict[str, list[Sentence]], name: str) -> None:
    tags: dict[tuple[str, str], set[str]] = defaultdict(set)
    for sentence in sample["train"]:
        before = ""
        for token, tag in sentence:
            tags[before, token].add(tag)
            before = token
    undecided = [
        len(tags[sentence[start - 1][0] if start else "", sentence[start][0]]) > 1
        for sentence in sample[name]
        for start, _ in spans(sentence)
    ]
    assert sum(undecided) >= 0.25 * len(undecided)


@pytest.mark.parametrize("name", ["dev", "test"])
def test_some_names_do_not_occur_in_train(sample: dict[str, list[Sentence]], name: str) -> None:
    known = {token.lower() for sentence in sample["train"] for token, _ in sentence}
    unseen = [
        any(token.lower() not in known for token, _ in sentence[start:end])
        for sentence in sample[name]
        for start, end in spans(sentence)
    ]
    assert 0.1 * len(unseen) < sum(unseen) < 0.4 * len(unseen)


# --- the cumulative-sum corpus -------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 4, 7, 10])
def test_cumulative_sum_tags(tmp_path: Path, length: int) -> None:
    run("make_cumulative_sum_corpus.py", "--out", str(tmp_path), "--sentences", "200", "--length", str(length))
    for name, size in (("train", 200), ("dev", 20), ("test", 40)):
        sequences = read(tmp_path / f"{name}.conll")
        assert len(sequences) == size
        seen = set()
        for sequence in sequences:
            assert len(sequence) == length
            for place, (token, tag) in enumerate(sequence):
                assert re.fullmatch(r"0\.[0-9]{2}", token)
                total = sum((Fraction(earlier) for earlier, _ in sequence[: place + 1]), Fraction(0))
                assert tag == ("1" if total > Fraction(length, 4) else "0"), sequence
                seen.add(tag)
        assert seen == {"0", "1"}


def test_a_sum_of_exactly_a_quarter_does_not_exceed_the_threshold(tmp_path: Path) -> None:
    """Check that some sums equal the threshold; otherwise no test could distinguish > from >=."""
    run("make_cumulative_sum_corpus.py", "--out", str(tmp_path), "--sentences", "2000")
    on_threshold = []
    for sequence in read(tmp_path / "train.conll"):
        total = Fraction(0)
        for token, tag in sequence:
            total += Fraction(token)
            if total == Fraction(5, 2):
                on_threshold.append(tag)
    assert on_threshold
    assert set(on_threshold) == {"0"}


def test_cumulative_sum_sizes_can_be_chosen(tmp_path: Path) -> None:
    sizes = ("--sentences", "30", "--dev", "7", "--test", "5", "--length", "3")
    run("make_cumulative_sum_corpus.py", "--out", str(tmp_path), *sizes)
    assert [len(read(tmp_path / f"{name}.conll")) for name in ("train", "dev", "test")] == [30, 7, 5]


def test_cumulative_sum_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for folder, seed, hash_seed in (("a", "1", "0"), ("b", "1", "99"), ("c", "2", "0")):
        arguments = ("--out", str(tmp_path / folder), "--sentences", "50", "--seed", seed)
        run("make_cumulative_sum_corpus.py", *arguments, hash_seed=hash_seed)
    for name in ("train", "dev", "test"):
        first, second, other = ((tmp_path / folder / f"{name}.conll").read_bytes() for folder in ("a", "b", "c"))
        assert first == second
        assert first != other
