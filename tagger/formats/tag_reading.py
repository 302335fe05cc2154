"""Tags read into documents: the notation of a file, and the spans that the tags of its tokens mark.

`read_tags` reads documents that come one by one, each at its place, and needs the file only once. `TagReader` reads
files of nothing but sentences with tags; it goes through all of them first.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tagger.corpus.columns import NUMBERS_AS_TAGS
from tagger.corpus.gold import tags_in
from tagger.corpus.lines import shown_name
from tagger.corpus.notation import BadTag, Notation, looks_unknown, parse_prefix, remedy_elsewhere
from tagger.corpus.notation_detection import detect_notation
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNTYPED, spans_from_tags
from tagger.errors import DataError
from tagger.formats.document import Document, DocumentSpan, Place, ReadOptions
from tagger.formats.tokens import Tokens, joined, with_tags
from tagger.wording import abridged

_READ_AHEAD = 1000  # documents from whose tags the notation is found


class Draft(NamedTuple):
    """A document whose spans are still to be read from the tags of its sentences, if it has tags."""

    text: str
    place: Place
    sentences: tuple[Tokens, ...] | None = None
    tags: Sequence[Sequence[str]] | None = None
    spans: tuple[DocumentSpan, ...] = ()
    id: str | None = None
    fields: Mapping[str, Any] = {}

    def document(self, spans: Iterable[DocumentSpan], sentences: tuple[Tokens, ...] | None) -> Document:
        """Return the document with its spans and tokens."""
        return Document(
            text=self.text, spans=tuple(spans), sentences=sentences, id=self.id, fields=self.fields, place=self.place
        )


class _Meaning:
    """The meaning of tags in the notation of their file.

    Args:
        notation: the notation.
        unknown: returns the canonical form of a tag that does not fit the notation, or raises the error at its place.
        layers: returns the tags of a sentence for each layer of spans, if tags can name several.
    """

    def __init__(
        self,
        notation: Notation,
        unknown: Callable[[str, Place], str],
        layers: Callable[[Sequence[str]], Iterable[Sequence[str]]] = lambda tags: (tags,),
    ) -> None:
        self._notation, self._unknown, self._layers = notation, unknown, layers
        self._canonical: dict[str, str] = {}

    def document(self, draft: Draft) -> Document:
        """Return a draft as a document: with spans, or with the tags at the tokens if they are plain tags."""
        sentences, tags = draft.sentences, draft.tags
        if sentences is None or tags is None:
            return draft.document(draft.spans, sentences)
        if self._notation.scheme == NO_SCHEME:
            return draft.document(draft.spans, tuple(map(with_tags, sentences, tags)))
        spans = list(draft.spans)
        for tokens, spelled in zip(sentences, tags, strict=True):
            for layer in self._layers(spelled):
                if layer.count(OUTSIDE) < len(layer):
                    spans += self._spans(tokens, layer, draft.place)
        return draft.document(spans, sentences)

    def _spans(self, tokens: Tokens, tags: Sequence[str], place: Place) -> Iterator[DocumentSpan]:
        known = self._canonical
        for span in spans_from_tags([known.get(tag) or self._read(tag, place) for tag in tags]):
            yield DocumentSpan(span.type, tokens[span.start].start, tokens[span.end - 1].end)

    def _read(self, tag: str, place: Place) -> str:
        try:
            canonical = self._notation.canonical(tag)
        except ValueError:
            canonical = self._unknown(tag, place)
        self._canonical[tag] = canonical
        return canonical


def _notation(
    tags: Iterable[Sequence[str]], path: str, options: ReadOptions, located: Callable[[BadTag], DataError]
) -> tuple[Notation, list[str]]:
    """Return the notation of tags and notes on it; `located` returns the error for a tag that does not fit."""
    try:
        return detect_notation(tags, options.scheme)
    except BadTag as bad:
        raise located(bad) from None
    except DataError as error:
        if not error.message.startswith("scheme: "):
            raise  # it comes from reading the file
        raise DataError(error.message, path=path, detail=error.detail) from None


def read_tags(drafts: Iterable[Draft], options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of drafts; the notation of their tags is found from the first ones that have tags.

    Raises:
        DataError: a tag does not fit the scheme.
    """
    rest = iter(drafts)
    for draft in rest:
        if draft.tags is None:
            yield draft.document(draft.spans, draft.sentences)
            continue
        first = [draft, *itertools.islice(rest, _READ_AHEAD - 1)]
        meaning = _meaning_of(first, options)
        yield from map(meaning.document, itertools.chain(first, rest))


def _meaning_of(drafts: Sequence[Draft], options: ReadOptions) -> _Meaning:
    place = drafts[0].place

    def located(bad: BadTag) -> DataError:
        with_it = (draft.place for draft in drafts if any(bad.tag in tags for tags in draft.tags or ()))
        return _unfit(bad.tag, bad.scheme, _remedy_elsewhere(bad) or bad.remedy, next(with_it, place))

    def late(tag: str, place: Place) -> str:
        """Return the canonical form of a tag whose prefix the first documents did not have."""
        prefix, entity_type = parse_prefix(tag, suffix=notation.suffix)
        if prefix is None or options.scheme != "auto":
            bad = BadTag([tag], notation.scheme)
            raise _unfit(tag, bad.scheme, _remedy_elsewhere(bad) or bad.remedy, place) from None
        return f"{'I' if prefix == 'M' else prefix}-{entity_type or UNTYPED}"

    notation, notes = _notation([tags for draft in drafts for tags in draft.tags or ()], place.path, options, located)
    for note in notes:
        options.note(note)
    return _Meaning(notation, late)


