"""Tests of the state directory of an unfinished training: its states are whole and belong to this training alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tagger.errors import ModelError
from tagger.model_dir.checkpoints import Checkpoints, State


@pytest.fixture
def states(tmp_path: Path) -> Checkpoints:
    """Save three states, of which two are kept."""
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


def test_state_numbers_continue_however_large_they_are(states: Checkpoints) -> None:
    newest = states.directory / "state-000003.safetensors"
    newest.rename(states.directory / "state-999999999999.safetensors")
    with states.lock():
        states.save(State({"i": 3}, {}), n_kept=1)
    assert names(states.directory) == ["lock", "state-1000000000000.safetensors"]
    found = states.newest()
    assert found is not None
    assert found.record == {"i": 3}


def test_a_damaged_state_stays_until_training_continues_from_the_previous_one(states: Checkpoints) -> None:
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


def test_an_unreadable_state_is_not_taken_for_damaged(states: Checkpoints, monkeypatch: pytest.MonkeyPatch) -> None:
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
def test_files_that_do_not_belong_to_a_training_are_not_touched(tmp_path: Path, name: str) -> None:
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
def test_a_file_or_a_link_in_the_way_is_an_error(tmp_path: Path, make) -> None:
    make(tmp_path / "m.training")
    with (
        pytest.raises(
            ModelError, match=r"m\.training: a file or a link is in the way, expected a place for the states"
        ),
        Checkpoints(tmp_path / "m").lock(),
    ):
        pytest.fail("it was locked")


def test_without_states_the_directory_is_removed(tmp_path: Path) -> None:
    with Checkpoints(tmp_path / "m").lock():
        assert names(tmp_path) == ["m.training"]
    assert names(tmp_path) == []


def test_leftovers_of_killed_trainings_are_removed_or_put_back(tmp_path: Path) -> None:
    model = tmp_path / "m"
    for name in (".m.12.new", ".m.13.old", ".m.x.new", ".mm.12.new", "m.training"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    (tmp_path / "m.training/file").unlink()
    (tmp_path / "m.training/state-000002.safetensors").write_text("whole")
    (tmp_path / "m.training/.state-000003.safetensors.99.new").write_text("half")
    with Checkpoints(model).lock():
        assert (model / "file").read_text() == ".m.13.old", "a model that was about to be replaced must be put back"
    assert {path.name for path in tmp_path.iterdir()} == {"m", ".m.x.new", ".mm.12.new", "m.training"}
    assert {path.name for path in (tmp_path / "m.training").iterdir()} == {
        "lock",
        "state-000002.safetensors",
    }


def test_every_changed_byte_of_a_state_is_detected() -> None:
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
            # One blank in the header's JSON may have become another kind of blank.
            assert found.record == state.record
            assert all(np.array_equal(found.arrays[name], array) for name, array in arrays.items())
            same += 1
    assert same < 100
    for n in range(0, len(content), 7):
        with pytest.raises(ValueError, match="the file is not a state"):
            State.from_bytes(content[:n])
