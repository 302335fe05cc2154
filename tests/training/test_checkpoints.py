"""The directory of an unfinished training's states: whole, one training's own, and nobody else's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagger.errors import ModelError
from tagger.training.checkpoints import Checkpoints, State


@pytest.fixture
def states(tmp_path: Path) -> Checkpoints:
    """Three were saved; two are left."""
    checkpoints = Checkpoints(tmp_path / "m")
    with checkpoints.lock():
        for i in range(3):
            checkpoints.save(State({"i": i}, {"a": np.full(2, i, np.float32)}))
    return checkpoints


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_two_are_kept(states: Checkpoints) -> None:
    assert names(states.directory) == ["lock", "state-000002.safetensors", "state-000003.safetensors"]
    newest = states.newest()
    assert newest is not None
    assert newest.record == {"i": 2}
    assert newest.arrays["a"].tolist() == [2, 2]


def test_numbers_go_on_however_large(states: Checkpoints) -> None:
    newest = states.directory / "state-000003.safetensors"
    newest.rename(states.directory / "state-999999999999.safetensors")
    with states.lock():
        states.save(State({"i": 3}, {}), n_kept=1)
    assert names(states.directory) == ["lock", "state-1000000000000.safetensors"]
    found = states.newest()
    assert found is not None
    assert found.record == {"i": 3}


def test_a_damaged_one_stays_until_somebody_goes_on_from_the_one_before(states: Checkpoints) -> None:
    newest = states.directory / "state-000003.safetensors"
    newest.write_bytes(newest.read_bytes()[:-1])
    warnings: list[str] = []
    found = states.newest(warnings.append)
    assert found is not None
    assert found.record == {"i": 1}
    assert len(warnings) == 1
    assert newest.exists()
    states.newest(remove_damaged=True)
    assert not newest.exists()


def test_one_that_cannot_be_read_is_not_taken_for_damaged(states: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, read = states.directory / "state-000003.safetensors", Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path == newest:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    with pytest.raises(ModelError, match=r"state-000003\.safetensors: cannot be read: Permission denied; check its p"):
        states.newest(remove_damaged=True)
    assert newest.exists()


@pytest.mark.parametrize(
    "name", ["thesis", "manifest.json", "state-000009.safetensors/", ".state-1.safetensors.2.new/"]
)
def test_what_is_not_of_a_training_is_not_touched(tmp_path: Path, name: str) -> None:
    stranger = tmp_path / "m.training" / name
    if name.endswith("/"):
        stranger.mkdir(parents=True)
    else:
        stranger.parent.mkdir()
        stranger.write_text("precious")
    with (
        pytest.raises(ModelError, match=r"m\.training: found \S+ in it, expected nothing but the states of a training"),
        Checkpoints(tmp_path / "m").lock(),
    ):
        pytest.fail("it was locked")
    assert names(tmp_path / "m.training") == [name.strip("/")]
    Checkpoints(tmp_path / "m").remove()
    assert stranger.exists()


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to("nowhere")])
def test_what_is_in_the_way_is_said(tmp_path: Path, make) -> None:
    make(tmp_path / "m.training")
    with (
        pytest.raises(
            ModelError, match=r"m\.training: a file or a link is in the way, expected a place for the states"
        ),
        Checkpoints(tmp_path / "m").lock(),
    ):
        pytest.fail("it was locked")


def test_without_states_nothing_is_left(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "m").lock():
        assert names(tmp_path) == ["m.training"]
    assert names(tmp_path) == []


def test_what_killed_trainings_left_is_removed_or_put_back(tmp_path: Path) -> None:
    model = tmp_path / "m"
    for name in (".m.12.new", ".m.13.old", ".m.x.new", ".mm.12.new", "m.training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "m.training/file").unlink()
    (tmp_path / "m.training/state-000002.safetensors").write_text("whole")
    (tmp_path / "m.training/.state-000003.safetensors.99.new").write_text("half")
    with Checkpoints(model).lock():
        assert (model / "file").read_text() == ".m.13.old", "it was on its way to be exchanged"
    assert {path.name for path in tmp_path.iterdir()} == {"m", ".m.x.new", ".mm.12.new", "m.training"}
    assert {path.name for path in (tmp_path / "m.training").iterdir()} == {
        "lock",
        "state-000002.safetensors",
    }


def test_every_changed_byte_of_a_state_is_noticed() -> None:
    arrays = {"a": np.arange(3, dtype=np.float32), "b": np.zeros((), np.int64), "empty": np.zeros((0, 2), np.float32)}
    state = State({"epoch": 3, "text": "ä\ud800"}, arrays)
    content = state.to_bytes()
    again = State.from_bytes(content)
    assert again.record == state.record
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in again.arrays.items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in arrays.items()
    }
    same = 0
    for i in range(len(content)):
        for bit in (1, 0x80):
            changed = bytearray(content)
            changed[i] ^= bit
            try:
                found = State.from_bytes(bytes(changed))
            except ValueError:
                continue
            # A blank of the header's JSON may have become another one.
            assert found.record == state.record
            assert all(np.array_equal(found.arrays[name], array) for name, array in arrays.items())
            same += 1
    assert same < 100
    for n in range(0, len(content), 7):
        with pytest.raises(ValueError, match="the file is not a state"):
            State.from_bytes(content[:n])
