"""Problems in sentences and their tags: one function for each kind of problem."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Sequence

from tagger.corpus.conll import Sentence
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, is_legal, legal_transitions

ERROR, WARNING = "error", "warning"


@dataclasses.dataclass(frozen=True, order=True)
class Problem:
    """Something wrong (`error`) or odd (`warning`) on a line of a file; line 0 stands for the whole file."""

    line: int
    severity: str
    message: str

    def format(self, path: str) -> str:
        where = f"{path}:{self.line}" if self.line else path
        return f"{where}: {self.severity}: {self.message}"


def is_certain(spelled: str, notation: Notation) -> bool:
    """Return whether a tag is present, is undamaged, and fits the scheme."""
    return bool(spelled) and "\ufffd" not in spelled and notation.fits(spelled)


def check_sequences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return transitions that the scheme does not allow, and how they are read."""
    if notation.scheme == NO_SCHEME:
        return []
    legal = legal_transitions(notation.scheme)
    problems = []
    verdicts: dict[tuple[str, str], bool] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        padded = [OUTSIDE, *sentence_tags, OUTSIDE]
        certain = [True, *(is_certain(tag, notation) for tag in sentence.tags), True]
        for i, pair in enumerate(itertools.pairwise(padded)):
            if not (certain[i] and certain[i + 1]):
                continue  # the tag that belongs there is unknown
            if pair not in verdicts:
                verdicts[pair] = is_legal(*pair, legal)
            if not verdicts[pair]:
                problems.append(_ill_formed(sentence, i, pair, notation))
    return problems


def _ill_formed(sentence: Sentence, i: int, pair: tuple[str, str], notation: Notation) -> Problem:
    before, after = (notation.spell(tag) for tag in pair)
    if i == len(sentence.tokens):
        text = f"{before} ends the sentence, which {notation.scheme} does not allow; the span is kept as it is"
        return Problem(sentence.line_number(i - 1), WARNING, text)
    where = "at the start of a sentence" if i == 0 else f"after {before}"
    text = f"{after} {where}, which {notation.scheme} does not allow; it is read as conlleval reads it"
    return Problem(sentence.line_number(i), WARNING, text)


def check_types(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return tags that occur only once, and entity types that differ only in case."""
    where: dict[str, tuple[int, int]] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        for i, tag in enumerate(sentence_tags):
            if not sentence.tags[i]:
                continue
            n, line = where.get(tag, (0, sentence.line_number(i)))
            where[tag] = (n + 1, line)
    problems = [
        Problem(line, WARNING, f"tag {notation.spell(tag)} occurs only here")
        for tag, (n, line) in where.items()
        if n == 1 and len(where) > 1
    ]
    totals: collections.Counter[str] = collections.Counter()
    first: dict[str, int] = {}
    for tag, (n, line) in where.items():
        name = tag.partition("-")[2] if notation.scheme != NO_SCHEME else tag
        totals[name] += n
        first[name] = min(line, first.get(name, line))
    commonest: dict[str, str] = {}
    for name, _ in totals.most_common():
        usual = commonest.setdefault(name.casefold(), name)
        if usual != name:
            text = f"{name} ({totals[name]} tokens) differs from {usual} ({totals[usual]}) only in case"
            problems.append(Problem(first[name], WARNING, text))
    return problems


def check_tokens(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return tokens that are empty, or that look like tags because their line may have lost its first column."""
    typed = {notation.spell(tag) for sentence_tags in tags for tag in sentence_tags if "-" in tag}
    problems = []
    for sentence in sentences:
        for i, token in enumerate(sentence.tokens):
            if not token.strip(" \t"):
                text = f"the token is {'empty' if not token else 'blank'}; its tag is {sentence.tags[i]}"
                problems.append(Problem(sentence.line_number(i), WARNING, text))
            elif token in typed and notation.scheme != NO_SCHEME:
                text = f"the token {token!r} is a tag of this file; is the line's first column missing?"
                problems.append(Problem(sentence.line_number(i), WARNING, text))
    return problems


def check_repeated_sentences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return sentences that occur again with different tags."""
    seen: dict[tuple[str, ...], tuple[list[str], int]] = {}
    problems = []
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        line = sentence.line_number(0)
        other_tags, other_line = seen.setdefault(tuple(sentence.tokens), (sentence_tags, line))
        if other_tags != sentence_tags:
            i = next(i for i, pair in enumerate(zip(other_tags, sentence_tags, strict=True)) if pair[0] != pair[1])
            text = (
                f"repeats the sentence of line {other_line} with other tags: {sentence.tokens[i]!r} is"
                f" {notation.spell(sentence_tags[i])} here and {notation.spell(other_tags[i])} there"
            )
            problems.append(Problem(line, WARNING, text))
    return problems
