"""CoNLL-U: words with ten columns, whose entities are in the last one, MISC (`name=B-PER`).

Words are read from FORM. Ranges of multiword tokens (`1-2`) and empty nodes (`8.1`) are not tokens. The entities are
the values of the MISC key that holds tags of spans (`name`, `NE`, …), or the brackets of `Entity=` as `# global.Entity`
describes them (GUM, CorefUD). A file without either has its parts of speech (UPOS) as plain tags. Files with
`# global.columns` (CoNLL-U Plus) are read too.

`# newdoc` begins a document; without it, each sentence is one. The text is that of `# text` if it has nothing but
blanks beside the words, otherwise it is made of the words, SpaceAfter=No and SpacesAfter=. All lines are kept in the
document, and written back to CoNLL-U as they were, except for line ends and for entities that have changed.

No library reads the lines, because both that could lose some of them: conllu 6.0 (last release in October 2024) cuts
`a=b=c` in MISC to `a=b`, takes two spaces in a word for a column, and keeps one of two equal keys or comments; pyconll
sorts FEATS and MISC, and its version 4 needs Python 3.14. The tests compare the words with those that conllu reads.
"""

from __future__ import annotations

import codecs
import collections
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from tagger.corpus.columns import misc_keys
from tagger.corpus.encodings import wrong_byte
from tagger.corpus.layout import check_encoding
from tagger.corpus.lines import is_blank, open_corpus, read_lines, shown_name
from tagger.formats.conllu_entities import PLAIN_COLUMNS, Source, type_part
from tagger.formats.conllu_lines import FIELD, Columns, Sentence, is_number, misc_of, parse_sentence, spaces_of
from tagger.formats.conllu_written import blocks
from tagger.formats.document import Document, DocumentSpan, DocumentToken, Format, Place, ReadOptions
from tagger.formats.json_fields import error_at
from tagger.formats.tag_reading import Draft, read_tags
from tagger.formats.tokens import Tokens, located, with_tags

_READ_AHEAD = 1000  # sentences in which the key of the entities is looked for


def read(path: Path, options: ReadOptions) -> Iterator[Document]:
    """Yield the documents of a file.

    Raises:
        DataError: the file is not CoNLL-U.
    """
    return read_tags(_drafts(path, options), options)


def _drafts(path: Path, options: ReadOptions) -> Iterator[Draft]:
    sentences = _sentences(path, options)
    first = list(itertools.islice(sentences, _READ_AHEAD))
    if not first:
        return
    source = _source(first, options)
    together: list[Sentence] = []
    in_document = False
    for sentence in itertools.chain(first, sentences):
        begins, _ = sentence.newdoc
        if together and (begins or not in_document):
            yield _draft(together, source, options)
            together = []
        in_document = in_document or begins
        together.append(sentence)
    yield _draft(together, source, options)


def _sentences(path: Path, options: ReadOptions) -> Iterator[Sentence]:
    check_encoding(options.encoding)
    name = shown_name(path)
    columns = Columns()
    lines: list[str] = []
    with open_corpus(path) as stream:
        # A blank line after the last one ends its sentence.
        for number, line in enumerate(itertools.chain(read_lines(stream, path=name), [b"\n"]), start=1):
            if number == 1:
                line = line.removeprefix(codecs.BOM_UTF8)
            if line and not is_blank(line):
                lines.append(_decoded(line, path, number, options.encoding))
                continue
            if lines:
                place = Place(name, number - len(lines))
                columns = _columns(lines, columns)
                sentence = parse_sentence(lines, place, columns)
                if sentence.words:
                    yield sentence
                else:
                    text = "comments without a sentence are not kept"
                    options.report(error_at(place, text))
            lines = []


def _decoded(line: bytes, path: Path, number: int, encoding: str) -> str:
    try:
        return line.rstrip(b"\r\n").decode(encoding)
    except UnicodeDecodeError as error:
        raise wrong_byte(path, number, error) from None


def _columns(lines: Sequence[str], columns: Columns) -> Columns:
    """Return the columns that the comments of a sentence declare, or else those of the sentences before."""
    declared = next((line for line in lines if line.startswith("# global.columns =")), None)
    return columns if declared is None else Columns(tuple(declared.partition("=")[2].split()))


def _source(sentences: Sequence[Sentence], options: ReadOptions) -> Source:
    """Find out where the entities are."""
    named = options.columns.get("tag")
    names = sentences[0].columns.names
    if isinstance(named, int) and -len(names) <= named < len(names):
        named = names[named]
    if named is not None:
        return Source(column=str(named).upper()) if str(named).upper() in names else Source(key=str(named))
    cells = collections.Counter(cell for sentence in sentences for cell in sentence.cells("MISC"))
    keys = misc_keys(cells)
    if keys:
        others = f"; other keys that look like tags: {', '.join(keys[1:])} (data.columns.tag)" if keys[1:] else ""
        options.note(f"the entities are the values of {keys[0]}= in MISC{others}")
        return Source(key=keys[0])
    declared = next((found for sentence in sentences if (found := sentence.comment("global.Entity"))), "")
    part = type_part(declared)
    if part is not None:
        options.note("the entities are the brackets of Entity= in MISC")
        return Source(type_part=part)
    options.note("no entities: the tags are the parts of speech (UPOS)")
    return Source(column="UPOS")


