"""Check trainings that begin with the weights of a model: what they keep, what they grow, and what they refuse."""

from __future__ import annotations

import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")

from helpers import run_tagger  # noqa: E402

from tagger.cli.progress import TrainingProgress  # noqa: E402
from tagger.config.keys import Config  # noqa: E402
from tagger.config.loading import load_config  # noqa: E402
from tagger.errors import ConfigError, DataError  # noqa: E402
from tagger.inputs.vocabulary import Normalization  # noqa: E402
from tagger.model_dir.store import load_model, read_weights  # noqa: E402
from tagger.network.bilstm import Kernel  # noqa: E402
from tagger.network.devices import Device  # noqa: E402
from tagger.prediction.onnx_session import load_predictor  # noqa: E402
from tagger.runs.seeds import train_seeds  # noqa: E402
from tagger.training.history import Outcome  # noqa: E402
from tagger.training.init_from import InitFrom  # noqa: E402
from tagger.training.memory import check_memory  # noqa: E402
from tagger.training.old_model import OldModel, load_old_model, with_settings_of  # noqa: E402
from tagger.training.parts import initial_network  # noqa: E402
from tagger.training.preparation import Prepared, prepare  # noqa: E402
from tagger.training.train import train  # noqa: E402

pytestmark = pytest.mark.tensorflow

OLD = "Ann nn B-PER\nLee nn E-PER\nsaw vb O\nBob nn S-PER\n\nshe pr O\nran vb O\n\nAnn nn S-PER\nsaw vb O\n\n"
NEW = "Ann nn O\nsaw vb O\nRome np S-LOC\n\nBob nn O\nran vb O\nto to O\nNew np B-LOC\nYork np E-LOC\n\n"
SMALL = "{units: 4, embedding_dim: 4, character_dim: 3, character_units: 4, feature_dim: 2, decoder: DECODER}"
SIMPLE = ("training.optimizer=adam", "training.clip_norm=null")  # a graph that is built sooner
DATA = "columns: {token: 0, pos: 1, tag: 2}, trust: true"


