"""CoNLL-U written: the lines that a document kept, with entities that have changed, or new lines for its words."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tagger.corpus.notation import is_outside, parse_prefix
from tagger.corpus.schemes import OUTSIDE, UNTYPED, spans_from_tags
from tagger.errors import DataError
from tagger.formats.conllu_entities import PLAIN_COLUMNS, Source
from tagger.formats.conllu_lines import FIELD, Columns, Sentence, misc_of, parse_sentence, spelled, with_misc
from tagger.formats.document import Document, DocumentSpan, DocumentToken, WriteOptions, encoded
from tagger.formats.json_fields import error_at, shown
from tagger.formats.losses import has_plain_tags, report_losses, report_unfit
from tagger.formats.tag_writing import plain_tags, tags_of
from tagger.formats.tokens import Tokens, sentences_of

_KEY = "name"  # as in NorNE; spaCy reads it too
Indexed = set[tuple[str, int, int]]  # spans: type, first word, word after the last


def blocks(documents: Iterable[Document], options: WriteOptions) -> Iterator[bytes]:
    """Yield documents as lines of CoNLL-U.

    Raises:
        DataError: a document has no tokens, or something that CoNLL-U cannot hold.
    """
    grouped = False  # whether each document needs a line `# newdoc`, because one came before
    for document in documents:
        kept = _kept(document)
        lines = _Writer(document, kept, options).lines()
        if not lines:
            options.report(error_at(document.place, "documents without tokens are not kept"))
        has_newdoc = any(line.startswith("# newdoc") for line in lines)
        if lines and not has_newdoc and (kept is None or grouped):
            lines.insert(0, _newdoc(document, options))
            has_newdoc = True
        grouped = grouped or has_newdoc
        yield encoded("".join(f"{line}\n" for line in lines), document)


def _newdoc(document: Document, options: WriteOptions) -> str:
    if document.id is None:
        return "# newdoc"
    if _has_line_end(document.id):
        text = "a name of a document that holds a line end is not kept"
        options.report(error_at(document.place, text))
        return "# newdoc"
    return f"# newdoc id = {document.id}"


def _has_line_end(text: str) -> bool:
    return "\n" in text or "\r" in text


class _Kept(NamedTuple):
    """The lines that a document kept."""

    sentences: list[Sentence]
    source: Source


def _kept(document: Document) -> _Kept | None:
    """Return the lines that a document kept, or None if there are none for its sentences."""
    field = document.fields.get(FIELD)
    if not isinstance(field, dict) or not isinstance(field.get("sentences"), list):
        return None
    names: Any = field.get("columns", Columns().names)
    lines: list[Any] = field["sentences"]
    if len(lines) != len(document.sentences or ()) or not all(map(_are_lines, (*lines, names))):
        return None
    try:
        found = [parse_sentence(part, document.place, Columns(tuple(names))) for part in lines]
    except DataError:
        return None
    return _Kept(found, Source.of(field))


def _are_lines(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(text, str) and not _has_line_end(text) for text in value)


class _Writer:
    """The lines of one document."""

    def __init__(self, document: Document, kept: _Kept | None, options: WriteOptions) -> None:
        self._document, self._kept, self._options = document, kept, options
        self._sentences = sentences_of(document)
        self._source = Source() if kept is None else kept.source
        self._is_plain = not document.spans and has_plain_tags(document)

    def lines(self) -> list[str]:
        report_losses(self._document, self._options, "CoNLL-U", ("characters outside tokens", "probabilities"))
        spans, n_fitting = self._indexed()
        kept = [None] * len(self._sentences) if self._kept is None else self._kept.sentences
        same = [self._is_same(raw, tokens) for raw, tokens in zip(kept, self._sentences, strict=True)]
        changed = [raw is None or self._differs(raw, i, spans[i]) for i, raw in enumerate(kept)]
        if self._kept is not None and all(same) and not any(changed) and n_fitting == len(self._document.spans):
            return [line for sentence in self._kept.sentences for line in (*sentence.lines, "")]
        rows = tags_of(self._document, self._options.scheme, self._unfit)
        lines: list[str] = []
        for i, raw in enumerate(kept):
            if raw is None or not same[i]:
                lines += self._new(i, raw, rows[i])
            else:
                lines += self._changed(raw, rows[i]) if changed[i] else raw.lines
            lines += [""] if self._sentences[i] else []
        return lines

    def _report(self, text: str) -> None:
        self._options.report(error_at(self._document.place, text))

    def _unfit(self, span: DocumentSpan) -> None:
        report_unfit(self._document, self._options, span, "words")

    def _forms(self, tokens: Tokens) -> list[str]:
        return [self._document.covered(token) for token in tokens]

    def _is_same(self, raw: Sentence | None, tokens: Tokens) -> bool:
        return raw is not None and raw.cells("FORM") == self._forms(tokens)

    def _indexed(self) -> tuple[list[Indexed], int]:
        """Return the spans of each sentence, and how many of the document's they are."""
        starts = {token.start: (s, i) for s, tokens in enumerate(self._sentences) for i, token in enumerate(tokens)}
        ends = {token.end: (s, i + 1) for s, tokens in enumerate(self._sentences) for i, token in enumerate(tokens)}
        found: list[Indexed] = [set() for _ in self._sentences]
        n_fitting = 0
        for span in self._document.spans:
            first, last = starts.get(span.start), ends.get(span.end)
            if first is not None and last is not None and first[0] == last[0]:
                found[first[0]].add((span.type, first[1], last[1]))
                n_fitting += 1
        return found, n_fitting

    def _differs(self, raw: Sentence, i: int, spans: Indexed) -> bool:
        """Return whether the lines of a sentence say something else than the document."""
        if self._is_plain:
            return raw.cells(self._plain_column) != (plain_tags(self._sentences[i]) or [])
        return self._old_spans(raw) != spans

    @property
    def _plain_column(self) -> str:
        return self._source.column or "UPOS"

    def _old_spans(self, raw: Sentence) -> Indexed:
        if self._source.type_part is not None:
            return {found for found in self._source.bracketed(raw) if not isinstance(found, str)}
        if self._source.column in PLAIN_COLUMNS:
            return set()
        spans = spans_from_tags([_canonical(tag) for tag in self._source.tags(raw)])
        return {(span.type, span.start, span.end) for span in spans}

    def _changed(self, raw: Sentence, tags: list[str]) -> list[str]:
        """Return the lines of a sentence with other tags."""
        if self._source.type_part is not None:
            self._report("the brackets of Entity= stay as they were; the new entities are under name=")
        lines = list(raw.lines)
        for word, tag in zip(raw.words, tags, strict=True):
            cells = dict(zip(raw.columns.names, word.cells, strict=True))
            lines[word.row] = "\t".join(self._with_tag(cells, tag).values())
        return lines

    def _with_tag(self, cells: dict[str, str], tag: str) -> dict[str, str]:
        """Return the columns of a word with a tag."""
        if any(sign in tag for sign in "\t\n\r|") or not tag:
            text = f"found the tag {shown(tag)}, which CoNLL-U cannot hold, expected no TAB, line end or |; rename it"
            raise error_at(self._document.place, text)
        column = self._source.column
        if self._is_plain or (column is not None and column not in PLAIN_COLUMNS):
            column = column or "UPOS"
            if column in cells:
                return cells | {column: tag}
        key = self._source.key or _KEY
        if "MISC" not in cells:
            self._report("the file has no column MISC, so that changed entities are left out")
            return cells
        has_key = key in misc_of(cells["MISC"])
        return cells | {"MISC": with_misc(cells["MISC"], key, tag if tag != OUTSIDE or has_key else None)}

    def _new(self, i: int, raw: Sentence | None, tags: list[str]) -> list[str]:
        """Return new lines for a sentence; of its old ones, only comments are kept."""
        tokens, document = self._sentences[i], self._document
        if not tokens:
            return []
        lines: list[str] = []
        names = Columns().names
        if raw is not None:
            self._report("the columns of a sentence whose words have changed are not kept")
            names = raw.columns.names
            lines = [line for line in raw.lines if line.startswith("#") and not line.startswith("# text =")]
        text = document.text[tokens[0].start : tokens[-1].end]
        if not _has_line_end(text):
            lines.append(f"# text = {text}")
        for number, (token, tag) in enumerate(zip(tokens, tags, strict=True), start=1):
            values = {"ID": str(number), "FORM": self._form(token), "MISC": self._blanks(token)}
            cells = {name: values.get(name, "_") for name in names}
            lines.append("\t".join(self._with_tag(cells, tag).values()))
        return lines

    def _form(self, token: DocumentToken) -> str:
        form = self._document.covered(token)
        if "\t" in form or _has_line_end(form):
            text = f"found the token {shown(form)}, which CoNLL-U cannot hold, expected no TAB or line end; cut it"
            raise error_at(self._document.place, text)
        return form

    def _blanks(self, token: DocumentToken) -> str:
        """Return MISC of a new line, which says the blanks around the word."""
        text, misc = self._document.text, "_"
        before = text[: token.start]
        if token == self._all[0] and before and not before.strip():
            misc = with_misc(misc, "SpacesBefore", spelled(before))
        following = self._following.get(token.end)
        after = text[token.end : following]
        if after.strip() or after == ("" if following is None else " "):
            return misc
        return with_misc(misc, *(("SpaceAfter", "No") if not after else ("SpacesAfter", spelled(after))))

    @functools.cached_property
    def _all(self) -> Tokens:
        return self._document.tokens

    @functools.cached_property
    def _following(self) -> dict[int, int]:
        """The beginning of the token after the one that ends at a character."""
        return {token.end: following.start for token, following in itertools.pairwise(self._all)}


def _canonical(tag: str) -> str:
    if is_outside(tag):
        return OUTSIDE
    prefix, entity_type = parse_prefix(tag)
    return f"{'I' if prefix in (None, 'M') else prefix}-{entity_type or UNTYPED}"
