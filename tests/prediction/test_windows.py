"""Windows over long sentences: every token counts once, away from the edges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tagger.prediction.predictor import context_of, windows


@given(st.integers(1, 3000), st.integers(1, 600))
def test_every_token_counts_once_and_no_window_is_too_long(n_tokens: int, max_length: int) -> None:
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
