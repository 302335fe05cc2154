"""Check that a training over a finished model leaves the old or the new one, whenever it is interrupted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

from tagger.cli.progress import TrainingProgress
from tagger.errors import TaggerError
from tagger.evaluation.scores import evaluate
from tagger.model_dir import store
from tagger.model_dir.checkpoints import Checkpoints
from tagger.training import replacing as replacing_module
from tagger.training.facts import EpochStart
from tagger.training.history import Outcome
from tagger.training.parts import Parts
from tagger.training.replacing import Replacing
from tagger.training.train import train

pytestmark = pytest.mark.tensorflow

GOLD = [["B-X", "B-X", "B-X", "B-X"]]
N_RIGHT = (1, 3, 2)  # spans found after each epoch: the second one is the best


def scoring(*n_right: int) -> Callable[..., Any]:
    """Return a scorer that finds this many of four spans after each epoch, whatever the network predicts."""
    scores = iter(n_right)
    return lambda *_: evaluate(GOLD, [["B-X"] * (n := next(scores)) + ["O"] * (4 - n)], "IOB2")


def run(config, *n_right: int, checkpoints: type[Checkpoints] = Checkpoints, **options: Any) -> Outcome:
    parts = Parts(evaluate=scoring(*n_right), checkpoints=checkpoints)
    with TrainingProgress() as progress:
        return train(config, progress, parts=parts, **options)


def content(directory: str) -> dict[str, object] | None:
    """Return what must be equal in two equal models: not the times, nor what depends on them."""
    if not Path(directory).exists():
        return None
    found: dict[str, object] = {path.name: path.read_bytes() for path in Path(directory).iterdir()}
    history = Path(directory, "history.csv").read_text().splitlines()
    found["history.csv"] = [line.split(",")[:3] for line in history]
    manifest = json.loads(Path(directory, "manifest.json").read_text())
    del manifest["sha256"], manifest["files"]["history.csv"]
    return {**found, "manifest.json": manifest}


@pytest.fixture
def finished(tiny_config, tmp_path: Path) -> Callable[..., Any]:
    """Train a model in `m`, and return a loader of the config of another training there."""
    run(tiny_config("output.model_dir=m"), 4)
    return lambda *more: tiny_config("output.model_dir=m", "training.epochs=3", "training.seed=7", *more)


def test_a_kill_at_any_step_leaves_the_old_or_the_new_model(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    old = content("m")
    run(finished("output.model_dir=whole"), *N_RIGHT)
    new = content("whole")
    assert new != old
    shutil.copytree("m", "finished")

    class Killed(Checkpoints):
        """Raises KeyboardInterrupt instead of writing a state, or after it."""

        when, epoch = "", 0

        def save(self, state, **options) -> None:
            at = len(state.record["history"]) + state.record["finished"]
            if (self.when, self.epoch) == ("before", at):
                raise KeyboardInterrupt
            super().save(state, **options)
            if (self.when, self.epoch) == ("after", at):
                raise KeyboardInterrupt

    def killed_publishing(when: str) -> Callable[..., None]:
        def publish(*arguments: Any, **options: Any) -> None:
            if when == "after":
                store.publish_model(*arguments, **options)
            raise KeyboardInterrupt

        return publish

    found = []
    for what, when, epoch in (
        ("save", "before", 1), ("save", "after", 2), ("publish", "before", 0), ("publish", "after", 0),
        ("save", "before", 4), ("save", "after", 4),
    ):  # fmt: skip
        for name in ("m", "m.previous", "m.training"):
            shutil.rmtree(name, ignore_errors=True)
        shutil.copytree("finished", "m")
        Killed.when, Killed.epoch = (when, epoch) if what == "save" else ("", 0)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            if what == "publish":
                patch.setattr(replacing_module.Place.__init__, "__kwdefaults__", {"write": killed_publishing(when)})
            run(finished(), *N_RIGHT, checkpoints=Killed)
        found.append((content("m"), content("m.previous")))
        assert found[-1] in ((old, None), (new, old)), (what, when, epoch)
        n_done = 0 if (what, epoch) == ("save", 1) else epoch if (what, when) == ("save", "after") else 3
        run(finished(), *N_RIGHT[n_done:], resume=True)
        assert (content("m"), content("m.previous")) == (new, old), (what, when, epoch)
    assert found[0] == found[1] == found[2] == (old, None)
    assert found[3] == found[4] == found[5] == (new, old)


def test_a_stop_replaces_the_model_only_by_a_better_one_on_the_same_dev_data(finished, tmp_path: Path) -> None:
    old = content("m")

    def stopped(*n_right: int, more: tuple[str, ...] = (), **options: Any) -> Outcome:
        """Stop in the third epoch."""
        epoch = 0

        class Counting(TrainingProgress):
            def start_epoch(self, start: EpochStart) -> None:
                nonlocal epoch
                epoch = start.epoch
                super().start_epoch(start)

        with Counting() as progress:
            parts = Parts(evaluate=scoring(*n_right))
            return train(finished(*more), progress, parts=parts, should_stop=lambda: epoch == 3, **options)

    outcome = stopped(1, 3)
    assert (outcome.stopped, outcome.not_replaced, content("m"), content("m.previous")) == (True, True, old, None)
    assert outcome.summary() == [
        "the model in m is still the one from before this training, whose best epoch so far is 2 (dev 85.71)"
    ]
    # A model with a perfect score cannot be beaten, so let a worse one stand there.
    shutil.rmtree("m.training")
    shutil.rmtree("m")
    run(finished("training.epochs=1", "training.seed=1"), 2)
    old = content("m")
    (tmp_path / "dev").write_text("c O\n\na B-X\n")
    assert stopped(1, 3, more=("data.dev=dev",), replacing=Replacing(force=True)).not_replaced
    assert content("m") == old
    shutil.rmtree("m.training")
    outcome = stopped(1, 3)
    assert not outcome.not_replaced
    assert outcome.summary() == ["model of epoch 2 (dev 85.71) is in m", "the model that it replaced is in m.previous"]
    assert json.loads(Path("m/manifest.json").read_text())["dev"]["epoch"] == 2
    assert content("m.previous") == old
    assert not run(finished(), 4, resume=True).stopped
    assert json.loads(Path("m/manifest.json").read_text())["dev"]["epoch"] == 3
    assert content("m.previous") == old, "a continued training must not replace the model that it kept"


def test_an_error_says_which_model_is_in_place(finished) -> None:
    old = content("m")
    with pytest.raises(TaggerError, match="training diverged") as error:
        run(finished("training.learning_rate=1e30"), 1)
    assert error.value.detail[0] == f"the model in {Path('m').absolute()} is still the one from before this training"
    assert content("m") == old
    assert not list(Path().glob(".m*"))


def test_the_new_model_is_checked_as_soon_as_it_is_found(finished, tmp_path: Path) -> None:
    old, seen = content("m"), []

    def checked(saved, trained, sentences) -> None:
        seen.append(len(saved.model.manifest.dev))
        raise TaggerError("not equal")

    parts = Parts(evaluate=scoring(1), check_equal=checked)
    with pytest.raises(TaggerError, match="not equal"), TrainingProgress() as progress:
        train(finished(), progress, parts=parts)
    assert len(seen) == 1
    assert content("m") == old
    assert not list(tmp_path.glob(".m*"))


@pytest.mark.parametrize("keep", [True, False])
def test_a_finished_training_keeps_what_it_replaces(finished, keep: bool) -> None:
    old = content("m")
    outcome = run(finished(), *N_RIGHT, replacing=Replacing(keep_previous=keep))
    assert content("m") != old
    assert content("m.previous") == (old if keep else None)
    assert outcome.previous == (Path("m.previous").absolute() if keep else None)
    run(finished("training.epochs=1"), 1)
    manifest = json.loads(Path("m.previous/manifest.json").read_text())
    assert manifest["seed"] == 7, "each success replaces the previous model"
