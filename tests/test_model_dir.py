"""The model directory: whole, verified, exchanged in one step."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import random
import threading
from pathlib import Path

import numpy as np
import pytest

from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.corpus.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.errors import ModelError
from tagger.runtime import publish
from tagger.runtime.model_dir import FORMAT_VERSION, MODEL_FILES, Manifest, load_model, save_model

TOKENS = ("the", "U+3000:\u3000", "\u2028", "\x0b", "", " ", "é", "#")


def a_manifest(seed: int = 1) -> Manifest:
    return Manifest(
        layout=Layout(columns={"token": 1, "tag": 2}, comments="#", n_columns=5, known_tags=frozenset({"B-X", "O"})),
        notation=Notation(scheme="IOB2", separator="_", prefixes={"I": "i"}),
        scheme="IOB2",
        normalization=Normalization(lowercase=True),
        network={"units": 3},
        decoder="constrained",
        max_length=512,
        seed=seed,
        dev={"epoch": 2, "f1": 0.5},
        test="../test.conll",
        versions={"tagger": "1"},
    )


def save(directory: Path, seed: int = 1) -> None:
    # Everything in the directory says which seed it is of, so that a mixture of two would show.
    save_model(
        directory,
        a_manifest(seed),
        tokens=TokenVocabulary((*TOKENS, f"seed {seed}")),
        tags=TagVocabulary(("O", "B-X", f"I-{seed}")),
        weights={"embedding": np.full((2, 3), seed, np.float32)},
        config=f"seed: {seed}\n",
        history="epoch\n",
    )


def test_everything_comes_back(tmp_path: Path) -> None:
    save(tmp_path / "model")
    model = load_model(tmp_path / "model")
    assert model.manifest == a_manifest()
    assert model.tokens == TokenVocabulary((*TOKENS, "seed 1"), Normalization(lowercase=True))
    assert model.tags.tags == ("O", "B-X", "I-1")
    np.testing.assert_array_equal(model.weights["embedding"], np.ones((2, 3), np.float32))


def test_vocabulary_files_have_a_line_an_id(tmp_path: Path) -> None:
    save(tmp_path / "model")
    tokens = (tmp_path / "model/tokens.txt").read_bytes().decode().split("\n")
    assert tokens == [*TOKENS, "seed 1", ""]
    assert load_model(tmp_path / "model").tokens.encode(["É"]).tolist() == [tokens.index("é") + 2]
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
    for name in ("manifest.json", "tokens.txt", "tags.txt", "weights.safetensors"):
        path = directory / name
        content = path.read_bytes()
        for _ in range(150):
            changed = bytearray(content)
            changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
            path.write_bytes(changed)
            try:
                loaded = load_model(directory)
            except ModelError as error:
                assert name in error.message
            else:
                # JSON may be written in more than one way: white space that changes leaves the content what it is.
                assert name == "manifest.json"
                assert loaded.manifest == a_manifest()
        path.write_bytes(content)
    load_model(directory)


def test_a_file_cut_short_or_missing_is_named(tmp_path: Path) -> None:
    directory = tmp_path / "model"
    for name in ("manifest.json", "tokens.txt", "tags.txt", "weights.safetensors"):
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


def rewrite_manifest(directory: Path, **changes: object) -> None:
    """A manifest that somebody edited, checksum made right again."""
    values = json.loads((directory / "manifest.json").read_text("utf-8")) | changes
    rest = {key: value for key, value in values.items() if key != "sha256"}
    canonical = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    values["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    (directory / "manifest.json").write_text(json.dumps(values), "utf-8")


def test_a_newer_format_says_to_update(tmp_path: Path) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", format_version=FORMAT_VERSION + 1)
    with pytest.raises(ModelError, match=r"format version 2, expected at most 1: .* pip install --upgrade"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    "changes",
    [
        {"layout": {}}, {"layout": None}, {"layout": {"columns": {"tag": 0}, "known_tags": []}}, {"notation": 3},
        {"normalization": {"x": 1}}, {"format_version": "1"}, {"files": []}, {"files": None},
    ],
)  # fmt: skip
def test_a_manifest_with_wrong_content_is_an_error(tmp_path: Path, changes: dict[str, object]) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", **changes)
    with pytest.raises(ModelError, match=r"manifest\.json"):
        load_model(tmp_path / "model")


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
    with pytest.raises(ModelError, match=r"tokens\.txt: cannot be read"):
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
        monkeypatch.setattr(publish, "_renameat2_exchange", lambda a, b: False)
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
            seeds = {model.manifest.seed, int(model.tokens.tokens[-1][5:]), int(model.tags.tags[-1][2:])}
            seeds.add(int(model.weights["embedding"][0, 0]))
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


def test_a_manifest_survives_json() -> None:
    manifest = a_manifest()
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    without_test = dataclasses.replace(manifest, test=None)
    assert Manifest.from_json(without_test.to_json()) == without_test
