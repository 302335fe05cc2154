"""The live display: what it shows at each moment of a training, in the width that a terminal has."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from tagger.cli.live import LiveDisplay, packed
from tagger.evaluation.scores import Evaluation, Score


def an_epoch(epoch: int, f1: float, *, best: bool, plain: bool = False) -> Any:
    """Return the attributes of an `EpochResult` that are shown; the real one needs TensorFlow."""
    score = None if plain else Score(f1, f1, f1, 10)
    dev = Evaluation(score, score, {}, f1, 1, 10)
    return SimpleNamespace(epoch=epoch, dev=dev, best=best)


def a_start(epoch: int = 2, n_done: int = 0, n_tokens: int = 1000) -> Any:
    return SimpleNamespace(epoch=epoch, epochs=3, n_steps=10, n_done=n_done, n_tokens=n_tokens)


def a_beginning(history: tuple[Any, ...] = (), patience: int | None = 5) -> Any:
    return SimpleNamespace(seed=7, patience=patience, history=history)


def steps(n_done: int, n_tokens: int, loss: float) -> Any:
    return SimpleNamespace(n_done=n_done, n_tokens=n_tokens, loss=loss)


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def in_the_third_epoch() -> LiveDisplay:
    clock = Clock()
    display = LiveDisplay(clock=clock)
    display.begin(a_beginning(), 5)
    display.start_epoch(a_start(1))
    display.end_epoch(an_epoch(1, 0.75, best=True), 5)
    display.start_epoch(a_start(2))
    display.end_epoch(an_epoch(2, 0.5, best=False), 4)
    display.start_epoch(a_start(3))
    display.step(steps(2, 200, 4.0))  # it compiles, so it says nothing about the speed
    clock.now += 2
    display.step(steps(5, 300, 1.0))
    return display


def test_all_numbers_of_an_epoch_are_shown() -> None:
    assert list(in_the_third_epoch().parts()) == [
        "epoch 3/3", "step 5/10", "150 tokens/s", "at most 0:00:03 left", "loss 2.2", "dev F1 50.00",
        "best 75.00 in epoch 1", "patience 4 of 5",
    ]  # fmt: skip


def test_a_pretraining_is_shown_until_the_training_begins() -> None:
    clock = Clock()
    display = LiveDisplay(clock=clock)
    display.pretraining_step(SimpleNamespace(n_done=4, n_steps=100, tokens_per_second=1234.4))  # type: ignore[arg-type]
    assert list(display.parts()) == ["pretraining", "step 4/100", "1,234 tokens/s"]
    clock.now += 2
    display.pretraining_step(SimpleNamespace(n_done=8, n_steps=100, tokens_per_second=1000.0))  # type: ignore[arg-type]
    assert list(display.parts()) == ["pretraining", "step 8/100", "1,000 tokens/s", "0:00:46 left"]
    out = io.StringIO()
    Console(file=out, width=60, force_terminal=True, no_color=True, soft_wrap=True).print(display)
    assert len(out.getvalue().splitlines()) == 2, "a line and a bar"
    display.begin(a_beginning(), 5)
    display.start_epoch(a_start(1))
    assert list(display.parts())[:2] == ["epoch 1/3", "step 0/10"]


def test_what_is_not_known_is_not_shown() -> None:
    display = LiveDisplay(n_trainings=2)
    assert list(display.parts()) == []
    display.begin(a_beginning(patience=None), None)
    display.start_epoch(a_start(1, n_done=4))
    assert list(display.parts()) == ["seed 7", "epoch 1/3", "step 4/10"]
    display.end_epoch(SimpleNamespace(epoch=1, dev=None, best=True), None)  # type: ignore[arg-type]
    assert list(display.parts()) == [], "nothing is left on the screen between two epochs"


def test_a_continued_training_shows_the_scores_from_before() -> None:
    display = LiveDisplay()
    history = an_epoch(1, 0.9, best=True, plain=True), an_epoch(2, 0.8, best=False, plain=True)
    display.begin(a_beginning(history), 4)
    display.start_epoch(a_start(3))
    assert list(display.parts())[2:] == ["dev accuracy 80.00", "best 90.00 in epoch 1", "patience 4 of 5"]


def test_lines_hold_whole_parts() -> None:
    assert packed(["ab", "cd", "efg", "h"], 6) == ["ab  cd", "efg  h"]
    assert packed(["ab", "longer than that", "c"], 6) == ["ab", "longer than that", "c"]
    assert packed([], 6) == []


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_display_fits_in_a_terminal(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width, force_terminal=True, no_color=True, soft_wrap=True).print(in_the_third_epoch())
    *lines, bar = out.getvalue().splitlines()
    assert max(map(len, lines)) < width
    assert "  ".join(lines) == "  ".join(in_the_third_epoch().parts())
    assert "\x1b[3" not in out.getvalue(), "no colors"
    assert set(bar) <= set("━╸╺ \x1b[0123456789m")
