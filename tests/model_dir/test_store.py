"""The model directory: whole, verified, exchanged in one step."""

from __future__ import annotations

import dataclasses
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
from helpers import ROOT
from safetensors.numpy import save as save_tensors

from tagger import atomic
from tagger.architecture import NetworkSpec
from tagger.corpus.layout import Layout
from tagger.corpus.notation import Notation
from tagger.errors import ModelError
from tagger.inputs.characters import CharacterVocabulary
from tagger.inputs.encoder import Encoder
from tagger.inputs.vocabulary import Normalization, TagVocabulary, TokenVocabulary
from tagger.model_dir import store
from tagger.model_dir.files import MODEL_FILES
from tagger.model_dir.manifest import FORMAT_VERSION, Manifest, dump_manifest
from tagger.model_dir.store import Model, Weights, check_place, read_weights, save_model
from tagger.prediction.onnx_session import load_predictor

TOKENS = ("the", "U+3000:\u3000", "\u2028", "\x0b", "", " ", "é", "#")


def a_manifest(seed: int = 1) -> Manifest:
    return Manifest(
        layout=Layout(
            columns={"token": 1, "tag": 2, "pos": 3, "chunk": 0},
            comments="#",
            n_columns=5,
            known_tags=frozenset({"B-X", "O"}),
        ),
        notation=Notation(scheme="IOB2", separator="_", prefixes={"I": "i"}),
        scheme="IOB2",
        normalization=Normalization(lowercase=True),
        n_trained_tokens=None,
        embedding_dtype="float32",
        network=NetworkSpec.from_json(
            {
                "embedding_dim": 3,
                "characters": "cnn",
                "character_dim": 3,
                "character_units": 4,
                "casing": False,
                "feature_dim": 2,
                "units": 3,
                "layers": 1,
                "direction": "both",
                "merge": "sum",
                "dropout": 0.5,
                "input_dropout": 0.5,
                "token_dropout": 0.0,
                "recurrent_dropout": 0.0,
            }
        ),
        max_length=512,
        seed=seed,
        dev={"epoch": 2, "f1": 0.5},
        test="../test.conll",
        versions={"tagger": "1"},
    )


def save(directory: Path, seed: int = 1) -> None:
    # Everything in the directory says which seed it is of, so that a mixture of two would show.
    tokens = TokenVocabulary((*TOKENS, f"seed {seed}"))
    weights = {"embedding": np.full((len(tokens), 3), seed, np.float32), "w": np.full(2, seed, np.float32)}
    characters = CharacterVocabulary(("é", "\u3000", "\u2028", "\r"))
    encoder = Encoder(tokens, characters, False, (TokenVocabulary(("a\tb", "", "B")), TokenVocabulary(("NNP", " "))))
    model = Model(directory, a_manifest(seed), encoder, TagVocabulary(("O", "B-X", f"I-{seed}")), weights)
    save_model(model, graph=b"graph %d" % seed, config=f"seed: {seed}\n", history="epoch\n")


def load_model(directory: Path) -> Model[Weights]:
    return store.load_model(directory, read_weights)


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


def rewrite_manifest(directory: Path, **changes: object) -> None:
    """A manifest that somebody edited, checksum made right again; `section__key` for what lies deeper."""
    values = json.loads((directory / "manifest.json").read_text("utf-8"))
    del values["sha256"]
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            values[section][key] = value
        else:
            values[section] = value
    (directory / "manifest.json").write_bytes(dump_manifest(values))


def test_a_newer_format_says_to_update(tmp_path: Path) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", format_version=FORMAT_VERSION + 1)
    with pytest.raises(
        ModelError, match=r"format version 4, expected at most 3: .* update with git pull and pip install \."
    ):
        load_model(tmp_path / "model")


