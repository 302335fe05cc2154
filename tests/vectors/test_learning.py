"""Word vectors that are learned: what is stored and counted, and that gensim gets exactly that."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
from helpers import needs

from tagger.errors import DataError, TaggerError
from tagger.inputs.vocabulary import Normalization
from tagger.vectors import learning
from tagger.vectors.learning import LearningSettings, StoredText, learn_vectors, store

pytestmark = needs("gensim", extra="vectors")


class Recorder:
    def __init__(self) -> None:
        self.n_read, self.learned = list[int](), list[tuple[int, int]]()

    def read(self, n_tokens: int) -> None:
        self.n_read.append(n_tokens)

    def stored(self, text: StoredText) -> None: ...

    def learn(self, epoch: int, n_tokens: int) -> None:
        self.learned.append((epoch, n_tokens))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[IO[str]]:
    with (tmp_path / "s").open("w+", encoding="utf-8", newline="\n") as file:
        yield file


def animals(n: int, seed: int = 1) -> list[list[str]]:
    """Return sentences in which Cat and Lynx occur in the same places, and so do Oak and Elm, but in others."""
    draw = random.Random(seed)
    templates = [
        (["the", "", "sleeps", "and", "eats", "9", "mice"], ["Cat", "Lynx"]),
        (["a", "", "grows", "in", "my", "old", "garden"], ["Oak", "Elm"]),
    ]
    sentences = []
    for _ in range(n):
        words, fillers = draw.choice(templates)
        sentences.append([word or draw.choice(fillers) for word in words])
    return sentences


def test_tokens_are_normalized_counted_and_stored_whatever_is_in_them(tmp_path: Path, file: IO[str]) -> None:
    sentences = [["New York", "\u3000", "ID-42"], [], ['"', "\x1f", "\u2028", "a\nb", "\ud800", "new york"]]
    recorder = Recorder()
    text = store(sentences, file, Normalization(lowercase=True, normalize_digits=True), recorder)
    stored = [json.loads(line) for line in (tmp_path / "s").read_bytes().split(b"\n")[:-1]]
    assert stored == [["new york", "\u3000", "id-00"], ['"', "\x1f", "\u2028", "new york"]]
    assert text.counts == collections.Counter(token for sentence in stored for token in sentence)
    assert (text.n_sentences, text.n_tokens, recorder.n_read) == (2, 7, [3, 3, 7])
    assert text.notes == ("tokens left out because they hold a line end or are not valid text: 2",)


def test_a_long_sentence_is_cut_because_gensim_passes_over_its_rest(tmp_path: Path, file: IO[str]) -> None:
    text = store([["x"] * 25_001], file, Normalization(), Recorder())
    lengths = [len(json.loads(line)) for line in (tmp_path / "s").read_text().splitlines()]
    assert (lengths, text.n_sentences, text.n_tokens) == ([10_000, 10_000, 5_001], 3, 25_001)


def test_the_rarest_tokens_are_forgotten_where_there_are_too_many(file: IO[str]) -> None:
    rare = [["the", f"rare-{i}"] for i in range(25)]
    text = store(rare, file, Normalization(), Recorder(), most_distinct=10)
    assert text.counts["the"] == 25
    assert len(text.counts) <= 11
    (note,) = text.notes
    assert "found more than 10 distinct tokens" in note
    assert "had occurred at most 1 time when" in note


@pytest.mark.parametrize(
    ("algorithm", "sg", "kind"), [("skip-gram", 1, "Word2Vec"), ("cbow", 0, "Word2Vec"), ("fasttext", 1, "FastText")]
)
def test_the_vectors_are_those_of_gensim_on_the_same_sentences(
    algorithm: Any, sg: int, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import gensim

    monkeypatch.setattr(learning, "_N_BUCKETS", 1000)
    sentences = animals(200)
    settings = LearningSettings(algorithm=algorithm, size=8, window=2, min_count=2, epochs=3, seed=5)
    found = learn_vectors(iter(sentences), settings, Recorder())
    counts = collections.Counter(token for sentence in sentences for token in sentence)
    assert list(found.rows) == [token for token, _ in counts.most_common()]
    assert len(set(counts.values())) < len(counts), "some tokens must be equally frequent"
    more = {"bucket": 1000} if kind == "FastText" else {}
    model = getattr(gensim.models, kind)(
        vector_size=8, window=2, min_count=2, seed=5, sg=sg, workers=1, sorted_vocab=0, **more
    )
    model.build_vocab_from_freq(dict(counts.most_common()), corpus_count=len(sentences))
    model.train(sentences, total_examples=len(sentences), total_words=counts.total(), epochs=3)
    assert found.table.dtype == np.float32
    np.testing.assert_array_equal(found.table, model.wv.vectors)


def test_tokens_in_the_same_places_get_similar_vectors() -> None:
    settings = LearningSettings(size=16, min_count=1, epochs=20)
    found = learn_vectors(animals(500), settings, Recorder())
    unit = found.table / np.linalg.norm(found.table, axis=1, keepdims=True)
    cat, lynx, oak, elm = (unit[found.row(token)] for token in ("Cat", "Lynx", "Oak", "Elm"))
    assert min(cat @ lynx, oak @ elm) > max(cat @ oak, cat @ elm, lynx @ oak, lynx @ elm) + 0.1


def test_every_epoch_reads_all_tokens() -> None:
    recorder, sentences = Recorder(), animals(50)
    learn_vectors(sentences, LearningSettings(size=4, epochs=2), recorder)
    assert recorder.n_read[-1] == 350
    assert [place for place in recorder.learned if place[1] == 350] == [(1, 350), (2, 350)]


def test_the_same_seed_gives_the_same_bits_in_another_process() -> None:
    def digest(seed: int) -> str:
        found = learn_vectors(animals(300), LearningSettings(size=8, seed=seed), Recorder())
        return hashlib.sha256(found.table.tobytes()).hexdigest()

    program = (
        "import hashlib, sys; from test_learning import *\n"
        "found = learn_vectors(animals(300), LearningSettings(size=8, seed=1), Recorder())\n"
        "print(hash('a'), hashlib.sha256(found.table.tobytes()).hexdigest())"
    )
    paths = ":".join(map(str, (Path(__file__).parent, Path(__file__).parents[1], Path(__file__).parents[2])))
    hashes = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    there = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True, text=True, check=True, env={"PYTHONPATH": paths, "PYTHONHASHSEED": hashes},
    ).stdout.split()  # fmt: skip
    assert int(there[0]) != hash("a"), "sets should have another order there"
    assert there[1] == digest(1) != digest(2)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([], "found no token, expected raw text; check the files, and --from"),
        (
            [["a", "b", "a"]],
            "found 3 tokens, of which none occurs more than 2 times, expected some that occur 3 times; give more text, or"
            " lower --min-count",
        ),
    ],
)
def test_a_text_without_frequent_tokens_is_an_error(sentences: list[list[str]], message: str) -> None:
    with pytest.raises(DataError) as caught:
        learn_vectors(sentences, LearningSettings(), Recorder())
    assert caught.value.message == message


def test_a_temporary_folder_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learning, "store", full)
    with pytest.raises(DataError, match=r"temporary folder .*: No space left on device; set TMPDIR to one"):
        learn_vectors([["a"]], LearningSettings(), Recorder())


def test_nothing_is_left_in_the_temporary_folder_even_if_the_process_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = list[list[Path]]()

    class Looking(Recorder):
        def learn(self, epoch: int, n_tokens: int) -> None:
            left.append(list(tmp_path.iterdir()))

    learn_vectors(animals(50), LearningSettings(size=4), Looking())
    assert left
    assert not any(left)


def test_vectors_that_the_memory_cannot_hold_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("gensim.models.Word2Vec.build_vocab_from_freq", build)
    with pytest.raises(DataError) as caught:
        learn_vectors([["a", "b"]] * 3, LearningSettings(size=7), Recorder())
    assert caught.value.message == (
        "out of memory: found 2 tokens to learn vectors of 7 numbers for, expected fewer; lower --size, or raise"
        " --min-count"
    )


def test_an_error_while_an_epoch_reads_is_raised_and_not_waited_for() -> None:
    class Broken(Recorder):
        def learn(self, epoch: int, n_tokens: int) -> None:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        learn_vectors(animals(50), LearningSettings(size=4), Broken())


def test_without_gensim_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gensim", None)
    with pytest.raises(TaggerError) as caught:
        learning.require_library()
    assert caught.value.message == (
        "vectors: found no gensim, expected it to learn from text; run pip install '.[vectors]' in a clone of tagger"
    )


def test_a_library_that_gensim_lacks_is_not_called_gensim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "gensim")
    (tmp_path / "gensim.py").write_text("import smart_open_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="smart_open_is_missing"):
        learning.require_library()


@pytest.mark.parametrize("name", ["size", "window", "min_count", "epochs", "workers"])
def test_settings_are_at_least_one(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: found 0, expected 1 or more"):
        LearningSettings(**{name: 0})