def _draft(sentences: Sequence[Sentence], source: Source, options: ReadOptions) -> Draft:
    text, tokens = _text(sentences, options)
    begins, name = sentences[0].newdoc
    names = sentences[0].columns.names
    kept = {name: value for name, value in source._asdict().items() if value is not None}
    kept |= {} if names == Columns().names else {"columns": list(names)}
    kept["sentences"] = [sentence.lines for sentence in sentences]
    tags = None if source.type_part is not None else [source.tags(sentence) for sentence in sentences]
    if tags is not None and source.column in PLAIN_COLUMNS:
        tokens, tags = tuple(map(with_tags, tokens, tags)), None
    return Draft(
        text,
        sentences[0].place,
        tokens,
        tags,
        tuple(_bracketed(sentences, tokens, source, options)),
        name if begins else sentences[0].comment("sent_id"),
        {FIELD: kept},
    )


def _bracketed(
    sentences: Sequence[Sentence], tokens: Sequence[Tokens], source: Source, options: ReadOptions
) -> Iterator[DocumentSpan]:
    for sentence, of_it in zip(sentences, tokens, strict=True):
        for found in source.bracketed(sentence):
            if isinstance(found, str):
                common = "brackets of Entity= that are not read"
                options.report(error_at(sentence.place, found, common=common))
            else:
                entity_type, first, end = found
                yield DocumentSpan(entity_type, of_it[first].start, of_it[end - 1].end)


def _text(sentences: Sequence[Sentence], options: ReadOptions) -> tuple[str, tuple[Tokens, ...]]:
    """Return the text of a document, and the words of its sentences in it."""
    text = spaces_of(_misc(sentences[0], 0), "SpacesBefore") or ""
    tokens: list[Tokens] = []
    after: str | None = ""
    for sentence in sentences:
        text += " " if after is None else after
        forms = sentence.cells("FORM")
        if not all(forms):
            raise error_at(sentence.place, "found a word without a form, expected a text in column FORM; fix the line")
        of_it, placed, after = _placed(forms, sentence, options)
        tokens.append(tuple(DocumentToken(token.start + len(text), token.end + len(text)) for token in placed))
        text += of_it
    # Only blanks that are spelled out end a document.
    misc = _misc(sentences[-1], len(sentences[-1].words) - 1)
    return text + (spaces_of(misc) or ""), tuple(tokens)


def _placed(forms: list[str], sentence: Sentence, options: ReadOptions) -> tuple[str, Tokens, str | None]:
    """Return the text of a sentence, its words in it, and the blanks after it (None: not said)."""
    given = sentence.comment("text")
    found = None if given is None else located(given, forms)
    if given is not None and found is not None:
        return given, found, _after(sentence, len(forms) - 1)
    after = [_after(sentence, i) for i in range(len(forms))]
    for first, (end, cells) in sentence.ranges.items():
        whole = cells[sentence.columns.place("FORM") or 1]
        inner = "" if "".join(forms[first:end]) == whole else " "
        after[first : min(end, len(forms)) - 1] = [inner] * (min(end, len(forms)) - 1 - first)
        given = given or (whole if inner else None)
    if given is not None:
        text = "the text has other words than the lines (# text, multiword tokens); it is made of the lines instead"
        options.report(error_at(sentence.place, text))
    made, tokens = "", []
    for form, blanks in zip(forms, after, strict=True):
        tokens.append(DocumentToken(len(made), len(made) + len(form)))
        made += form + (" " if blanks is None else blanks)
    return made[: tokens[-1].end], tuple(tokens), after[-1]


def _misc(sentence: Sentence, i: int) -> dict[str, str]:
    """Return MISC of a word, or of the multiword token that begins or ends with it."""
    at = sentence.columns.place("MISC")
    if at is None:
        return {}
    if sentence.ranges:
        whole = next((cells for first, (end, cells) in sentence.ranges.items() if i in (first, end - 1)), None)
        if whole is not None:
            return misc_of(whole[at])
    return misc_of(sentence.words[i].cells[at])


def _after(sentence: Sentence, i: int) -> str | None:
    """Return the blanks after a word, or None if MISC does not say them."""
    misc = _misc(sentence, i)
    return "" if misc.get("SpaceAfter") == "No" else spaces_of(misc)


def recognize(lines: list[str]) -> bool:
    """Return whether the first lines of a file have CoNLL-U's columns and numbers."""
    rows = [line.split("\t") for line in lines if line.strip() and not line.startswith("#")]
    if any(line.startswith("# global.columns =") for line in lines):
        return True
    return bool(rows) and all(len(row) == len(Columns().names) and is_number(row[0]) for row in rows)


FORMAT = Format(
    name="conllu",
    description="CoNLL-U, with entities in MISC (name=B-PER) or Entity= brackets",
    suffixes=(".conllu", ".conllup"),
    recognize=recognize,
    read=read,
    blocks=blocks,
    flat=True,
    fields=frozenset((FIELD,)),
)
