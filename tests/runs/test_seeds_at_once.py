"""Check that seeds that are trained at once give what they give one after the other, also when they are stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from helpers import run_tagger
from watcher import Heard

from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import TaggerError
from tagger.model_dir.files import MANIFEST
from tagger.model_dir.store import load_model, read_weights
from tagger.runs.resources import Resources
from tagger.runs.seeds import train_seeds
from tagger.runs.seeds_run import SeedsParts, SideBySide
from tagger.training.init_from import InitFrom
from tagger.training.listener import Silent
from tagger.training.seeds_outcome import SeedsOutcome
from tagger.training.train import train as train_one

pytestmark = pytest.mark.tensorflow


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    Path("train").write_text("anna B-PER\nsleeps O\n\nrome B-LOC\nis O\n\n" * 6)
    Path("c.yaml").write_text(
        "data: {train: train, dev: train, test: train}\nmodel: {units: 4, layers: 1, embedding_dim: 4, characters: none, decoder: constrained}\n"
        "training: {epochs: 2, batch_size: 4, threads: 1, optimizer: adam, ema: null, clip_norm: null}\n"
    )
    return load_config("c.yaml")


def train(config: Config, *, at_once: bool, model: str, n: int = 3, **options: object) -> SeedsOutcome:
    config = config.model_copy(
        update={"output": config.output.model_copy(update={"model_dir": str(Path(model).resolve())})}
    )
    side_by_side = SideBySide(Resources(2, 1, 0), Heard()) if at_once else None
    return train_seeds(config, n, Silent(), device="cpu", side_by_side=side_by_side, **options)


def origins(model: str) -> tuple[bytes, dict[str, object]]:
    manifest = json.loads(Path(model, MANIFEST).read_text())
    return Path(model, "weights.safetensors").read_bytes(), {key: manifest[key] for key in ("seed", "dev", "versions")}


def test_seeds_at_once_give_what_they_give_one_by_one_also_when_stopped(config: Config) -> None:
    one_by_one = train(config, at_once=False, model="a")
    asked: list[int] = []

    def stop_after_the_first() -> bool:
        asked.append(1)
        return any(Path().glob(".b.seed-*.training/state-*"))

    stopped = train(config, at_once=True, model="b", should_stop=stop_after_the_first)
    assert stopped.stopped
    assert len(stopped.runs) < 3
    at_once = train(config, at_once=True, model="b", resume=True)
    assert [(run.seed, run.epoch, run.dev, run.test) for run in at_once.runs] == [
        (run.seed, run.epoch, run.dev, run.test) for run in one_by_one.runs
    ]
    assert at_once.best is not None
    assert one_by_one.best is not None
    assert at_once.best.seed == one_by_one.best.seed
    assert origins("b") == origins("a")
    assert not list(Path().glob(".b.seed-*"))
    again = train(config, at_once=True, model="b", resume=True)
    assert again.runs == at_once.runs


def test_an_error_in_a_seed_names_it_and_leaves_nothing_to_resume(config: Config, tmp_path: Path) -> None:
    worker = tmp_path / "worker.py"
    worker.write_text(
        "import sys\nfrom tagger.runs.messages import Failed, to_line\nsys.stdin.readline()\n"
        "sys.stdout.write(to_line(Failed('no', ['look'])))\n"
    )

    parts = SeedsParts(worker=(sys.executable, str(worker)))
    with pytest.raises(TaggerError, match=r"^seed [12]: no\n  look$"):
        train(config, at_once=True, model="c", parts=parts)
    assert not Path("c.training").exists()


def test_a_file_in_the_way_of_a_seed_is_named_with_the_seed(config: Config) -> None:
    Path(".d.seed-2.training").write_text("not a directory")
    with pytest.raises(TaggerError, match=r"^seed 2: .*\.d\.seed-2\.training: a file or a link is in the way"):
        train(config, at_once=True, model="d", n=2)
    Path(".d.seed-2.training").unlink()
    assert len(train(config, at_once=True, model="d", n=2, resume=True).runs) == 2


def check_usage(*arguments: str, text: str) -> None:
    result = run_tagger("train", "c.yaml", *arguments)
    assert result.exit_code == 2
    assert text in result.errors


def test_jobs_needs_seeds_and_no_log(config: Config) -> None:
    check_usage("--jobs", "2", text="--jobs: found no --seeds, expected it too")
    check_usage("--seeds", "2", "--jobs", "2", "--log-json", "x", text="--jobs: found 2 with --log-json, expected 1")
    check_usage(
        "--seeds", "2", "--jobs", "2", "--set", "training.log=[tensorboard]", text="--jobs: found 2 with training.log"
    )


def test_seeds_at_once_begin_with_a_model_and_take_its_settings(config: Config) -> None:
    first = config.model_copy(
        update={"output": config.output.model_copy(update={"model_dir": str(Path("old").resolve())})}
    )
    train_one(first, Silent(), device="cpu")
    Path("new.yaml").write_text(
        "data: {train: train, dev: train}\ntraining: {epochs: 1, batch_size: 4, threads: 1, freeze: [embedding],"
        " optimizer: adam, ema: null, clip_norm: null}\n"
    )
    init = InitFrom(directory=Path("old"), replay=str(Path("train").resolve()))
    train(load_config("new.yaml"), at_once=True, model="new", n=2, init=init)
    old, new = (load_model(Path(name), read_weights) for name in ("old", "new"))
    assert new.manifest.network.units == 4
    assert (new.network["embedding"] == old.network["embedding"]).all()
    assert (new.network["softmax.bias"] != old.network["softmax.bias"]).any()
