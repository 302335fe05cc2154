"""Compare the exported network with the one in TensorFlow: the same logits and the same tags on every corpus."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tagger.prediction.predictor import Predictor

pytest.importorskip("tensorflow")

from small_models import in_tensorflow, random_sentences, save_small_model, small_model

from tagger.cli.progress import TrainingProgress
from tagger.config.loading import load_config
from tagger.corpus.conll import read_sentences
from tagger.corpus.layout import Layout
from tagger.corpus.lines import open_corpus
from tagger.errors import ModelError, TaggerError
from tagger.model_dir.store import Model, Weights
from tagger.network.model import NetworkLogits
from tagger.network.onnx_export import build_onnx, check_equal, model_graph
from tagger.prediction.onnx_session import load_predictor
from tagger.training.parts import Parts
from tagger.training.train import train

pytestmark = pytest.mark.tensorflow

ARCHITECTURES = [
    {"direction": direction, "merge": merge, "layers": layers}
    for layers in (1, 2, 3)
    for direction, merge in (
        *(("both", merge) for merge in ("concat", "sum", "mul", "ave")), ("forward", "concat"), ("backward", "sum")
    )
]  # fmt: skip
READS = [
    {"characters": characters, "casing": casing, "features": features}
    for characters, casing, features in (
        ("cnn", False, ()), ("lstm", False, ()), ("none", True, ()), ("none", False, ("pos",)),
        ("none", True, ("pos", "chunk")), ("lstm", True, ("pos",)), ("cnn", True, ("pos", "chunk")),
    )
]  # fmt: skip
CORPORA = {
    "conll2000/train.txt": Layout(),
    "conll2000/test.txt": Layout(),
    "wnut17/train.conll": Layout(),
    "wnut17/test.conll": Layout(),
    "wikigold/wikigold.conll": Layout(),
    "nerkor/train.tsv.gz": Layout(),
    "chinese/zh_gsd-ud-train.iob2": Layout(columns={"token": 1}, comments="#"),
    "messy/btc-f.conll": Layout(),
    "messy/europeana-de-sbb.bio": Layout(comments="#"),  # one sentence, read in chunks
    "messy/swedish-train.txt": Layout(),
    "messy/japanese-eucjp.data": Layout(encoding="euc_jp"),
    "messy/japanese-seg.data": Layout(),
    "messy/basenp.data": Layout(),
}


def of(architecture: dict[str, object]) -> str:
    return "-".join(map(str, architecture.values()))


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=of)
def test_logits_equal_those_of_tensorflow(tmp_path: Path, architecture: dict[str, object]) -> None:
    directory = save_small_model(tmp_path / "model", **architecture)
    sentences = random_sentences(40)
    ours, theirs = load_predictor(directory, threads=1), in_tensorflow(directory)
    for found, expected in zip(ours.logits(sentences), theirs.logits(sentences), strict=True):
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-5)
    spread = np.concatenate(theirs.logits(sentences)).std(axis=0)
    assert (spread > 0.05).all(), "the logits vary too little to test anything"


@pytest.fixture(scope="module")
def real_sentences(corpora: Path) -> list[list[str]]:
    """Return the first sentences of every corpus, and the longest sentence of each."""
    found = []
    for name, layout in CORPORA.items():
        with open_corpus(corpora / name) as stream:
            read = read_sentences(stream, layout, max_lines=2000)
            sentences = [s.tokens for s in itertools.islice(read, 2000) if s.tokens]
        found += [*sentences[:60], max(sentences, key=len)]
    return found


@pytest.fixture(scope="module")
def compiled() -> dict[tuple[str, bool], NetworkLogits]:
    """Networks by their architecture, and whether they have a CRF; softmax and constrained have the same weights."""
    return {}


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("architecture", "decoder"),
    [
        *((architecture, decoder) for architecture in ARCHITECTURES[:12] for decoder in ("constrained", "softmax")),
        (ARCHITECTURES[0], "crf"),
        (ARCHITECTURES[7], "crf"),
    ],
    ids=str,
)
def test_tags_equal_those_of_tensorflow_on_every_corpus(
    tmp_path: Path,
    real_sentences: list[list[str]],
    compiled: dict[tuple[str, bool], NetworkLogits],
    architecture: dict[str, object],
    decoder: str,
) -> None:
    tokens = tuple(dict.fromkeys(token for tokens in real_sentences for token in tokens[::2] if "\n" not in token))
    directory = save_small_model(tmp_path / "model", tokens=tokens, max_length=100, decoder=decoder, **architecture)
    model = in_tensorflow(directory).model
    network = compiled.setdefault((of(architecture), decoder == "crf"), model.network)
    ours = load_predictor(directory, threads=2).tag(real_sentences)
    theirs = Predictor(dataclasses.replace(model, network=network)).tag(real_sentences)
    assert [tagged.tags for tagged in ours] == [tagged.tags for tagged in theirs]
    assert np.allclose(*([score for t in some for score in t.probabilities] for some in (ours, theirs)), atol=1e-4)
    assert len({tag for tagged in ours for tag in tagged.tags}) >= 4, (
        "the network predicts too few tags to test anything"
    )


# --- The check before a model replaces another -----------------------------------------------------------------------


@pytest.mark.parametrize("reads", READS, ids=of)
def test_the_graph_reads_every_input_of_the_network(tmp_path: Path, reads: dict[str, Any]) -> None:
    directory = save_small_model(tmp_path / "model", max_length=30, **reads)
    rng = np.random.default_rng(3)
    sentences = [*random_sentences(30), ["", "w1\u3000", "日本", "W7", "x" * 5000, "\ud800", "1996"], []]
    features = [[[f"f{i}" for i in rng.integers(0, 9, len(tokens))] for _ in reads["features"]] for tokens in sentences]
    ours, theirs = load_predictor(directory, threads=2), in_tensorflow(directory)
    expected = theirs.logits(sentences, features)
    for found, wanted in zip(ours.logits(sentences, features), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)  # the logits are up to 15
    tags = [tagged.tags for tagged in ours.tag(sentences, features)]
    assert tags == [tagged.tags for tagged in theirs.tag(sentences, features)]
    assert tags == [ours.tag([tokens], [its])[0].tags for tokens, its in zip(sentences, features, strict=True)]
    # Each input changes the logits: casing and characters, or the value of the last feature.
    if reads["casing"] or reads["characters"] != "none":
        one, other = ours.logits([["unknown"], ["UNK 7"]], [[["f1"]] * len(reads["features"])] * 2)
        assert np.abs(one - other).max() > 1e-3
    if reads["features"]:
        kept = [["f1"]] * (len(reads["features"]) - 1)
        one, other = ours.logits([["w1"], ["w1"]], [[*kept, ["f1"]], [*kept, ["f2"]]])
        assert np.abs(one - other).max() > 1e-3


def columns(sentences: list[list[str]]) -> list[list[list[str]]]:
    return [[tokens] for tokens in sentences]


def test_a_network_that_differs_is_detected(tmp_path: Path) -> None:
    first = in_tensorflow(save_small_model(tmp_path / "one"))
    other = load_predictor(save_small_model(tmp_path / "two", seed=2))
    with pytest.raises(ModelError, match=r"model\.onnx: found a difference of .* expected at most 0\.00"):
        check_equal(other, first, columns(random_sentences(5)))
    check_equal(load_predictor(tmp_path / "one"), first, columns(random_sentences(5)))


def test_a_network_with_nan_logits_is_detected(tmp_path: Path) -> None:
    model = in_tensorflow(save_small_model(tmp_path / "one")).model
    theirs = Predictor(dataclasses.replace(model, network=lambda *some: model.network(*some) * np.float32(np.nan)))
    with pytest.raises(
        TaggerError,
        match=r"the network computes values that are not finite: training diverged; lower training\.learning",
    ):
        check_equal(load_predictor(tmp_path / "one"), theirs, columns(random_sentences(5)))


def test_the_check_includes_the_longest_sentence(tmp_path: Path) -> None:
    model = in_tensorflow(save_small_model(tmp_path / "one")).model
    seen: list[int] = []
    network = lambda *some: seen.extend(map(len, some[0])) or model.network(*some)  # noqa: E731
    first = Predictor(dataclasses.replace(model, network=network))
    sentences = [*[["w1", "w2"]] * 5000, ["w3"] * 300, [], ["w4"]]
    check_equal(load_predictor(tmp_path / "one"), first, columns(sentences))
    assert 300 in seen
    assert sum(seen) < 2 * 3000, "the check must be quick, so it must not read all sentences"


def test_tags_that_differ_are_detected_even_if_the_logits_are_equal(tmp_path: Path) -> None:
    theirs = in_tensorflow(save_small_model(tmp_path / "one", decoder="constrained"))
    ours = load_predictor(save_small_model(tmp_path / "two", decoder="softmax"))
    with pytest.raises(ModelError, match=r"found a difference of .* between the results of ONNX Runtime"):
        check_equal(ours, theirs, columns(random_sentences(30)))


def test_a_model_that_fails_the_check_does_not_replace_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a B-X\nb O\n\nc O\n")
    (tmp_path / "c.yaml").write_text(
        "data: {train: train, dev: train}\nmodel: {units: 2, embedding_dim: 2, layers: 1, characters: none}\n"
        "training: {epochs: 1, optimizer: adam, ema: null, clip_norm: null}\n"
    )

    def train_with(parts: Parts | None, *settings: str) -> None:
        with TrainingProgress() as progress:
            train(
                load_config(tmp_path / "c.yaml", (f"output.model_dir={tmp_path}/m", *settings)), progress, parts=parts
            )

    train_with(None)
    before = (tmp_path / "m/manifest.json").read_bytes()

    def wrong(model: Model[Weights]) -> bytes:
        changed = {name: array + 0.5 * (name == "softmax.bias") for name, array in model.network.items()}
        return model_graph(dataclasses.replace(model, network=changed))

    with pytest.raises(
        TaggerError,
        match=r"^model\.onnx: found a difference of 0\.5 between the results of ONNX Runtime and TensorFlow",
    ):
        train_with(Parts(model_graph=wrong), "training.seed=2")
    assert (tmp_path / "m/manifest.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"train", "c.yaml", "m"}


@pytest.mark.parametrize("direction", ["both", "forward"])
def test_a_half_precision_embedding_changes_the_logits_only_by_rounding(tmp_path: Path, direction: str) -> None:
    half, whole = (
        save_small_model(tmp_path / dtype, embedding_dtype=dtype, direction=direction)
        for dtype in ("float16", "float32")
    )
    assert 2 * (half / "embeddings.bin").stat().st_size == (whole / "embeddings.bin").stat().st_size
    sentences = random_sentences(20)
    ours, theirs = load_predictor(half), in_tensorflow(half)
    differences = []
    for found, expected, exact in zip(
        ours.logits(sentences), theirs.logits(sentences), load_predictor(whole).logits(sentences), strict=True
    ):
        np.testing.assert_allclose(found, expected, atol=2e-5)
        differences.append(float(np.abs(found - exact).max()))
    assert 1e-4 < max(differences) < 0.1, "the logits must differ by rounding and no more"


def test_equal_weights_give_an_equal_file(tmp_path: Path) -> None:
    one, two = (small_model(tmp_path) for _ in range(2))
    files = [build_onnx(m.network, m.manifest.network, m.encoder.sizes(len(m.tags))) for m in (one, two)]
    assert files[0] == files[1]
