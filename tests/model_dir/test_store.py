"""The model directory: whole, verified, exchanged in one step."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save as save_tensors
from stored_model import TOKENS, a_manifest, load_model, rewrite_manifest, save

from tagger import atomic
from tagger.errors import ModelError
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.vocabulary import Normalization, TokenVocabulary
from tagger.model_dir.files import MODEL_FILES
from tagger.model_dir.store import check_place


def test_everything_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.manifest == a_manifest()
    assert model.encoder.tokens == TokenVocabulary((*TOKENS, "seed 1"), Normalization(lowercase=True))
    assert model.tags.tags == ("O", "B-X", "I-1")
    assert model.encoder.characters == CharacterVocabulary(("é", "\u3000", "\u2028", "\r"))
    chunk, pos = model.encoder.features
    assert (chunk.tokens, pos.tokens) == (("a\tb", "", "B"), ("NNP", " "))
    assert sorted(model.network) == ["embedding", "w"]
    np.testing.assert_array_equal(model.network["embedding"], np.ones((len(model.encoder.tokens), 3), np.float32))
    np.testing.assert_array_equal(model.network["w"], np.ones(2, np.float32))
    assert (tmp_path / "model/model.onnx").read_bytes() == b"graph 1"
    assert (tmp_path / "model/embeddings.bin").read_bytes() == np.ones((len(model.encoder.tokens), 3), "<f4").tobytes()


def test_vocabulary_files_have_a_line_an_id(tmp_path: Path) -> None:
    save(tmp_path / "model")
    tokens = (tmp_path / "model/tokens.txt").read_bytes().decode().split("\n")
    assert tokens == [*TOKENS, "seed 1", ""]
    assert load_model(tmp_path / "model").encoder.tokens.encode(["É"]).tolist() == [tokens.index("é") + 2]
    assert (tmp_path / "model/tags.txt").read_bytes() == b"O\nB-X\nI-1\n"


def test_the_manifest_names_the_checksum_of_every_other_file(tmp_path: Path) -> None:
    save(tmp_path / "model")
    values = json.loads((tmp_path / "model/manifest.json").read_text("utf-8"))
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == MODEL_FILES
    assert set(values["files"]) == names - {"manifest.json"}
    for name, expected in values["files"].items():
        content = (tmp_path / "model" / name).read_bytes()
        assert expected == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_equal_models_are_equal_bytes(tmp_path: Path) -> None:
    save(tmp_path / "a")
    save(tmp_path / "b")
    for name in MODEL_FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_changed_byte_is_an_error_wherever_it_is_read(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    save(directory)
    rng = random.Random(1)
    for name in (
        "manifest.json",
        "tokens.txt",
        "tags.txt",
        "characters.txt",
        "features.txt",
        "weights.safetensors",
        "embeddings.bin",
    ):
        path = directory / name
        content = path.read_bytes()
        for _ in range(150):
            changed = bytearray(content)
            changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            with pytest.raises(ModelError, match=name):
                load_model(directory)
        path.write_bytes(content)
    load_model(directory)


def test_a_file_cut_short_or_missing_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    for name in (
        "manifest.json",
        "tokens.txt",
        "tags.txt",
        "characters.txt",
        "features.txt",
        "weights.safetensors",
        "embeddings.bin",
    ):
        shutil.rmtree(directory, ignore_errors=True)
        save(directory)
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ModelError, match=name):
            load_model(directory)
        (directory / name).unlink()
        with pytest.raises(ModelError, match=f"found no {name}, expected one"):
            load_model(directory)


@pytest.mark.parametrize("name", ["config.yaml", "history.csv"])
def test_what_prediction_does_not_read_is_not_verified(tmp_path: Path, name: str) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokens.txt", b"a\nb\na\n", "tokens.txt: a token stands twice"),
        ("tokens.txt", b"a\xff\n", "tokens.txt: not UTF-8"),
        ("tags.txt", b"O\nB-X\nO\n", "tags.txt:3: found 'O', expected another tag of the scheme IOB2"),
        ("tags.txt", b"O\nX-LOC\n", "tags.txt:2: found 'X-LOC', expected another tag of the scheme IOB2"),
        ("tags.txt", b"O\nLOC\n", "tags.txt:2: found 'LOC', expected"),
        ("tags.txt", b"O\nB-a\tb\n", "tags.txt:2: found 'B-a\\tb', expected"),
        ("tags.txt", b"", "tags.txt: found no tag"),
        ("weights.safetensors", b"", "weights.safetensors, embeddings.bin: "),
        ("weights.safetensors", save_tensors({"w": np.array([np.nan], np.float32)}), "weights.safetensors: w: found float32 with 1 infinite or NaN"),
        ("embeddings.bin", bytes(12), "weights.safetensors, embeddings.bin: cannot reshape"),
        ("weights.safetensors", save_tensors({"w": np.array([1, 2])}), "weights.safetensors: w: found int64 with 0 infinite or NaN, expected finite float32"),
    ],
)  # fmt: skip
def test_a_file_with_wrong_content_is_an_error_though_its_checksum_is_right(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(content)
    files = json.loads((tmp_path / "model/manifest.json").read_text("utf-8"))["files"]
    files[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    rewrite_manifest(tmp_path / "model", files=files)
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "model")
    assert error.value.message.startswith(f"{tmp_path}/model/{message}")


def test_what_is_no_model_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing: no such model directory; train one with tagger train"):
        load_model(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="file: is a file, expected a model directory"):
        load_model(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"empty: found no manifest\.json, expected one: is no model directory"):
        load_model(tmp_path / "empty")


def test_a_link_inside_the_directory_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/tokens.txt").rename(tmp_path / "tokens.txt")
    (tmp_path / "model/tokens.txt").symlink_to(tmp_path / "tokens.txt")
    with pytest.raises(ModelError, match=r"tokens\.txt: is a link, expected a file; copy"):
        load_model(tmp_path / "model")


def test_files_of_the_user_are_never_replaced(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"holds notes\.txt, which is no part of a model and would be lost"):
        save(tmp_path / "model", seed=2)
    assert (tmp_path / "model/notes.txt").read_text() == "mine"
    assert load_model(tmp_path / "model").manifest.seed == 1
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelError, match="is a file, expected a model directory or nothing"):
        save(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("mine")  # a name that models have, but no model
    with pytest.raises(ModelError, match=r"holds config\.yaml, which is no part of a model"):
        save(tmp_path / "mine")
    assert (tmp_path / "mine/config.yaml").read_text() == "mine"


def test_the_working_directory_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "model")
    monkeypatch.chdir(tmp_path / "model")
    with pytest.raises(ModelError, match="is or holds the working directory"):
        save(Path())
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)
    with pytest.raises(ModelError, match="is or holds the working directory"):
        check_place(empty)


def test_a_place_that_cannot_be_written_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path / "file/model", tmp_path / ("long" * 100), Path("/proc/model")):
        with pytest.raises(ModelError, match=r"cannot be written: .* choose another place"):
            check_place(place)
    check_place(tmp_path / "new/model")
    assert not (tmp_path / "new/model").exists()


def test_a_link_to_a_model_directory_is_followed(tmp_path: Path) -> None:
    save(tmp_path / "real")
    (tmp_path / "link").symlink_to("real")
    save(tmp_path / "link", seed=2)
    assert (tmp_path / "link").is_symlink()
    assert load_model(tmp_path / "real").manifest.seed == 2


def test_a_place_that_cannot_be_written_is_an_error_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="model: cannot be written: "):
        save(tmp_path / "file" / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_reader_sees_the_old_or_the_new_model_and_never_a_mixture(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:  # a system without renameat2
        monkeypatch.setattr(atomic, "_renameat2_exchange", lambda a, b: False)
    directory = tmp_path / "model"
    save(directory)
    done, seen, problems = threading.Event(), set(), []

    def read() -> None:
        while not done.is_set():
            try:
                model = load_model(directory)
            except Exception as error:
                problems.append(error)
                return
            seeds = {model.manifest.seed, int(model.encoder.tokens.tokens[-1][5:]), int(model.tags.tags[-1][2:])}
            seeds.add(int(model.network["embedding"][0, 0]))
            seen.add(model.manifest.seed)
            if len(seeds) != 1:
                problems.append(seeds)

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for seed in range(2, 40):
        save(directory, seed)
    done.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert len(seen) > 3
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_model_that_was_away_for_a_moment_only_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "model"
    save(directory)
    missing = iter([True])
    open_, times = os.open, []

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if path == directory and next(missing, False):  # between two renames; both are done before one looks again
            times.append(1)
            raise FileNotFoundError(path)
        return open_(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    assert load_model(directory).manifest.seed == 1
    assert times == [1]
