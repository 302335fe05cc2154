"""The small inputs whose schemes were misread: what is found in each, and that it is written back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.corpus.dataset import Corpus, load_gold, load_training, note_on_notation
from tagger.corpus.detection import Requested, detect_layout
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, convert, spans_from_tags

pytestmark = pytest.mark.corpora


@pytest.fixture
def cases(corpora: Path) -> Path:
    path = corpora / "cases"
    if not path.is_dir():
        pytest.skip(f"the small inputs are not here ({path})")
    return path


def load(path: Path) -> tuple[Corpus, Notation]:
    corpus, notation, _ = load_training(path, detect_layout(path, Requested()).layout, "auto")
    return corpus, notation


@pytest.mark.parametrize(
    ("name", "expected", "n_spans"),
    [
        ("26-bios/train.conll", Notation(scheme="BIOS"), 199),
        ("24-suffix-tags/train.tsv", Notation(scheme="IOB2", suffix=True), 199),
        ("34-io-then-iob1/train.conll", Notation(scheme="IO"), 199),
        ("23-label-space/train.tsv", Notation(scheme="IOB2"), 199),
    ],
)
@pytest.mark.parametrize("network", ["IOB2", "IOBES"])
def test_tags_are_written_as_they_were(cases: Path, name: str, expected: Notation, n_spans: int, network: str) -> None:
    corpus, notation = load(cases / name)
    assert notation == expected
    assert sum(len(spans_from_tags(tags)) for tags in corpus.tags) == n_spans
    for sentence, tags in zip(corpus.sentences, corpus.tags, strict=True):
        learned = convert(tags, notation.scheme, network)
        written = [notation.spell(tag) for tag in convert(learned, network, notation.scheme)]
        assert written == sentence.tags


def test_hyphenated_parts_of_speech_are_plain_tags(cases: Path) -> None:
    corpus, notation = load(cases / "16-pos-hyphen/train.conll")
    assert notation == Notation(scheme=NO_SCHEME)
    assert corpus.tags[0][:3] == ["N-sg", "B-pl", "S-x"]


def test_a_dev_file_in_another_scheme_has_its_own_spans(cases: Path) -> None:
    dev = cases / "33-iobes-dev/dev.conll"
    corpus = load_gold(dev, Layout(), Notation(scheme="IOB2"))
    own = load_gold(dev, Layout(), corpus.notation)
    assert [spans_from_tags(tags) for tags in corpus.tags] == [spans_from_tags(tags) for tags in own.tags]
    assert sum(len(spans_from_tags(tags)) for tags in corpus.tags) == 53
    assert note_on_notation(corpus, Notation(scheme="IOB2")) == (
        "its tags are BIOS, those of the training data IOB2; their spans are compared"
    )


def test_iob1_beside_io_keeps_neighbors_apart(cases: Path) -> None:
    _, notation = load(cases / "34-io-then-iob1/train.conll")
    corpus = load_gold(cases / "34-io-then-iob1/dev.conll", Layout(), notation)
    assert corpus.notation == Notation(scheme="IOB1")
    last = spans_from_tags(corpus.tags[-1])
    assert [span.type for span in last] == ["LOC", "LOC"]
    assert last[0].end == last[1].start
    assert "data.scheme IOB1" in str(note_on_notation(corpus, notation))
