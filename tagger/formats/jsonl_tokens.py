"""Tokens in JSON lines: with offsets (this format's own form, Prodigy) or as texts only (Hugging Face)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tagger.corpus.schemes import SCHEMES
from tagger.formats.document import DocumentSpan, DocumentToken, Place
from tagger.formats.json_fields import error_at, kind_of, list_of, number_of, object_of, shown, text_of
from tagger.formats.offsets import TextOffsets
from tagger.formats.tag_writing import span_tags
from tagger.formats.tokens import Tokens

_OWN = frozenset(("tokens", "offsets", "tags"))
_PRODIGY = frozenset(("text", "start", "end", "id", "ws"))


class OwnSentences(NamedTuple):
    """The sentences of a document in this format's own form.

    Attributes:
        sentences: the tokens, with their plain tags if the tags do not mark spans.
        scheme: the scheme of the tags; None for plain tags.
        tags: the tags of spans; None if there are none.
        unknown: the names of fields that are not kept.
    """

    sentences: tuple[Tokens, ...]
    scheme: str | None
    tags: list[list[str]] | None
    unknown: list[str]

    def fits(self, spans: Sequence[DocumentSpan]) -> bool:
        """Return whether the tags are those of spans."""
        if self.scheme is None or self.scheme not in SCHEMES:
            return False
        unfit: list[DocumentSpan] = []
        return self.tags == span_tags(self.sentences, spans, self.scheme, unfit.append)


def is_own(value: Any) -> bool:
    """Return whether a field holds sentences in this format's own form."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and {"tokens", "offsets"} <= one.keys() for one in value
    )


def own_sentences(
    values: list[dict[str, Any]], scheme: Any, text: str, offsets: TextOffsets, place: Place
) -> OwnSentences:
    """Return the sentences of a document.

    Raises:
        DataError: a token is not what its offsets cover, or there is not one tag for each token.
    """
    if scheme is not None:
        scheme = text_of(scheme, "scheme", place)
    sentences, tags, unknown = [], [], set[str]()
    for value in values:
        words = list_of(value["tokens"], "tokens", place)
        edges = list_of(value["offsets"], "offsets", place)
        plain: list[Any] = [None] * len(words)
        if value.get("tags") is not None:
            plain = list_of(value["tags"], "tags", place)
        if not len(words) == len(edges) == len(plain):
            found = f"found {len(words)} tokens, {len(edges)} offsets and {len(plain)} tags in a sentence"
            raise error_at(place, f"{found}, expected the same number; fix it")
        if not set(map(type, plain)) <= {str, type(None)}:
            raise error_at(place, "found a tag that is not a text, expected texts in quotes, or null; fix it")
        of_tokens = plain if scheme is None else [None] * len(plain)
        sentences.append(_own_tokens(words, edges, of_tokens, text, offsets, place))
        tags.append(plain)
        unknown |= value.keys() - _OWN
    of_spans = None if scheme is None or any(None in of_it for of_it in tags) else tags
    return OwnSentences(tuple(sentences), scheme, of_spans, sorted(unknown))


def _own_tokens(
    words: list[Any], edges: list[Any], tags: list[Any], text: str, offsets: TextOffsets, place: Place
) -> Tokens:
    tokens = []
    is_plain, length = offsets.is_plain, len(text)
    for word, pair, tag in zip(words, edges, tags, strict=True):
        if is_plain and type(pair) is list and len(pair) == 2:
            start, end = pair
            # Nearly all tokens are right, and checked here as fast as can be.
            if type(start) is type(end) is int and 0 <= start < end <= length and text[start:end] == word:
                tokens.append(DocumentToken(start, end, tag))
                continue
        if type(pair) is not list or len(pair) != 2:
            raise error_at(place, f"found {shown(pair)} as the offsets of a token, expected a start and an end; fix it")
        tokens.append(_token(pair[0], pair[1], word, tag, text, offsets, place))
    return tuple(tokens)


def prodigy_tokens(values: list[Any], text: str, offsets: TextOffsets, place: Place) -> tuple[Tokens, list[str]]:
    """Return tokens that are objects with offsets, and the names of their fields that are not kept.

    Raises:
        DataError: a token is not what its offsets cover.
    """
    tokens, unknown = [], set[str]()
    for value in values:
        token = object_of(value, "a token", place)
        tokens.append(_token(token.get("start"), token.get("end"), token.get("text"), None, text, offsets, place))
        if not token.keys() <= _PRODIGY:
            unknown |= token.keys() - _PRODIGY
    return tuple(tokens), sorted(unknown)


def _token(
    start: Any, end: Any, word: Any, tag: str | None, text: str, offsets: TextOffsets, place: Place
) -> DocumentToken:
    if type(start) is not int or type(end) is not int or start < 0:
        number_of(start, "the start of a token", place)
        number_of(end, "the end of a token", place)
    if not offsets.is_plain:
        start, end = offsets.characters(start), offsets.characters(end)
    if word is not None and text[start:end] != word:
        found = f"found the token {shown(word)} from {start} to {end}, where the text has {shown(text[start:end])}"
        remedy = "if the file counts in another unit, set data.offsets to utf-16 or bytes, otherwise fix the offsets"
        raise error_at(place, f"{found}, expected the same; {remedy}")
    return DocumentToken(start, end, tag)


def texts(values: list[Any], place: Place) -> list[str]:
    """Return tokens that are texts.

    Raises:
        DataError: one of them is something else.
    """
    if not set(map(type, values)) <= {str}:
        wrong = next(value for value in values if type(value) is not str)
        raise error_at(place, f"found {kind_of(wrong)} as a token, expected a text in quotes; fix it")
    return values


def tag_names(values: list[Any], key: str, n_tokens: int, names: Sequence[str], place: Place) -> list[str]:
    """Return the tags of tokens; tags that are numbers get their names.

    Raises:
        DataError: there is not one tag for each token, or a number does not have a name.
    """
    if len(values) != n_tokens:
        found = f"found {len(values)} {key} for {n_tokens} tokens"
        raise error_at(place, f"{found}, expected one for each token; fix it")
    kinds = set(map(type, values))
    if kinds <= {str} and "" not in values:
        return values
    if kinds != {int}:
        wrong = next(value for value in values if type(value) is not (int if int in kinds else str) or value == "")
        found = shown(wrong) if isinstance(wrong, str) else kind_of(wrong)
        raise error_at(place, f"found {found} in {key}, expected names of tags, or whole numbers; fix it")
    if not names:
        raise error_at(
            place,
            f"found numbers in {key}, as Hugging Face data sets have them, expected names of tags; set"
            " data.names to the names in their order, or to a file of them",
        )
    wrong_numbers = [value for value in values if not 0 <= value < len(names)]
    if wrong_numbers:
        found = f"found the tag {shown(wrong_numbers[0])} in {key}, expected 0 to {len(names) - 1}"
        raise error_at(place, f"{found}, as {len(names)} names are given; give all names, or fix it")
    return [names[value] for value in values]
