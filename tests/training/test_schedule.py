"""The batch size and the number of epochs that are chosen for a number of sentences."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.config.keys import TrainingConfig
from tagger.training.schedule import Schedule, schedule_of


@pytest.mark.parametrize(
    ("n_sentences", "batch_size", "epochs"),
    [
        (0, 4, 100), (1, 4, 100), (20, 4, 100), (55, 4, 100), (57, 4, 94), (100, 4, 56), (200, 4, 30), (282, 4, 30),
        (283, 8, 39), (300, 8, 37), (565, 8, 30), (566, 16, 39), (1000, 16, 30), (1131, 16, 30), (1132, 32, 39),
        (1472, 32, 31), (1473, 32, 30), (1500, 32, 30), (10_000, 32, 30), (10**7, 32, 30),
    ],
)  # fmt: skip
def test_small_training_sets_get_small_batches_and_more_epochs(n_sentences: int, batch_size: int, epochs: int) -> None:
    found = schedule_of(TrainingConfig(), n_sentences)
    assert (found.batch_size, found.epochs) == (batch_size, epochs)


@pytest.mark.parametrize(("n_sentences", "patience"), [(1, 10), (300, 10), (1131, 10), (1132, 5), (10**6, 5)])
def test_patience_is_longer_where_batches_are_small(n_sentences: int, patience: int) -> None:
    assert schedule_of(TrainingConfig(), n_sentences).patience == patience


@given(st.integers(1, 20_000))
def test_a_schedule_has_30_to_100_epochs_and_enough_steps(n_sentences: int) -> None:
    found = schedule_of(TrainingConfig(), n_sentences)
    steps = found.epochs * -(-n_sentences // found.batch_size)
    assert found.batch_size in (4, 8, 16, 32)
    assert steps >= 1400 or found.epochs == 100
    assert found.epochs == 30 or steps - -(-n_sentences // found.batch_size) < 1400, "fewer epochs would do"
    assert found.batch_size <= schedule_of(TrainingConfig(), n_sentences + 1).batch_size


@pytest.mark.parametrize(
    ("n_tokens", "epochs"),
    [
        (0, 0), (999, 0), (1000, 10), (10**6, 10), (10**6 + 1, 9), (3_000_000, 3), (10**7, 1), (10**9, 1),
    ],
)  # fmt: skip
def test_a_long_text_is_read_less_often(n_tokens: int, epochs: int) -> None:
    assert schedule_of(TrainingConfig(), 100, n_tokens).pretraining_epochs == epochs
    assert schedule_of(TrainingConfig(pretraining_epochs=7), 100, n_tokens).pretraining_epochs == 7
    assert ("pretraining_epochs" in schedule_of(TrainingConfig(), 100, n_tokens).chosen) == (n_tokens > 0)


def test_what_the_config_sets_is_not_chosen() -> None:
    assert schedule_of(TrainingConfig(batch_size=32, epochs=7, patience=3), 100) == Schedule(32, 7, 3)
    assert schedule_of(TrainingConfig(batch_size=32, patience=None), 100) == Schedule(32, 100, None, ("epochs",))
    assert schedule_of(TrainingConfig(batch_size=1), 100) == Schedule(1, 30, 10, ("epochs", "patience"))
    assert schedule_of(TrainingConfig(epochs=7), 100) == Schedule(4, 7, 10, ("batch_size", "patience"))
    # Each part of a batch needs a sentence.
    assert schedule_of(TrainingConfig(accumulate=6), 100).batch_size == 6


def test_the_note_says_what_was_chosen_and_why() -> None:
    assert schedule_of(TrainingConfig(), 100).note(100, 900) == (
        "training.batch_size: 4, training.epochs: 56 and training.patience: 10, chosen for 100 training sentences"
    )
    assert (
        schedule_of(TrainingConfig(epochs=7, patience=5), 1).note(1, 2)
        == "training.batch_size: 4, chosen for 1 training sentence"
    )
    assert schedule_of(TrainingConfig(epochs=7, batch_size=3, patience=None), 9).note(9, 99) is None
    assert (
        schedule_of(TrainingConfig(epochs=7, batch_size=3, patience=None), 99, 2000).note(99, 2000)
        == "training.pretraining_epochs: 10, chosen for 99 training sentences with 2000 tokens"
    )
