"""Tests of the choice of the best epoch."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow")

from tagger.evaluation.scores import evaluate
from tagger.training.history import score_of

pytestmark = pytest.mark.tensorflow


def test_the_best_epoch_is_decided_by_f1_or_by_accuracy_without_spans() -> None:
    spans = evaluate([["B-X", "O", "O"]], [["B-X", "B-X", "O"]], "IOB2")
    assert score_of(spans) == pytest.approx(2 / 3)
    assert score_of(evaluate([["O", "O"]], [["O", "B-X"]], "IOB2")) == 0.5
    assert score_of(evaluate([["a", "b"]], [["a", "a"]], "none")) == 0.5
