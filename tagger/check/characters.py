"""Characters of tokens and tags that nobody sees, or that look like others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tagger.check.problems import WARNING, Problem, is_certain, quoted
from tagger.corpus.conll import Sentence
from tagger.corpus.notation import Notation
from tagger.corpus.signs import decomposed_marks, named, signs_in_tag, signs_in_token


def check_characters(sentences: Sequence[Sentence], _tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return tags and tokens with characters that cannot be seen or that look like others.

    Tags that do not fit the scheme are errors of their own, which name the characters too.
    """
    problems = []
    for line, tag, signs in _occurrences(sentences, lambda sentence: sentence.tags, signs_in_tag):
        if is_certain(tag, notation):
            problems.append(_problem(line, "the tag", tag, f"holds {named(signs)}", "sign-in-tag", f"{quoted(tag)}"))
    for line, token, signs in _occurrences(sentences, lambda sentence: sentence.tokens, signs_in_token):
        problems.append(_problem(line, "the token", token, f"holds {named(signs)}", "sign-in-token", quoted(token)))
    for line, token, marks in _occurrences(sentences, lambda sentence: sentence.tokens, decomposed_marks):
        rest = f"holds decomposed letters, with {named(marks)}; most texts and vectors have the composed ones"
        problems.append(_problem(line, "the token", token, rest, "decomposed", quoted(token)))
    return problems


def _problem(line: int, what: str, text: str, rest: str, kind: str, example: str) -> Problem:
    return Problem(line, WARNING, f"{what} {quoted(text)} {rest}", kind, f"{what} {rest}", example)


def _occurrences(
    sentences: Sequence[Sentence], values: Callable[[Sentence], list[str]], signs_of: Callable[[str], list[str]]
) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the line and the signs of each value that has any."""
    distinct = {value for sentence in sentences for value in values(sentence)}
    odd = {value: signs for value in distinct if (signs := signs_of(value))}
    if not odd:
        return
    for sentence in sentences:
        for i, value in enumerate(values(sentence)):
            if value in odd:
                yield sentence.line_number(i), value, odd[value]
