"""The files of a model directory: reading verifies them, and errors name damaged and missing files."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest
from stored_model import load_model, rewrite_manifest, save

from tagger.errors import ModelError
from tagger.model_dir.files import MODEL_FILES


def test_the_manifest_names_the_checksum_of_every_other_file(tmp_path: Path) -> None:
    save(tmp_path / "model")
    values = json.loads((tmp_path / "model/manifest.json").read_text("utf-8"))
    names = {path.name for path in (tmp_path / "model").iterdir()}
    assert names == MODEL_FILES
    assert set(values["files"]) == names - {"manifest.json"}
    for name, expected in values["files"].items():
        content = (tmp_path / "model" / name).read_bytes()
        assert expected == {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_changed_byte_in_any_file_is_an_error(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    save(directory)
    rng = random.Random(1)
    for name in (
        "manifest.json",
        "tokens.txt",
        "tags.txt",
        "characters.txt",
        "features.txt",
        "lists.txt",
        "clusters.txt",
        "subwords.txt",
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


def test_a_truncated_or_missing_file_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    for name in (
        "manifest.json",
        "tokens.txt",
        "tags.txt",
        "characters.txt",
        "features.txt",
        "lists.txt",
        "clusters.txt",
        "subwords.txt",
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
def test_files_that_prediction_does_not_read_are_not_verified(tmp_path: Path, name: str) -> None:
    save(tmp_path / "model")
    (tmp_path / "model" / name).unlink()
    load_model(tmp_path / "model")


def test_a_path_that_is_not_a_model_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing: no such model directory; train one with tagger train"):
        load_model(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="file: is a file, expected a model directory"):
        load_model(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ModelError, match=r"empty: found no manifest\.json, expected one: this is not a model directory"
    ):
        load_model(tmp_path / "empty")


def test_a_link_inside_the_directory_is_refused(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/tokens.txt").rename(tmp_path / "tokens.txt")
    (tmp_path / "model/tokens.txt").symlink_to(tmp_path / "tokens.txt")
    with pytest.raises(ModelError, match=r"tokens\.txt: is a link, expected a file; copy"):
        load_model(tmp_path / "model")


def test_a_model_that_is_missing_for_a_moment_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = tmp_path / "model"
    save(directory)
    missing = iter([True])
    open_, times = os.open, []

    def opened(path: Any, *arguments: Any, **options: Any) -> int:
        if path == directory and next(
            missing, False
        ):  # the moment between two renames; both are done before the next try
            times.append(1)
            raise FileNotFoundError(path)
        return open_(path, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    assert load_model(directory).manifest.seed == 1
    assert times == [1]


def test_a_file_larger_than_the_memory_is_refused_although_its_size_is_signed(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    save(directory)
    for name in ("tokens.txt", "weights.safetensors"):
        files = json.loads((directory / "manifest.json").read_text("utf-8"))["files"]
        content = (directory / name).read_bytes()
        rewrite_manifest(directory, files={**files, name: {"bytes": 1 << 40, "sha256": "0" * 64}})
        os.truncate(directory / name, 1 << 40)  # a sparse file takes no space on the disk
        with pytest.raises(
            ModelError, match=rf"{name}: found 1099\.5 GB, expected at most the .* of memory that is free"
        ):
            load_model(directory)
        (directory / name).write_bytes(content)
        rewrite_manifest(directory, files=files)
    load_model(directory)
