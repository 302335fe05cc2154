"""From tokens to tags: batches, windows, pieces, threads, order."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from helpers import run_tagger
from stub_model import TAGS, stub_manifest, stub_model, stub_predictor

from tagger.corpus.batching import Ids, pad
from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.runtime.conll_stream import PIECE_LINES, tag_conll
from tagger.runtime.decoding import Scores
from tagger.runtime.predictor import Predictor
from tagger.runtime.windows import context_of

_WORDS = tuple(f"w{i}" for i in range(500))


def neighbourhood_score(radius: int) -> Any:
    """A scorer whose logits at a token depend on exactly the tokens up to `radius` away, in whole numbers."""
    rng = np.random.default_rng(7)
    weights = rng.integers(1, 1000, (2 * radius + 1, 502, len(TAGS)))
    weights[:, 0] = 0  # padding, and what lies beyond the window

    def score(sentences: Sequence[Ids]) -> Scores:
        token_ids, _ = pad(sentences)
        n_rows, n_steps = token_ids.shape
        padded = np.zeros((n_rows, n_steps + 2 * radius), np.int32)
        padded[:, radius : radius + n_steps] = token_ids
        total = np.zeros((n_rows, n_steps, len(TAGS)), np.int64)
        for offset in range(2 * radius + 1):
            total += weights[offset][padded[:, offset : offset + n_steps]]
        return (total % 997 / 50).astype(np.float32)

    return score


def neighbourhood_predictor(radius: int, max_length: int) -> Predictor:
    manifest = stub_manifest(max_length=max_length)
    return stub_predictor(manifest, neighbourhood_score(radius), _WORDS)


def long_sentence(n_tokens: int) -> list[str]:
    return [_WORDS[i] for i in np.random.default_rng(3).integers(0, len(_WORDS), n_tokens)]


@pytest.mark.parametrize(("max_length", "radius"), [(512, 20), (512, 64), (64, 8)])
def test_windows_give_the_logits_of_the_whole_sentence(max_length: int, radius: int) -> None:
    whole, windowed = neighbourhood_predictor(radius, 4096), neighbourhood_predictor(radius, max_length)
    tokens = long_sentence(2000)
    (expected,) = whole.logits([tokens])
    short, found, nothing = windowed.logits([tokens[:3], tokens, []])
    assert (found == expected).all()
    assert (short == whole.logits([tokens[:3]])[0]).all()
    assert nothing.shape == (0, len(TAGS))


def test_a_neighbourhood_wider_than_the_context_shows_in_the_logits() -> None:
    tokens = long_sentence(2000)
    (expected,), (found,) = (neighbourhood_predictor(65, n).logits([tokens]) for n in (4096, 512))
    assert (found != expected).any()


# A window of 64 tokens has 8 tokens of context: what lies farther away it cannot see, in pieces or not.
@pytest.mark.parametrize(("max_length", "radius"), [(512, 20), (64, 8)])
def test_a_sentence_read_in_pieces_has_the_tags_of_the_whole(max_length: int, radius: int) -> None:
    predictor = neighbourhood_predictor(radius, max_length)
    tokens = long_sentence(30_000)
    data = "".join(f"{token}\n" for token in tokens).encode()
    (expected,) = predictor.tag([tokens])
    sentences = read_sentences(io.BytesIO(data), Layout(), max_lines=PIECE_LINES)
    pieces = list(predictor.tag_stream(sentences))
    assert [len(sentence.tokens) for sentence, _ in pieces] == [8192, 8192, 8192, 30_000 - 3 * 8192]
    assert [token for sentence, _ in pieces for token in sentence.tokens] == tokens
    assert [tag for _, tagged in pieces for tag in tagged.tags] == expected.tags
    assert np.allclose([score for _, tagged in pieces for score in tagged.scores], expected.scores)
    assert len(set(expected.tags)) == len(TAGS)


def test_sentences_around_one_that_is_read_in_pieces_keep_their_order_and_tags() -> None:
    predictor = neighbourhood_predictor(20, 512)
    sentences = [long_sentence(n) for n in (3, PIECE_LINES, 1, 9000, PIECE_LINES + 1, 5)]
    data = "\n".join("".join(f"{token}\n" for token in tokens) for tokens in sentences).encode()
    found: list[list[str]] = [[]]
    for sentence, tagged in predictor.tag_stream(read_sentences(io.BytesIO(data), Layout(), max_lines=PIECE_LINES)):
        found[-1] += tagged.tags
        if not sentence.continues:
            found.append([])
    assert [tags for tags in found if tags] == [tagged.tags for tagged in predictor.tag(sentences)]


def test_a_docstart_line_ends_a_sentence_also_where_a_piece_begins() -> None:
    for n_before in (PIECE_LINES - 1, PIECE_LINES, PIECE_LINES + 1):
        data = b"Peter\n" * n_before + b"-DOCSTART-\nBlackburn\n"
        with stub_model():
            assert run_tagger("predict", stdin=data).output.endswith(b"-DOCSTART-\tO\nBlackburn\tB-PER\n"), n_before


class RecordingStream(io.RawIOBase):
    """Hands out one block a call, and records when it is asked for."""

    def __init__(self, blocks: list[bytes], events: list[bytes | str]) -> None:
        self._blocks, self._events = iter(blocks), events

    def read1(self, size: int = -1, /) -> bytes:
        self._events.append("read")
        return next(self._blocks, b"")


def test_each_sentence_is_written_before_more_is_read_if_asked_for() -> None:
    blocks = [b"Peter\nBlack", b"burn\n\nEU\n", b"\nGerman\n"]
    written = [b"Peter\tB-PER\nBlackburn\tI-PER\n\n", b"EU\tB-ORG\n\n", b"German\tB-MISC\n"]
    events: list[bytes | str] = []
    for block in tagged_blocks(RecordingStream(blocks, events), line_buffered=True):
        events.append(block)
    assert events == ["read", "read", written[0], "read", written[1], "read", written[2]]
    events.clear()
    for block in tagged_blocks(RecordingStream(blocks, events), line_buffered=False):
        events.append(block)
    assert events == ["read"] * 4 + [b"".join(written)]


def tagged_blocks(stream: Any, *, line_buffered: bool) -> Iterator[bytes]:
    return tag_conll(stub_predictor(), stream, Layout(), path="-", line_buffered=line_buffered)


def test_the_context_is_an_eighth_of_the_window() -> None:
    assert (context_of(512), context_of(64), context_of(7)) == (64, 8, 0)


def test_a_piece_that_is_only_a_docstart_line_ends_the_sentence_too() -> None:
    data = b"Peter\n-DOCSTART-\nBlackburn\n"
    sentences = read_sentences(io.BytesIO(data), Layout(), max_lines=1)
    tags = [tag for _, tagged in stub_predictor().tag_stream(sentences) for tag in tagged.tags]
    assert tags == ["B-PER", "B-PER"]
