"""The facts about the data of a training."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from tagger.corpus.dataset import Corpus, load_training
from tagger.corpus.layout import Layout
from tagger.training.facts import DataFacts, SetFacts, data_facts

pytestmark = pytest.mark.tensorflow


def corpus(path: Path, text: str, scheme: str = "IOB2") -> Corpus:
    path.write_text(text.replace(" ", "\t"))
    return load_training(str(path), Layout(columns={"token": 0, "tag": -1}), scheme)[0]


def test_the_share_of_unseen_entities_compares_types_and_texts(tmp_path: Path) -> None:
    train = corpus(tmp_path / "a", "New B-LOC\nYork I-LOC\nsaw O\nAda B-PER\n\nYork B-LOC\n")
    dev = corpus(tmp_path / "b", "New B-LOC\nYork I-LOC\nAda B-LOC\n\nYork B-LOC\nNew B-LOC\n\nnothing O\n")
    assert data_facts(train, dev) == DataFacts(
        SetFacts(2, 5, {"LOC": 2, "PER": 1}),
        SetFacts(3, 6, {"LOC": 4}),
        0.5,  # Ada is a person in train, and New alone is no entity there
    )
    assert data_facts(train, None) == DataFacts(SetFacts(2, 5, {"LOC": 2, "PER": 1}))


def test_plain_tags_have_no_entities(tmp_path: Path) -> None:
    plain = corpus(tmp_path / "a", "New ADJ\nYork NOUN\n", "none")
    assert data_facts(plain, plain) == DataFacts(SetFacts(1, 2, {}), SetFacts(1, 2, {}), None)
