"""Problems in sentences and their tags: one function for each kind of problem."""

from __future__ import annotations

import collections
import dataclasses
import itertools
from collections.abc import Sequence

from tagger.corpus.conll import Sentence
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE, UNKNOWN, is_legal, legal_transitions
from tagger.wording import abridged, counted, visible

ERROR, WARNING, REPAIR = "error", "warning", "repair"
_MOST_SHOWN = 60  # characters of a token or tag in a message


@dataclasses.dataclass(frozen=True, order=True, slots=True)
class Problem:
    """Something wrong (`error`), odd (`warning`) or changed (`repair`) in a file.

    Attributes:
        line: the number of the line, from 1; 0 stands for the whole file.
        message: the text for one line. It is safe for a terminal, and bounded whatever the file holds.
        kind: a word that all problems of one cause share, whatever tokens and tags they are about.
        common: the message without what differs from line to line; equal for problems that are reported as one. Empty
            if that is the message itself.
        example: what differs, such as the tag; empty if it is not worth showing.
    """

    line: int
    severity: str
    message: str
    kind: str
    common: str = ""
    example: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", visible(abridged(self.message)))

    def to_json(self) -> dict[str, object]:
        """Return the part of the output of `tagger check --json` that describes this problem."""
        return {"line": self.line, "severity": self.severity, "kind": self.kind, "message": self.message}

    def format(self, path: str) -> str:
        where = f"{path}:{self.line}" if self.line else path
        return f"{where}: {self.severity}: {self.message}"


def shown(text: str) -> str:
    """Return a token or tag of the file for a message: bounded, with its invisible characters escaped."""
    return visible(abridged(text, _MOST_SHOWN))


def quoted(text: str) -> str:
    """Return a token or tag of the file in quotation marks, bounded and escaped."""
    return repr(abridged(text, _MOST_SHOWN))


def is_certain(spelled: str, notation: Notation) -> bool:
    """Return whether a tag is present, is undamaged, and fits the scheme."""
    return bool(spelled) and "\ufffd" not in spelled and notation.fits(spelled)


def check_sequences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return transitions that the scheme does not allow, and how they are read."""
    if notation.scheme == NO_SCHEME:
        return []
    legal = legal_transitions(notation.scheme)
    problems = []
    spelled = {tag for sentence in sentences for tag in sentence.tags}
    known = {tag for tag in spelled if is_certain(tag, notation) and tag != notation.unknown}
    verdicts: dict[tuple[str, str], bool] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        padded = [OUTSIDE, *sentence_tags, OUTSIDE]
        certain = [True, *(tag in known for tag in sentence.tags), True]
        for i, pair in enumerate(itertools.pairwise(padded)):
            if not (certain[i] and certain[i + 1]):
                continue  # the tag that belongs there is unknown
            if pair not in verdicts:
                verdicts[pair] = is_legal(*pair, legal)
            if not verdicts[pair]:
                problems.append(_ill_formed(sentence, i, pair, notation))
    return problems


def _ill_formed(sentence: Sentence, i: int, pair: tuple[str, str], notation: Notation) -> Problem:
    before, after = (shown(notation.spell(tag)) for tag in pair)
    if i == len(sentence.tokens):
        text = f"{before} ends the sentence, which {notation.scheme} does not allow; the span is kept as it is"
        return Problem(sentence.line_number(i - 1), WARNING, text, "ill-formed")
    where = "at the start of a sentence" if i == 0 else f"after {before}"
    text = f"{after} {where}, which {notation.scheme} does not allow; it is read as conlleval reads it"
    return Problem(sentence.line_number(i), WARNING, text, "ill-formed")


def check_types(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return tags that occur only once, and entity types that differ only in case."""
    where: dict[str, tuple[int, int]] = {}
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        for i, tag in enumerate(sentence_tags):
            if not sentence.tags[i] or tag == UNKNOWN:
                continue
            n, line = where.get(tag, (0, sentence.line_number(i)))
            where[tag] = (n + 1, line)
    rare = [(line, shown(notation.spell(tag))) for tag, (n, line) in where.items() if n == 1 and len(where) > 1]
    problems = [
        Problem(line, WARNING, f"tag {tag} occurs only here", "rare-tag", "the tag occurs only once", tag)
        for line, tag in rare
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
            text = (
                f"{shown(name)} ({counted(totals[name], 'token')}) differs from {shown(usual)} ({totals[usual]})"
                " only in case"
            )
            problems.append(Problem(first[name], WARNING, text, "case"))
    return problems


def check_tokens(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return tokens that are empty, or that look like tags because their line may have lost its first column."""
    typed = {notation.spell(tag) for sentence_tags in tags for tag in sentence_tags if "-" in tag}
    problems = []
    for sentence in sentences:
        for i, token in enumerate(sentence.tokens):
            if not token.strip(" \t"):
                common = f"the token is {'empty' if not token else 'blank'}"
                text = f"{common}; its tag is {shown(sentence.tags[i])}"
                problems.append(Problem(sentence.line_number(i), WARNING, text, "empty-token", common))
            elif token in typed and notation.scheme != NO_SCHEME:
                rest = "is a tag of this file; is the line's first column missing?"
                text, common = f"the token {quoted(token)} {rest}", f"the token {rest}"
                problems.append(Problem(sentence.line_number(i), WARNING, text, "tag-as-token", common, quoted(token)))
    return problems


def check_repeated_sentences(sentences: Sequence[Sentence], tags: list[list[str]], notation: Notation) -> list[Problem]:
    """Return sentences that occur again with different tags."""
    seen: dict[tuple[str, ...], tuple[list[str], int]] = {}
    problems = []
    for sentence, sentence_tags in zip(sentences, tags, strict=True):
        line = sentence.line_number(0)
        other_tags, other_line = seen.setdefault(tuple(sentence.tokens), (sentence_tags, line))
        pairs = enumerate(zip(other_tags, sentence_tags, strict=True))
        differing = [i for i, (one, other) in pairs if one != other and UNKNOWN not in (one, other)]
        if differing:
            i = differing[0]
            here, there = (shown(notation.spell(found[i])) for found in (sentence_tags, other_tags))
            text = (
                f"repeats the sentence of line {other_line} with other tags: {quoted(sentence.tokens[i])} is"
                f" {here} here and {there} there"
            )
            common = "repeats an earlier sentence with other tags"
            problems.append(Problem(line, WARNING, text, "repeated-sentence", common))
    return problems
