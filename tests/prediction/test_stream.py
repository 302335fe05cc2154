"""Tests of a stream of sentences: read ahead, tagged in chunks and written in order."""

from __future__ import annotations

import io
import itertools
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import run_tagger
from stub_model import (
    TAGS,
    fixed_logits,
    long_sentence,
    neighbourhood_predictor,
    stub_manifest,
    stub_model,
    stub_predictor,
)

from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.errors import DataError
from tagger.inputs.batching import Ids, pad
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import TagVocabulary, TokenVocabulary
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits
from tagger.prediction.predictor import ComputeLogits, Predictor
from tagger.prediction.stream import CHUNK_LINES, tag_conll, tag_groups, tag_stream


# A window of 64 tokens has 8 tokens of context, so it cannot see tokens farther away, whether in chunks or not.
@pytest.mark.parametrize(("max_length", "radius"), [(512, 20), (64, 8)])
def test_a_sentence_read_in_chunks_has_the_tags_of_the_whole_sentence(max_length: int, radius: int) -> None:
    predictor = neighbourhood_predictor(radius, max_length)
    tokens = long_sentence(30_000)
    data = "".join(f"{token}\n" for token in tokens).encode()
    (expected,) = predictor.tag([tokens])
    sentences = read_sentences(io.BytesIO(data), Layout(), max_lines=CHUNK_LINES)
    pieces = list(tag_stream(predictor, sentences))
    assert [len(sentence.tokens) for sentence, _ in pieces] == [8192, 8192, 8192, 30_000 - 3 * 8192]
    assert [token for sentence, _ in pieces for token in sentence.tokens] == tokens
    assert [tag for _, tagged in pieces for tag in tagged.tags] == expected.tags
    assert np.allclose([score for _, tagged in pieces for score in tagged.probabilities], expected.probabilities)
    assert len(set(expected.tags)) == len(TAGS)


def test_sentences_around_one_that_is_read_in_chunks_keep_their_order_and_tags() -> None:
    predictor = neighbourhood_predictor(20, 512)
    sentences = [long_sentence(n) for n in (3, CHUNK_LINES, 1, 9000, CHUNK_LINES + 1, 5)]
    data = "\n".join("".join(f"{token}\n" for token in tokens) for tokens in sentences).encode()
    found: list[list[str]] = [[]]
    for sentence, tagged in tag_stream(predictor, read_sentences(io.BytesIO(data), Layout(), max_lines=CHUNK_LINES)):
        found[-1] += tagged.tags
        if not sentence.continues:
            found.append([])
    assert [tags for tags in found if tags] == [tagged.tags for tagged in predictor.tag(sentences)]


def test_a_docstart_line_ends_a_sentence_even_where_a_chunk_begins() -> None:
    for n_before in (CHUNK_LINES - 1, CHUNK_LINES, CHUNK_LINES + 1):
        data = b"Peter\n" * n_before + b"-DOCSTART-\nBlackburn\n"
        with stub_model():
            assert run_tagger("predict", stdin=data).output.endswith(b"-DOCSTART-\tO\nBlackburn\tB-PER\n"), n_before


class RecordingStream(io.RawIOBase):
    """A stream that returns one block per call, and records when it is read."""

    def __init__(self, blocks: list[bytes], events: list[bytes | str]) -> None:
        self._blocks, self._events = iter(blocks), events

    def read1(self, size: int = -1, /) -> bytes:
        self._events.append("read")
        return next(self._blocks, b"")


def test_line_buffering_writes_each_sentence_before_more_is_read() -> None:
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


def test_a_chunk_that_is_only_a_docstart_line_ends_the_sentence_too() -> None:
    data = b"Peter\n-DOCSTART-\nBlackburn\n"
    sentences = read_sentences(io.BytesIO(data), Layout(), max_lines=1)
    tags = [tag for _, tagged in tag_stream(stub_predictor(), sentences) for tag in tagged.tags]
    assert tags == ["B-PER", "B-PER"]


# --- Order, threads, errors ------------------------------------------------------------------------------------------


def slow_and_recorded(delays: list[float], calls: list[int]) -> ComputeLogits:
    """Return a function that computes the stub's logits with the delays in turn, and records the size of each batch."""
    table, waits = fixed_logits(), itertools.cycle(delays)

    def score(sentences: Sequence[Ids], _: object) -> Logits:
        time.sleep(next(waits))
        calls.append(len(sentences))
        return table[pad(sentences)[0]]

    return score


