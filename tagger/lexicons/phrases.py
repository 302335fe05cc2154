"""The phrases of word lists, read from files of the user."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Mapping

from tagger.errors import DataError
from tagger.inputs.word_lists import MOST_PHRASE_TOKENS, MOST_PHRASES, WordLists
from tagger.lexicons.lines import numbered_lines
from tagger.wording import counted

_COMMENT = re.compile(r"#([ \t]|$)")  # `#` and a blank; a hashtag is a phrase
_BLANKS = re.compile(r"[ \t]+")  # not str.split, because U+3000 and a no-break space may be part of a token
_EDGES = re.compile(r"^(\W+)(?=\w)|(?<=\w)(\W+|\W\w{1,2})$")


@dataclasses.dataclass(frozen=True)
class PhraseFile:
    """The content of a file of phrases.

    Attributes:
        phrases: the distinct phrases in the order of the file, with one space between their tokens.
        n_repeated: the number of lines with a phrase that came before.
        n_comments: the number of lines that are comments.
    """

    phrases: tuple[str, ...]
    n_repeated: int = 0
    n_comments: int = 0

    @property
    def description(self) -> str:
        """The counts as text."""
        left_out = [
            f"{counted(n, noun)} left out"
            for n, noun in ((self.n_repeated, "repeated line"), (self.n_comments, "comment"))
            if n
        ]
        return ", ".join([counted(len(self.phrases), "phrase"), *left_out])


def read_phrases(path: str) -> PhraseFile:
    """Read a file with one phrase a line, its tokens separated by spaces or TABs as the corpus separates words.

    Blank lines are skipped, and so are comments, which begin with `#` and a blank; `#nlp` is a phrase.

    Raises:
        DataError: the file cannot be read, has no phrases, or has a phrase that is too long.
    """
    found: dict[str, None] = {}
    n_lines = n_comments = 0
    for number, line in numbered_lines(path, most=MOST_PHRASES, what="phrases"):
        if _COMMENT.match(line):
            n_comments += 1
            continue
        phrase = _BLANKS.sub(" ", line).strip(" ")
        n_tokens = phrase.count(" ") + 1
        if n_tokens > MOST_PHRASE_TOKENS:
            raise DataError(
                f"found a phrase of {n_tokens} tokens, expected at most {MOST_PHRASE_TOKENS}, one phrase a line; is"
                " this a list?",
                path=path,
                line=number,
            )
        n_lines += 1
        found[phrase] = None
    if not found:
        raise DataError("found no phrases, expected one on each line; fill the list, or delete it from the config",
                        path=path)  # fmt: skip
    return PhraseFile(tuple(found), n_lines - len(found), n_comments)


def read_lists(files: Mapping[str, str], *, ignore_case: bool) -> tuple[WordLists, dict[str, PhraseFile]]:
    """Read word lists.

    Args:
        files: name → file.
        ignore_case: whether upper and lower case are equal.

    Returns:
        The lists, and the content of each file by name.

    Raises:
        DataError: a file cannot be read, or all of them have too many phrases together.
    """
    read = {}
    for name, path in files.items():
        try:
            read[name] = read_phrases(path)
        except DataError as error:
            raise DataError(f"features.lists.{name}: {error.message}", detail=error.detail) from None
    try:
        return WordLists({name: file.phrases for name, file in read.items()}, ignore_case), read
    except ValueError as error:
        raise DataError(f"features.lists: {error}; make the lists shorter") from None


def cut_otherwise(phrases: Collection[str], known: Collection[str]) -> list[str]:
    """Return tokens of phrases that the tokenizer of a corpus seems to cut, as in `York's`, with the cut: `York 's`.

    These tokens are not in the corpus, but the punctuation at one of their ends is a token of it.

    Args:
        phrases: the phrases.
        known: the distinct tokens of the corpus.
    """
    found: dict[str, None] = {}
    for token in {token for phrase in phrases for token in phrase.split(" ")}:
        edge = None if token.isalnum() or token in known else _EDGES.search(token)
        if edge is not None and edge[0] in known:
            cut = f"{edge[0]} {token[edge.end() :]}" if edge.start() == 0 else f"{token[: edge.start()]} {edge[0]}"
            found[f"{token} ({cut})"] = None
    return sorted(found)
