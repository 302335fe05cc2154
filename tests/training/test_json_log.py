"""The log of `--log-json`: a line for each event, each epoch once, whatever interrupts the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow")

from tagger.errors import TaggerError
from tagger.evaluation.errors import Confusion
from tagger.evaluation.scores import evaluate
from tagger.network.summary import LayerFacts
from tagger.network.trainer import EpochLoss
from tagger.training.facts import Beginning, DataFacts, EpochStart, SetFacts
from tagger.training.history import EpochResult, Outcome
from tagger.training.json_log import JsonLog
from tagger.training.listener import Listeners, Log, Silent, Told
from tagger.training.seeds_outcome import SeedRun, SeedsOutcome

pytestmark = pytest.mark.tensorflow
DEV = evaluate([["B-X", "B-Y"]], [["B-X", "B-X"]], "IOB2")
DATA = DataFacts(SetFacts(3, 9, {"X": 2, "Y": 1}), SetFacts(1, 2, {"X": 1, "Y": 1}), 0.5)
OUTCOME = {"stopped": False, "history": []}


def an_epoch(epoch: int) -> EpochResult:
    confusions = (Confusion("Y", "X", 1),)
    return EpochResult(epoch, EpochLoss(0.5, 9, 3.0), DEV, best=True, dev_loss=0.25, confusions=confusions)


def a_beginning(*epochs: int, seed: int = 1) -> Beginning:
    settings = {"training.seed": seed}
    layers = [LayerFacts("softmax", 10, 3, 33)]
    return Beginning(seed, 4, 5, "CPU", settings, DATA, layers, tuple(map(an_epoch, epochs)))


def logged(path: Path) -> list[tuple[Any, ...]]:
    """Return the event, the seed and the epoch of each line."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [(one["event"], one.get("seed"), one.get("epoch", one.get("epochs_done"))) for one in found]


def run(log: JsonLog, done: tuple[int, ...], epochs: tuple[int, ...], *, seed: int = 1, ends: bool = True) -> None:
    log.begin(a_beginning(*done, seed=seed))
    for epoch in epochs:
        log.end_epoch(an_epoch(epoch), 5)
    if ends:
        best = an_epoch(epochs[-1])
        log.end(Outcome(Path("m").absolute(), [best], best, stopped=False), DEV)


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    made: list[JsonLog] = []

    def make(*, continues: bool = False) -> JsonLog:
        made.append(JsonLog("log", Path("m").absolute(), continues=continues))
        return made[-1]

    yield make
    for log in made:
        log.close()


def test_each_event_has_its_facts(log: Any) -> None:
    run(log(), (), (1,))
    start, epoch, end = (json.loads(line) for line in Path("log").read_text().splitlines())
    assert start == {
        "event": "start", "seed": 1, "epochs": 4, "epochs_done": 0, "patience": 5, "device": "CPU",
        "settings": {"training.seed": 1},
        "data": {
            "train": {"sentences": 3, "tokens": 9, "types": {"X": 2, "Y": 1}, "entities": 3},
            "dev": {"sentences": 1, "tokens": 2, "types": {"X": 1, "Y": 1}, "entities": 2},
            "unseen": 0.5,
        },
        "layers": [{"name": "softmax", "n_in": 10, "n_out": 3, "n_weights": 33}],
    }  # fmt: skip
    assert epoch == {
        "event": "epoch", "seed": 1, "epoch": 1, "train_loss": 0.5, "dev_loss": 0.25, "dev": DEV.to_json(), "score": 0.5,
        "best": True, "patience_left": 5, "seconds": 3.0, "tokens_per_second": 3,
    }  # fmt: skip
    assert 0 <= end.pop("seconds") < 10
    assert end == {
        "event": "end", "seed": 1, "stopped": False, "best_epoch": 1, "dev": DEV.to_json(), "test": DEV.to_json(),
        "confusions": [{"gold": "Y", "predicted": "X", "n": 1}], "model": "m",
    }  # fmt: skip


def test_a_continued_log_has_each_epoch_once_even_after_a_kill(log: Any) -> None:
    run(log(), (), (1, 2), ends=False)
    with Path("log").open("ab") as file:
        file.write(b'{"event": "epo')  # killed while it wrote
    # The state of epoch 3 was saved, but its line was not written.
    run(log(continues=True), (1, 2, 3), (4,))
    assert logged(Path("log")) == [
        ("start", 1, 0), ("epoch", 1, 1), ("epoch", 1, 2), ("start", 1, 3), ("epoch", 1, 3), ("epoch", 1, 4), ("end", 1, None),
    ]  # fmt: skip
    # The newest state was damaged: what is trained once more is not logged once more.
    run(log(continues=True), (1, 2), (3, 4))
    assert logged(Path("log"))[7:] == [("start", 1, 2), ("end", 1, None)]


def test_a_new_training_replaces_the_log_when_it_begins(log: Any) -> None:
    run(log(), (), (1,))
    new = log()
    assert len(logged(Path("log"))) == 3, "the training may still fail before it begins"
    run(new, (), (1, 2))
    assert logged(Path("log")) == [("start", 1, 0), ("epoch", 1, 1), ("epoch", 1, 2), ("end", 1, None)]
    run(log(continues=True), (), (1,))  # there was no state to continue
    assert logged(Path("log"))[4:] == [("start", 1, 0), ("epoch", 1, 1), ("end", 1, None)]


