"""Calibration: its error by hand and on data that is calibrated by construction, and the fit of a temperature."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from stub_model import TAGS, stub_manifest, stub_predictor

from tagger.corpus.conll import Sentence
from tagger.corpus.dataset import Corpus
from tagger.corpus.notation import Notation
from tagger.corpus.schemes import NO_SCHEME, spans_from_tags
from tagger.evaluation.calibration import (
    Bin,
    _curve,
    calibration_error,
    fit_calibration,
    reliability,
    span_outcomes,
    threshold_for,
)
from tagger.inputs.batching import pad
from tagger.model_dir.manifest import Calibration, Manifest
from tagger.prediction.predictor import Predictor


def test_bins_and_error_by_hand() -> None:
    probabilities = np.array([0.1, 0.5, 0.45, 0.51, 1.0, 0.0])
    correct = np.array([False, True, False, True, True, True])
    assert reliability(probabilities, correct, 2) == [
        Bin(0.0, 0.5, 4, pytest.approx(0.2625), 0.5),
        Bin(0.5, 1.0, 2, pytest.approx(0.755), 1.0),
    ]
    assert calibration_error(probabilities, correct, 2) == pytest.approx((4 * 0.2375 + 2 * 0.245) / 6)
    assert calibration_error(np.zeros(0), np.zeros(0, bool)) == 0.0


def test_a_calibrated_predictor_has_hardly_any_error_and_an_overconfident_one_has() -> None:
    rng = np.random.default_rng(1)
    probabilities = rng.uniform(size=200_000)
    correct = rng.uniform(size=200_000) < probabilities
    assert calibration_error(probabilities, correct) < 0.005
    assert calibration_error(np.sqrt(probabilities), correct) > 0.1


@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.95, 1.0])
def test_thresholds_against_trying_all(wanted: float) -> None:
    rng = np.random.default_rng(2)
    for _ in range(200):
        n = int(rng.integers(0, 12))
        probabilities, correct = rng.integers(0, 6, n) / 5, rng.uniform(size=n) < 0.7
        reached = [p for p in set(probabilities.tolist()) if correct[probabilities >= p].mean() >= wanted]
        assert threshold_for(probabilities, correct, wanted) == (min(reached) if reached else None)


def random_predictor(
    scale: float, temperature: float | None = None, calibration: Calibration | None = None
) -> Predictor:
    """Return a predictor with random logits for each of 40 tokens, times a scale."""
    table = np.random.default_rng(3).normal(size=(42, len(TAGS))).astype(np.float32) * np.float32(scale)
    if temperature is not None:
        calibration = Calibration(temperature=temperature, curve=(), error_before=0.1, error_after=0.1, n_spans=1)
    return stub_predictor(
        stub_manifest(calibration=calibration),
        lambda sentences, _: table[pad(sentences)[0]],
        tuple(f"w{i}" for i in range(40)),
    )


def corpus_drawn_from(predictor: Predictor, n: int, seed: int = 4) -> Corpus:
    """Return sentences of three tokens whose tags are drawn from the predictor's own distribution."""
    rng = np.random.default_rng(seed)
    from itertools import product

    from tagger.corpus.transitions import constraints_of

    rules = constraints_of(TAGS, "IOB2")
    assert rules is not None
    paths = np.array(list(product(range(len(TAGS)), repeat=3)))
    moves = rules.transition[paths[:, :-1], paths[:, 1:]].sum(axis=1) + rules.start[paths[:, 0]]
    sentences = [Sentence([f"w{i}" for i in row], [], [], [], [], 0) for row in rng.integers(0, 40, (n, 3))]
    tags = []
    for logits in predictor.logits([sentence.tokens for sentence in sentences]):
        scores = logits[np.arange(3), paths].sum(axis=1) + moves
        shares = np.exp(scores - scores.max())
        path = paths[rng.choice(len(paths), p=shares / shares.sum())]
        tags.append([TAGS[i] for i in path])
    return Corpus("drawn", sentences, tags, Notation(scheme="IOB2"))


def test_the_temperature_of_a_network_that_is_three_times_too_sure_is_three() -> None:
    corpus = corpus_drawn_from(random_predictor(2.0), 900)
    found = fit_calibration(random_predictor(6.0), corpus)
    assert found is not None
    assert found.temperature == pytest.approx(3.0, rel=0.15)
    assert found.error_before > 0.15
    assert found.error_after < 0.04
    probabilities, correct = span_outcomes(random_predictor(6.0, calibration=found), corpus)
    assert calibration_error(probabilities, correct) == pytest.approx(found.error_after)
    assert len(probabilities) == found.n_spans


