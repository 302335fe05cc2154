"""The lines that a training shows: they fit in 80 columns, and the time left is that of the whole training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tagger.cli.live import TimeLeft
from tagger.cli.progress import epoch_line
from tagger.cli.runs_progress import RunsProgress
from tagger.evaluation.scores import Evaluation, Score
from tagger.runs.messages import Pretraining, Started, Told


def an_epoch(epoch: int = 7, loss: float = 0.12345, speed: float = 33388.2, dev: Evaluation | None = None) -> Any:
    """Return the attributes of an `EpochResult` that a line shows; the real one needs TensorFlow."""
    train = SimpleNamespace(loss=loss, tokens_per_second=speed)
    return SimpleNamespace(epoch=epoch, train=train, dev=dev, best=True)


def an_evaluation(share: float, *, plain: bool = False) -> Evaluation:
    score = None if plain else Score(share, share / 2, share / 4, 10)
    return Evaluation(score, score, {}, share, 1, 10)


def test_an_epoch_line_shows_loss_scores_speed_and_whether_it_is_the_best() -> None:
    assert epoch_line(an_epoch(dev=an_evaluation(0.5))) == (
        "epoch   7  loss 0.1235  dev P  50.00  R  25.00  F1  12.50  33,388 tokens/s  *"
    )
    assert epoch_line(an_epoch(dev=an_evaluation(0.5, plain=True))) == (
        "epoch   7  loss 0.1235  dev accuracy  50.00  33,388 tokens/s  *"
    )
    assert epoch_line(an_epoch()) == "epoch   7  loss 0.1235  no dev set  33,388 tokens/s"


@pytest.mark.parametrize("loss", [0.1, 99.99999, 123.456, 1234567.8, 1.5e30])
def test_an_epoch_line_fits_in_80_columns(loss: float) -> None:
    line = epoch_line(an_epoch(999, loss, 999_999, an_evaluation(1.0)))
    assert len(line) <= 80, line


def test_trainings_side_by_side_show_their_pretraining_and_then_their_epochs() -> None:
    begun = list[None]()
    progress = RunsProgress(lambda: begun.append(None))
    progress.hear("fold-1", Told("reading", is_warning=False))
    assert begun == []
    progress.hear("fold-1", Pretraining(0.4))
    assert list(progress.parts())[-1] == "fold-1: pretraining 40 %"
    assert begun == [None], "there is something to lose from now on"
    progress.hear("fold-1", Started(3, 0, None))
    assert list(progress.parts())[-1] == "fold-1: epoch 1/3 0 %"


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_time_left_is_that_of_all_epochs_at_the_speed_so_far() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.start_epoch(1, 10, 1000)
    assert left.seconds() is None
    clock.now += 50  # compiling
    left.step(100)
    assert left.seconds() is None, "the first step says nothing about the speed"
    clock.now += 2
    left.step(200)
    assert left.seconds() == pytest.approx(2 / 200 * (700 + 9 * 1000))
    clock.now += 7
    left.step(700)
    clock.now += 9  # dev is scored
    left.start_epoch(2, 10, 1000)
    assert left.seconds() == pytest.approx(18 / 900 * 9000)


def test_a_continued_epoch_does_not_shorten_the_later_ones() -> None:
    clock = Clock()
    left = TimeLeft(clock=clock)
    left.start_epoch(3, 4, 100)
    left.step(50)
    clock.now += 5
    left.step(50)
    left.start_epoch(4, 4, 1000)
    assert left.seconds() == pytest.approx(5 / 50 * 1000)


def test_the_time_left_includes_the_seeds_to_come() -> None:
    clock = Clock()
    left = TimeLeft(3, clock)
    left.start_epoch(1, 2, 100)
    left.step(50)
    clock.now += 5
    left.step(50)
    assert left.seconds() == pytest.approx(5 / 50 * 500)
    left.start_epoch(2, 2, 100)
    assert left.seconds() == pytest.approx(5 / 50 * 500)
    left.start_epoch(1, 2, 100)
    assert left.seconds() == pytest.approx(5 / 50 * 400)
    left.start_epoch(1, 2, 100)  # the second seed lost patience
    assert left.seconds() == pytest.approx(5 / 50 * 200)