def test_seeds_are_told_apart_and_have_a_last_line(log: Any) -> None:
    found = log()
    for seed in (1, 2):
        found.begin(a_beginning(seed=seed))
        found.end_epoch(an_epoch(1), 5)
        found.end(Outcome(Path(f".m.seed-{seed}"), [], an_epoch(1), stopped=False), None)
    runs = [SeedRun(1, 1, 0.5, 0.25, "a"), SeedRun(2, 1, 0.75, None, "b")]
    found.end_seeds(SeedsOutcome(Path("m"), runs, runs[1], stopped=False))
    assert logged(Path("log")) == [
        ("start", 1, 0), ("epoch", 1, 1), ("end", 1, None), ("start", 2, 0), ("epoch", 2, 1), ("end", 2, None),
        ("seeds", None, None),
    ]  # fmt: skip
    *_, end, last = (json.loads(line) for line in Path("log").read_text().splitlines())
    assert end["model"] is None, "the directory of a seed is removed"
    assert last == {
        "event": "seeds", "stopped": False, "best_seed": 2, "model": "m",
        "runs": [{"seed": 1, "best_epoch": 1, "dev": 0.5, "test": 0.25}, {"seed": 2, "best_epoch": 1, "dev": 0.75, "test": None}],
    }  # fmt: skip


def test_a_training_that_was_finished_before_has_no_second_end(log: Any) -> None:
    run(log(), (), (1,))
    log(continues=True).end(Outcome(Path("m"), [], an_epoch(1), stopped=False), DEV)
    assert len(logged(Path("log"))) == 3


@pytest.mark.parametrize(
    ("content", "line"),
    [("a\tB-X\n", 1), ("no line end", 1), ('{"event": "seeds"}\n{"event": "epoch"}\n', 2), ('{"tokens": []}\n', 1)],
)
def test_a_file_that_is_not_a_log_is_left_alone(log: Any, content: str, line: int) -> None:
    Path("log").write_text(content)
    for continues in (False, True):
        with pytest.raises(TaggerError, match=rf"^--log-json: log:{line}: found a line that is not part of a log, exp"):
            log(continues=continues)
    assert Path("log").read_text() == content


@pytest.mark.parametrize("event", ["[]", "{}", "1"])
@pytest.mark.parametrize("seed", ["[1]", "{}", "null", '"1"'])
def test_lines_that_only_resemble_a_log_are_none(log: Any, event: str, seed: str) -> None:
    for line in (f'{{"event": {event}, "seed": 1}}', f'{{"event": "epoch", "epoch": 1, "seed": {seed}}}'):
        Path("log").write_text(f"{line}\n")
        with pytest.raises(TaggerError, match=r"^--log-json: log:1: found a line that is not part of a log"):
            log()
        assert Path("log").read_text() == f"{line}\n"


def test_places_where_a_log_cannot_be_are_refused_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    for name, message in {
        "m": "in the model directory",
        "m/log": "in the model directory",
        "no/log": "cannot be written: its directory does not exist",
        ".": "cannot be written: it is a directory",
    }.items():
        with pytest.raises(TaggerError, match=f"^--log-json: .*{message}"):
            JsonLog(str(tmp_path / name), tmp_path / "m", continues=False)


def test_a_log_that_fails_ends_and_the_training_continues(log: Any, capsys: pytest.CaptureFixture[str]) -> None:
    warnings: list[str] = []

    class Shown(Silent):
        def warn(self, text: str) -> None:
            warnings.append(text)

    class Failing(Log):
        name = "training.log: failing"

        def start_epoch(self, start: EpochStart) -> None:
            raise OSError(28, "No space left on device")

    listeners = Listeners(Shown(), [Failing(), log()])
    listeners.begin(a_beginning())
    for epoch in (1, 2):
        listeners.start_epoch(EpochStart(epoch, 4, 1, 0, 9))
        listeners.end_epoch(an_epoch(epoch), 5)
    listeners.close()
    assert len(warnings) == 1
    assert warnings[0].startswith("training.log: failing: this log ends here, and the training continues without it: ")
    assert logged(Path("log")) == [("start", 1, 0), ("epoch", 1, 1), ("epoch", 1, 2)]
    assert listeners.places() == ["the log is in log"]


@pytest.mark.skipif(not Path("/proc/version").is_file(), reason="needs a place where nobody can write, as Linux has")
@pytest.mark.parametrize("target", ["/proc/log.jsonl", "/proc/self/limits/log", "no_folder/log"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_else(target: str) -> None:
    with pytest.raises(TaggerError, match=r"^--log-json: .* cannot be written: .*; choose another place for the log$"):
        JsonLog(target, Path("m").absolute(), continues=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a place that is always full, as Linux has")
def test_a_place_that_is_full_is_an_error_before_the_first_step() -> None:
    warnings: list[str] = []
    listeners = Listeners(Told(warnings.append, warnings.append), [JsonLog("/dev/full", Path("m"), continues=False)])
    message = "^--log-json: /dev/full cannot be written: No space left on device; choose another place for the log$"
    with pytest.raises(TaggerError, match=message):
        listeners.begin(a_beginning())
    listeners.close()
    assert warnings == []


def test_the_look_at_a_place_leaves_it_as_it_is(tmp_path: Path, log: Any) -> None:
    (tmp_path / "log").symlink_to("target")
    log()
    assert [one.name for one in tmp_path.iterdir()] == ["log"]
    content = b'{"event": "seeds"}\n'
    (tmp_path / "target").write_bytes(content)
    log()
    assert (tmp_path / "target").read_bytes() == content
