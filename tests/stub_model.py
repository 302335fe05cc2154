"""A model without a network: each known token has fixed logits, so that predictions can be computed by hand.

    EU → B-ORG    German → B-MISC    Peter → B-PER    Blackburn → I-PER, or B-PER if no PER span precedes it

`TAG_OF_TOKEN` also holds some unusual tokens; every other token is O. Does not need TensorFlow.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from all_paths import all_paths

from tagger.architecture import NetworkSpec
from tagger.cli import models
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import spans_from_tags
from tagger.corpus.transitions import constraints_of
from tagger.inputs.batching import Ids, pad
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import N_RESERVED, UNK_ID, Normalization, TagVocabulary, TokenVocabulary
from tagger.model_dir.manifest import Manifest
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits
from tagger.prediction.predictor import ComputeLogits, Predictor

TAGS = ("O", "B-LOC", "B-MISC", "B-ORG", "B-PER", "I-LOC", "I-MISC", "I-ORG", "I-PER")
TAG_OF_TOKEN: Mapping[str, str] = {
    "EU": "B-ORG",
    "German": "B-MISC",
    "Peter": "B-PER",
    "Blackburn": "I-PER",
    "New York": "B-LOC",
    "Zürich": "B-LOC",
    "日本": "B-LOC",
    "#": "B-MISC",
    "\u3000": "B-MISC",
    "\u00a0": "B-MISC",
    "e\u0301": "B-MISC",  # decomposed, unlike é
    "👩\u200d👩\u200d👧": "B-PER",
    "שלום": "B-MISC",
    "a\0b": "B-MISC",
}
CHOSEN, SECOND = 4.0, 2.0  # logits: the token's tag, B-PER of Blackburn; the others are 0
P_CHOSEN, P_INSIDE, P_SECOND = 0.8722, 0.7914, 0.1071  # their softmax: e⁴/(e⁴+8), e⁴/(e⁴+e²+7), e²/(e⁴+e²+7)


def fixed_logits() -> Logits:
    """Return the logits of every token id, [V, K]."""
    table = np.zeros((len(TAG_OF_TOKEN) + N_RESERVED, len(TAGS)), np.float32)
    table[:N_RESERVED, TAGS.index("O")] = CHOSEN
    for row, tag in enumerate(TAG_OF_TOKEN.values(), start=N_RESERVED):
        table[row, TAGS.index(tag)] = CHOSEN
        if tag == "I-PER":
            table[row, TAGS.index("B-PER")] = SECOND
    return table


def span_probability(tokens: Sequence[str], start: int, end: int) -> float:
    """Return the probability of the span of the tags that the stub model gives to some tokens, by brute force.

    It is the share of the legal tag sequences with exactly this span and type; of several types, the likeliest counts.
    """
    constraints = constraints_of(TAGS, "IOB2")
    assert constraints is not None
    known = list(TAG_OF_TOKEN)
    ids = [known.index(token) + N_RESERVED if token in known else UNK_ID for token in tokens]
    paths = all_paths(fixed_logits()[ids], constraints)
    found: dict[str, float] = {}
    for path, probability in zip(paths.tags.tolist(), paths.probabilities.tolist(), strict=True):
        for span in spans_from_tags([TAGS[i] for i in path]):
            if (span.start, span.end) == (start, end):
                found[span.type] = found.get(span.type, 0.0) + probability
    return max(found.values())


def stub_manifest(layout: Layout | None = None, **changes: Any) -> Manifest:
    """Return the manifest of the stub model; `layout` is the layout of its training file."""
    manifest = Manifest(
        layout=layout or Layout(n_columns=2, known_tags=frozenset(TAGS)),
        notation=Notation(scheme="IOB2"),
        scheme="IOB2",
        normalization=Normalization(),
        n_trained_tokens=None,
        embedding_dtype="float32",
        network=NetworkSpec(),
        max_length=512,
        seed=1,
        dev={},
        test=None,
        versions={},
    )
    return dataclasses.replace(manifest, **changes)


def stub_predictor(
    manifest: Manifest | None = None, score: ComputeLogits | None = None, tokens: tuple[str, ...] = tuple(TAG_OF_TOKEN)
) -> Predictor:
    """Return the predictor of the stub model; `score` replaces its fixed logits."""
    table = fixed_logits()
    return Predictor(
        Model(
            Path("stub"),
            manifest or stub_manifest(),
            Encoder(TokenVocabulary(tokens)),
            TagVocabulary(TAGS),
            score or (lambda sentences, _: table[pad(sentences)[0]]),
        )
    )


@contextlib.contextmanager
def stub_models(load: Callable[[str], Predictor]) -> Iterator[None]:
    """Make the commands load models with `load`, which takes the name of a model, inside the `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(models, "load_predictor", lambda name, *_: load(name))
        yield


def stub_model(manifest: Manifest | None = None) -> contextlib.AbstractContextManager[None]:
    """Make `tagger predict` and `tagger eval` use the stub model, without loading one, inside the `with` block."""
    return stub_models(lambda _: stub_predictor(manifest))


# --- A network with a limited context --------------------------------------------------------------------------------


_WORDS = tuple(f"w{i}" for i in range(500))


def _neighbourhood_score(radius: int) -> ComputeLogits:
    """Return a scorer whose logits at each token depend exactly on the tokens at most `radius` away."""
    rng = np.random.default_rng(7)
    weights = rng.integers(1, 1000, (2 * radius + 1, 502, len(TAGS)))
    weights[:, 0] = 0  # id 0: padding and all positions outside the sentence

    def score(sentences: Sequence[Ids], _: object) -> Logits:
        token_ids, _ = pad(sentences)
        n_rows, n_steps = token_ids.shape
        padded = np.zeros((n_rows, n_steps + 2 * radius), np.int32)
        padded[:, radius : radius + n_steps] = token_ids
        total = np.zeros((n_rows, n_steps, len(TAGS)), np.int64)
        for offset in range(2 * radius + 1):
            total += weights[offset][padded[:, offset : offset + n_steps]]
        return (total % 997 / 50).astype(np.float32)

    return score


def neighbourhood_predictor(radius: int, max_length: int) -> Predictor:
    """Return a predictor whose network sees `radius` tokens on each side and at most `max_length` tokens at once."""
    manifest = stub_manifest(max_length=max_length)
    return stub_predictor(manifest, _neighbourhood_score(radius), _WORDS)


def long_sentence(n_tokens: int) -> list[str]:
    """Return random tokens from the vocabulary of `neighbourhood_predictor`."""
    return [_WORDS[i] for i in np.random.default_rng(3).integers(0, len(_WORDS), n_tokens)]