def _remedy_elsewhere(bad: BadTag) -> str | None:
    """Return the advice on a tag such as `?`; None for others."""
    return remedy_elsewhere(bad.tag) if looks_unknown(bad.tag) else None


def _unfit(tag: str, scheme: str, remedy: str, place: Place) -> DataError:
    text = f"found the tag {abridged(tag, 80)!r}, which does not fit the scheme {scheme}; {remedy}"
    return DataError(text, path=place.path, line=place.line)


@dataclasses.dataclass(slots=True)
class TaggedSentence:
    """A sentence of a file.

    Attributes:
        tokens: its tokens.
        tags: the tag of each token as the file spells it; empty if the file has no tags.
        lines: the number of the line of each token.
    """

    tokens: Sequence[str]
    tags: Sequence[str]
    lines: Sequence[int]


def refuse_doubts(doubts: Sequence[str], path: str | Path, options: ReadOptions) -> None:
    """Raise DataError for doubts about the columns of a file, unless names for its numbers remove them.

    Args:
        doubts: why the file may have been misread, as `Detected.doubts`.
    """
    numbers = [text.startswith(NUMBERS_AS_TAGS) for text in doubts]
    left = [text for text, is_number in zip(doubts, numbers, strict=True) if not (is_number and options.names)]
    if not left:
        return
    raise DataError(left[0], path=shown_name(path), detail=left[1:])


class TagReader:
    """The meaning of the tags of a file: their notation, which is found by reading all of them once.

    Args:
        path: the file.
        sentences: returns the sentences of the file from its beginning.
        options: the settings for reading.

    Raises:
        DataError: a tag does not fit, or it is unclear what the tags mean.
    """

    def __init__(
        self, path: str | Path, sentences: Callable[[], Iterable[TaggedSentence]], options: ReadOptions
    ) -> None:
        self._path, self._sentences, self._names = shown_name(path), sentences, options.names
        self._parts: dict[str, list[str]] = {}  # tag → the tags that it names
        notation, notes = _notation(
            self._all_layers(),
            self._path,
            options,
            lambda bad: bad.located(self._lines_with(bad.tag), _remedy_elsewhere(bad)),
        )
        if self._parts and notation.scheme != NO_SCHEME:
            options.note(f"scheme of the tags: {notation.describe()}")
        for text in notes:
            options.note(text)
        several = next((tag for tag, parts in self._parts.items() if len(parts) > 1), None)
        if several is not None:
            options.note(f"tokens have several tags, such as {several}: they are read as layers of nested spans")
        self._meaning = _Meaning(notation, self._changed, self._layers)

    def document(
        self, sentences: Iterable[TaggedSentence], *, id: str | None = None, fields: Mapping[str, Any] | None = None,
        line: int = 0,
    ) -> Document:  # fmt: skip
        """Return sentences as a document: tokens are joined by spaces, and sentences by line ends.

        Args:
            sentences: the sentences, each with at least one token.
            id, fields: as in `Document`.
            line: the line where the document begins.
        """
        sentences = list(map(self._with_names, sentences))
        for sentence in sentences:
            if "" in sentence.tokens:
                raise DataError(
                    "found an empty token, expected a word; fix the line, or name the token column",
                    path=self._path,
                    line=sentence.lines[sentence.tokens.index("")],
                )
        text, tokens = joined(sentence.tokens for sentence in sentences)
        tags = [sentence.tags for sentence in sentences]
        draft = Draft(text, Place(self._path, line), tokens, tags if any(tags) else None, id=id, fields=fields or {})
        return self._meaning.document(draft)

    def _changed(self, tag: str, place: Place) -> str:
        text = f"has changed while it was read: found the tag {tag!r}; run the command again"
        raise DataError(text, path=self._path) from None  # it was fine in the first pass

    def _all_layers(self) -> Iterator[Sequence[str]]:
        for sentence in map(self._with_names, self._sentences()):
            for tag in sentence.tags:
                if tag not in self._parts:
                    self._parts[tag] = tags_in(tag)
            yield from self._layers(sentence.tags)

    def _layers(self, tags: Sequence[str]) -> list[list[str]]:
        """Return the tags of a sentence: more than one list if a tag such as `B-PER|B-LOC` names several."""
        parts = [self._parts.get(tag) or [tag] for tag in tags]
        depth = max(map(len, parts), default=1)
        return [[names[i] if i < len(names) else OUTSIDE for names in parts] for i in range(depth)]

    def _with_names(self, sentence: TaggedSentence) -> TaggedSentence:
        """Return a sentence with the names of its tags, if the file numbers them."""
        if not self._names or not sentence.tags:
            return sentence
        tags = [self._named(tag, line) for tag, line in zip(sentence.tags, sentence.lines, strict=True)]
        return TaggedSentence(sentence.tokens, tags, sentence.lines)

    def _named(self, tag: str, line: int) -> str:
        if not tag.lstrip("-").isdecimal():
            return tag
        if tag.isascii() and tag.isdecimal() and int(tag) < len(self._names):
            return self._names[int(tag)]
        raise DataError(
            f"found the tag {tag!r}, expected a number from 0 to {len(self._names) - 1}, since {len(self._names)} names"
            " are given; give all names, or none",
            path=self._path,
            line=line,
        )

    def _lines_with(self, tag: str) -> Iterator[tuple[str, int, str]]:
        for sentence in map(self._with_names, self._sentences()):
            for token, own, line in zip(sentence.tokens, sentence.tags, sentence.lines, strict=True):
                if tag in self._parts.get(own, (own,)):
                    yield self._path, line, token
