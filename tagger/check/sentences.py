"""Faults of a file that change where its sentences end, or what a line holds; training and `tagger check` say them."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.check.groups import group_problems
from tagger.check.problems import WARNING, Problem
from tagger.corpus.conll import Sentence
from tagger.corpus.lines import is_blank
from tagger.corpus.signs import named
from tagger.wording import counted

_FEWEST = 10  # sentences of one token that are no accident
_LONG, _LONGEST = 200, 2000  # tokens of a sentence that needs an explanation; training stops at longer ones anyway
_MARK = "\ufeff"


def check_sentence_ends(sentences: Sequence[Sentence]) -> list[Problem]:
    """Return problems of the line ends and blank lines, which decide what a sentence is."""
    n_tokens = sum(len(sentence.tokens) for sentence in sentences)
    if not n_tokens:
        return []
    all_single = len(sentences) >= _FEWEST and n_tokens == len(sentences)
    doubled = [sentence for sentence in sentences if _ends_twice(sentence)]
    first = sentences[0].line_number(0)
    if doubled:
        effect = f"all {n_tokens} sentences have one token" if all_single else "a sentence ends there"
        lines = f"{counted(len(doubled), 'line')} {'ends' if len(doubled) == 1 else 'end'} in \\r\\r\\n"
        text = (
            f"{lines}, which is a line end and a blank line: {effect}; write each line end once"
            " (tr -d '\\r' < FILE > COPY)"
        )
        return [Problem(doubled[0].line_number(len(doubled[0].tokens) - 1), WARNING, text, "sentences")]
    if all_single:
        text = (
            f"all {n_tokens} sentences have one token: a blank line follows each token line; keep only the blank lines"
            " between sentences"
        )
        return [Problem(first, WARNING, text, "sentences")]
    longest = max(len(sentence.tokens) for sentence in sentences)
    if _LONG < longest <= _LONGEST and not any(is_blank(line) for sentence in sentences for line in sentence.lines):
        text = (
            f"the file has no blank line, and {longest} tokens are one sentence; put a blank line after each sentence"
        )
        return [Problem(first, WARNING, text, "sentences")]
    return []


def _ends_twice(sentence: Sentence) -> bool:
    return sentence.lines[-1] == b"\r\n" and len(sentence.lines) > 1 and sentence.lines[-2].endswith(b"\r")


def check_marks(sentences: Sequence[Sentence], encoding: str) -> list[Problem]:
    """Return the lines, other than the first of the file, that begin with a byte-order mark."""
    try:
        mark = _MARK.encode(encoding)
    except UnicodeEncodeError:
        return []
    problems = []
    for sentence in sentences:
        for number, line in enumerate(sentence.lines, sentence.first_line):
            if number > 1 and line.startswith(mark):
                if is_blank(line[len(mark) :] or b"\n"):
                    text = f"the line holds only {named(_MARK)}, which does not end a sentence; delete the sign"
                else:
                    text = (
                        f"the line begins with {named(_MARK)}, a byte-order mark, as where files were joined; it is not"
                        " part of the token"
                    )
                problems.append(Problem(number, WARNING, text, "byte-order-mark"))
    return problems


def notes_on_sentences(sentences: Sequence[Sentence], encoding: str) -> list[str]:
    """Return what `check_sentence_ends` and `check_marks` find as messages without the name of the file."""
    found = [*check_sentence_ends(sentences), *check_marks(sentences, encoding)]
    return [
        group.text if len(group.problems) > 1 else f"line {group.problems[0].line}: {group.text}"
        for groups in group_problems(found)
        for group in groups
    ]
