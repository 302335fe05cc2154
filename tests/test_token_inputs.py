"""The other inputs of a network (spellings, feature columns, pretrained vectors), from the config to the tags."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from helpers import run_tagger

from tagger import Tagger

pytest.importorskip("tensorflow")

from tagger.model_dir.store import load_model, read_weights

pytestmark = pytest.mark.tensorflow

QUICK = (
    "training: {epochs: 25, learning_rate: 0.03, patience: 4, batch_size: 8, ema: null}\n"
    "model: {units: 8, embedding_dim: 8, dropout: 0, input_dropout: 0, token_dropout: 0, layers: 1, decoder: constrained"
)


@pytest.fixture
def in_folder(tmp_path: Path) -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def write(path: str, rows: Sequence[Sequence[str]], *, length: int = 4) -> None:
    """Write the rows as a file of sentences with `length` tokens each."""
    lines = ["\t".join(row) + "\n" + "\n" * (i % length == length - 1) for i, row in enumerate(rows)]
    Path(path).write_text("".join(lines), "utf-8")


def trained(config: str, *settings: str) -> str:
    """Train a model that reads only tokens unless the settings add inputs, and return the messages of the training."""
    settings = ("model.characters=none", "model.casing=false", *settings)
    Path("c.yaml").write_text(config)
    result = run_tagger("train", "c.yaml", "--model", "m", *(f"--set={setting}" for setting in settings))
    assert result.exit_code == 0, result.errors
    return result.errors


def f1(path: str) -> float:
    result = run_tagger("eval", path, "--model", "m", "--json")
    assert result.exit_code == 0, result.errors
    return float(json.loads(result.output)["f1"])


# --- Feature columns ------------------------------------------------------------------------------------------------


def test_a_feature_column_is_read_in_training_and_required_for_prediction(in_folder: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [(f"w{i}", ["N", "V"][i % 2], ["B-X", "O"][i % 2]) for i in rng.integers(0, 40, 400)]
    shuffled = [(token, pos, tag) for (token, _, _), (_, pos, tag) in zip(rows, rows[::-1], strict=True)]
    write("train", rows)
    write("test", shuffled)  # only the column predicts the tag
    trained(
        "data: {train: train, dev: test, columns: {token: 0, pos: 1, tag: 2}}\n"
        f"vocabulary: {{word_dropout: 0.5}}\n{QUICK}, feature_dim: 4}}\n",
        "model.decoder=crf",
    )
    assert f1("test") == 1.0
    assert run_tagger("predict", "--model", "m", stdin=b"w1\tN\nw1\tV\n").output == b"w1\tN\tB-X\nw1\tV\tO\n"
    result = run_tagger("predict", "--model", "m", stdin=b"w1\tN\nw1\n")
    assert result.first_error.startswith(
        "error: <standard input>:2: found 1 column, expected at least 2: column 1 (pos) is missing; fix the line"
    )
    assert result.output == b"", "no part of the sentence with the mistake may be written"
    result = run_tagger("predict", "--model", "m", "--columns", "token=0", stdin=b"w1\n")
    assert (result.exit_code, result.first_error) == (
        2,
        "error: Invalid value for --columns: found no pos=INDEX, expected one: the model was trained with that column"
        " and needs it",
    )
    result = run_tagger("predict", "--model", "m", "--columns", "token=0,pos=1,chunk=2", stdin=b"w1\n")
    assert "found chunk=2, expected the columns that the model knows: token, tag and pos" in result.first_error
    assert run_tagger("predict", "--model", "m", "--columns", "pos=0,token=1", stdin=b"N\tw1\n").output == (
        b"N\tw1\tB-X\n"
    )
    assert run_tagger("eval", "test", "--model", "m", "--columns", "token=0,pos=1,tag=2").exit_code == 0

    tagger = Tagger.load("m")
    assert tagger.features == ("pos",)
    (prediction, empty) = tagger.tag([[("w1", "N"), ("w1", "V"), ("new", "N"), ("new", "?")], []])
    assert prediction.tags[:3] == ["B-X", "O", "B-X"]
    assert empty.tags == []
    assert [p.tags for p in tagger.tag_stream([[("w1", "V")]])] == [["O"]]
    for wrong in (["w1"], [("w1",)], [("w1", "N", "x")]):
        with pytest.raises(TypeError, match=r"sentence 1: found the token .*, expected a tuple \(token, pos\)"):
            tagger.tag([[("w1", "N")], wrong])
    with pytest.raises(TypeError, match="sentence 0: found a token of type int, expected str"):
        tagger.tag([[("w1", 3)]])  # type: ignore[list-item]


def test_feature_columns_are_found_by_name_at_any_position(in_folder: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [(f"w{i}", ["N", "V"][i % 2], ["N", "V"][i // 20], ["B-X", "O"][i % 2]) for i in rng.integers(0, 40, 400)]
    write("train", rows)
    write("swapped", [(token, chunk, tag, pos) for token, pos, chunk, tag in rows])
    write("test", [(f"new{i}", *rest) for i, (_, *rest) in enumerate(rows)])
    trained(f"data: {{train: train, dev: test, columns: {{token: 0, pos: 1, chunk: 2, tag: 3}}}}\n{QUICK}}}\n")
    assert Tagger.load("m").features == ("chunk", "pos")
    assert f1("test") == 1.0
    options = ["--model", "m", "--columns", "token=0,chunk=1,tag=2,pos=3"]
    assert json.loads(run_tagger("eval", "swapped", *options, "--json").output)["f1"] == 1.0
    tags = [line.split(b"\t")[-1] for line in run_tagger("predict", "swapped", *options).output.splitlines() if line]
    assert tags == [tag.encode() for *_, tag in rows]
    # `compare` accepts the same --columns for both models, although one of them does not read features.
    Path("m").rename("m2")
    trained(f"data: {{train: train, dev: test}}\n{QUICK}}}\n")
    result = run_tagger("compare", "m", "m2", "swapped", "--samples", "100", "--columns", "token=0,chunk=1,tag=2,pos=3")
    assert result.exit_code == 0, result.errors


# --- Characters and casing --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("setting", ["characters=cnn", "characters=lstm", "casing=true"])
def test_spellings_determine_the_tag_of_an_unknown_token(in_folder: Path, setting: str) -> None:
    def rows(first: int) -> list[tuple[str, str]]:
        return [
            (f"{'Xa'[i % 2]}b{'z' * (i % 3)}{'vw'[i % 2]}{i:x}q", ["B-X", "O"][i % 2])
            for i in range(first, first + 300)
        ]

    letters = str.maketrans("0123456789", "ghijklmnop")  # replace digits, because they would determine the casing
    for name, first in (("train", 0), ("test", 1000)):
        write(name, [(token.translate(letters), tag) for token, tag in rows(first)], length=3)
    trained(f"data: {{train: train, dev: test}}\n{QUICK}}}\n", f"model.{setting}")
    assert f1("test") > 0.97
    characters = Path("m/characters.txt")
    assert characters.exists() == setting.startswith("characters")
    if characters.exists():
        in_training = {c for line in Path("train").read_text().splitlines() for c in line.split("\t")[0]}
        assert set(characters.read_text().split("\n")[:-1]) == in_training


# --- Pretrained vectors -----------------------------------------------------------------------------------------------


def write_vectors() -> None:
    """Write well-separated vectors of 60 cities and 60 men; the training data has the first 20 of each."""
    rng = np.random.default_rng(2)
    lines = []
    for name, centre in (("city", [2, 0, 1]), ("man", [0, 2, 1])):
        for i in range(60):
            vector = np.array(centre) + rng.normal(scale=0.1, size=3)
            lines.append(
                f"{name}{'abcdefghijklmnopqrstuvwxyz'[i % 26]}{'abc'[i // 26]} " + " ".join(f"{x:.5f}" for x in vector)
            )
    Path("v.txt").write_text("\n".join(lines) + "\n")


def cities_and_men(first: int, last: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(first)
    names = [line.split()[0] for line in Path("v.txt").read_text().splitlines()]
    rows = []
    for _ in range(300):
        kind = int(rng.integers(0, 2))
        token = names[60 * kind + int(rng.integers(first, last))]
        rows.append((token.capitalize() if rng.random() < 0.2 else token, ["B-LOC", "B-PER"][kind]))
    return rows


CONFIG = f"data: {{train: train, dev: dev, test: test}}\n{QUICK.replace(', embedding_dim: 8', '')}}}\n"


@pytest.fixture
def vectors(in_folder: Path) -> Path:
    write_vectors()
    write("train", cities_and_men(0, 20))
    write("dev", cities_and_men(20, 40))
    write("test", cities_and_men(40, 60))
    return in_folder


def embedding() -> dict[str, np.ndarray]:
    model = load_model(Path("m"), read_weights)
    return dict(zip(model.encoder.tokens.tokens, model.network["embedding"][2:], strict=True))


def given_vectors() -> dict[str, np.ndarray]:
    rows = [line.split() for line in Path("v.txt").read_text().splitlines()]
    return {token: np.array(list(map(float, numbers)), np.float32) for token, *numbers in rows}


def test_words_that_only_the_vectors_have_are_tagged_with_their_vectors(vectors: Path) -> None:
    said = trained(CONFIG, "embeddings.path=v.txt", "embeddings.trainable=false")
    assert f1("test") == 1.0
    assert "vectors: 120 of size 3 from v.txt" in said
    assert "tokens (100.0 %) have a vector: 40 exactly, " in said
    assert "in lower case" in said
    # Frozen vectors equal the vectors in the file, also for capitalised training tokens.
    found, given = embedding(), given_vectors()
    assert set(given) <= set(found)
    for token, vector in found.items():
        np.testing.assert_array_equal(vector, given[token.lower()])
    # A token that is not in the vocabulary is looked up in lower case.
    token = next(token for token in given if token.startswith("man") and token.upper() not in found)
    assert run_tagger("predict", "--model", "m", stdin=token.upper().encode() + b"\n").output.endswith(b"\tB-PER\n")
    config = Path("m/config.yaml").read_text()
    assert "path: ../v.txt" in config
    assert "embedding_dim: 3" in config


def test_unless_frozen_only_vectors_of_training_tokens_are_trained_further(vectors: Path) -> None:
    trained(CONFIG, "embeddings.path=v.txt", "training.ema=0.5")
    found, given = embedding(), given_vectors()
    train = {line.split("\t")[0] for line in Path("train").read_text().splitlines() if line}
    moved = {token for token in found if not np.array_equal(found[token], given[token.lower()])}
    assert moved == train


def test_max_rows_limits_the_added_vectors_and_float16_halves_their_size(vectors: Path) -> None:
    n_train = len({line.split("\t")[0] for line in Path("train").read_text().splitlines() if line})
    trained(CONFIG, "embeddings.path=v.txt", "embeddings.max_rows=7", "embeddings.dtype=float16")
    assert len(embedding()) == n_train + 7
    assert Path("m/embeddings.bin").stat().st_size == (2 + n_train + 7) * 3 * 2
    manifest = json.loads(Path("m/manifest.json").read_text())
    assert (manifest["embedding_dtype"], manifest["n_trained_tokens"]) == ("float16", n_train)
    # The saved vectors are those with which dev was scored.
    dev = run_tagger("eval", "dev", "--model", "m", "--json").output
    assert json.loads(dev)["f1"] == manifest["dev"]["f1"]


def test_wrong_settings_of_the_vectors_are_named(vectors: Path) -> None:
    Path("c.yaml").write_text(CONFIG)
    Path("big.txt").write_text("a 70000 0.2 0.3\nb 0.1 0.2 0.3\n")
    Path("wide.txt").write_text("a\n")
    np.save("wide.npy", np.zeros((1, 8193), np.float32))
    for settings, message in [
        (["embeddings.path=v.txt", "embeddings.name=glove-6b-50d"], "embeddings: found both path and name, expected one"),
        (["embeddings.path=none.txt"], "none.txt"),
        (["embeddings.name=glove"], "embeddings.name: found 'glove', expected"),
        (["embeddings.path=v.txt", "model.embedding_dim=8"], "model.embedding_dim: found 8, expected 3, the size of the vectors from v.txt; delete the key"),
        (["embeddings.trainable=false"], "embeddings: found trainable or max_rows without path or name, expected one of them; add one (training.freeze: [embedding] keeps an embedding from elsewhere)"),
        (["embeddings.path=big.txt", "embeddings.dtype=float16"], "embeddings.dtype: found float16, expected float32: the vectors from big.txt hold numbers up to 70000"),
        (["embeddings.path=wide.npy"], "embeddings: found vectors of 8193 numbers in wide.npy, expected at most 8192"),
        (["model.characters='!!binary Y25u'".replace("'", "")], "model.characters: found text (\"b'cnn'\"), expected 'none', 'cnn' or 'lstm'"),
        (["training.accumulate=9"], "training.accumulate: found 9, expected at most training.batch_size (8)"),
        (["training.steps=[1]"], "training.steps: found a list, expected epochs (from 1) with factors above 0, as in {20: 0.1}"),
        (["training.steps={0: 1.0}"], "training.steps: found"),
        (["embeddings.path=v.txt", "embeddings.max_rows=-1"], "embeddings.max_rows: found -1, expected at least 0"),
        (["training.label_smoothing=0.1", "model.decoder=crf"], "--set training.label_smoothing=0.1: training.label_smoothing: found 0.1, expected 0 with a CRF"),
        (["model.characters=lstm", "model.character_units=5"], "model.character_units: found 5, expected an even number"),
    ]:  # fmt: skip
        result = run_tagger("train", "c.yaml", "--model", "m", *(f"--set={setting}" for setting in settings))
        assert result.exit_code == 1
        assert message in result.first_error, result.first_error
    assert not Path("m").exists()