@pytest.fixture(scope="module")
def with_old_model(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that returns a folder with the old data and a model, `old`, that has the given decoder."""

    @functools.cache
    def train_old(decoder: str) -> Path:
        folder = tmp_path_factory.mktemp("with-old")
        (folder / "old.conll").write_text(OLD)
        (folder / "old.yaml").write_text(
            f"data: {{train: old.conll, dev: old.conll, {DATA}}}\nmodel: {SMALL.replace('DECODER', decoder)}\n"
            "features: {subwords: 0}\ntraining: {epochs: 3, batch_size: 2}\n"
            f"output: {{model_dir: {folder}/old}}\n"
        )
        run(load_config(folder / "old.yaml"))
        return folder

    return train_old


@pytest.fixture
def configured(
    with_old_model: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Config]:
    """Return a loader of the config for the new data, which also copies the old model into the folder."""
    monkeypatch.chdir(tmp_path)
    Path("new.conll").write_text(NEW)
    Path("new.yaml").write_text(
        f"data: {{train: new.conll, dev: new.conll, {DATA}}}\ntraining: {{epochs: 2, batch_size: 2}}\n"
    )

    def load(*settings: str, decoder: str = "constrained") -> Config:
        if not Path("old").exists():
            shutil.copytree(with_old_model(decoder), tmp_path, dirs_exist_ok=True)
        return load_config("new.yaml", settings)

    return load


def run(config: Config, **options: Any) -> Outcome:
    with TrainingProgress(quiet=True) as listener:
        return train(config, listener, **options)


def init(**options: Any) -> InitFrom:
    return InitFrom(directory=Path("old"), **options)


def prepared_of(config: Config, **options: Any) -> tuple[Prepared, list[str]]:
    notes = list[str]()
    old = load_old_model(init(**options), Path("models/new"))
    config, _ = with_settings_of(old, config)
    return prepare(config, note=notes.append, warn=notes.append, old=old), notes


def weights_in(directory: str | Path) -> Mapping[str, np.ndarray]:
    return load_model(Path(directory), read_weights).network


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
def test_the_network_begins_with_the_old_weights_and_with_small_neutral_new_ones(configured, decoder: str) -> None:
    prepared, _ = prepared_of(configured(decoder=decoder))
    network = initial_network(prepared, Device("CPU", Kernel.PLAIN))
    found, old = network.weights_as_arrays(), weights_in("old")
    assert prepared.old is not None
    before = prepared.old.model
    assert prepared.encoder.tokens.tokens == (*before.encoder.tokens.tokens, "rome", "to", "new", "york")
    assert prepared.tags.tags == (*before.tags.tags, "B-LOC", "E-LOC", "S-LOC")
    n, k = len(before.encoder.tokens), len(before.tags)
    np.testing.assert_array_equal(found["embedding"][:n], old["embedding"])
    np.testing.assert_array_equal(found["softmax.kernel"][:, :k], old["softmax.kernel"])
    np.testing.assert_array_equal(found["softmax.bias"][:k], old["softmax.bias"])
    assert np.abs(found["softmax.kernel"][:, k:]).max() < 0.1 * np.abs(old["softmax.kernel"]).max()
    assert (found["softmax.bias"][k:] == old["softmax.bias"].min()).all()
    n_chars = len(old["characters.embedding"])
    np.testing.assert_array_equal(found["characters.embedding"][:n_chars], old["characters.embedding"])
    assert len(found["characters.embedding"]) > n_chars
    (new_features,) = prepared.encoder.features
    assert new_features.tokens == (*before.encoder.features[0].tokens, "np", "to")
    np.testing.assert_array_equal(found["features.embedding"][:5], old["features.embedding"])
    same = [name for name in old if name.startswith(("block", "characters.kernel", "characters.bias", "casing"))]
    assert len(same) == 15
    for name in same:
        np.testing.assert_array_equal(found[name], old[name])
    if decoder == "crf":
        np.testing.assert_array_equal(found["crf.transition"][:k, :k], old["crf.transition"])
        assert not found["crf.transition"][k:].any()
        assert not found["crf.transition"][:, k:].any()
        assert not found["crf.start"][k:].any()
        np.testing.assert_array_equal(found["crf.end"][:k], old["crf.end"])


def test_two_feature_columns_keep_the_rows_of_each(configured, tmp_path: Path) -> None:
    data = "columns: {token: 0, apos: 1, kind: 2, tag: 3}, trust: true"
    for name, model in (("old", f"model: {SMALL.replace('DECODER', 'softmax')}\n"), ("new", "")):
        text = {"old": OLD, "new": NEW}[name].replace(" nn ", " nn x ").replace(" np ", " np y ")
        text = text.replace(" vb ", " vb z ").replace(" pr ", " pr z ").replace(" to ", " to w ")
        Path(f"{name}.conll").write_text(text)
        Path(f"{name}.yaml").write_text(
            f"data: {{train: {name}.conll, dev: {name}.conll, {data}}}\nfeatures: {{subwords: 0}}\n{model}"
            f"training: {{epochs: 1}}\noutput: {{model_dir: {name}}}\n"
        )
    run(load_config("old.yaml"))
    prepared, _ = prepared_of(load_config("new.yaml"))
    found = initial_network(prepared, Device("CPU", Kernel.PLAIN)).weights_as_arrays()["features.embedding"]
    old, first, second = weights_in("old")["features.embedding"], *prepared.encoder.features
    assert (first.tokens, second.tokens) == (("nn", "vb", "pr", "np", "to"), ("x", "z", "y", "w"))
    np.testing.assert_array_equal(found[:5], old[:5])
    np.testing.assert_array_equal(found[7:11], old[5:])


def test_settings_follow_the_model_unless_they_are_set(configured) -> None:
    old = load_old_model_of(configured)
    config, told = with_settings_of(old, configured("model.dropout=0.1"))
    assert (config.model.units, config.model.dropout) == (4, 0.1)
    assert "model.units 4" in told
    assert not any("dropout" in text for text in told)
    cased = dataclasses.replace(old.model.manifest, normalization=Normalization())
    old = dataclasses.replace(old, model=dataclasses.replace(old.model, manifest=cased))
    for settings in ((), ("vocabulary.lowercase=null",)):  # null says nothing, like a key that is not there
        config, told = with_settings_of(old, configured(*settings))
        assert config.normalization == Normalization()
        assert {"vocabulary.lowercase false", "vocabulary.normalize_digits false"} <= set(told)


def test_labels_cannot_be_smoothed_for_a_model_with_a_crf(configured) -> None:
    smoothed = "training.label_smoothing=0.1"
    config, _ = with_settings_of(load_old_model_of(configured), configured(smoothed))
    assert (config.model.decoder, config.training.label_smoothing) == ("constrained", 0.1)
    shutil.rmtree("old")
    config = configured(smoothed, decoder="crf")
    with pytest.raises(
        ConfigError,
        match=r"^training\.label_smoothing: found 0\.1, expected 0, because the model of --init-from has a CRF",
    ):
        with_settings_of(load_old_model(init(), Path("models/new")), config)


def load_old_model_of(configured: Callable[..., Config]) -> OldModel:
    configured()
    return load_old_model(init(), Path("models/new"))


def test_one_error_lists_every_setting_that_does_not_fit(configured) -> None:
    config = configured(
        "model.units=5", "model.decoder=crf", "vocabulary.lowercase=false", "model.scheme=IOB2", "model.casing=false"
    )  # fmt: skip
    with pytest.raises(
        ConfigError, match=r"^--init-from old: model\.scheme: found IOB2, expected IOBES as in"
    ) as error:
        prepared_of(config)
    text = "\n".join([error.value.message, *error.value.detail])
    for found in (
        "vocabulary.lowercase: found false, expected true",
        "model.units: found 5, expected 4 as in the model; set model.units to 4, or delete the key",
        "model.casing: found false, expected true",
        "model.decoder: found crf, expected constrained",
    ):
        assert found in text
    Path("new.conll").write_text(NEW.replace("S-", "").replace("B-", "").replace("E-", ""))
    Path("new.yaml").write_text("data: {train: new.conll, dev: new.conll, scheme: none, trust: true}\n")
    with pytest.raises(ConfigError, match="found plain tags in the training file, expected spans") as error:
        prepared_of(load_config("new.yaml"))
    assert any("feature columns none, expected pos" in text for text in error.value.detail)


def test_a_type_that_differs_in_its_spelling_is_an_error(configured, tmp_path: Path) -> None:
    config = configured("data.trust=false")
    Path("new.conll").write_text(NEW.replace("LOC", "Per") * 20)
    with pytest.raises(
        DataError, match=r"new\.conll:3: found the type Per, expected PER .*data\.labels\.map: {Per: PER}"
    ):
        prepared_of(config)
    prepared, _ = prepared_of(configured())
    assert "S-Per" in prepared.tags.tags


def test_tokens_that_are_outside_have_the_old_model_as_teacher(configured) -> None:
    prepared, notes = prepared_of(configured())
    assert any("not annotated with PER, which the model knows" in note for note in notes)
    assert any(note.startswith("dev: PER: not annotated there") for note in notes)
    targets, tags = prepared.targets, prepared.tags.tags
    assert targets is not None
    assert targets.allowed is not None
    assert targets.teacher is not None
    assert {tag for tag, may in zip(tags, targets.allowed[-1], strict=True) if may} == {"O", "B-PER", "E-PER", "S-PER"}
    taught = [ids >= len(targets.allowed) for ids in prepared.training_set.tag_ids]
    assert [row.tolist() for row in taught] == [[True, True, False], [True, True, True, False, False]]
    assert prepared.old is not None
    logits = load_predictor(Path("old")).logits(
        [["Ann", "saw", "Rome"], ["Bob", "ran", "to", "New", "York"]],
        [[["nn", "vb", "np"]], [["nn", "vb", "to", "np", "np"]]],
    )
    for ids, rows, is_taught in zip(prepared.training_set.tag_ids, logits, taught, strict=True):
        exp = np.exp(rows.astype(np.float64))
        expected = exp / exp.sum(axis=1, keepdims=True)
        found = targets.teacher[ids[is_taught] - len(targets.allowed)]
        np.testing.assert_allclose(found, expected[is_taught], atol=2e-6)
    assert prepared.not_scored == {"PER"}


def test_the_word_of_the_teacher_counts_as_memory(configured) -> None:
    config = configured()
    prepared, _ = prepared_of(config)
    assert prepared.targets is not None
    assert prepared.targets.teacher is not None
    n_tags = prepared.targets.teacher.shape[1]
    large = np.broadcast_to(np.float32(0), (1 << 28, n_tags))  # takes no memory here
    taught = dataclasses.replace(prepared, targets=dataclasses.replace(prepared.targets, teacher=large))
    available = (1 << 28) * n_tags * 4
    check_memory(config.training, prepared, available)
    with pytest.raises(ConfigError, match=r"^data\.annotated: what the old model says about 268435456 tokens and"):
        check_memory(config.training, taught, available)
    check_memory(config.training, taught, 2 * available)


@pytest.mark.parametrize(("setting", "taught"), [("all", False), ("[PER]", False), ("auto", True)])
def test_a_setting_says_which_types_are_annotated(configured, setting: str, taught: bool) -> None:
    prepared, _ = prepared_of(configured(f"data.annotated={setting}"))
    assert (prepared.targets is not None) is taught


def test_the_setting_needs_a_model_and_known_types(configured) -> None:
    config = configured("data.annotated=all")
    with pytest.raises(ConfigError, match=r"data\.annotated: found all, expected it with --init-from only"):
        prepare(config, note=str, warn=str)
    with pytest.raises(ConfigError, match=r"data\.annotated: found PERS, .*did you mean PER"):
        prepared_of(configured("data.annotated=[PERS]"))


def test_outside_tokens_of_replayed_sentences_may_have_new_types(configured) -> None:
    prepared, notes = prepared_of(configured("data.annotated=all"), replay="old.conll")
    assert any(note.startswith("replay: 3 sentences") for note in notes)
    targets = prepared.targets
    assert targets is not None
    assert targets.allowed is not None
    tags = np.array(prepared.tags.tags)
    rows = [[set(tags[targets.allowed[i]]) for i in row] for row in prepared.training_set.tag_ids]
    assert rows[0] == [{"O"}, {"O"}, {"S-LOC"}]
    either = {"O", "B-LOC", "E-LOC", "S-LOC"}
    assert rows[2] == [{"B-PER"}, {"E-PER"}, either, {"S-PER"}]
    assert rows[3] == [either, either]


@pytest.mark.parametrize("decoder", ["constrained", "crf"])
@pytest.mark.parametrize("replay", [None, "old.conll"])
def test_a_grown_model_resumes_bit_for_bit(configured, decoder: str, replay: str | None) -> None:
    config = configured(*SIMPLE, "training.freeze=[characters]", decoder=decoder)
    run(config, init=init(replay=replay))
    expected = {path.name: path.read_bytes() for path in Path("models/new").iterdir() if path.suffix != ".csv"}
    shutil.rmtree("models")
    steps = iter([False, False, True])
    stopped = run(config, init=init(replay=replay), should_stop=lambda: next(steps, True))
    assert stopped.stopped
    with pytest.raises(ConfigError, match="--init-from: found null, expected"):
        run(configured(*SIMPLE, "model.units=4", "model.embedding_dim=4", "training.freeze=[characters]"), resume=True)
    run(config, init=init(replay=replay), resume=True)
    found = {path.name: path.read_bytes() for path in Path("models/new").iterdir() if path.suffix != ".csv"}
    assert set(found) == set(expected)
    names = set(expected) - {"manifest.json"}
    assert [name for name in names if found[name] != expected[name]] == []
    old, new = weights_in("old"), weights_in("models/new")
    np.testing.assert_array_equal(new["characters.kernel"], old["characters.kernel"])
    assert (new["softmax.bias"][: len(old["softmax.bias"])] != old["softmax.bias"]).any()
    origin = json.loads(Path("models/new/manifest.json").read_text())["origin"]
    assert origin["model before sha256"] == json.loads(Path("old/manifest.json").read_text())["sha256"]


def test_a_model_may_be_replaced_by_one_that_begins_with_it(configured) -> None:
    config = configured("output.model_dir=old")
    before = weights_in("old")
    n_epochs = iter([False] * 8)
    assert run(config, init=init(), should_stop=lambda: next(n_epochs, True)).stopped
    np.testing.assert_array_equal(weights_in("old")["softmax.bias"], before["softmax.bias"])
    run(config, init=init(), resume=True)
    assert len(weights_in("old")["softmax.bias"]) == len(before["softmax.bias"]) + 3
    np.testing.assert_array_equal(weights_in("old.previous")["softmax.bias"], before["softmax.bias"])
    notes = list[str]()
    with TrainingProgress(quiet=True) as listener:
        listener.note = notes.append  # type: ignore[method-assign]
        train(config, listener, init=init(), resume=True)
    assert any("already finished" in note for note in notes)


def test_seeds_begin_with_the_model_but_do_not_replace_it(configured) -> None:
    config = configured(*SIMPLE)
    with TrainingProgress(quiet=True, n_trainings=2) as listener:
        outcome = train_seeds(config, 2, listener, init=init())
        assert len(outcome.runs) == 2
        with pytest.raises(ConfigError, match="--seeds: found --init-from with the directory of the new model"):
            train_seeds(configured("output.model_dir=old"), 2, listener, init=init())
    assert "S-PER" in Path("models/new/tags.txt").read_text()


@pytest.mark.parametrize(
    ("freeze", "same"),
    [
        ("[embedding]", ("embedding",)),
        ("[branches, casing]", ("block_", "casing.")),
        ("[embedding, characters, casing, features, branches]", ("embedding", "char", "casing", "features", "block_")),
    ],
)
def test_frozen_weights_stay_bit_for_bit(configured, freeze: str, same: tuple[str, ...]) -> None:
    config = load_config("new.yaml", [f"training.freeze={freeze}", f"model={SMALL.replace('DECODER', 'crf')}"])
    prepared = prepare(config, note=str, warn=str)
    begun = initial_network(prepared, Device("CPU", Kernel.PLAIN)).weights_as_arrays()
    run(config)
    ended = weights_in("models/new")
    for name, weight in ended.items():
        assert np.array_equal(weight, begun[name]) is name.startswith(same), name


def test_parts_that_cannot_be_frozen_are_errors_that_list_the_others(configured) -> None:
    with pytest.raises(
        ConfigError, match=r"training\.freeze: found text \('branch'\), expected 'embedding', .*did you mean bran"
    ):
        configured("training.freeze=[branch]")
    with pytest.raises(
        ConfigError, match=r"training\.freeze: found crf, which this network does not have, expected some"
    ):
        prepared_of(configured("training.freeze=[crf]"))
    with pytest.raises(ConfigError, match=r"training\.freeze: found softmax, .* it has 3 new tags"):
        prepared_of(configured("training.freeze=[softmax]"))
    with pytest.raises(ConfigError, match="found all parts of the network"):
        prepared_of(configured("training.freeze=[embedding, characters, casing, features, branches, softmax]"))


def test_pretrained_vectors_are_for_new_tokens_only(configured) -> None:
    configured()
    Path("v.txt").write_text("ann 9 9 9 9\nrome 7 7 7 7\nlater 5 5 5 5\n")
    prepared, _ = prepared_of(configured("embeddings.path=v.txt"))
    table = initial_network(prepared, Device("CPU", Kernel.PLAIN)).weights_as_arrays()["embedding"]
    ids = prepared.encoder.tokens.encode(["Ann", "Rome", "later", "LATER"])
    old = weights_in("old")["embedding"]
    np.testing.assert_array_equal(
        table[ids[0]], old[load_predictor(Path("old")).model.encoder.tokens.encode(["Ann"])[0]]
    )
    assert table[ids[1:], 0].tolist() == [7, 5, 5]
    Path("v.txt").write_text("Ann 9 9\nRome 7 7\n")
    with pytest.raises(ConfigError, match="embeddings: found vectors of 2 numbers, expected 4 as in the model"):
        prepared_of(configured("embeddings.path=v.txt"))


def test_the_commands_say_what_they_begin_with_and_what_is_missing(configured) -> None:
    configured()
    error = run_tagger("train", "new.yaml", "--init-from", "nothing").first_error
    assert error.endswith(
        "nothing: no such model directory; train one with tagger train, or name another with --init-from"
    )
    result = run_tagger("train", "new.yaml", "--init-from", "old", "--replay", "old.conll")
    assert result.exit_code == 0, result.errors
    assert "beginning with the weights of old; as in it: model.embedding_dim 4" in result.errors
    assert "PER" in Path("models/new/tags.txt").read_text()
    assert "expected both" in run_tagger("train", "new.yaml", "--replay", "old.conll").errors
    assert run_tagger("train", "new.yaml", "--init-from", "no").first_error.startswith("error: --init-from: no: ")
    result = run_tagger("train", "new.yaml", "--init-from", "old", "--model", "old", "--no-keep-previous")
    assert result.first_error.startswith("error: --no-keep-previous: found it with --init-from old")


def test_without_a_config_the_decoder_is_that_of_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = "Ann S-PER\nsaw O\nthe O\nsea O\n\nBob S-PER\nran O\nand O\nsang O\n\n" * 10
    Path("names.conll").write_text(text)
    settings = ("data.trust=true", "data.dev=null", "training.epochs=1", *SIMPLE)
    files = ["names.conll", *(f"--set={setting}" for setting in settings)]
    small = [f"--set=model.{key}" for key in ("units=4", "embedding_dim=4", "layers=1", "decoder=constrained")]
    first = run_tagger("train", *files, *small, "--model", "first")
    assert first.exit_code == 0, first.errors
    second = run_tagger("train", *files, "--model", "second", "--init-from", "first")
    assert second.exit_code == 0, second.errors
    assert load_model(Path("second"), read_weights).manifest.network.decoder == "constrained"