def test_sentences_come_back_in_order_however_long_their_batches_take() -> None:
    calls: list[int] = []
    stub = stub_predictor(score=slow_and_recorded([0.03, 0.0, 0.01], calls))
    predictor = Predictor(stub.model, threads=3, batch_tokens=10)
    names = ["EU", "German", "Peter", "x"]
    data = b"".join(b"".join(b"%s\n" % names[(i + j) % 4].encode() for j in range(i % 5)) + b"\n" for i in range(200))
    expected = b"".join(tag_conll(stub_predictor(), io.BytesIO(data), Layout(), path="-"))
    for window in (3, 10, 1000):
        sentences = read_sentences(io.BytesIO(data), Layout())
        found = [pair for group in tag_groups(predictor, sentences, window) for pair in group]
        assert b"".join(line for sentence, _ in found for line in sentence.lines) == data
        plain = stub_predictor().tag([sentence.tokens for sentence, _ in found])
        assert [tagged for _, tagged in found] == plain
    assert expected.count(b"B-ORG") == data.count(b"EU")
    assert max(calls) > 1


def test_sentences_before_an_error_are_written_first_and_nothing_after_it() -> None:
    good, bad = b"EU\tx\n\n", b"\xff\n\n"
    for n in (0, 1, 30, 5000):
        blocks: list[bytes] = []
        with pytest.raises(DataError, match=rf"-:{2 * n + 1}: byte 0xFF"):
            for block in tag_conll(stub_predictor(), io.BytesIO(good * n + bad + good), Layout(), path="-"):
                blocks.append(block)
        assert b"".join(blocks) == b"EU\tx\tB-ORG\n\n" * n


def test_no_batch_starts_after_the_stream_is_closed() -> None:
    calls: list[int] = []
    predictor = Predictor(stub_predictor(score=slow_and_recorded([0.01], calls)).model, threads=2, batch_tokens=1)
    sentences = (Sentence(["EU"], [], [], range(0), [], 0) for _ in range(1000))
    stream = tag_groups(predictor, sentences, 10)
    assert len(next(stream)) == 10
    stream.close()  # as Ctrl-C does
    begun = len(calls)
    time.sleep(0.2)
    assert begun <= len(calls) <= begun + 2


