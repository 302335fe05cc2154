"""Tests of the predictor: windows over long sentences, and a network that fails."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stub_model import TAGS, fixed_logits, long_sentence, neighbourhood_predictor, stub_predictor

from tagger.corpus.layout import Layout
from tagger.errors import ModelError
from tagger.inputs.batching import Ids, pad
from tagger.prediction.decoding import Logits
from tagger.prediction.predictor import Predictor
from tagger.prediction.stream import tag_conll
from tagger.prediction.windows import context_of, windows


@given(st.integers(1, 3000), st.integers(1, 600))
def test_windows_count_every_token_once_and_none_is_too_long(n_tokens: int, max_length: int) -> None:
    found = windows(n_tokens, max_length)
    counted = [i for window in found for i in range(window.first, window.last)]
    assert counted == list(range(n_tokens))
    context = context_of(max_length)
    for window in found:
        assert 0 <= window.start <= window.first < window.last <= window.end <= n_tokens
        assert window.end - window.start <= max_length
        assert window.first - window.start >= context or window.start == 0
        assert window.end - window.last >= context or window.end == n_tokens


def test_a_sentence_that_fits_is_one_window() -> None:
    assert len(windows(512, 512)) == 1
    assert len(windows(513, 512)) == 2


@pytest.mark.parametrize(("max_length", "radius"), [(512, 20), (512, 64), (64, 8)])
def test_windows_give_the_logits_of_the_whole_sentence(max_length: int, radius: int) -> None:
    whole, windowed = neighbourhood_predictor(radius, 4096), neighbourhood_predictor(radius, max_length)
    tokens = long_sentence(2000)
    (expected,) = whole.logits([tokens])
    short, found, nothing = windowed.logits([tokens[:3], tokens, []])
    assert (found == expected).all()
    assert (short == whole.logits([tokens[:3]])[0]).all()
    assert nothing.shape == (0, len(TAGS))


def test_a_neighbourhood_wider_than_the_context_changes_the_logits() -> None:
    tokens = long_sentence(2000)
    (expected,), (found,) = (neighbourhood_predictor(65, n).logits([tokens]) for n in (4096, 512))
    assert (found != expected).any()


def test_the_context_is_an_eighth_of_the_window() -> None:
    assert (context_of(512), context_of(64), context_of(7)) == (64, 8, 0)


# --- Errors ----------------------------------------------------------------------------------------------------------


def test_a_failure_of_the_network_stops_all_work_at_once() -> None:
    begun: list[int] = []

    def failing(sentences: Sequence[Ids], _: object) -> Logits:
        begun.append(len(sentences))
        if len(begun) == 4:
            raise ModelError("broken")
        time.sleep(0.01)
        return fixed_logits()[pad(sentences)[0]]

    for threads in (1, 2):
        predictor = Predictor(stub_predictor(score=failing).model, threads=threads, batch_tokens=1)
        begun.clear()
        with pytest.raises(ModelError, match="broken"):
            predictor.tag([["EU"]] * 200)
        n_begun = len(begun)
        assert n_begun < 20
        time.sleep(0.1)
        assert len(begun) <= n_begun + threads, "batches that had not started must never start"
        begun.clear()
        blocks: list[bytes] = []
        with pytest.raises(ModelError, match="broken"):
            blocks += tag_conll(predictor, io.BytesIO(b"EU\n\n" * 200), Layout(), path="-")
        assert blocks == []
