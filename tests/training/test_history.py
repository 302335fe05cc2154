"""Tests of the choice of the best epoch, of patience, and of `history.csv`."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tensorflow")

from tagger.evaluation.scores import evaluate
from tagger.network.trainer import EpochLoss
from tagger.training.history import EpochResult, format_history, last_progress

pytestmark = pytest.mark.tensorflow


def result(epoch: int, n_right: int, dev_loss: float | None = 1.0, train_loss: float = 1.0) -> EpochResult:
    """Return the result of an epoch in which `n_right` of four spans were found, and nothing else."""
    tags = [["B-X"] * n_right + ["O"] * (4 - n_right)]
    return EpochResult(epoch, EpochLoss(train_loss, 1, 1.0), evaluate([["B-X"] * 4], tags, "IOB2"), True, dev_loss)


def test_the_best_epoch_is_decided_by_f1_or_by_accuracy_without_spans() -> None:
    spans = evaluate([["B-X", "O", "O"]], [["B-X", "B-X", "O"]], "IOB2")
    assert spans.score == pytest.approx(2 / 3)
    assert evaluate([["O", "O"]], [["O", "B-X"]], "IOB2").score == 0.5
    assert evaluate([["a", "b"]], [["a", "a"]], "none").score == 0.5


@pytest.mark.parametrize(
    ("earlier", "later", "beats"),
    [
        (result(1, 2, 0.1), result(2, 3, 0.9), True),
        (result(1, 3, 0.9), result(2, 2, 0.1), False),
        (result(1, 0, 0.5), result(2, 0, 0.4), True),
        (result(1, 0, 0.4), result(2, 0, 0.5), False),
        (result(1, 4, 0.5), result(2, 4, 0.5), True),
        (result(1, 2, None), result(2, 2, 0.5), True),
    ],
)
def test_equal_scores_are_decided_by_the_loss_on_dev_and_then_by_the_later_epoch(
    earlier: EpochResult, later: EpochResult, beats: bool
) -> None:
    assert later.beats(earlier) == beats


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        ([], 0),
        ([(0, 3.0, 3.0), (0, 2.0, 3.5), (0, 2.5, 2.5), (0, 2.5, 2.5), (0, 2.5, 2.5)], 3),  # a loss falls until the third
        ([(0, 3.0, 3.0), (1, 3.0, 3.0), (1, 2.0, 2.0), (1, 1.0, 1.0)], 2),  # falling losses are no progress any more
        ([(4, 3.0, 3.0), (1, 2.0, 2.0)], 1),
        ([(1, 1.0, 1.0), (0, 0.5, 0.5), (2, 2.0, 2.0)], 3),
        ([(0, None, 3.0), (0, None, 2.0), (0, None, 2.0)], 2),
    ],
)  # fmt: skip
def test_patience_counts_from_a_better_score_or_while_that_is_zero_from_a_lower_loss(
    epochs: list[tuple[int, float | None, float]], expected: int
) -> None:
    history = [result(i, *values) for i, values in enumerate(epochs, start=1)]
    assert last_progress(history) == expected


def test_results_are_restored_from_a_state_even_an_older_one() -> None:
    found = result(1, 2, 0.123456789012345)
    assert EpochResult.from_json(json.loads(json.dumps(found.to_json()))) == found
    older = found.to_json()
    del older["dev_loss"]
    assert EpochResult.from_json(older).dev_loss is None


def test_the_history_has_one_line_for_each_epoch() -> None:
    without_dev = EpochResult(2, EpochLoss(0.25, 30, 4.0), None, best=True)
    assert format_history([result(1, 4, 0.5), without_dev]) == (
        "epoch,train_loss,dev_f1,seconds,tokens_per_second,dev_loss\n1,1.000000,1.000000,1.00,1,0.500000\n2,0.250000,,4.00,8,\n"
    )
