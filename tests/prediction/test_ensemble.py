"""The mean of the distributions of several models, against sums over all tag sequences."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from all_paths import all_paths, learned
from stub_model import TAG_OF_TOKEN, TAGS, long_sentence, neighbourhood_predictor, stub_manifest, stub_predictor

from tagger.architecture import NetworkSpec
from tagger.corpus.layout import Layout
from tagger.corpus.transitions import Transitions, constraints_of
from tagger.errors import ModelError
from tagger.inputs.batching import pad
from tagger.inputs.characters import build_characters
from tagger.inputs.encoder import FORM, TOKEN, Encoder
from tagger.inputs.vocabulary import N_RESERVED, Ids, TagVocabulary, TokenVocabulary
from tagger.model_dir.store import Model
from tagger.prediction.decoding import Logits
from tagger.prediction.ensemble import Ensemble, check_agree, distributions
from tagger.prediction.predictor import Predictor

WORDS = ("a", "b", "c")
SENTENCES = [["a"], ["b", "a", "unknown", "c"], [], ["c", "c", "b"]]
RULES = constraints_of(TAGS, "IOB2")


class Scorer:
    """A network whose logits are random numbers for each token id, or each form; with a CRF if it has transitions."""

    def __init__(self, seed: int, transitions: Transitions | None = None, column: int | None = None) -> None:
        self.table = np.random.default_rng(seed).normal(scale=2.0, size=(20, len(TAGS))).astype(np.float32)
        self.transitions, self._column = transitions, column

    def __call__(self, sentences: Sequence[Ids], forms: object) -> Logits:
        ids = pad(sentences)[0]
        return self.table[ids if self._column is None else ids[..., self._column]]


def member(
    score: Scorer, words: tuple[str, ...] = WORDS, tags: Sequence[str] = TAGS, directory: str = "m"
) -> Predictor:
    """Return the predictor of a model with one column of ids, or with those of forms as well."""
    decoder = "constrained" if score.transitions is None else "crf"
    encoder = Encoder(TokenVocabulary(words))
    if score._column is not None:
        encoder = dataclasses.replace(encoder, characters=build_characters(words)[0])
    manifest = stub_manifest(network=NetworkSpec(decoder=decoder))  # type: ignore[arg-type]
    return Predictor(Model(Path(directory), manifest, encoder, TagVocabulary(tuple(tags)), score))


def expected(members: Sequence[tuple[Scorer, tuple[str, ...]]], sentence: list[str]) -> np.ndarray:
    """Return the mean of the distributions [T, K] by brute force."""
    found = []
    for score, words in members:
        logits = score.table[[words.index(token) + N_RESERVED if token in words else 1 for token in sentence]]
        rules = score.transitions or Transitions.free(len(TAGS))
        found.append(all_paths(logits.astype(np.float64), rules).marginals)
    return np.mean(found, axis=0)


def test_the_logits_are_the_logarithms_of_the_mean_of_softmaxes_and_marginals() -> None:
    crf = Scorer(2, learned(list(TAGS), "IOB2", 5))
    members = [(Scorer(1), WORDS), (crf, WORDS[::-1]), (Scorer(3), ("c",))]
    ensemble = Ensemble([member(score, words) for score, words in members])
    for sentence, logits in zip(SENTENCES, ensemble.logits(SENTENCES), strict=True):
        if sentence:
            assert np.exp(logits) == pytest.approx(expected(members, sentence), abs=1e-5)
    assert RULES is not None
    for sentence, tagged in zip(SENTENCES, ensemble.tag(SENTENCES), strict=True):
        if sentence:
            best = all_paths(np.log(expected(members, sentence)), RULES).best
            assert tagged.tags == [TAGS[i] for i in best]


def test_the_probabilities_of_many_sentences_are_those_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    members = [(Scorer(1), WORDS), (Scorer(3), ("c",))]
    ensemble = Ensemble([member(score, words) for score, words in members], threads=2)
    many = [sentence * n for n in range(1, 9) for sentence in SENTENCES]
    for sentence, found in zip(many, ensemble.probabilities([[one] for one in many]), strict=True):
        assert found.shape == (len(sentence), len(TAGS))
        if 0 < len(sentence) < 5:
            assert found == pytest.approx(expected(members, sentence), abs=1e-5)
    long = neighbourhood_predictor(2, 16)
    (found,) = Ensemble([long]).probabilities([[long_sentence(100)]])
    assert np.log(found) == pytest.approx(Ensemble([long]).logits([long_sentence(100)])[0], abs=1e-4)


def test_members_may_order_their_tags_differently_and_read_forms_or_not() -> None:
    order = [TAGS[i] for i in np.random.default_rng(0).permutation(len(TAGS))]
    plain, by_id, by_form = Scorer(1), Scorer(4), Scorer(4, column=TOKEN)
    assert FORM != TOKEN
    ensemble = Ensemble([member(plain), member(by_form, tags=order)])
    other = Ensemble([member(plain), member(by_id, tags=order)])
    for first, second in zip(ensemble.logits(SENTENCES), other.logits(SENTENCES), strict=True):
        assert first.tolist() == second.tolist()
    (logits,) = ensemble.logits([["b", "c"]])
    (of_plain,), (of_other,) = member(plain).logits([["b", "c"]]), member(by_id).logits([["b", "c"]])
    softmaxes = [np.exp(one) / np.exp(one).sum(axis=-1, keepdims=True) for one in (of_plain, of_other)]
    by_tag = softmaxes[1][:, [order.index(tag) for tag in TAGS]]
    assert np.exp(logits) == pytest.approx((softmaxes[0] + by_tag) / 2, abs=1e-6)


def test_the_ensemble_of_one_model_is_the_model() -> None:
    sentences = [["EU", "rejects", "German"], list(TAG_OF_TOKEN), ["Peter", "Blackburn", "Blackburn"]]
    one = stub_predictor()
    assert Ensemble([one]).tag(sentences) == [
        dataclasses.replace(tagged, probabilities=pytest.approx(tagged.probabilities)) for tagged in one.tag(sentences)
    ]
    for predictor in (neighbourhood_predictor(2, 16), neighbourhood_predictor(3, 512)):
        long = [long_sentence(100), long_sentence(7)]
        tags = [tagged.tags for tagged in predictor.tag(long)]
        assert [tagged.tags for tagged in Ensemble([predictor], threads=2).tag(long)] == tags
        assert [tagged.tags for tagged in Ensemble([predictor, predictor]).tag(long)] == tags


def test_a_temperature_divides_the_logits_and_the_weights_of_a_crf() -> None:
    score, rules = Scorer(2), learned(list(TAGS), "IOB2", 6)
    logits = score.table[[[2, 3, 4]]]
    lengths = np.array([3], np.int32)
    softened = distributions(logits, lengths, None, 2.0)[0]
    halves = np.exp(logits[0].astype(np.float64) / 2)
    assert softened == pytest.approx(halves / halves.sum(axis=-1, keepdims=True), abs=1e-6)
    half = all_paths(logits[0].astype(np.float64) / 2, rules.scaled(0.5)).marginals
    assert distributions(logits, lengths, rules, 2.0)[0] == pytest.approx(half, abs=1e-5)
    flat = Ensemble([member(score)], temperature=2.0).logits([list(WORDS)])[0]
    assert np.exp(flat) == pytest.approx(softened, abs=1e-6)


def test_models_that_differ_are_refused_with_the_difference() -> None:
    first, fewer = member(Scorer(1)), member(Scorer(1), tags=TAGS[:-1], directory="other")
    check_agree([first.model, first.model], "--model")
    with pytest.raises(ModelError, match=r"^--model: m and other have different tags, .*: only m has I-PER; train"):
        check_agree([first.model, fewer.model], "--model")
    others = dataclasses.replace(first.model, tags=TagVocabulary(("O", *(f"B-{i}" for i in range(7)))))
    with pytest.raises(ModelError, match=r"only m has B-LOC, .* and 3 more and only m has B-0, B-1, .* and 2 more"):
        check_agree([first.model, others], "--model")
    iobes = dataclasses.replace(first.model, manifest=stub_manifest(scheme="IOBES"), directory=Path("n"))
    with pytest.raises(ModelError, match="m has learned tags in IOB2 and n tags in IOBES, expected one scheme"):
        check_agree([first.model, iobes], "--model")
    layout = Layout(columns={"token": 0, "pos": 1, "tag": 2})
    pos = dataclasses.replace(first.model, manifest=stub_manifest(layout), directory=Path("n"))
    with pytest.raises(ModelError, match="m and n read different feature columns, expected the same: none and pos"):
        check_agree([first.model, pos], "--model")
