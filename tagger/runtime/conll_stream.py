"""A CoNLL stream in, the same stream with tags out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import IO

from tagger.corpus.conll import read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.schemes import OUTSIDE
from tagger.errors import DataError
from tagger.runtime.predictor import Predictor

PIECE_LINES = 8192  # a sentence of more lines is read and tagged in pieces


def tag_conll(
    predictor: Predictor,
    stream: IO[bytes],
    layout: Layout,
    *,
    path: str,
    scores: bool = False,
    line_buffered: bool = False,
) -> Iterator[bytes]:
    """A CoNLL stream with the predicted tag (and its score) as a further column.

    When a pipe pauses, the sentences that have ended are given back before it is waited for.

    Args:
        line_buffered: tag each sentence as soon as it is read, for a stream that trickles.

    Yields:
        The bytes of all sentences that were tagged together.

    Raises:
        DataError: the stream does not fit the layout, or its encoding cannot hold the model's tags.
    """
    _check_encodable(predictor.spelled_tags, layout)
    outside = predictor.spell(OUTSIDE)
    sentences = read_sentences(stream, layout, path=path, max_lines=PIECE_LINES, pauses=True)
    how = {"window": 1, "ahead": 0} if line_buffered else {}
    for window in predictor.tag_windows(sentences, scores=scores, **how):
        blocks = []
        for sentence, tagged in window:
            added = [list(map(predictor.spell, tagged.tags))]
            docstart = [outside]
            if scores:
                added.append([f"{score:.4f}" for score in tagged.scores])
                docstart.append("1.0000")
            blocks.append(write_sentence(sentence, added, layout, docstart_columns=docstart))
        yield b"".join(blocks)


def _check_encodable(tags: Iterable[str], layout: Layout) -> None:
    for tag in tags:
        try:
            tag.encode(layout.encoding)
        except UnicodeEncodeError:
            raise DataError(
                f"encoding: {layout.encoding} cannot hold the model's tag {tag!r}; convert the file to utf-8 first"
            ) from None