def test_an_older_format_says_to_train_again(tmp_path: Path) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", format_version=1)
    with pytest.raises(ModelError, match=r"format version 1, expected 3: .* train again"):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": {}}, "layout.columns: found nothing, expected names with numbers"),
        ({"layout": None}, "layout: found null, expected a mapping"),
        ({"layout__columns": {"token": 1.5}}, 'layout.columns: found {"token": 1.5}, expected names with numbers'),
        ({"layout__columns": {"tag": 0}}, "layout.columns: found {'tag': 0}, expected a `token` column"),
        ({"layout__delimiter": 5}, "layout.delimiter: found 5, expected text"),
        ({"layout__delimiter": "a\nb"}, "layout.delimiter: found 'a\\nb', expected some text without line ends"),
        ({"layout__encoding": "utf-16"}, "layout.encoding: 'utf-16' is not compatible with ASCII"),
        ({"layout__comments": 5}, "layout.comments: found 5, expected text or null"),
        ({"layout__more": 5}, "an unknown key: "),
        ({"notation": 3}, "notation: found 3, expected a mapping"),
        ({"notation__scheme": "FOO"}, 'notation.scheme: found "FOO", expected one of IOB1, IOB2, '),
        ({"notation__separator": None}, "notation.separator: found null, expected one of -, _, ."),
        ({"notation__prefixes": {"B": 5}}, 'notation.prefixes: found {"B": 5}, expected letters of prefixes'),
        ({"notation__outside": "x\ny"}, "notation.outside: found "),
        ({"notation__bare": True}, "notation.bare: found true, expected false, because only IO may be bare"),
        ({"scheme": None}, "scheme: found null, expected one of "),
        ({"normalization__lowercase": "no"}, 'normalization.lowercase: found "no", expected true or false'),
        ({"network__embedding_dim": 0}, "network.embedding_dim: found 0, expected a whole number from 1 to "),
        ({"network__units": 1 << 62}, "network.units: found 4611686018427387904, expected a whole number"),
        ({"network__direction": "foo"}, "network.direction: found 'foo', expected one of both, forward, backward"),
        ({"decoder": "beam"}, 'decoder: found "beam", expected one of constrained, softmax'),
        ({"max_length": True}, "max_length: found true, expected a whole number"),
        ({"test": ["x"]}, 'test: found ["x"], expected text or null'),
        ({"format_version": "1"}, "found no format_version"),
        ({"format_version": 0}, "found no format_version"),
        ({"format_version": True}, "found no format_version"),
    ],
)
def test_a_manifest_with_wrong_content_is_an_error(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    save(tmp_path / "model")
    rewrite_manifest(tmp_path / "model", **changes)
    with pytest.raises(ModelError) as error:
        load_model(tmp_path / "model")
    assert error.value.message.startswith(f"{tmp_path}/model/manifest.json: {message}")


@pytest.mark.parametrize(
    "text", ['{"format_version":2,"a":"\\ud800"}', "[1]", "[" * 100_000, '{"format_version":2}', "{", ""]
)
def test_a_manifest_that_is_none_is_an_error(tmp_path: Path, text: str) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/manifest.json").write_text(text)
    with pytest.raises(ModelError, match=r"manifest\.json: "):
        load_model(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokens.txt", b"a\nb\na\n", "tokens.txt: a token occurs twice"),
        ("tokens.txt", b"a\xff\n", "tokens.txt: is not UTF-8"),
        ("tags.txt", b"O\nB-X\nO\n", "tags.txt:3: found 'O', expected a distinct tag of the scheme IOB2"),
        ("tags.txt", b"O\nX-LOC\n", "tags.txt:2: found 'X-LOC', expected a distinct tag of the scheme IOB2"),
        ("tags.txt", b"O\nLOC\n", "tags.txt:2: found 'LOC', expected"),
        ("tags.txt", b"O\nB-a\tb\n", "tags.txt:2: found 'B-a\\tb', expected"),
        ("tags.txt", b"", "tags.txt: found no tag"),
        ("weights.safetensors", b"", "weights.safetensors, embeddings.bin: "),
        ("weights.safetensors", save_tensors({"w": np.array([np.nan], np.float32)}), "weights.safetensors: w: found float32 with 1 infinite or NaN values"),
        ("embeddings.bin", bytes(12), "weights.safetensors, embeddings.bin: cannot reshape"),
        ("weights.safetensors", save_tensors({"w": np.array([1, 2])}), "weights.safetensors: w: found int64 with 0 infinite or NaN values, expected finite float32"),
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


def test_files_of_the_user_are_never_replaced(tmp_path: Path) -> None:
    save(tmp_path / "model")
    (tmp_path / "model/notes.txt").write_text("mine")
    with pytest.raises(ModelError, match=r"holds notes\.txt, which is not part of a model and would be lost"):
        save(tmp_path / "model", seed=2)
    assert (tmp_path / "model/notes.txt").read_text() == "mine"
    assert load_model(tmp_path / "model").manifest.seed == 1
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ModelError, match="is a file, expected a model directory or nothing"):
        save(tmp_path / "file")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("mine")  # a name that models have, but no model
    with pytest.raises(ModelError, match=r"holds config\.yaml, which is not part of a model"):
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


def test_a_manifest_survives_json() -> None:
    manifest = a_manifest()
    assert Manifest.from_json(json.loads(json.dumps(manifest.to_json()))) == manifest
    without_test = dataclasses.replace(manifest, test=None)
    assert Manifest.from_json(without_test.to_json()) == without_test


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_older_formats_are_refused_with_a_remedy(version: int) -> None:
    """Models that older versions of tagger wrote: tests/old_models/make.sh."""
    directory = ROOT / "tests/old_models" / str(version)
    with pytest.raises(ModelError) as error:
        load_predictor(directory)
    assert error.value.message == (
        f"{directory}/manifest.json: found format version {version}, expected {FORMAT_VERSION}: the model is from an older"
        " tagger, which wrote another format; train again"
    )
