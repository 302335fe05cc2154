"""Whole corpora: sentences with canonical gold tags."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tagger.corpus.conll import Sentence, read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.lines import Files, files_of, names_of, open_corpus, shown_name
from tagger.corpus.notation import BadTag, Notation, looks_unknown
from tagger.corpus.notation_detection import detect_notation, notation_of_other
from tagger.corpus.rivals import better_token
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, split_tag
from tagger.corpus.signs import named, signs_in_tag
from tagger.errors import DataError
from tagger.wording import cell, counted

_N_LOOKED_AT = 5000  # token lines whose columns are compared
_SHOWN_SENTENCES = 3  # as proof of how a file was read
_SHOWN_WIDTH, _SHOWN_TEXT = 64, 24  # of a sentence, and of a token or tag in it


@dataclasses.dataclass(frozen=True)
class Corpus:
    """The sentences of one or more files and their gold tags.

    Attributes:
        path: the file that the sentences were read from, or the first one and the number of others.
        sentences: the sentences as read; each knows its own file.
        tags: their canonical tags in the file's own scheme; `tags[i][j]` belongs to `sentences[i].tokens[j]`.
        notation: the notation of the files.
        between: the lines without tokens, such as comments and `-DOCSTART-` lines, by the index of the sentence that
            they come before; those at the end come before the index after the last one. A part of a corpus has none.
    """

    path: str
    sentences: list[Sentence]
    tags: list[list[str]]
    notation: Notation
    between: Mapping[int, Sequence[Sentence]] = dataclasses.field(default_factory=dict)

    @property
    def n_tokens(self) -> int:
        return sum(len(sentence.tokens) for sentence in self.sentences)

    def part(self, rows: Iterable[int]) -> Corpus:
        """Return some of the sentences as a corpus."""
        chosen = list(rows)
        return dataclasses.replace(
            self,
            sentences=[self.sentences[i] for i in chosen],
            tags=[self.tags[i] for i in chosen],
            between={},
        )

    def documents(self) -> list[int]:
        """Return the number of the document that each sentence belongs to, from 0.

        A document begins at a `-DOCSTART-` line, and with each file.
        """
        numbers, number, path = list[int](), 0, ""
        for i, sentence in enumerate(self.sentences):
            begins = sentence.follows_docstart or any(other.docstart_rows for other in self.between.get(i, ()))
            if i and (begins or sentence.path != path):
                number += 1
            path = sentence.path
            numbers.append(number)
        return numbers

    @property
    def n_unknown(self) -> int:
        """The number of tokens that are not annotated."""
        return sum(tags.count(UNKNOWN) for tags in self.tags)

    def __len__(self) -> int:
        return len(self.sentences)


def load_training(
    paths: Files, layout: Layout, scheme: str, unknown: str | None = None
) -> tuple[Corpus, Notation, list[str]]:
    """Read one or more training files as one corpus, and detect their notation.

    Args:
        scheme: `auto`, or the scheme that the user names.
        unknown: the tag of tokens that are not annotated, or None.

    Returns:
        The corpus, its notation, and notes on what was found.

    Raises:
        DataError: there are no sentences, a tag does not fit any scheme (the detail shows up to three lines that have
            it), or the files have different notations.
    """
    sentences, between = _without_empty(_read_gold(paths, layout, n_columns=layout.n_columns))
    name = names_of(paths)
    try:
        notation, notes = detect_notation([sentence.tags for sentence in sentences], scheme, unknown)
    except BadTag as bad:
        _require_one_notation(sentences, scheme, unknown)
        raise _bad_tag_error(name, sentences, bad) from None
    except DataError as error:
        detail = [*error.detail, *_sign_lines(sentences), *_examples(sentences)]
        raise DataError(error.message, path=name, detail=detail) from None
    _require_one_notation(sentences, scheme, unknown, notation)
    return dataclasses.replace(_corpus(name, sentences, notation), between=between), notation, notes


def _require_one_notation(
    sentences: Sequence[Sentence], scheme: str, unknown: str | None, notation: Notation | None = None
) -> None:
    """Raise DataError if several files clearly have different notations.

    Args:
        scheme: `auto`, or the scheme that the user names.
        unknown: the tag of tokens that are not annotated, or None.
        notation: the notation of all files together, if all tags fit one.
    """
    by_file: dict[str, list[list[str]]] = {}
    for sentence in sentences:
        by_file.setdefault(sentence.path, []).append(sentence.tags)
    if len(by_file) == 1:
        return
    try:
        found = {
            path: detect_notation(tags, scheme, unknown)[0] if notation is None else notation_of_other(tags, notation)
            for path, tags in by_file.items()
        }
    except (BadTag, DataError):
        return  # the caller says what is wrong
    first = next(iter(found))
    for path, own in found.items():
        if own != found[first]:
            raise DataError(
                f"{path}: found tags in {own.describe()}, expected {found[first].describe()} as in {first}: several"
                " training files must have one notation; convert it, or leave it out"
            )


def load_gold(paths: Files, layout: Layout, notation: Notation, *, max_lines: int | None = None) -> Corpus:
    """Read dev or test files in the notation of the training file, or in their own if that is clearly another one.

    Args:
        paths: the dev or test file, or several that are one corpus.
        layout: the layout of the training file.
        notation: the notation of the training file.
        max_lines: if given, the sentences are those that `tagger predict` reads: each is cut after this number of
            lines, and sentences without tokens are included.

    Raises:
        DataError: as in `load_training`.
    """
    name, sentences = names_of(paths), _read_gold(paths, layout, max_lines)
    if max_lines is None:
        sentences, _ = _without_empty(sentences)
    try:
        own = notation_of_other([sentence.tags for sentence in sentences], notation)
    except BadTag as bad:
        remedy = _remedy_as_in_training(sentences, layout)
        if looks_unknown(bad.tag):
            remedy = (
                "expected another one; if the tokens with it are not annotated, train with data.unknown_tag:"
                f" {bad.tag!r}"
            )
        raise _bad_tag_error(name, sentences, bad, remedy) from None
    return _corpus(name, sentences, own)


def _remedy_as_in_training(sentences: Sequence[Sentence], layout: Layout) -> str:
    n = usual_columns(sentences, layout)
    if layout.n_columns is not None and n != layout.n_columns:
        return (
            f"and the lines have {counted(n, 'column')}, those of the training file {layout.n_columns}, so the tags may"
            " be in another column; set data.columns.tag to it, or remove the columns that the training file does not"
            " have"
        )
    shown = f", such as {', '.join(sorted(layout.known_tags)[:3])}" if layout.known_tags else ""
    return f"expected tags as in the training file{shown}; fix it, or read another column with data.columns.tag"


def usual_columns(sentences: Sequence[Sentence], layout: Layout) -> int:
    """Return the number of columns of most token lines."""
    counts = collections.Counter(len(fields) for fields in _first_fields(sentences, layout))
    return max(counts, key=lambda n: (counts[n], n), default=0)


def _first_fields(sentences: Sequence[Sentence], layout: Layout) -> Iterator[list[str]]:
    """Yield the fields of the first token lines, some thousand of them."""
    split = layout.splitter()
    lines = (sentence.lines[row] for sentence in sentences for row in sentence.token_rows)
    for line in itertools.islice(lines, _N_LOOKED_AT):
        yield split(line.decode(layout.encoding, "replace").strip("\ufeff\r\n"))


def compare_columns(sentences: Sequence[Sentence], layout: Layout) -> tuple[str | None, str | None]:
    """Compare the columns of a dev or test file with those of the training file.

    Returns:
        A note if their numbers differ, and a doubt if the words are in another column than in the training file.
    """
    n = usual_columns(sentences, layout)
    if layout.n_columns is None or n == layout.n_columns or layout.ragged:
        return None, None
    rows = [fields for fields in _first_fields(sentences, layout) if len(fields) == n]
    columns = [collections.Counter(values) for values in zip(*rows, strict=True)]
    token, tag = layout.columns["token"], layout.columns.get("tag", -1) % n
    shown = ", ".join(value[:20] for value, _ in columns[token].most_common(3))
    found = f"its lines have {counted(n, 'column')}, those of the training file {layout.n_columns}"
    better = better_token(columns, token, tag)
    if better is not None:
        return None, (
            f"{found}, and the token is read from column {token} ({shown}, …), expected words, as in column {better};"
            " give it the columns of the training file"
        )
    return f"{found}; the token is read from column {token} ({shown}, …), the tag from column {tag}", None


def note_on_notation(corpus: Corpus, trained: Notation) -> str | None:
    """Return a note if a dev or test file has another notation than the training file."""
    own = corpus.notation
    if own == trained:
        return None
    text = f"its tags are {own.describe()}, those of the training data {trained.describe()}; their spans are compared"
    if trained.scheme == "IO" and own.scheme == "IOB1" and not trained.bare:
        text += "; training with data.scheme IOB1 would read both in the same way"
    return text


def shown_sentences(sentences: Sequence[Sentence], n: int = _SHOWN_SENTENCES) -> list[str]:
    """Return the first sentences as they were read: `Hanna→B-PER  kennt→O …`.

    A sentence of at least two tokens with more than one tag proves more than others, so such sentences come first.
    """
    telling = [sentence for sentence in sentences if len(set(sentence.tags)) > 1]
    return [_shown_sentence(sentence) for sentence in (telling or list(sentences))[:n]]


def _shown_sentence(sentence: Sentence) -> str:
    shown: list[str] = []
    width = 0
    for token, tag in zip(sentence.tokens, sentence.tags, strict=True):
        pair = f"{cell(token, _SHOWN_TEXT)}→{cell(tag, _SHOWN_TEXT)}"
        width += len(pair) + 2
        if shown and width > _SHOWN_WIDTH:
            return "  ".join([*shown, "…"])
        shown.append(pair)
    return "  ".join(shown)


def _read_gold(
    paths: Files, layout: Layout, max_lines: int | None = None, n_columns: int | None = None
) -> list[Sentence]:
    parts = [_read_file(path, layout, max_lines, n_columns) for path in files_of(paths)]
    return list(itertools.chain.from_iterable(parts))


def no_sentence(layout: Layout) -> str:
    """Return what is wrong with a file without sentences."""
    text = "found no sentence, expected lines with a token and a tag"
    if layout.comments is None:
        return text
    return f"{text}; set data.comments to none if lines that begin with {layout.comments} are not comments"


def _read_file(path: str, layout: Layout, max_lines: int | None, n_columns: int | None) -> list[Sentence]:
    known: dict[str, str] = {}
    with open_corpus(path) as stream:
        read = read_sentences(
            stream, layout, path=shown_name(path), gold=True, max_lines=max_lines, n_columns=n_columns
        )
        sentences = [_with_shared_texts(sentence, known) for sentence in read]
    if not any(sentence.tokens for sentence in sentences):
        raise DataError(no_sentence(layout) + ("" if layout.comments else "; check the file"), path=shown_name(path))
    for sentence in sentences:
        sentence.path = shown_name(path)
    return sentences


def _with_shared_texts(sentence: Sentence, known: dict[str, str]) -> Sentence:
    """Let equal tokens and equal tags of a file share their memory: a corpus is held as a whole, and most repeat."""
    share = known.setdefault
    sentence.tokens = [share(token, token) for token in sentence.tokens]
    sentence.tags = [share(tag, tag) for tag in sentence.tags]
    return sentence


def _without_empty(sentences: Iterable[Sentence]) -> tuple[list[Sentence], dict[int, list[Sentence]]]:
    """Return the sentences with tokens, and the others by the index of the sentence that they come before."""
    with_tokens, between = list[Sentence](), dict[int, list[Sentence]]()
    for sentence in sentences:
        if sentence.tokens:
            with_tokens.append(sentence)
        else:
            between.setdefault(len(with_tokens), []).append(sentence)
    return with_tokens, between


def _corpus(name: str, sentences: list[Sentence], notation: Notation) -> Corpus:
    cache: dict[str, str] = {}
    tags = []
    for sentence in sentences:
        try:
            tags.append(
                [
                    cache[tag] if tag in cache else cache.setdefault(tag, notation.canonical(tag))
                    for tag in sentence.tags
                ]
            )
        except ValueError as error:
            raise _bad_tag_error(name, sentences, BadTag([str(error)], notation.scheme)) from None
    if notation.unknown is not None and notation.scheme != NO_SCHEME:
        _refuse_type(notation.unknown, name, sentences, tags)
    return Corpus(name, sentences, tags, notation)


def _refuse_type(unknown: str, name: str, sentences: Sequence[Sentence], tags: Sequence[Sequence[str]]) -> None:
    """Raise DataError if the tag of tokens that are not annotated is a type: converted files have no other tags."""
    for sentence, row in zip(sentences, tags, strict=True):
        for i, tag in enumerate(row):
            if tag not in (OUTSIDE, UNKNOWN) and split_tag(tag)[1] == unknown:
                raise DataError(
                    f"found the type {unknown}, expected none of this name, because data.unknown_tag is {unknown!r};"
                    " only CoNLL files may have tokens that are not annotated, whose whole tag it is",
                    path=sentence.path or name,
                    line=sentence.line_number(i),
                )


def _bad_tag_error(name: str, sentences: Sequence[Sentence], bad: BadTag, remedy: str | None = None) -> DataError:
    where = (
        (sentence.path or name, sentence.line_number(i), sentence.tokens[i])
        for sentence in sentences
        for i, tag in enumerate(sentence.tags)
        if tag == bad.tag
    )
    return bad.located(where, remedy)


def _line(sentence: Sentence, i: int, path: str) -> str:
    """Return the line of a token for the detail of an error about a file: `line 3`, or `b.conll:3` in another one."""
    number = sentence.line_number(i)
    return f"line {number}" if sentence.path in ("", path) else f"{sentence.path}:{number}"


def _sign_lines(sentences: Sequence[Sentence]) -> list[str]:
    """Return the first line of each tag that holds a character that cannot be seen or that looks like another."""
    odd = ((tag, line, signs_in_tag(tag)) for tag, (line, _) in _first_lines(sentences).items())
    return [f"{line}: tag {tag!r} holds {named(signs)}" for tag, line, signs in odd if signs][:3]


def _examples(sentences: Sequence[Sentence]) -> list[str]:
    """Return the first line of each of the first three tags other than `O`."""
    lines = _first_lines(sentences)
    return [f"{line}: {token} {tag}" for tag, (line, token) in lines.items() if tag != OUTSIDE][:3]


def _first_lines(sentences: Sequence[Sentence]) -> dict[str, tuple[str, str]]:
    """Return the line and the token where each tag occurs first."""
    found: dict[str, tuple[str, str]] = {}
    for sentence in sentences:
        for i, tag in enumerate(sentence.tags):
            if tag not in found:
                found[tag] = _line(sentence, i, sentences[0].path), sentence.tokens[i]
    return found


def split_dev(corpus: Corpus, fraction: float, seed: int) -> tuple[Corpus, Corpus]:
    """Hold out a fraction of the sentences, drawn with the seed; both parts keep the order of the file.

    Raises:
        DataError: there are too few sentences to split.
    """
    if len(corpus) < 2:
        raise DataError(f"{corpus.path}: found one sentence, expected at least two to hold out a dev set; set data.dev")
    dev = held_out(len(corpus), fraction, seed)
    return corpus.part(np.flatnonzero(~dev)), corpus.part(np.flatnonzero(dev))


def held_out(n: int, fraction: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return which of n sentences, at least two, are held out: [n]; at least one is, and at least one is not."""
    n_dev = min(max(1, round(n * fraction)), n - 1)
    dev = np.zeros(n, bool)
    dev[np.random.default_rng([seed, n]).permutation(n)[:n_dev]] = True
    return dev