class PausingStream(io.RawIOBase):
    """A pipe whose other end writes each block only when it is told to."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()

    def fileno(self) -> int:
        return self._read_end

    def read1(self, size: int = -1, /) -> bytes:
        return os.read(self._read_end, size)

    def write_block(self, data: bytes) -> None:
        os.write(self._write_end, data)

    def finish(self) -> None:
        os.close(self._write_end)

    def discard(self) -> None:
        os.close(self._read_end)


def test_when_a_pipe_pauses_all_complete_sentences_are_written() -> None:
    stream = PausingStream()
    blocks = tag_conll(stub_predictor(), stream, Layout(), path="-")
    stream.write_block(b"EU\n\nPeter\nBlack")
    assert next(blocks) == b"EU\tB-ORG\n\n"
    stream.write_block(b"burn\n\n\nx\n\n")
    assert next(blocks) == b"Peter\tB-PER\nBlackburn\tI-PER\n\n\nx\tO\n\n"
    stream.write_block(b"German")
    stream.finish()
    assert list(blocks) == [b"German\tB-MISC"]
    stream.discard()


def test_a_pause_inside_a_sentence_that_is_read_in_chunks_changes_nothing() -> None:
    stream = PausingStream()
    blocks = tag_conll(stub_predictor(), stream, Layout(), path="-")
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.extend(blocks))
    reader.start()
    lines = [b"Peter\n"] + [b"Blackburn\n"] * (2 * CHUNK_LINES)
    for start in range(0, len(lines), 5000):
        stream.write_block(b"".join(lines[start : start + 5000]))
        time.sleep(0.12)
    stream.finish()
    reader.join(20)
    stream.discard()
    assert b"".join(found) == b"Peter\tB-PER\n" + b"Blackburn\tI-PER\n" * (2 * CHUNK_LINES)


def test_a_non_blocking_pipe_is_read_to_its_end() -> None:
    stream = PausingStream()
    os.set_blocking(stream.fileno(), False)
    stream.write_block(b"EU\n\n")
    found: list[bytes] = []
    blocks = tag_conll(stub_predictor(), os.fdopen(stream.fileno(), "rb", closefd=False), Layout(), path="-")
    reader = threading.Thread(target=lambda: found.extend(blocks))
    reader.start()
    time.sleep(0.3)
    stream.write_block(b"German\n")
    stream.finish()
    reader.join(20)
    stream.discard()
    assert found == [b"EU\tB-ORG\n\n", b"German\tB-MISC\n"]


def test_the_read_ahead_holds_few_long_sentences() -> None:
    data = (b"EU\n" * 8000 + b"\n") * 30
    sizes = [len(group) for group in tag_groups(stub_predictor(), read_sentences(io.BytesIO(data), Layout()))]
    assert sizes == [9, 9, 9, 3], "a group ends with the sentence that exceeds 65,536 lines"
    tokens_only = (Sentence(["EU"] * 8000, [], [], range(0), [], 0) for _ in range(30))
    assert [len(group) for group in tag_groups(stub_predictor(), tokens_only)] == [9, 9, 9, 3]


def test_an_error_of_the_caller_is_raised_after_the_sentences_before_it() -> None:
    def sentences() -> Iterator[Sentence]:
        for _ in range(9000):
            yield Sentence(["EU"], [], [], range(0), [], 0)
        raise RuntimeError("the caller's own")

    found = []
    with pytest.raises(RuntimeError, match="the caller's own"):
        found += tag_stream(stub_predictor(), sentences())
    found = []
    with pytest.raises(RuntimeError, match="the caller's own"):
        for pair in tag_stream(stub_predictor(), sentences()):
            found.append(pair)
    assert len(found) == 9000


# --- The cuts between chunks -----------------------------------------------------------------------------------------


def pieces_of(data: bytes, predictor: Predictor, max_lines: int) -> list[str]:
    sentences = read_sentences(io.BytesIO(data), Layout(), max_lines=max_lines)
    return [tag for _, tagged in tag_stream(predictor, sentences) for tag in tagged.tags]


def test_the_tag_before_a_chunk_comes_from_the_previous_chunk_and_not_from_its_context() -> None:
    # The context of the second chunk, up to 64 tokens into the third, ends with O, but Blackburn follows Peter.
    data = b"x\n" * 99 + b"Peter\n" + b"Blackburn\n" + b"x\n" * 250
    assert pieces_of(data, stub_predictor(), 100)[98:102] == ["O", "B-PER", "I-PER", "O"]


def test_no_context_crosses_a_docstart_line_between_chunks() -> None:
    predictor = neighbourhood_predictor(5, 64)
    first, second = long_sentence(100), long_sentence(160)[100:]
    lines = [*first, "-DOCSTART-", *second]
    found = pieces_of("".join(f"{token}\n" for token in lines).encode(), predictor, 100)
    expected = [tag for tagged in predictor.tag([first, second]) for tag in tagged.tags]
    assert found == expected
    assert predictor.tag([first + second])[0].tags != expected, "context across the line would change the tags"


def test_a_window_too_small_for_context_is_computed_once_and_cut_spans_continue() -> None:
    table, counted = fixed_logits(), []

    def score(sentences: Sequence[Ids], _: object) -> Logits:
        counted.extend(len(ids) for ids in sentences)
        return table[pad(sentences)[0]]

    predictor = stub_predictor(stub_manifest(max_length=7), score)
    found = pieces_of(b"x\nPeter\n" + b"Blackburn\n" * 300, predictor, 50)
    assert found == ["O", "B-PER"] + ["I-PER"] * 300
    assert sum(counted) == 302, "without context each token is seen once"


def test_the_rule_for_the_end_of_a_sentence_applies_only_there() -> None:
    # In IOBES a span may not end with B-, except at a cut, where the sentence continues.
    tags = ("O", "B-X", "E-X", "I-X", "S-X")
    logits = {"b": [0, 9, 0, 0, 8], "e": [0, 0, 9, 0, 8]}
    table = np.array([[9, 0, 0, 0, 0]] * 2 + [logits["b"], logits["e"]], np.float32)
    manifest = stub_manifest(scheme="IOBES", notation=Notation(scheme="IOBES"), max_length=4)
    encoder = Encoder(TokenVocabulary(("b", "e")))
    model = Model(Path(), manifest, encoder, TagVocabulary(tags), lambda some, _: table[pad(some)[0]])
    predictor = Predictor(model)
    assert (
        pieces_of(b"x\nb\ne\nx\n", predictor, 2)
        == predictor.tag([["x", "b", "e", "x"]])[0].tags
        == ["O", "B-X", "E-X", "O"]
    )
    assert pieces_of(b"x\nb\n", predictor, 2) == ["O", "S-X"]
