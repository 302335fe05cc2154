"""Check trainings on data that are annotated in part, and trainings with weights of types, from config to model."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers import SHORT_GRAPH

from tagger.cli.progress import TrainingProgress
from tagger.config.keys import Config
from tagger.config.loading import load_config
from tagger.errors import ConfigError, DataError

tf = pytest.importorskip("tensorflow")

from tagger.evaluation.evaluate import evaluate_file  # noqa: E402
from tagger.inputs.training_set import TrainingSet  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.devices import Device  # noqa: E402
from tagger.network.model import build_network  # noqa: E402
from tagger.network.trainer import Trainer  # noqa: E402
from tagger.prediction.onnx_session import load_predictor  # noqa: E402
from tagger.training import train as train_module  # noqa: E402
from tagger.training.preparation import Prepared, prepare  # noqa: E402
from tagger.training.resume import check_same, fingerprint_of  # noqa: E402

pytestmark = pytest.mark.tensorflow

TRAIN = (
    "The O\nCity B-ORG\nof ?\nRome ?\n\nthe ?\ncity ?\n\nMay B-PER\n19 O\n\nRoom O\n? O\n27 ?\n\n"
    "Ann B-PER\nLee I-PER\nof O\nRome B-LOC\n\n"
)
DEV = "May B-PER\n19 O\n\nRome ?\nof O\nRome B-LOC\n? ?\n\n"
UNKNOWN_TAG = "data.unknown_tag='?'"


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    (tmp_path / "train").write_text(TRAIN)
    (tmp_path / "dev").write_text(DEV)
    (tmp_path / "c.yaml").write_text(
        "data: {train: train, dev: dev, trust: true}\n"
        "model: {units: 4, embedding_dim: 4, character_dim: 3, character_units: 4, layers: 1}\n"
        "training: {epochs: 2, batch_size: 2}\n"
    )
    monkeypatch.chdir(tmp_path)
    return lambda *settings: load_config("c.yaml", settings)


def prepared_of(config: Config) -> tuple[Prepared, list[str], list[str]]:
    notes, warnings = list[str](), list[str]()
    return prepare(config, note=notes.append, warn=warnings.append), notes, warnings


def train(config: Config, **options: object) -> None:
    with TrainingProgress() as listener:
        train_module.train(config, listener, **options)  # type: ignore[arg-type]


def test_the_unknown_tag_is_never_learned_and_tokens_have_all_tags_that_fit(configured) -> None:
    result, notes, _ = prepared_of(configured(UNKNOWN_TAG))
    types = ("LOC", "ORG", "PER")
    assert result.tags.tags == ("O", *(f"{prefix}-{name}" for prefix in "BEIS" for name in types))
    assert result.targets is not None
    assert result.targets.allowed is not None
    allowed = [[set(np.array(result.tags.tags)[result.targets.allowed[i]]) for i in row]
               for row in result.training_set.tag_ids]  # fmt: skip
    everything = set(result.tags.tags)
    assert allowed[0] == [{"O"}, {"B-ORG", "S-ORG"}, everything, everything]
    assert allowed[1] == [everything, everything]
    assert allowed[4] == [{"B-PER"}, {"E-PER"}, {"O"}, {"S-LOC"}]
    assert "train: 5 of 15 tokens (33.3 %) are not annotated (tag ?)" in notes
    assert "dev: 2 of 6 tokens (33.3 %) are not annotated (tag ?)" in notes
    assert result.manifest.notation.unknown == "?"


def test_data_without_the_tag_are_read_as_they_are_without_the_setting(configured, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(" ?\n", " O\n"))
    with_it, _, _ = prepared_of(configured(UNKNOWN_TAG))
    without, _, _ = prepared_of(configured())
    assert with_it.targets is None
    assert with_it.tags == without.tags
    for ours, theirs in zip(with_it.training_set.tag_ids, without.training_set.tag_ids, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_the_setting_the_error_says_what_to_set(configured) -> None:
    with pytest.raises(DataError, match=r"tag '\?' does not fit the scheme IOB2; set data.unknown_tag to '\?' if"):
        prepared_of(configured())


def test_a_question_mark_in_documents_is_not_learned_as_a_type(configured, tmp_path: Path) -> None:
    line = '{"tokens": ["Ann", "of", "Rome", "left"], "tags": ["PER", "?", "LOC", "O"]}\n'
    (tmp_path / "train.jsonl").write_text(line * 4)
    with pytest.raises(DataError, match=r"train.jsonl \(as CoNLL\):2: found the type \?, expected none of this name"):
        prepared_of(configured(UNKNOWN_TAG, "data.train=train.jsonl", "data.dev=null", "data.scheme=IO"))


def test_plain_tags_may_have_a_question_mark_of_their_own(configured, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a N\nb V\n? ?\n\na N\nb V\n\n")
    (tmp_path / "dev").write_text("a N\n? ?\n\n")
    _, _, warnings = prepared_of(configured("data.scheme=none"))
    assert not any("unknown_tag" in text for text in warnings)
    (tmp_path / "train").write_text("a N\nb ?\nc ?\n\na N\nb V\n\n")
    result, _, warnings = prepared_of(configured("data.scheme=none"))
    assert result.tags.tags == ("?", "N", "V")
    assert any("found the tag ? at 2 tokens" in text and "data.unknown_tag to '?'" in text for text in warnings)
    result, _, _ = prepared_of(configured("data.scheme=none", UNKNOWN_TAG))
    assert result.tags.tags == ("N", "V")


def test_data_without_any_annotation_are_an_error(configured, tmp_path: Path) -> None:
    (tmp_path / "train").write_text("a ?\nb ?\n\nc ?\n")
    with pytest.raises(DataError, match="found no annotated token"):
        prepared_of(configured(UNKNOWN_TAG))


@pytest.mark.parametrize("tag", ["O", "0", "'a b'", "' ?'", "''"])
def test_some_tags_cannot_mean_that_a_token_is_not_annotated(configured, tag: str) -> None:
    with pytest.raises(ConfigError, match=r"data\.unknown_tag"):
        configured(f"data.unknown_tag={tag}")


def test_a_question_mark_needs_no_quotation_marks_on_the_command_line(configured) -> None:
    assert configured("data.unknown_tag=?").data.unknown_tag == "?"


def test_weights_of_types_reach_the_ids_of_their_tags(configured) -> None:
    result, _, _ = prepared_of(configured(UNKNOWN_TAG, "training.type_weights={ORG: 3.0, PER: 0.5}"))
    assert result.targets is not None
    assert result.targets.weights is not None
    weights = [result.targets.weights[row].tolist() for row in result.training_set.tag_ids]
    assert weights == [[1, 3, 1, 1], [1, 1], [0.5, 1], [1, 1, 1], [0.5, 0.5, 1, 1]]


def test_a_weight_of_a_type_that_the_data_do_not_have_is_an_error(configured) -> None:
    with pytest.raises(ConfigError, match=r"^training.type_weights: found PRE, .* LOC, ORG, PER; did you mean PER\?"):
        prepared_of(configured(UNKNOWN_TAG, "training.type_weights={PRE: 2.0}"))


@pytest.mark.parametrize("weight", ["0", "-1", ".inf", ".nan", "much"])
def test_weights_are_finite_and_positive(configured, weight: str) -> None:
    with pytest.raises(ConfigError, match=r"training\.type_weights"):
        configured(f"training.type_weights={{PER: {weight}}}")


@pytest.mark.parametrize("decoder", ["constrained", "softmax", "crf"])
@pytest.mark.parametrize("weights", [(), ("training.type_weights={PER: 2.0}",)])
def test_a_training_leaves_a_model_that_is_scored_on_what_is_known(
    configured, decoder: str, weights: tuple[str, ...]
) -> None:
    train(
        configured(*SHORT_GRAPH, UNKNOWN_TAG, f"model.decoder={decoder}", "output.model_dir=m", *weights), device="cpu"
    )
    predictor = load_predictor(Path("m"))
    found = evaluate_file(predictor, "dev", predictor.model.manifest.layout)
    assert (found.tokens, found.unknown) == (4, 2)
    assert found.overall is not None
    assert found.overall.support == 1  # the LOC borders on a token without annotation
    assert found.left_out[0] == 1
    assert json.loads(Path("m/manifest.json").read_text())["notation"]["unknown"] == "?"
    assert "?" not in Path("m/tags.txt").read_text().split("\n")


def test_manifests_of_whole_annotations_are_those_of_earlier_versions(configured, tmp_path: Path) -> None:
    (tmp_path / "train").write_text(TRAIN.replace(" ?\n", " O\n"))
    result, _, _ = prepared_of(configured("data.dev=null"))
    assert "unknown" not in result.manifest.to_json()["notation"]


# --- Steps ------------------------------------------------------------------------------------------------------------


def a_trainer(config: Config, prepared: Prepared, *, mixed_precision: bool = False, **settings: object) -> Trainer:
    kernel = Kernel.PLAIN if mixed_precision else Kernel.BLOCK  # whose graph is built twice as fast, in float32 only
    network = build_network(
        prepared.manifest, prepared.encoder, prepared.tags, kernel=kernel, mixed_precision=mixed_precision
    )
    network.spec = dataclasses.replace(network.spec, dropout=0.0, input_dropout=0.0, token_dropout=0.0)
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "ema": None, "clip_norm": None}
    return Trainer(network, config.training.model_copy(update=plain | settings), targets=prepared.targets)


def whole(training_set: TrainingSet) -> TrainingSet:
    """Return the training set as one batch, without replaced tokens."""
    word_dropout = dataclasses.replace(training_set.word_dropout, unk_probability=0.0)
    return dataclasses.replace(training_set, batch_size=8, word_dropout=word_dropout)


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_gradients_accumulated_over_parts_equal_those_of_the_batch(configured, decoder: str) -> None:
    config = configured(UNKNOWN_TAG, f"model.decoder={decoder}", "training.type_weights={PER: 2.0}")
    prepared, _, _ = prepared_of(config)
    found = []
    for parts in (1, 2, 7):  # the last has empty parts
        trainer = a_trainer(config, prepared, accumulate=parts)
        loss = trainer.train_epoch(whole(prepared.training_set).batches(0), 0).loss
        found.append((loss, trainer.network.weights_as_arrays()))
    for loss, arrays in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        for name, array in arrays.items():
            np.testing.assert_allclose(array, found[0][1][name], atol=1e-5, err_msg=name)


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_mixed_precision_gives_nearly_the_same_losses(configured, decoder: str) -> None:
    config = configured(UNKNOWN_TAG, f"model.decoder={decoder}", "training.type_weights={PER: 2.0}")
    prepared, _, _ = prepared_of(config)
    trainers = [a_trainer(config, prepared, mixed_precision=mixed) for mixed in (False, True)]
    losses = [
        [trainer.train_epoch(whole(prepared.training_set).batches(0), 0).loss for _ in range(3)] for trainer in trainers
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.01)
    assert losses[1][2] < losses[1][0]


def test_the_loss_of_a_training_is_that_of_its_sentences(configured) -> None:
    config = configured(UNKNOWN_TAG)
    prepared, _, _ = prepared_of(config)
    losses = []
    for rows in ([0, 1, 2, 3, 4], [0, 2, 3, 4]):  # the sentence without annotation adds nothing but its tokens
        some = whole(prepared.training_set)
        some = dataclasses.replace(
            some, sentences=[some.sentences[i] for i in rows], tag_ids=[some.tag_ids[i] for i in rows]
        )
        losses.append(a_trainer(config, prepared).train_epoch(some.batches(0), 0))
    assert losses[0].loss * losses[0].tokens == pytest.approx(losses[1].loss * losses[1].tokens, rel=1e-5)


# --- The fingerprint --------------------------------------------------------------------------------------------------


def fingerprint(config: Config) -> dict[str, object]:
    prepared, _, _ = prepared_of(config)
    return json.loads(json.dumps(fingerprint_of(config, prepared, Device("CPU", Kernel.PLAIN))))


def test_the_fingerprint_knows_weights_and_what_is_annotated(configured, tmp_path: Path) -> None:
    weighted = configured(UNKNOWN_TAG, "training.type_weights={PER: 2.0}")
    prints = [fingerprint(weighted), fingerprint(configured(UNKNOWN_TAG))]
    (tmp_path / "train").write_text(TRAIN.replace("Lee I-PER", "Lee ?"))
    prints.append(fingerprint(configured(UNKNOWN_TAG)))
    assert not check_same(prints[0], prints[0], "m.training")
    for before, now in itertools.permutations(prints, 2):
        with pytest.raises(ConfigError, match=r"training\.type_weights|data\.train"):
            check_same(before, now, "m.training")


def test_states_of_earlier_versions_have_no_type_weights(configured, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / name).write_text((tmp_path / name).read_text().replace(" ?\n", " O\n"))
    earlier = fingerprint(configured())
    assert earlier["settings"].pop("training.type_weights") == {}  # type: ignore[attr-defined]
    assert not check_same(earlier, fingerprint(configured()), "m.training")
    with pytest.raises(ConfigError, match=r"training\.type_weights: found \{\"PER\": 2\.0\}, expected \{\}"):
        check_same(earlier, fingerprint(configured("training.type_weights={PER: 2.0}")), "m.training")


def test_a_training_that_is_interrupted_continues_bit_for_bit(configured) -> None:
    settings = (*SHORT_GRAPH, UNKNOWN_TAG, "training.type_weights={PER: 2.0}", "model.decoder=crf", "training.epochs=3")
    train(configured(*settings, "output.model_dir=whole"), device="cpu")
    config = configured(*settings, "output.model_dir=parts")
    asked = iter(range(1, 3))
    train(config, device="cpu", resume=True, should_stop=lambda: next(asked, None) is None)
    train(config, device="cpu", resume=True)
    assert Path("parts/weights.safetensors").read_bytes() == Path("whole/weights.safetensors").read_bytes()
