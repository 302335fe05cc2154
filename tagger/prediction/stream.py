"""Tagging of streams: sentences are read ahead and tagged in groups.

A CoNLL stream is returned with its tags as a further column.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from tagger.corpus.conll import PAUSE, Sentence, read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.schemes import OUTSIDE
from tagger.errors import DataError
from tagger.prediction.doubts import InputDoubts
from tagger.prediction.jobs import Started
from tagger.prediction.predictor import Predictor, TaggedSentence
from tagger.prediction.scored_spans import scored_spans

N_UNDERWAY = 2  # groups that are tagged while the next group is read and the previous group is written
READ_AHEAD_SENTENCES = 4096  # sentences that are batched by length together; with fewer, batches have more padding
_READ_AHEAD_LINES = 65536  # a group is complete at this number of lines, even if it has fewer sentences
CHUNK_LINES = 8192  # a sentence with more lines is read and tagged in chunks


Tagged = tuple[Sentence, TaggedSentence]
_NONE = "_"  # in the column of a sequence that a sentence does not have
_CUT = (
    f"--nbest: found a sentence with more than {CHUNK_LINES} lines, which is tagged in parts, expected shorter ones;"
    " leave the option out"
)


def tag_stream(
    predictor: Predictor, sentences: Iterable[Sentence], *, probabilities: bool = True, spans: bool = False
) -> Iterator[Tagged]:
    """Tag sentences as they come, in order."""
    return itertools.chain.from_iterable(tag_groups(predictor, sentences, probabilities=probabilities, spans=spans))


def tag_groups(
    predictor: Predictor,
    sentences: Iterable[Sentence],
    read_ahead: int = READ_AHEAD_SENTENCES,
    *,
    n_underway: int = N_UNDERWAY,
    probabilities: bool = True,
    spans: bool = False,
    n_best: int = 0,
) -> Iterator[list[Tagged]]:
    """Tag sentences as they come, in order, up to `read_ahead` of them at a time.

    When the stream pauses, nothing is held back. A sentence that was cut during reading (`continues`) is tagged chunk
    by chunk. Each chunk has the tokens of its neighbors as context, and its tags may follow the tags before it.

    Args:
        predictor: the predictor that tags the sentences.
        sentences: the stream of sentences.
        read_ahead: the most sentences to read before they are tagged.
        n_underway: the number of groups that are tagged in other threads while the next group is read.
        probabilities: whether to compute the probabilities of the tags as well.
        spans: whether to compute the probabilities of the spans and of the sentences as well.
        n_best: the number of likeliest sequences to compute as well; none for sentences that were cut.

    Yields:
        The sentences of a group with their tags.

    Raises:
        Exception: any error that `sentences` raises, after all sentences before it have been yielded.
        ModelError: the network failed; this is raised at once.
    """
    failures: list[Exception] = []
    how: dict[str, Any] = {"probabilities": probabilities, "spans": spans}
    stream = until_error(sentences, failures)
    started: collections.deque[tuple[list[Sentence], Started[TaggedSentence]]] = collections.deque()

    def give_back(at_most: int) -> Iterator[list[Tagged]]:
        while len(started) > at_most:
            group, tagging = started.popleft()
            yield list(zip(group, tagging.result(), strict=True))

    try:
        for group, is_cut in groups(stream, read_ahead):
            if is_cut:
                yield from give_back(0)
                for tagged in _tag_chunks(predictor, itertools.chain(group, rest_of_sentence(stream)), how):
                    yield [tagged]
            elif not group:
                yield from give_back(0)
            else:
                started.append((group, predictor.start([sentence.columns for sentence in group], n_best=n_best, **how)))
                yield from give_back(n_underway)
        yield from give_back(0)
    finally:
        for _, tagging in started:
            tagging.cancel()
    if failures:
        raise failures[0]


def _tag_chunks(predictor: Predictor, chunks: Iterable[Sentence], how: dict[str, bool]) -> Iterator[Tagged]:
    """Tag one sentence that is read in chunks, with two chunks in memory at a time."""
    n_context = predictor.n_context
    nothing: list[list[str]] = [[] for _ in range(1 + predictor.model.encoder.n_in_file)]
    before, last_tag = nothing, None
    for chunk, following in with_next(chunks):
        if chunk.follows_docstart:
            before, last_tag = nothing, None
        if not chunk.tokens:
            yield chunk, TaggedSentence([], [])
            continue
        continues = following is not None and not following.follows_docstart
        after = [column[:n_context] for column in following.columns] if following and continues else nothing
        tagged, last_tag = predictor.tag_chunk(before, chunk.columns, after, last_tag, continues=continues, **how)
        yield chunk, tagged
        before = [[*a, *b][-n_context:] for a, b in zip(before, chunk.columns, strict=True)] if n_context else before


def until_error(sentences: Iterable[Sentence], failures: list[Exception]) -> Iterator[Sentence]:
    """Yield the sentences up to an error, and append the error to `failures`."""
    try:
        yield from sentences
    except Exception as error:  # any error, because the caller raises it again
        failures.append(error)


def groups(stream: Iterable[Sentence], read_ahead: int) -> Iterator[tuple[list[Sentence], bool]]:
    """Yield groups of up to `read_ahead` sentences, or fewer if they are long, each with a mark.

    The mark is true only if the group is the first chunk of a sentence that was cut; such a chunk is always a group of
    its own. At a pause, the sentences read so far form a group, and an empty group follows.
    """
    group: list[Sentence] = []
    n_lines = 0
    for sentence in stream:
        if sentence.continues or sentence is PAUSE:
            if group:
                yield group, False
            yield ([sentence], True) if sentence.continues else ([], False)
            group, n_lines = [], 0
            continue
        group.append(sentence)
        n_lines += max(len(sentence.lines), len(sentence.tokens))
        if len(group) >= read_ahead or n_lines >= _READ_AHEAD_LINES:
            yield group, False
            group, n_lines = [], 0
    if group:
        yield group, False


def rest_of_sentence(stream: Iterator[Sentence]) -> Iterator[Sentence]:
    """Yield the remaining chunks of a sentence whose first chunk has been read."""
    for sentence in stream:
        if sentence is PAUSE:
            continue
        yield sentence
        if not sentence.continues:
            return


def with_next(chunks: Iterable[Sentence]) -> Iterator[tuple[Sentence, Sentence | None]]:
    """Yield each chunk with the chunk after it, or with None at the end."""
    earlier, later = itertools.tee(chunks)
    next(later, None)
    return itertools.zip_longest(earlier, later)


def tag_file(
    predictor: Predictor,
    stream: IO[bytes],
    layout: Layout,
    *,
    path: str,
    probabilities: bool,
    spans: bool = False,
    n_best: int = 0,
    line_buffered: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Iterator[list[Tagged]]:
    """Tag the sentences of a CoNLL stream; the arguments are those of `tag_groups` and `tag_conll`.

    Yields:
        The sentences of a group with their tags.
    """
    sentences = read_sentences(stream, layout, path=path, max_lines=CHUNK_LINES, pauses=True)
    if warn is not None:
        sentences = InputDoubts(predictor.model.encoder, layout, path, warn).watch(sentences)
    how = {"read_ahead": 1, "n_underway": 0} if line_buffered else {}
    tagged = tag_groups(predictor, sentences, probabilities=probabilities, spans=spans, n_best=n_best, **how)
    return _uncut(tagged, path) if n_best else tagged


def _uncut(groups: Iterable[list[Tagged]], path: str) -> Iterator[list[Tagged]]:
    """Yield groups of sentences, or raise DataError for one that was tagged in parts, which is a group of its own."""
    for group in groups:
        for sentence, _ in group:
            if sentence.continues and sentence.tokens:
                raise DataError(_CUT, path=path, line=sentence.first_line)
        yield group


def tag_conll(
    predictor: Predictor,
    stream: IO[bytes],
    layout: Layout,
    *,
    path: str,
    scores: bool = False,
    span_scores: bool = False,
    n_best: int = 0,
    line_buffered: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Iterator[bytes]:
    """Tag a CoNLL stream: add the predicted tag as one more column, and its probability if requested.

    When a pipe pauses, the complete sentences are yielded before this function waits for more input.

    Args:
        predictor: the predictor that tags the sentences.
        stream: the CoNLL stream.
        layout: the layout of the stream.
        path: the name of the stream in messages.
        scores: whether to write the probability of each tag.
        span_scores: whether to write the probability of the span that each token is in; outside spans, that of its tag.
        n_best: the number of likeliest sequences to write, each as a column, instead of the tags alone; `_` where a
            sentence has fewer.
        line_buffered: tag each sentence as soon as it is read, for a stream that delivers its sentences slowly.
        warn: called with each sign that the stream is not what the model was trained on.

    Yields:
        The bytes of all sentences of a group.

    Raises:
        DataError: the stream does not fit the layout, or its encoding cannot hold the model's tags.
    """
    check_encodable(predictor.spelled_tags, layout)
    outside = predictor.spell(OUTSIDE)
    for group in tag_file(
        predictor,
        stream,
        layout,
        path=path,
        probabilities=scores or span_scores,
        spans=span_scores,
        n_best=n_best,
        line_buffered=line_buffered,
        warn=warn,
    ):
        blocks = []
        for sentence, tagged in group:
            rows = [one.tags for one in tagged.alternatives] if n_best else [tagged.tags]
            added = [list(map(predictor.spell, tags)) for tags in rows]
            added += [[_NONE] * len(tagged.tags)] * (n_best - len(rows))
            docstart = [outside] * max(1, n_best)
            if scores:
                added.append([f"{probability:.4f}" for probability in tagged.probabilities])
                docstart.append("1.0000")
            if span_scores:
                added.append([f"{probability:.4f}" for probability in _of_spans(tagged)])
                docstart.append("1.0000")
            blocks.append(write_sentence(sentence, added, layout, docstart_columns=docstart))
        yield b"".join(blocks)


def _of_spans(tagged: TaggedSentence) -> list[float]:
    """Return the probability of the span that each token is in, or of its tag if it is in none."""
    probabilities = list(tagged.probabilities)
    for span in scored_spans(tagged):
        probabilities[span.start : span.end] = [span.score] * (span.end - span.start)
    return probabilities


def check_encodable(tags: Iterable[str], layout: Layout) -> None:
    """Raise DataError if the encoding of a layout cannot hold one of the tags."""
    for tag in tags:
        try:
            tag.encode(layout.encoding)
        except UnicodeEncodeError:
            raise DataError(
                f"encoding: {layout.encoding} cannot represent the model's tag {tag!r}; convert the file to utf-8 first"
            ) from None