def test_a_curve_mends_what_a_temperature_cannot() -> None:
    """The tags of the surest spans are wrong in every fifth sentence, whatever the network says."""
    corpus, predictor = corpus_drawn_from(random_predictor(6.0), 1500), random_predictor(6.0)
    for row in range(0, len(corpus), 5):
        corpus.tags[row] = ["O", "O", "O"]
    found = fit_calibration(predictor, corpus)
    assert found is not None
    assert len(found.curve) >= 5
    other = corpus_drawn_from(random_predictor(6.0), 3000, seed=5)
    for row in range(0, len(other), 5):
        other.tags[row] = ["O", "O", "O"]
    without = dataclasses.replace(found, curve=())
    errors = [
        calibration_error(*span_outcomes(random_predictor(6.0, calibration=one), other)) for one in (found, without)
    ]
    assert errors[0] < 0.03 < errors[1]


def test_a_curve_keeps_the_order_of_spans() -> None:
    rng = np.random.default_rng(6)
    probabilities = np.sort(rng.uniform(size=2000))
    curve = _curve(probabilities, rng.uniform(size=2000) < 0.5)
    assert np.all(np.diff(np.interp(probabilities, *np.array(curve).T)) > 0)
    assert _curve(probabilities[:250], np.ones(250, bool)) == ()


def test_a_temperature_changes_no_tag() -> None:
    sentences = [[f"w{i}" for i in range(start, start + 9)] for start in range(30)]
    hot, cold = random_predictor(2.0, 9.0).tag(sentences, spans=True), random_predictor(2.0).tag(sentences, spans=True)
    assert [one.tags for one in hot] == [one.tags for one in cold]
    assert any(spans_from_tags(one.tags) for one in hot)
    assert all(a.probabilities != b.probabilities for a, b in zip(hot, cold, strict=True))


def test_nothing_to_fit_on() -> None:
    corpus = corpus_drawn_from(random_predictor(2.0), 3)
    assert fit_calibration(random_predictor(2.0), corpus) is None
    plain = stub_manifest(notation=Notation(scheme=NO_SCHEME), scheme=NO_SCHEME)
    assert fit_calibration(stub_predictor(plain), dataclasses.replace(corpus)) is None


@pytest.mark.parametrize("least", [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0])
def test_a_curve_of_any_probabilities_can_be_stored(least: float) -> None:
    rng = np.random.default_rng(8)
    for n in (300, 1000, 6000):
        for most in (least, 1.0):
            probabilities = rng.uniform(least, max(least, most), n)
            found = _curve(probabilities, rng.uniform(size=n) < probabilities)
            values = {"temperature": 1.0, "curve": found, "error_before": 0.1, "error_after": 0.1, "n_spans": n}
            manifest = stub_manifest(calibration=Calibration(**values))
            stored = json.loads(json.dumps(manifest.to_json()))
            assert Manifest.from_json(stored).calibration == manifest.calibration


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("share", [0.0, 0.01, 1.0])
def test_a_curve_where_nearly_all_spans_are_wrong_or_right(share: float) -> None:
    """Nothing is known beyond the probabilities that were seen, where a falling curve would come from high up."""
    rng = np.random.default_rng(8)
    probabilities = rng.uniform(0.3, 1.0, size=1000)
    correct = rng.uniform(size=1000) < share
    found = np.interp(probabilities, *np.array(_curve(probabilities, correct)).T)
    assert found.mean() == pytest.approx(correct.mean(), abs=2e-3)
    assert calibration_error(found, correct) < 0.01


@pytest.mark.filterwarnings("error")
def test_a_curve_where_surer_spans_are_oftener_wrong() -> None:
    rng = np.random.default_rng(9)
    probabilities = rng.uniform(size=2000)
    for correct in (rng.uniform(size=2000) > probabilities, probabilities < 0.5):
        found = np.interp(probabilities, *np.array(_curve(probabilities, correct)).T)
        assert found.mean() == pytest.approx(correct.mean(), abs=5e-3)
        assert calibration_error(found, correct) < 0.01


@pytest.mark.filterwarnings("error")
def test_a_curve_with_a_step() -> None:
    probabilities = np.random.default_rng(9).uniform(size=2000)
    correct = probabilities > 0.5
    found = np.interp(probabilities, *np.array(_curve(probabilities, correct)).T)
    assert calibration_error(found, correct) < 0.03  # as well as 60 points can follow it
