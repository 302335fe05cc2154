"""Signs that a file was not read as it was meant: training stops on them, and `tagger check` warns of them.

A file with the wrong columns often trains without an error and reaches an accuracy of 100, because the numbers of the
tokens, or one single tag, are easy to learn. Every sign here says what was seen, and the likeliest remedies.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Sequence

from tagger.corpus.columns import holds_brackets
from tagger.corpus.conll import Sentence
from tagger.corpus.dataset import Corpus
from tagger.corpus.gold import tags_in
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation, looks_unknown
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN
from tagger.errors import DataError

_MANY_TOKENS = 2000  # a file with so many tokens has at least FEW_DISTINCT different ones
_FEW_DISTINCT = 100
_LONG = 2000  # the most tokens of a sentence in a file without blank lines
_FEWEST_COUNTED = 20  # tokens below which a count proves nothing
_TAG_SHARE = 0.5  # the largest share of different tags among the tokens
_MOST = 0.95
_LONG_ENOUGH = 3  # tokens of a sentence that can show that they are all the same
_ENOUGH = 200  # tokens, of which words would repeat
_NUMBER = re.compile(r"[0-9]+")
_EXPRESSION = re.compile(r"[*_]|[0-9]+(?::\w[\w.-]*)?(?:;[0-9]+(?::\w[\w.-]*)?)*")
_ANYWAY = "set data.trust to true to train anyway"


def require_plausible(corpus: Corpus, layout: Layout, notation: Notation, warn: Callable[[str], None] | None) -> None:
    """Stop the training if the corpus was probably misread.

    Args:
        corpus: the training sentences.
        layout, notation: how they were read.
        warn: called with each sign instead, if the user says that the data are meant to be so.

    Raises:
        DataError: there is a sign that the file was misread, and `warn` is None.
    """
    stop_or_warn(corpus.path, signs_of_misreading(corpus.sentences, corpus.tags, layout, notation), warn)


def stop_or_warn(path: str, signs: Sequence[str], warn: Callable[[str], None] | None) -> None:
    """Raise DataError if there are signs that a file was misread, or call `warn` with each of them if it is given."""
    if signs and warn is None:
        raise DataError(f"{signs[0]}; {_ANYWAY}", path=path, detail=signs[1:])
    for sign in signs:
        if warn is not None:
            warn(f"{path}: {sign}")


def signs_of_misreading(
    sentences: Sequence[Sentence], tags: Sequence[Sequence[str]], layout: Layout, notation: Notation
) -> list[str]:
    """Return what looks wrong about sentences and their canonical tags, each with what to do."""
    n_tokens = sum(len(sentence.tokens) for sentence in sentences)
    if not n_tokens:
        return []
    tokens = collections.Counter(token for sentence in sentences for token in sentence.tokens)
    spelled = collections.Counter(tag for sentence in sentences for tag in sentence.tags if tag)
    column = layout.columns["token"]
    signs = [
        _numbered(sentences, column),
        _too_few_tokens(tokens, n_tokens, column),
        _identifiers(sentences, tokens, layout),
        _empty_tokens(tokens, n_tokens, column),
        _joined(tokens, n_tokens, column),
        _same_columns(sentences, n_tokens),
        _several_tags(spelled, layout),
        _brackets(spelled, notation),
        _too_many_tags(spelled, n_tokens),
        _one_tag_a_sentence(sentences, notation),
        _numbered_expressions(spelled),
        _only_tag({tag for row in tags for tag in row}, notation),
        _no_blank_lines(sentences, n_tokens),
    ]
    return [sign for sign in signs if sign]


def _numbered(sentences: Sequence[Sentence], column: int) -> str | None:
    def is_numbered(tokens: Sequence[str]) -> bool:
        return any(tokens == [str(i + first) for i in range(len(tokens))] for first in (0, 1))

    long = [sentence.tokens for sentence in sentences if len(sentence.tokens) > 1]
    if not long or sum(map(is_numbered, long)) < _MOST * len(long):
        return None
    return (
        f"the tokens in column {column} are numbers that count up in each sentence ({', '.join(long[0][:3])} …),"
        f" expected words; set data.columns.token to the column of the words, such as {column + 1}"
    )


def _too_few_tokens(tokens: collections.Counter[str], n_tokens: int, column: int) -> str | None:
    if n_tokens < _MANY_TOKENS or len(tokens) >= _FEW_DISTINCT:
        return None
    shown = ", ".join(token[:20] for token, _ in tokens.most_common(5))
    return (
        f"found {len(tokens)} distinct tokens among {n_tokens:,} in column {column} ({shown}, …), expected at least"
        f" {_FEW_DISTINCT}; if they are not the words, set data.columns.token to their column; if the tokens are"
        " characters, amino acids or the like, they may be right"
    )


def _identifiers(sentences: Sequence[Sentence], tokens: collections.Counter[str], layout: Layout) -> str | None:
    """Recognize a column of numbers of sentences, names of documents, or keys of tokens in the place of the tokens."""
    column, n_tokens = layout.columns["token"], tokens.total()
    long = [sentence.tokens for sentence in sentences if len(sentence.tokens) >= _LONG_ENOUGH]
    if len(long) > 1 and sum(len(set(row)) == 1 for row in long) >= _MOST * len(long):
        what = "the same in each sentence"
    elif n_tokens >= _FEWEST_COUNTED and sum(n for token, n in tokens.items() if _NUMBER.fullmatch(token)) >= (
        _MOST * n_tokens
    ):
        what = "numbers"
    elif n_tokens >= _ENOUGH and len(tokens) >= _MOST * n_tokens and (layout.n_columns or 0) > 2:
        what = "nearly all different"
    else:
        return None
    shown = ", ".join(token[:20] for token in list(tokens)[:3])
    return (
        f"the tokens in column {column} are {what} ({shown}, …), expected words; set data.columns.token to the column"
        " of the words"
    )


def _one_tag_a_sentence(sentences: Sequence[Sentence], notation: Notation) -> str | None:
    """Recognize a column that says something about whole sentences, such as their numbers, in the place of the tags."""
    if notation.scheme != NO_SCHEME:
        return None
    long = [sentence.tags for sentence in sentences if len(sentence.tags) >= _LONG_ENOUGH]
    if len(long) < 2 or sum(len(set(row)) == 1 for row in long) < _MOST * len(long):
        return None
    return (
        f"the tags are the same for each whole sentence ({long[0][0][:20]}, …), expected a tag for each token; set"
        " data.columns.tag to the column of the tags"
    )


def _numbered_expressions(spelled: collections.Counter[str]) -> str | None:
    if not all(_EXPRESSION.fullmatch(tag) for tag in spelled) or not any(":" in tag for tag in spelled):
        return None
    return (
        "the tags are numbered expressions (1:VID, 1, *), as PARSEME (.cupt) writes them, expected one tag for each"
        " token: convert 1:VID and the 1 after it to B-VID and I-VID, or set data.columns.tag to another column"
    )


def _empty_tokens(tokens: collections.Counter[str], n_tokens: int, column: int) -> str | None:
    n_empty = sum(n for token, n in tokens.items() if not token.strip(" \t"))
    if n_empty <= n_tokens / 2:
        return None
    return (
        f"{n_empty:,} of {n_tokens:,} tokens in column {column} are empty or blank, expected words; set"
        " data.columns.token to their column, or set data.delimiter (a TAB may begin each line)"
    )


def _joined(tokens: collections.Counter[str], n_tokens: int, column: int) -> str | None:
    """Recognize tokens that hold a further column: `EU NNP`, `EU/NNP`, `EU_NNP`."""
    if n_tokens < _FEWEST_COUNTED:
        return None
    for joint in (" ", "/", "|", "_"):
        parted = [(token.rpartition(joint), n) for token, n in tokens.items()]
        ends = {end for (word, _, end), _ in parted if word}
        n_joined = sum(n for (word, _, end), n in parted if word and end)
        if n_joined >= _MOST * n_tokens and len(ends) <= _FEW_DISTINCT and len(ends) < len(tokens) / 2:
            shown = ", ".join(token[:20] for token, _ in tokens.most_common(3))
            name = "a blank" if joint == " " else joint
            return (
                f"nearly all tokens in column {column} hold {name} and one of {len(ends)} endings ({shown}, …), as if"
                " two columns were joined; separate them, with one kind of delimiter on all lines"
            )
    return None


def _same_columns(sentences: Sequence[Sentence], n_tokens: int) -> str | None:
    n_same = sum(
        token == tag for sentence in sentences for token, tag in zip(sentence.tokens, sentence.tags, strict=True)
    )
    if n_same < _MOST * n_tokens:
        return None
    return "the tag column holds the tokens, expected tags; set data.columns.tag to the column of the tags"


def _several_tags(spelled: collections.Counter[str], layout: Layout) -> str | None:
    several = [tag for tag in spelled if len(tags_in(tag)) > 1]
    if not several or layout.several_tags is not None:
        return None
    n = sum(spelled[tag] for tag in several)
    return (
        f"{n:,} token{'s have' if n > 1 else ' has'} several tags, such as {several[0]}, expected one each; set"
        " data.several_tags to first (the outer one, as a rule) or last (the inner one)"
    )


def _brackets(spelled: collections.Counter[str], notation: Notation) -> str | None:
    if not holds_brackets(spelled):
        return None
    shown = ", ".join(tag for tag, _ in spelled.most_common(3))
    return (
        f"the tags are spans in brackets ({shown}), as CoNLL-2012 writes them, expected one tag for each token:"
        " convert (PER* * *) to B-PER I-PER I-PER, or set data.columns.tag to another column"
    )


def _too_many_tags(spelled: collections.Counter[str], n_tokens: int) -> str | None:
    if n_tokens < _FEWEST_COUNTED or len(spelled) <= _TAG_SHARE * n_tokens:
        return None
    shown = ", ".join(tag[:20] for tag, _ in spelled.most_common(3))
    return (
        f"found {len(spelled):,} distinct tags for {n_tokens:,} tokens ({shown}, …), expected a few that repeat; set"
        " data.columns.tag to the column of the tags"
    )


def _only_tag(tags: set[str], notation: Notation) -> str | None:
    if len(tags) == 1:
        (only,) = tags
        return (
            f"found only the tag {notation.spell(only)}, expected several; set data.columns.tag to the column of the"
            " tags, or label some entities"
        )
    if notation.scheme != NO_SCHEME and tags <= {OUTSIDE, UNKNOWN}:
        return "found no entity, expected some; set data.columns.tag to the column of the tags"
    return None


def tags_that_look_unknown(sentences: Sequence[Sentence], notation: Notation) -> list[str]:
    """Return what to do about tags such as `?` that fit, as plain tags or types, but may mean "not annotated".

    Tags of tokens that are the same sign are meant as they are: a question mark may have a tag of its own.
    """
    counts = collections.Counter(
        tag
        for sentence in sentences
        for tag, token in zip(sentence.tags, sentence.tokens, strict=True)
        if looks_unknown(tag) and tag not in (token, notation.unknown) and notation.fits(tag)
    )
    return [
        f"found the tag {tag} at {n} token{'s' if n > 1 else ''}, which is read as a tag like any other; set"
        f" data.unknown_tag to {tag!r} if these tokens are not annotated"
        for tag, n in counts.items()
    ]


def _no_blank_lines(sentences: Sequence[Sentence], n_tokens: int) -> str | None:
    filled = [sentence for sentence in sentences if sentence.tokens]
    if len(filled) > 1 or n_tokens <= _LONG:
        return None
    return (
        f"found one sentence of {n_tokens:,} tokens and no blank line, expected a blank line after each sentence; add"
        " them where sentences end"
    )
