"""The sentences of a CoNLL file as candidates for labelling; the chosen ones keep their lines, and so does the rest."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import IO, Any, TypeVar

from tagger.corpus.conll import Sentence, read_sentences, write_sentence
from tagger.corpus.layout import Layout
from tagger.corpus.lines import is_blank
from tagger.corpus.schemes import NO_SCHEME
from tagger.errors import DataError
from tagger.formats.document import Document
from tagger.prediction.documents import Found, TaggedDocuments, Thresholds
from tagger.prediction.predictor import Predictor
from tagger.prediction.selection import Candidate, Selection, doubts_of
from tagger.prediction.stream import CHUNK_LINES, Tagged, check_encodable, tag_file

T = TypeVar("T")
Key = tuple[tuple[str, ...], ...]  # the columns of a sentence that a model reads


@dataclasses.dataclass(frozen=True, slots=True)
class Lines:
    """A sentence of a CoNLL file; more than one part only if it was cut because of its length.

    Attributes:
        parts: its parts with their tags.
    """

    parts: Sequence[Tagged]

    @property
    def line(self) -> int:
        """The number of the line with its first token."""
        return next(sentence.line_number(0) for sentence, _ in self.parts if sentence.tokens)

    @property
    def text(self) -> str:
        """Its tokens, joined by blanks."""
        return " ".join(token for sentence, _ in self.parts for token in sentence.tokens)

    @property
    def facts(self) -> dict[str, Any]:
        """What is known about its place beside the line, by name."""
        return {}

    @property
    def key(self) -> Key:
        """What makes two sentences equal to a model."""
        return key_of([sentence for sentence, _ in self.parts])


def key_of(parts: Sequence[Sentence]) -> Key:
    """Return what makes two sentences equal to a model: the columns that it reads."""
    columns = zip(*(part.columns for part in parts), strict=True)
    return tuple(tuple(cell for piece in column for cell in piece) for column in columns)


class UnlabelledLines:
    """The sentences of a CoNLL file.

    Args:
        predictor: the predictor that tags them.
        layout: the layout of the file.
        path: its name in messages.
    """

    def __init__(self, predictor: Predictor, layout: Layout, path: str) -> None:
        self._predictor, self._layout, self._path = predictor, layout, path
        self._has_spans = predictor.model.manifest.notation.scheme != NO_SCHEME

    def add_to(self, selection: Selection[Lines], stream: IO[bytes], warn: Callable[[str], None]) -> None:
        """Tag the sentences of a stream, and add them to a selection.

        Raises:
            DataError: the stream does not fit the layout.
        """
        groups = tag_file(
            self._predictor, stream, self._layout, path=self._path, probabilities=True, spans=True, warn=warn
        )
        tagged = itertools.chain.from_iterable(groups)
        whole = (parts for parts in _groups(tagged, lambda one: one[0]) if any(one.tokens for one, _ in parts))
        for position, parts in enumerate(whole):
            lines = Lines(parts)
            doubts = [doubt for _, of_it in parts for doubt in doubts_of(of_it, has_spans=self._has_spans)]
            key = lines.key
            selection.add(Candidate.of(position, key[0], doubts, lines), key)

    def block(self, lines: Lines, *, with_tags: bool) -> bytes:
        """Return the lines of a chosen sentence, with the predicted tag as one more column if wanted.

        The header of the file and `-DOCSTART-` lines are not part of it. A blank line ends it.

        Raises:
            DataError: the encoding cannot hold the model's tags.
        """
        if with_tags:
            check_encodable(self._predictor.spelled_tags, self._layout)
        blocks = []
        for sentence, tagged in lines.parts:
            own = _without(sentence, self._rows_of_file(sentence))
            columns = [list(map(self._predictor.spell, tagged.tags))]
            blocks.append(write_sentence(own, columns, self._layout) if with_tags else b"".join(own.lines))
        return _ended(b"".join(blocks))

    def document(self, lines: Lines) -> Document:
        """Return a chosen sentence as a document, with the spans of the model."""
        documents = TaggedDocuments(self._path, Found(self._predictor, Thresholds()))
        parts = [(dataclasses.replace(sentence, docstart_rows=[]), tagged) for sentence, tagged in lines.parts]
        (document,) = [*documents.add(parts), *documents.end()]
        return document

    def rest(self, stream: IO[bytes], chosen: Collection[Candidate[Lines]]) -> Iterator[bytes]:
        """Yield the lines of a stream but for those of the chosen sentences.

        Raises:
            DataError: the stream is not the one that the sentences were chosen from.
        """
        missing = {candidate.position: candidate.payload.key for candidate in chosen}
        position = -1
        sentences = read_sentences(stream, self._layout, path=self._path, max_lines=CHUNK_LINES)
        for parts in _groups(sentences, lambda sentence: sentence):
            if not any(part.tokens for part in parts):
                yield b"".join(line for part in parts for line in part.lines)
                continue
            position += 1
            key = missing.pop(position, None)
            if key is None:
                yield b"".join(line for part in parts for line in part.lines)
                continue
            if key_of(parts) != key:
                raise self._changed()
            yield b"".join(part.lines[row] for part in parts for row in self._rows_of_file(part))
        if missing:
            raise self._changed()

    def _changed(self) -> DataError:
        return DataError(
            "changed while it was read, expected the same sentences as before; run the command again", path=self._path
        )

    def _rows_of_file(self, sentence: Sentence) -> list[int]:
        """Return the indices of the lines that belong to the file, not to a sentence: header and boundaries."""
        rows = list(sentence.docstart_rows)
        if self._layout.header and not isinstance(sentence.token_rows, range):
            split, tokens = self._layout.splitter(), {*sentence.token_rows, *rows}
            for row, raw in enumerate(sentence.lines[: sentence.token_rows[0] if sentence.token_rows else None]):
                line = raw.rstrip(b"\r\n").decode(self._layout.encoding, "replace").removeprefix("\ufeff")
                if row not in tokens and line and self._layout.is_header(split(line), first=True):
                    rows.append(row)
        return sorted(rows)


def _without(sentence: Sentence, left_out: Sequence[int]) -> Sentence:
    """Return a sentence without some of its lines, none of which is a token."""
    if not left_out:
        return sentence
    gone = set(left_out)
    kept = [row for row in range(len(sentence.lines)) if row not in gone]
    now = {row: i for i, row in enumerate(kept)}
    return dataclasses.replace(
        sentence,
        lines=[sentence.lines[row] for row in kept],
        token_rows=[now[row] for row in sentence.token_rows],
        docstart_rows=[],
        delimiter=None,
    )


def _ended(block: bytes) -> bytes:
    """Return the lines of a sentence with a blank line at their end."""
    first = block[: block.find(b"\n") + 1]
    end = b"\r\n" if first.endswith(b"\r\n") else b"\n"
    if not block.endswith(b"\n"):
        block += end
    last = block[block.rfind(b"\n", 0, -1) + 1 :]
    return block if is_blank(last) else block + end


def _groups(items: Iterable[T], sentence_of: Callable[[T], Sentence]) -> Iterator[list[T]]:
    """Yield the parts of each sentence."""
    parts: list[T] = []
    for item in items:
        parts.append(item)
        if not sentence_of(item).continues:
            yield parts
            parts = []
    if parts:
        yield parts
