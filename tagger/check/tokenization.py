"""A comparison of the tokens of a training file with those that raw text of the same language would be cut into."""

from __future__ import annotations

import collections
from collections.abc import Iterator, Sequence

from tagger.check.problems import WARNING, Problem, quoted
from tagger.corpus.conll import Sentence
from tagger.text.tokenizer import Tokenizer, is_installed, load_tokenizer

_MOST_TOKENS = 20_000  # compared; so many take a tenth of a second
_MOST_DIFFERENT = 0.02  # the share of tokens
_EXAMPLES = 5


def check_tokenization(sentences: Sequence[Sentence], language: str) -> list[Problem]:
    """Return a warning if a tokenizer would cut the text in another way in more than 2 % of the tokens.

    The tokens of a sample are joined by blanks (in languages without blanks, by nothing), so that only tokens that are
    cut further count where the file does not say which tokens touch. Nothing is compared if the libraries are not
    installed.

    Raises:
        DataError: the language has no tokenizer.
    """
    if not is_installed():
        return []
    tokenizer = load_tokenizer(language)
    different: collections.Counter[str] = collections.Counter()
    n_tokens = 0
    for sentence in _sample(sentences):
        tokens = [token for token in sentence.tokens if token.strip()]
        n_tokens += len(tokens)
        different.update(_cut_differently(tokens, tokenizer))
    n = different.total()
    if n <= _MOST_DIFFERENT * n_tokens:
        return []
    examples = ", ".join(f"{example} ({count})" for example, count in different.most_common(_EXAMPLES))
    text = (
        f"{n} of {n_tokens} tokens ({100 * n / n_tokens:.1f} %) are cut differently by {tokenizer.name}: {examples};"
        " tagger predict --text cuts raw text in this way, so that the model sees tokens that it was not trained on; if"
        " such text is to be tagged, name another language, train on text that is cut in the same way (tagger convert),"
        " or cut the text as the training data are and leave --text out"
    )
    return [Problem(0, WARNING, text, "tokenization")]


def _sample(sentences: Sequence[Sentence]) -> Iterator[Sentence]:
    """Yield sentences from all of the file, with about as many tokens as are compared."""
    n_tokens = sum(len(sentence.tokens) for sentence in sentences)
    step = max(1, n_tokens // _MOST_TOKENS)
    left = _MOST_TOKENS
    for sentence in sentences[::step]:
        if left <= 0:
            return
        left -= len(sentence.tokens)
        yield sentence


def _cut_differently(tokens: Sequence[str], tokenizer: Tokenizer) -> Iterator[str]:
    """Yield each token that a tokenizer does not find, as `don't → do n't`."""
    text = tokenizer.joiner.join(tokens)
    found = [token for sentence in tokenizer.sentences(text) for token in sentence]
    known, at = set(found), 0
    for token in tokens:
        start, end = at, at + len(token)
        at = end + len(tokenizer.joiner)
        if (start, end) not in known:
            parts = [text[first:last] for first, last in found if first < end and last > start]
            yield f"{quoted(token)} → {' '.join(parts)[:60]}"
