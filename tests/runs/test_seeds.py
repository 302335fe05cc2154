"""Check that an interrupted `tagger train --seeds` loses nothing and leaves nothing behind."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("tensorflow")

from small_models import save_small_model

from tagger.cli.progress import TrainingProgress
from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import ConfigError, ModelError, TaggerError
from tagger.evaluation.scores import evaluate
from tagger.model_dir.checkpoints import Checkpoints, State
from tagger.model_dir.manifest import dump_manifest
from tagger.model_dir.store import check_place
from tagger.network.trainer import EpochLoss
from tagger.prediction.onnx_session import load_predictor
from tagger.runs.seed_directories import kept_seeds
from tagger.runs.seeds import train_seeds
from tagger.runs.seeds_run import SeedsOutcome, SeedsParts
from tagger.training.facts import EpochStart
from tagger.training.history import EpochResult, Outcome
from tagger.training.listener import Listener
from tagger.training.replacing import Replacing
from tagger.training.resume import STATE_FORMAT, state_to_begin_with

pytestmark = pytest.mark.tensorflow

CORPUS = "w1 B-X\nw2 O\n\nw3 B-X\nw4 B-X\n\nw5 O\n"


@functools.cache
def model_files(seed: int, units: int) -> dict[str, bytes]:
    directory = save_small_model(Path(f"original-{seed}-{units}"), seed=seed, units=units)
    files = {path.name: path.read_bytes() for path in directory.iterdir()}
    shutil.rmtree(directory)
    return files


def train_quickly(
    config: Config,
    listener: Listener,
    *,
    device: str,
    resume: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    replacing: Replacing | None = None,
) -> Outcome:
    """Stand in for `train`: write the same files with random weights. Higher seeds have better scores."""
    model_dir, seed = Path(str(config.output.model_dir)), config.training.seed
    tags = [["O"] * 100]
    tags[0][:seed] = ["B-X"] * seed
    best = EpochResult(1, EpochLoss(1.0, 1, 1.0), evaluate([["B-X"] * 100], tags, "IOB2"), best=True)
    check_place(model_dir)
    checkpoints = Checkpoints(model_dir)
    record = {"format": STATE_FORMAT, "settings": {}, "data": {}, "runs on": {}, "threads": 1, "at": "in epoch 1"}
    with checkpoints.lock():
        state = state_to_begin_with(checkpoints, resume=resume, warn=listener.warn)
        listener.start_epoch(EpochStart(1, 1, 1, 0, 1))
        if state is None or not state.record["finished"]:
            model_dir.mkdir(exist_ok=True)
            for name, content in model_files(seed, config.model.units).items():
                (model_dir / name).write_bytes(content)
        stopped = should_stop()
        checkpoints.save(State({**record, "finished": not stopped}, {}))
    return Outcome(model_dir, [best], best, stopped=stopped)


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    monkeypatch.chdir(tmp_path)
    Path("corpus").write_text(CORPUS)
    Path("c.yaml").write_text(
        "data: {train: corpus, dev: corpus, test: corpus}\ntraining: {epochs: 1, batch_size: 1}\n"
    )
    return lambda *settings: load_config("c.yaml", ("model.units=4", *settings))


QUICK = SeedsParts(train=train_quickly)


def train_three(
    config: Config, *, parts: SeedsParts = QUICK, listener: type[TrainingProgress] = TrainingProgress, **options: object
) -> SeedsOutcome:
    with listener() as progress:
        return train_seeds(config, 3, progress, parts=parts, **options)


def interrupt(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt


def content(directory: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(directory).iterdir()}


def manifest_of(directory: str) -> bytes | None:
    path = Path(directory, "manifest.json")
    return path.read_bytes() if path.exists() else None


def litter() -> list[Path]:
    return list(Path().glob(".m.seed-*"))


ENDS = [
    ("train", "after"),
    ("evaluate_file", "before"),
    ("save", "before"),
    ("save", "after"),
    ("publish", "before"),
    ("publish", "after"),
    ("remove", "after"),
]


@pytest.mark.parametrize(
    ("part", "when", "seed", "replaces"),
    [
        (part, when, seed, replaces)
        for part, when in ENDS
        for seed in (1, 2, 3)
        for replaces in (False, True)
        if not (part == "publish" and replaces and seed < 3)  # an older model is replaced once, at the end
    ],
)
def test_a_seed_that_is_killed_at_its_end_loses_nothing(
    configured, part: str, when: str, seed: int, replaces: bool
) -> None:
    def killed_in(original: Callable[..., object]) -> Callable[..., object]:
        def killed(*arguments: object, **options: object) -> object:
            is_there = Path(f".m.seed-{seed}").exists()
            if is_there and when == "before":
                raise KeyboardInterrupt
            result = original(*arguments, **options)
            if is_there or Path(f".m.seed-{seed}").exists():
                raise KeyboardInterrupt
            return result

        return killed

    class KilledInSaving(Checkpoints):
        save = killed_in(Checkpoints.save)

    if part == "save":
        parts = dataclasses.replace(QUICK, checkpoints=KilledInSaving)
    else:
        parts = dataclasses.replace(QUICK, **{part: killed_in(getattr(QUICK, part))})

    if replaces:
        train_three(configured("output.model_dir=m", "model.units=3"))  # an older model of the same seeds
        assert content("m") == model_files(3, 3)
    with pytest.raises(KeyboardInterrupt):
        train_three(configured("output.model_dir=m"), parts=parts)
    if replaces:
        expected = {
            (model_files(3, 3)["manifest.json"], None),
            (model_files(3, 4)["manifest.json"], model_files(3, 3)["manifest.json"]),
        }
        assert (manifest_of("m"), manifest_of("m.previous")) in expected
    with pytest.raises(ConfigError, match=r"m\.training: found a training that was interrupted"):
        train_three(configured("output.model_dir=m"))
    resumed = train_three(configured("output.model_dir=m"), resume=True)
    assert [run.seed for run in resumed.runs] == [1, 2, 3]
    assert resumed.best == resumed.runs[2]
    assert content("m") == model_files(3, 4)
    assert manifest_of("m.previous") == (model_files(3, 3)["manifest.json"] if replaces else None)
    assert not litter()


def test_a_stop_keeps_the_model_from_before_unless_a_seed_is_better_on_the_same_dev_data(configured) -> None:
    def origin_of(directory: Path, data: str, f1: float) -> None:
        values = json.loads((directory / "manifest.json").read_text())
        del values["sha256"]
        values |= {"origin": {"dev data": data}, "dev": {"epoch": 1, "f1": f1}}
        (directory / "manifest.json").write_bytes(dump_manifest(values))

    def stopped(data: str, f1: float) -> SeedsOutcome:
        shutil.rmtree("m", ignore_errors=True)
        shutil.rmtree("m.previous", ignore_errors=True)
        shutil.rmtree("m.training", ignore_errors=True)
        save_small_model(Path("m"))
        origin_of(Path("m"), "the same", f1)

        def train(config: Config, *arguments: object, **options: object) -> Outcome:
            outcome = train_quickly(config, *arguments, **options)
            origin_of(Path(str(config.output.model_dir)), data, config.training.seed / 10)
            return outcome

        seeds = iter([False] * 4)  # the first seed and its test file
        parts = SeedsParts(train=train)
        return train_three(configured("output.model_dir=m"), parts=parts, should_stop=lambda: next(seeds, True))

    for data, f1 in (("other", 0.05), ("the same", 0.1)):
        outcome = stopped(data, f1)
        assert [run.seed for run in outcome.runs] == [1]
        assert outcome.not_replaced
        assert outcome.summary() == [
            "the model in m is still the one from before this training, whose best seed so far is 1 (dev 1.98)"
        ]
        assert not Path("m.previous").exists()
        assert json.loads(Path("m/manifest.json").read_text())["dev"]["f1"] == f1
    before = manifest_of("m")
    outcome = stopped("the same", 0.05)
    assert not outcome.not_replaced
    assert outcome.summary()[-1] == "the model that it replaced is in m.previous"
    assert json.loads(Path("m/manifest.json").read_text())["dev"]["f1"] == 0.1
    kept = manifest_of("m.previous")
    assert kept is not None
    assert kept != before
    assert json.loads(kept)["dev"]["f1"] == 0.05
    # Continued, the training no longer replaces anything but its own models.
    assert train_three(configured("output.model_dir=m"), resume=True).best.seed == 3
    assert content("m") == model_files(3, 4)
    assert manifest_of("m.previous") == kept
    assert not litter()


def test_a_missing_test_file_leaves_the_best_model_in_place_and_can_be_restored(configured) -> None:
    config = configured("output.model_dir=m", "data.test=other")
    Path("other").write_text(CORPUS)
    n = itertools.count(1)

    def deleting(*arguments: object, **options: object) -> Outcome:
        outcome = train_quickly(*arguments, **options)
        if next(n) == 2:
            Path("other").unlink()
        return outcome

    parts = SeedsParts(train=deleting)
    with pytest.raises(TaggerError, match=r"seed 2: .*other: no such file") as error:
        train_three(config, parts=parts)
    assert error.value.detail[0] == f"the model of seed 1, dev {200 / 101:.2f}, is in {Path('m').absolute()}"
    assert content("m") == model_files(1, 4)
    Path("other").write_text(CORPUS)
    assert train_three(config, resume=True, parts=parts).best.seed == 3


def test_seeds_without_a_finished_step_do_not_block_another_training(configured) -> None:
    class Interrupted(TrainingProgress):
        start_epoch = interrupt

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train_three(configured("output.model_dir=m"), resume=resume, listener=Interrupted)
    assert Checkpoints(Path("m")).has_states()
    for resume in (False, True):  # a training without --seeds makes the same check
        assert state_to_begin_with(Checkpoints(Path("m")), resume=resume, warn=pytest.fail) is None
    assert not train_three(configured("output.model_dir=m", "model.units=7")).stopped


def test_seeds_of_several_training_files_resume_with_the_same_ones_only(configured) -> None:
    Path("more").write_text(CORPUS)
    several = ("output.model_dir=m", "data.train=[corpus, more]")
    with pytest.raises(KeyboardInterrupt):
        train_three(configured(*several), parts=dataclasses.replace(QUICK, evaluate_file=interrupt))
    with pytest.raises(ConfigError, match=r"^--resume: data\.train: found "):
        train_three(configured("output.model_dir=m"), resume=True)
    assert [run.seed for run in train_three(configured(*several), resume=True).runs] == [1, 2, 3]


def test_a_stop_scores_no_test_file(configured) -> None:
    parts = dataclasses.replace(QUICK, evaluate_file=interrupt)
    stopped = train_three(configured("output.model_dir=m"), should_stop=lambda: True, parts=parts)
    assert (stopped.stopped, stopped.runs, stopped.best and stopped.best.seed) == (True, [], 1)
    (line,) = stopped.summary()
    assert re.fullmatch(r"model of seed 1 \(dev \d\.\d\d\), which was not finished, is in m", line)
    # A stop request during the scoring of the test file ends the scoring early.
    looks: list[bool] = []

    def asked() -> bool:
        looks.append(True)
        return len(looks) > 4  # seed 1: training and three sentences; seed 2: training, then its first sentence

    looks.clear()
    stopped = train_three(configured("output.model_dir=m"), resume=True, should_stop=asked)
    assert stopped.stopped
    assert [run.seed for run in stopped.runs] == [1]
    assert stopped.summary() == ["model of seed 1 (dev 1.98) is in m"], "a single seed has no standard deviation"
    resumed = train_three(configured("output.model_dir=m"), resume=True)
    assert [run.seed for run in resumed.runs] == [1, 2, 3]
    assert resumed.summary()[0].startswith("3 seeds   mean ± sd")


@pytest.fixture
def in_second(configured) -> Callable[[], Config]:
    """Return a function that trains three seeds and stops in the second, and returns the config."""

    def stop(*settings: str) -> Config:
        config, looks = configured("output.model_dir=m", *settings), itertools.count(1)
        assert len(train_three(config, should_stop=lambda: next(looks) > 4).runs) == 1
        assert litter()
        return config

    return stop


def test_following_the_advice_for_a_damaged_seed_works(in_second) -> None:
    config = in_second()
    for path in Path(".m.seed-2.training").glob("state-*"):
        path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(
        TaggerError, match=r"seed 2: .*seed-2\.training: found only damaged states .* give the same command"
    ):
        train_three(config, resume=True)
    shutil.rmtree(".m.seed-2.training")
    assert len(train_three(config, resume=True).runs) == 3
    assert content("m") == model_files(3, 4)
    assert not litter()


def test_a_finished_seed_whose_model_is_lost_can_be_trained_again(configured) -> None:
    config, looks = configured("output.model_dir=m"), itertools.count(1)
    train_three(config, should_stop=lambda: next(looks) > 5)  # while the test file is scored for the second seed
    shutil.rmtree(".m.seed-2.training")
    assert train_three(config, resume=True).best.seed == 3


def test_finished_seeds_keep_their_kind_of_weights(in_second, configured) -> None:
    config = in_second()
    quantized = configured("output.model_dir=m", "output.quantize=int8", "output.quantize_loss=100")
    expected = r"--resume: output\.quantize: found int8, expected null, as in the finished seeds, which leave no state"
    with pytest.raises(ConfigError, match=expected):
        train_three(quantized, resume=True)
    assert train_three(config, resume=True).best.seed == 3
    with pytest.raises(ConfigError, match=expected):
        train_three(quantized, resume=True)


def test_another_model_of_the_same_seed_is_not_taken_for_the_best(in_second) -> None:
    config = in_second()
    for name, data in model_files(1, 3).items():
        Path("m", name).write_bytes(data)
    with pytest.raises(
        ModelError, match=r"m: found no complete model of seed 1 \(dev 1\.98\), expected it because it is the best so"
    ):
        train_three(config, resume=True)
    for name, data in model_files(1, 4).items():
        Path("m", name).write_bytes(data)
    assert train_three(config, resume=True).best.seed == 3


def test_a_malformed_state_is_an_error_without_a_traceback(in_second) -> None:
    config = in_second()
    newest = sorted(Path("m.training").glob("state-*"))[-1]
    good = State.from_bytes(newest.read_bytes())
    for runs in ("x", [3], [{"seed": 1}], None, [{"seed": "x"}]):
        newest.write_bytes(State({**good.record, "runs": runs}, {}).to_bytes())
        with pytest.raises(
            ConfigError, match=r"--resume: the state in .*m\.training is not a state of a training with --seeds: "
        ):
            train_three(config, resume=True)


def test_leftovers_of_seeds_are_named_and_foreign_files_stay(in_second, configured) -> None:
    config = in_second()
    with pytest.raises(ConfigError, match=r"delete that directory \(and \.m\.seed-\* beside it\) to start over"):
        train_three(config)
    shutil.rmtree("m.training")
    strangers = {".m.seed-7/config.yaml", ".m.seed-1/config.yaml", "keep/config.yaml", ".m.seed-9.training"}
    for name in strangers:
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("mine")
    Path(".m.seed-8").symlink_to("keep")
    save_small_model(Path(".m.seed-5"))
    with pytest.raises(ModelError, match=r"\.m\.seed-1: holds config\.yaml, which is not part of a model"):
        train_three(config)
    assert not Path(".m.seed-2").exists()
    Path(".m.seed-1/config.yaml").rename("elsewhere")
    train_three(config)
    assert content("m") == model_files(3, 4)
    assert {str(path) for path in litter()} == {".m.seed-5", ".m.seed-7", ".m.seed-8", ".m.seed-9.training"}
    assert all(Path(name).read_text() == "mine" for name in strangers - {".m.seed-1/config.yaml"})
    assert load_predictor(Path(".m.seed-5")).model.manifest.seed == 1
    # A training that ends normally also removes only its own files.
    config = configured("output.model_dir=m", "training.seed=8")
    with pytest.raises(ModelError, match=r"\.m\.seed-8: holds config\.yaml"):
        train_three(config)
    assert Path("keep/config.yaml").read_text() == "mine"


def test_a_seed_that_diverges_says_how_to_start_over(configured) -> None:
    def diverging(config: Config, *arguments: object, **options: object) -> Outcome:
        if config.training.seed == 2:
            raise TaggerError("training diverged", detail=["delete something"])
        return train_quickly(config, *arguments, **options)

    with pytest.raises(TaggerError, match="seed 2: training diverged") as error:
        train_three(configured("output.model_dir=m"), parts=SeedsParts(train=diverging))
    here = Path().absolute()
    assert error.value.detail == (
        "delete something",
        f"the model of seed 1, dev 1.98, is in {here}/m",
        f"to start all seeds over with other settings, delete {here}/m.training too",
    )
    shutil.rmtree("m.training")
    assert train_three(configured("output.model_dir=m", "model.units=3")).best.seed == 3


class Heard(TrainingProgress):
    """Keeps warnings."""

    warnings: list[str]

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found = list[str]()
    monkeypatch.setattr(Heard, "warnings", found, raising=False)
    return found


def test_kept_seeds_are_the_models_of_the_seeds(configured, warnings: list[str]) -> None:
    train_three(configured("output.model_dir=m"), listener=Heard, keep_seeds=True)
    assert [path.name for path in kept_seeds(Path("m"))] == ["m.seed-1", "m.seed-2", "m.seed-3"]
    assert content("m.seed-3") == content("m")
    assert len({manifest_of(f"m.seed-{seed}") for seed in (1, 2, 3)}) == 3
    train_three(configured("output.model_dir=m"), listener=Heard, keep_seeds=True, resume=True)
    assert warnings == []


def test_seeds_that_were_finished_before_and_cannot_be_kept_are_named(configured, warnings: list[str]) -> None:
    config = configured("output.model_dir=m")
    later = dataclasses.replace(
        QUICK, train=lambda c, *a, **o: (interrupt if c.training.seed == 3 else train_quickly)(c, *a, **o)
    )
    with pytest.raises(KeyboardInterrupt):
        train_three(config, parts=later, listener=Heard)
    shutil.copytree("m", "m.seed-9")
    shutil.copytree("m", "m.seed-\u00b2")  # a digit, but no number
    train_three(config, listener=Heard, keep_seeds=True, resume=True)
    assert [path.name for path in kept_seeds(Path("m"))] == ["m.seed-3", "m.seed-9"]
    assert [text.split(",")[0] for text in warnings] == [
        "--keep-seeds: the models of the seeds 1 and 2 are not kept",
        "--keep-seeds: found models of another training: m.seed-9; tagger distill would learn from them too",
    ]


def test_what_is_in_the_way_of_a_kept_seed_is_found_before_the_training(configured) -> None:
    Path("m.seed-2").mkdir()
    Path("m.seed-2", "notes").write_text("mine")
    with pytest.raises(ModelError, match=r"m\.seed-2: holds notes, which is not part of a model"):
        train_three(configured("output.model_dir=m"), keep_seeds=True)
    assert not Path("m").exists()
    assert not litter()