class Piece(NamedTuple):
    """A sentence, or a part of a long one: its columns, its tags, and the file and the line where it begins."""

    columns: list[list[str]]
    tags: list[str]
    line: int
    path: str


def cut_long(corpus: Corpus, max_length: int) -> tuple[list[Piece], int]:
    """Cut sentences of more than `max_length` tokens into pieces that do not overlap.

    A cut is moved back to a place where it splits no span, if the later half of the piece has such a place.

    Returns:
        The pieces, including the sentences that were not cut, and the number of sentences that were cut.
    """
    pieces, n_cut = [], 0
    for sentence, tags in zip(corpus.sentences, corpus.tags, strict=True):
        ends = [0]
        while len(tags) - ends[-1] > max_length:
            start, end = ends[-1], ends[-1] + max_length
            borders = range(end, start + (max_length + 1) // 2, -1)
            ends.append(next((i for i in borders if OUTSIDE in tags[i - 1 : i + 1]), end))
        n_cut += len(ends) > 1
        for start, end in itertools.pairwise([*ends, len(tags)]):
            line = sentence.first_line + sentence.token_rows[start]
            columns = [column[start:end] for column in sentence.columns]
            pieces.append(Piece(columns, tags[start:end], line, sentence.path))
    return pieces, n_cut


def unseen_tags(train: Corpus, other: Corpus) -> dict[str, int]:
    """Return the tags of another corpus that training never saw, each with the number of tokens that have it.

    If the corpus has another scheme, its types are compared instead.
    """
    of = (lambda tag: tag) if train.notation.scheme == other.notation.scheme else (lambda tag: split_tag(tag)[1])
    known = {of(tag) for tags in train.tags for tag in tags}
    counts = collections.Counter(name for tags in other.tags for tag in tags if (name := of(tag)) not in known | {""})
    return dict(counts.most_common())
