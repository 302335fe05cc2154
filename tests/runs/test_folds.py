"""Check how a corpus is divided into folds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.config.keys import DataConfig
from tagger.corpus.dataset import Corpus
from tagger.errors import DataError
from tagger.runs.folds import _balanced, divide
from tagger.training.corpora import load_corpora

DOCUMENT = "-DOCSTART- O\n\n"
SENTENCES = ["a B-X\nb O\n\n", "c O\n\n", "d B-X\n\n", "e O\nf O\ng O\n\n"]


@pytest.fixture
def corpus(tmp_path: Path) -> Callable[[str], Corpus]:
    def read(text: str) -> Corpus:
        (tmp_path / "train").write_text(text)
        data = DataConfig(train=str(tmp_path / "train"), dev=None)
        return load_corpora(data, 1, lambda text: None, lambda text: None).train

    return read


def test_documents_begin_at_docstart_lines(corpus) -> None:
    found = corpus("x B-X\n\n" + DOCUMENT + SENTENCES[0] + SENTENCES[1] + "-DOCSTART- O\n" + SENTENCES[2] + DOCUMENT)
    assert found.documents() == [0, 1, 1, 2]
    assert [len(found.between.get(i, ())) for i in range(5)] == [0, 1, 0, 0, 1]


def test_each_file_begins_a_document(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(SENTENCES[0] + SENTENCES[1])
    (tmp_path / "b").write_text(SENTENCES[2])
    data = DataConfig(train=[str(tmp_path / "a"), str(tmp_path / "b")], dev=None)
    assert load_corpora(data, 1, lambda text: None, lambda text: None).train.documents() == [0, 0, 1]


def test_no_document_is_divided(corpus) -> None:
    text = "".join(DOCUMENT + "".join(SENTENCES[: 1 + i % 4]) for i in range(12))
    found = corpus(text)
    folds = divide(found, 3, "auto", 1)
    assert (folds.by, folds.n_units) == ("document", 12)
    by_document: dict[int, set[int]] = {}
    for document, fold in zip(found.documents(), folds.of, strict=True):
        by_document.setdefault(document, set()).add(int(fold))
    assert all(len(of) == 1 for of in by_document.values())
    assert sorted(folds.inside(0) + folds.inside(1) + folds.inside(2)) == list(range(len(found)))
    assert sorted(folds.inside(1) + folds.outside(1)) == list(range(len(found)))


def test_few_documents_are_divided_by_sentence(corpus) -> None:
    found = corpus((DOCUMENT + "".join(SENTENCES)) * 5)
    assert divide(found, 3, "auto", 1).by == "sentence"
    assert divide(found, 3, "document", 1).by == "document"


def test_another_seed_draws_other_folds(corpus) -> None:
    found = corpus("".join(SENTENCES) * 10)
    first = divide(found, 4, "sentence", 1).of
    assert np.array_equal(first, divide(found, 4, "sentence", 1).of)
    assert not np.array_equal(first, divide(found, 4, "sentence", 2).of)


@pytest.mark.parametrize(("by", "text"), [("document", "found 1 document, expected at least 3"),
                                          ("sentence", "found 2 sentences, expected at least 3")])  # fmt: skip
def test_too_few_units_are_an_error(corpus, by, text: str) -> None:
    with pytest.raises(DataError, match=text):
        divide(corpus(SENTENCES[0] + SENTENCES[1]), 3, by, 1)


@given(st.lists(st.integers(0, 50), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 9))
def test_folds_are_balanced(sizes: list[int], k: int, seed: int) -> None:
    if len(sizes) < k:
        return
    folds = _balanced(np.array(sizes, np.float64), k, seed)
    filled = np.bincount(folds, np.maximum(sizes, 0.5), minlength=k)
    assert set(folds.tolist()) == set(range(k))
    # Greedy filling: the fullest fold was the emptiest before its last unit came.
    assert filled.max() - filled.min() <= max(max(sizes), 0.5)
