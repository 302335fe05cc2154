"""The config file: errors name the file, the line and the key of each mistake, and say what to do."""

from __future__ import annotations

import gzip
import itertools
import math
import os
import re
from pathlib import Path

import pydantic
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagger.architecture import Decoder
from tagger.config.file import is_config, parse_setting, yaml_value
from tagger.config.keys import Config
from tagger.config.loading import config_keys, dump_config, load_config, with_model_dir
from tagger.config.paths import PATH_KEYS
from tagger.config.pretraining import PretrainingConfig
from tagger.config.problems import describe_problem
from tagger.errors import ConfigError
from tagger.inputs.vocabulary import Normalization
from tagger.text.tokenizer import is_installed

MINIMAL = "data:\n  train: train.conll\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(text, "utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:\n  train: t\nmodel:\n  unit: 5\n", ":4: model.unit: is not a known key; did you mean units?"),
        ("data:\n  train: t\ntrainig: {}\n", ":3: trainig: is not a known key; did you mean training?"),
        ("model: {}\n", ": data.train: is missing, expected the path of a CoNLL file; pass --set data.train=FILE, or add it to the file"),
        ("data:\n  dev: 0.1\n", ":1: data.train: is missing, expected the path of a CoNLL file; pass --set data.train=FILE, or add it to the file"),
        (MINIMAL + "  dev: 1.5\n", ":3: data.dev: found 1.5, expected a path, a list of paths, a fraction above 0 and below 1, or null for no dev set"),
        (MINIMAL + "  dev: [1]\n", ":3: data.dev: found a list, expected a path, a list of paths, a fraction above 0 and below 1, or null for no dev set"),
        (MINIMAL + "model:\n  units: many\n", ":4: model.units: found text ('many'), expected a whole number"),
        (MINIMAL + "model:\n  units: 2.5\n", ":4: model.units: found 2.5, expected a whole number"),
        (MINIMAL + "model:\n  units: true\n", ":4: model.units: found true, expected a whole number"),
        (MINIMAL + "model:\n  units: 0\n", ":4: model.units: found 0, expected at least 1"),
        (MINIMAL + "model:\n  dropout: 1\n", ":4: model.dropout: found 1, expected less than 1.0"),
        (MINIMAL + "model:\n  merge: concatt\n", ":4: model.merge: found text ('concatt'), expected 'concat', 'sum', 'mul' or 'ave'; did you mean concat?"),
        (MINIMAL + "model:\n  decoder: fcr\n", ":4: model.decoder: found text ('fcr'), expected 'constrained', 'softmax' or 'crf', or null; did you mean crf?"),
        (MINIMAL + "training:\n  epochs: many\n", ":4: training.epochs: found text ('many'), expected a whole number, or null"),
        (MINIMAL + "training:\n  epochs: 0\n", ":4: training.epochs: found 0, expected at least 1, or null"),
        (MINIMAL + "training:\n  patience: 0\n", ":4: training.patience: found 0, expected a whole number from 1 to 1000000000, auto, or null"),
        (MINIMAL + "training: {freeze: embedding}\n", ":3: training.freeze: found text ('embedding'), expected a list, as in [a, b]"),
        (MINIMAL + "model: 3\n", ":3: model: found 3, expected a mapping of keys"),
        (MINIMAL + "training:\n  learning_rate: .inf\n", ":4: training.learning_rate: found .inf, expected a finite number; choose one"),
        (MINIMAL + "  columns: {token: -2, tag: 1}\n", ":3: data.columns: columns.token: found -2, expected 0 or more; only tag may be counted from the end"),
        (MINIMAL + "  columns: {token: 1, tag: 1}\n", ":3: data.columns: columns: found {'token': 1, 'tag': 1}, expected a different index for each name"),
        (MINIMAL + "  columns: {token: 0, tag: 2, a b: 1}\n", ":3: data.columns: found the name 'a b', expected letters, digits, _ and -, as in {token: 0, pos: 1}"),
        (MINIMAL + "  encoding: utf-16\n", ":3: data.encoding: encoding: 'utf-16' is not compatible with ASCII; convert the file to utf-8 first (for instance with iconv)"),
        (MINIMAL + "  encoding: uft-8\n", ":3: data.encoding: encoding: 'uft-8' is unknown, expected one that Python knows, such as utf-8, latin-1, euc_jp"),
        (MINIMAL + "model:\n  units: 1\n  units: 2\n", ":5: found the key model.units, which is also on line 4, expected it once; delete one"),
        ("data: [\n", ":2: not valid YAML: expected the node content, but found '<stream end>'; fix the line"),
        ("data: {train: x}\nmodel: {units: 3}  # \x1b\n", ":2: not valid YAML: unacceptable character #x001b: special characters are not allowed; fix the line"),
        ("data: !!python/object:os.system {}\n", ":1: not valid YAML: could not determine a constructor for the tag 'tag:yaml.org,2002:python/object:os.system'; fix the line"),
        ("- a\n", ": found a list, expected sections such as data: and model:"),
        ("", ": found nothing, expected sections such as data: and model:"),
    ],
)  # fmt: skip
def test_mistakes_are_named(write, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert error.value.message == f"{path}{message}"


def test_all_mistakes_are_reported_at_once(write) -> None:
    path = write(MINIMAL + "model:\n  units: 0\ntraining:\n  epoch: 5\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, ["model.layers=x"])
    assert [error.value.message, *error.value.detail] == [
        f"{path}:4: model.units: found 0, expected at least 1",
        "--set model.layers=x: model.layers: found text ('x'), expected a whole number",
        f"{path}:6: training.epoch: is not a known key; did you mean epochs?",
    ]


def test_a_missing_file_and_invalid_utf_8_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: no such config file"):
        load_config(tmp_path / "no.yaml")
    (tmp_path / "bad.yaml").write_bytes(b"data: \xff")
    with pytest.raises(ConfigError, match=r"bad\.yaml: cannot be read: .*expected a YAML file in UTF-8"):
        load_config(tmp_path / "bad.yaml")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.epochs", "--set training.epochs: found no key=value, expected a setting such as training.epochs=10"),
        ("=5", "--set =5: found no key=value, expected a setting such as training.epochs=10"),
        ("model.units=[", "--set model.units=[: '[' is not valid YAML; quote it"),
        ("data.train.x=1", "--set data.train.x=1: train: found text ('"),
        ("model.unit=1", "--set model.unit=1: model.unit: is not a known key; did you mean units?"),
    ],
)
def test_wrong_settings_are_named(write, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(MINIMAL), [setting])
    assert error.value.message.startswith(message)


def test_a_key_below_a_value_is_named(write) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(MINIMAL), ["data.dev=0.5", "data.dev.x=1"])
    assert error.value.message == "--set data.dev.x=1: dev: found 0.5, expected a section; name a key in a section"


def test_settings_are_yaml_and_override_the_file(write) -> None:
    config = load_config(
        write(MINIMAL + "model: {units: 7}\n"),
        ["model.units=9", "training.learning_rate=1e-2", "training.patience=null", "data.columns={token: 1, tag: 2}"],
    )
    assert config.model.units == 9
    assert config.training.learning_rate == 0.01
    assert config.training.patience is None
    assert config.data.columns == {"token": 1, "tag": 2}


def test_an_empty_section_keeps_its_defaults(write) -> None:
    assert load_config(write(MINIMAL + "model:\n")).model.units == 150
    assert load_config(write(MINIMAL + "model:\n"), ["model.units=3"]).model.units == 3


def test_paths_are_relative_to_the_file_or_for_settings_to_the_working_directory(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write("data:\n  train: ../a/train.conll\n  dev: dev.conll\n")
    config = load_config(os.path.relpath(path), ["data.test=test.conll"])
    assert config.data.train == str(tmp_path.parent / "a/train.conll")
    assert config.data.dev == str(tmp_path / "dev.conll")
    assert config.data.test == str(elsewhere / "test.conll")
    assert config.output.model_dir == str(elsewhere / "models/config")
    inside = load_config(path, ["data={train: x.conll}"])
    assert inside.data.train == str(elsewhere / "x.conll")


def test_paths_of_lists_are_relative_to_the_file_or_for_settings_to_the_working_directory(
    write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write(MINIMAL + "features: {lists: {city: c.txt, name: n.txt}, clusters: bits}\n")
    features = load_config(path, ["features.lists.name=n.txt", "features.lists.shop=s.txt"]).features
    assert features.lists == {
        "city": str(tmp_path / "c.txt"), "name": str(elsewhere / "n.txt"), "shop": str(elsewhere / "s.txt"),
    }  # fmt: skip
    assert features.clusters == str(tmp_path / "bits")
    assert load_config(path, ["features.lists={x: x.txt}"]).features.lists == {"x": str(elsewhere / "x.txt")}


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("{lists: {1st: a}}", "features.lists: found the name '1st', expected letters, digits, _ and -, as in {city:"),
        ("{lists: {a.b: a}}", "features.lists: found the name 'a.b', expected letters"),
        ("{lists: [5]}", "features.lists: found [5], expected names with files, as in {city: cities.txt}"),
        ("{lists: {a: 5}}", "features.lists: found 5, expected names with files, as in {city: cities.txt}; put it in"),
        (
            "{lists: {no: a}}",
            "features.lists: found false, expected names with files, as in {city: cities.txt}; put it in",
        ),
        ("{cluster_bits: []}", "features.cluster_bits: found [], expected different numbers from 1 to 64 in order"),
        ("{cluster_bits: [6, 4]}", "features.cluster_bits: found [6, 4], expected different numbers"),
        ("{subwords: -1}", "features.subwords: found -1, expected"),
        ("{subwords: 100001}", "features.subwords: found 100001, expected"),
        ("{clusters: a, cluster_language: en}", "features: found both clusters and cluster_language, expected one"),
        ("{cluster_language: fr}", "features.cluster_language: found text ('fr'), expected"),
        ("{list_dropout: 1.0}", "features.list_dropout: found 1.0, expected"),
    ],
)
def test_wrong_lists_and_clusters_are_named(write, section: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(f"{MINIMAL}features: {section}\n"))
    assert message in error.value.message


@pytest.mark.skipif(not is_installed(), reason="the extra text is not installed")
def test_an_unknown_language_is_an_error_with_its_line(write) -> None:
    with pytest.raises(ConfigError, match=r":3: data\.language: found 'xx1', expected one of af, .* \(did you mean xx"):
        load_config(write("data:\n  train: a.conll\n  language: xx1\n"))


def test_a_dumped_config_loads_as_the_same_config(write, tmp_path: Path) -> None:
    config = load_config(write(MINIMAL), ["training.learning_rate=1e-7", "data.dev=0.25", "data.delimiter='|'"])
    (tmp_path / "again.yaml").write_text(dump_config(config), "utf-8")
    assert load_config(tmp_path / "again.yaml") == config


NAMES = [f"n{i}" for i in range(40)]
NAMES[0] = "a"


def test_defaults_match_the_contract() -> None:
    """Compare all defaults with a fixed table; a default may change only together with a CHANGELOG entry."""
    contract = yaml.safe_load(
        """
        data: {dev: 0.1, test: null, columns: {}, delimiter: null, comments: auto, format: null, names: null,
               offsets: null, align: null, overlap: null, labels: {keep: null, map: {}}, language: null, scheme: auto,
               encoding: utf-8, tag_key: null, several_tags: null, unknown_tag: null, annotated: auto, ragged: null,
               trust: false, max_length: null}
        vocabulary: {min_count: 1, lowercase: null, normalize_digits: null, max_size: null, unk_probability: 0.3,
                     word_dropout: 0.0, character_dropout: 0.0}
        embeddings: {path: null, name: null, trainable: true, max_rows: null, dtype: float32}
        features: {lists: {}, ignore_case: false, list_dropout: 0.0, clusters: null, cluster_language: null,
                   cluster_bits: [4, 6, 10, 20], subwords: null}
        model: {embedding_dim: 100, characters: cnn, character_dim: 30, character_units: 50, casing: true,
                feature_dim: 20, units: 150, layers: 2, direction: both, merge: concat, dropout: 0.5,
                input_dropout: 0.25, token_dropout: 0.25, recurrent_dropout: 0.0,
                decoder: null, scheme: IOBES, pretrained: null}
        training: {pretraining_epochs: null, epochs: null, batch_size: null, optimizer: nadam, learning_rate: 0.002, decay: 0.05, steps: {},
                   clip_norm: 5.0, ema: 0.998, label_smoothing: 0.0, type_weights: {}, freeze: [], accumulate: 1,
                   patience: auto, seed: 1, threads: null, mixed_precision: false, calibrate: true,
                   checkpoint_minutes: 10, log: []}
        """
    )
    from tagger.config.keys import Config

    values = Config.model_validate({"data": {"train": "x"}}).model_dump()
    del values["data"]["train"]
    assert values == contract | {"output": {"model_dir": None, "quantize": None, "quantize_loss": 0.2}}


@pytest.mark.parametrize(
    ("settings", "lowercase", "digits"),
    [
        ([], True, True),
        (["vocabulary.lowercase=false"], False, True),
        (["vocabulary.normalize_digits=false"], True, False),
        (["model.characters=none"], False, False),
        (["model.characters=none", "vocabulary.lowercase=true"], True, False),
        (["embeddings.path=v.txt"], False, False),
        (["embeddings.name=glove-6b-50d", "vocabulary.normalize_digits=true"], False, True),
        (["model.pretrained=models/own"], True, True),  # until its directory is read
    ],
)
def test_tokens_are_looked_up_simplified_unless_something_needs_them_as_they_are(
    write, settings: list[str], lowercase: bool, digits: bool
) -> None:
    assert load_config(write(MINIMAL), settings).normalization == Normalization(lowercase, digits)


@pytest.mark.parametrize(
    ("settings", "subwords"),
    [
        ([], 2000),
        (["features.subwords=0"], 0),
        (["model.characters=none"], 0),
        (["model.characters=none", "features.subwords=300"], 300),
        (["embeddings.name=glove-6b-50d"], 0),
        (["embeddings.path=v.txt", "features.subwords=null"], 0),
        (["model.pretrained=models/own"], 0),
        (["model.pretrained=models/own", "features.subwords=9"], 9),
    ],
)
def test_subwords_are_read_unless_the_network_begins_with_something_else_or_reads_no_letters(
    write, settings: list[str], subwords: int
) -> None:
    assert load_config(write(MINIMAL), settings).subwords == subwords


@pytest.mark.parametrize(
    ("settings", "decoder"),
    [
        ([], Decoder.CRF),
        (["data.scheme=IOB2"], Decoder.CRF),
        (["data.scheme=none"], Decoder.CONSTRAINED),  # there may be many hundreds of plain tags
        (["training.label_smoothing=0.1"], Decoder.CONSTRAINED),  # a CRF cannot learn from smoothed labels
        (["training.label_smoothing=0.1", "model.decoder=softmax"], Decoder.SOFTMAX),
        (["data.scheme=none", "model.decoder=crf"], Decoder.CRF),
    ],
)
def test_tags_are_chosen_by_a_crf_unless_they_are_plain_or_smoothed(
    write, settings: list[str], decoder: Decoder
) -> None:
    config = load_config(write(MINIMAL), settings)
    assert config.chosen["model"] == {"decoder": decoder}
    assert config.model.spec(config.usual_decoder(config.data.scheme)).decoder is decoder


def test_config_keys_lists_every_key_once() -> None:
    keys = config_keys()
    assert len(keys) == len(set(keys))
    assert {"data.train", "model.units", "training.seed", "output.model_dir"} <= set(keys)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in itertools.pairwise(NAMES)),
        "data: &a {train: *a}\n",
        "data: {train: &a [*a]}\n",
    ],
    ids=["bomb", "itself", "a list in itself"],
)
def test_aliases_that_expand_to_too_many_values_are_refused(write, text: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert (
        error.value.message
        == f"{path}: found aliases that expand to too many values, expected at most 131072; write the values out"
    )
    with pytest.raises(ConfigError, match=r"^--set training.+: found aliases that expand to too many values"):
        load_config(write(MINIMAL), ["training.steps=&a {1: *a}"])


@pytest.mark.parametrize("value", ['!!int ""', '!!int "-"', '!!float ""', "!!bool x", "!!timestamp x", "!!binary ä"])
def test_a_tag_that_does_not_fit_its_value_is_an_error(write, value: str) -> None:
    for text in (f"data: {{train: x}}\ntraining: {{seed: {value}}}\n", f"{value}\n", f"? {value}\n: 1\n"):
        with pytest.raises(ConfigError, match=r"not valid YAML: .+; fix the line"):
            load_config(write(text))
    with pytest.raises(ConfigError, match="is not valid YAML; quote it"):
        load_config(write(MINIMAL), [f"training.seed={value}"])


def test_only_decimal_numbers_are_read_as_numbers(write) -> None:
    for value, expected in (("1e-3", 0.001), ("0.5", 0.5), (".5", 0.5), ("1_0.5", 10.5), ("2.", 2.0)):
        assert load_config(write(MINIMAL), [f"training.learning_rate={value}"]).training.learning_rate == expected
    for value in ("1:30.5", "1:59:59.5", "0x10", "010"):
        with pytest.raises(ConfigError, match=re.escape(f"found text ('{value}')")):
            load_config(write(MINIMAL), [f"training.learning_rate={value}"])


@pytest.mark.parametrize("key", PATH_KEYS)
def test_a_path_that_no_file_can_have_is_refused_by_its_key(write, key: str) -> None:
    section, name = key.split(".")
    for text, message in (
        ("a\\0b", "found a NUL character in the path, expected a path without it; choose another"),
        ("a\\ud800", "found U+D800 in the path, expected a path without it; choose another"),
    ):
        shown = f'{{city: "{text}"}}' if key == "features.lists" else f'"{text}"'
        values = {"data.train": '"t"', key: shown}
        sections: dict[str, list[str]] = {}
        for k, value in values.items():
            sections.setdefault(k.split(".")[0], []).append(f"{k.split('.')[1]}: {value}")
        path = write("".join(f"{name}: {{{', '.join(parts)}}}\n" for name, parts in sections.items()))
        with pytest.raises(ConfigError) as caught:
            load_config(path)
        assert caught.value.message.endswith(f": {section}.{name}: {message}")
        with pytest.raises(ConfigError) as caught:
            load_config(write(MINIMAL), [f"{key}={shown}"])
        assert caught.value.message.startswith(f"--set {key}=")
        assert caught.value.message.endswith(f": {key}: {message}")


def test_a_model_directory_that_no_directory_can_have_is_refused_by_its_option(write) -> None:
    config = load_config(write(MINIMAL))
    with pytest.raises(ConfigError, match=r"^--model: found a NUL character in the path, expected a path without it"):
        with_model_dir(config, "a\0b")
    with pytest.raises(ConfigError, match=r"^--model: found U\+DC7F in the path, expected a path without it"):
        with_model_dir(config, "\udc7f")
    strange = with_model_dir(config, "\udcff")  # a byte that is not UTF-8, as it comes from a command line
    assert dump_config(strange).encode()


def test_layers_and_units_that_no_machine_can_hold_are_refused(write) -> None:
    with pytest.raises(
        ConfigError, match=r"model: layers: found 64 layers of 8000 units, which are .* weights, expected"
    ):
        load_config(write(MINIMAL), ["model.layers=64", "model.units=8000"])
    with pytest.raises(ConfigError, match=r"model\.units: found 12000, expected at most 8192"):
        load_config(write(MINIMAL), ["model.units=12000"])


@pytest.mark.corpora
def test_the_hostile_configs_are_refused(corpora: Path) -> None:
    folder = corpora / "cases" / "hostile"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing")
    for name, found in (("nul", "a NUL character"), ("surrogate", r"U\+D800")):
        with pytest.raises(ConfigError, match=rf"{name}\.yaml:\d+: output\.model_dir: found {found} in the path"):
            load_config(folder / f"{name}.yaml")


def test_aliases_may_be_used(write) -> None:
    text = "data: {train: &file x.conll, dev: *file}\ntraining: &t {epochs: 3}\n"
    assert load_config(write(text)).data.dev == load_config(write(text)).data.train


def test_a_huge_file_or_a_pipe_is_refused_as_a_config(tmp_path: Path) -> None:
    huge = tmp_path / "huge.yaml"
    huge.write_text("# " + "x" * (1 << 20))
    with pytest.raises(ConfigError, match=r"huge\.yaml: found more than 131072 characters, expected a config"):
        load_config(huge)
    os.mkfifo(tmp_path / "pipe")
    for path, found in ((tmp_path / "pipe", "a pipe or a device"), (tmp_path, "a directory")):
        with pytest.raises(ConfigError, match=f"found {found}, expected a config, which is a YAML file; name a file$"):
            load_config(path)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("data.conll", b"EU\tB-ORG\nrejects\tO\n\nPeter\tB-PER\n", "the lines of a corpus"),
        ("data.txt", b"# sent_id = 1\nEU NNP B-ORG\nrejects VBZ O\n: : O\n", "the lines of a corpus"),
        ("data.conll", b"EU\tB-ORG\n\n" * 50_000, "the lines of a corpus"),
        ("data.conllu", b"1\tEU\t_\n2\trejects\t_\n", "the lines of a corpus"),
        ("data.gz", gzip.compress(b"EU\tB-ORG\n", mtime=0), "a compressed file"),
        ("data", gzip.compress(b"EU\tB-ORG\n", mtime=0), "a compressed file"),
        ("data.json", b'{"tokens": ["EU"], "tags": ["B-ORG"]}\n', "JSON"),
        ("data.jsonl", b'{"tokens": ["EU"]}\n{"tokens": ["a"]}\n', "JSON"),
        ("data.json", b'[["EU", "B-ORG"]]', "JSON"),
    ],
)
def test_a_corpus_in_the_place_of_a_config_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, found: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(content)
    with pytest.raises(ConfigError) as error:
        load_config(name)
    assert error.value.message == (
        f"{name}: found {found}, expected a config, which is a YAML file; if it is the corpus, tagger init {name} writes"
        " a config for it"
    )
    assert not is_config(Path(name), Config.model_fields)


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("c.yaml", b"EU B-ORG\n", True),  # the name says so, and reading it says what is wrong
        ("c.yml", b"", True),
        ("c", b"# mine\ndata:\n  train: x\n", True),
        ("c.conf", b"data: {train: [x}\n", True),  # a config with an error
        ("c.conf", b"training:  # fast\n  epochs: [\n", True),
        ("c.json", b'{"data": {"train": "x"}}', True),
        ("c.json", b'{"data": [{"paragraphs": []}]}', False),
        ("c.jsonl", b'{"data": {"text": "a"}}\n{"data": {"text": "b"}}\n', False),
        ("c.conll", b"data: O\ntrain B-X\n", False),
        ("c.conll", b"model:\tO\n\nx\tB-X\n", False),
        ("c", b"\xff\xfe\n", False),
    ],
)
def test_a_config_is_told_by_its_name_and_otherwise_by_a_section(
    tmp_path: Path, name: str, content: bytes, expected: bool
) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_config(tmp_path / name, Config.model_fields) == expected
    assert not is_config(tmp_path / "none", Config.model_fields)
    assert not is_config(tmp_path, Config.model_fields)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("labels={keep: []}", "found [], expected a list of types, as in [PER, LOC], or null"),
        ("labels={keep: PER}", "found PER, expected a list of types, as in [PER, LOC], or null"),
        (
            "labels={keep: [no]}",
            "found false, expected a list of types, as in [PER, LOC], or null; put it in quotes if it is a name",
        ),
        ("labels={map: [PER]}", "found [PER], expected types with their new names, as in {GPE: LOC}"),
        ("names=[]", "found [], expected a list of names, as in [O, B-PER, I-PER], a file of names, or null"),
        ("names=[0, 1]", "found [0, 1], expected a list of names, as in [O, B-PER, I-PER], a file of names, or null"),
    ],
)
def test_lists_of_names_are_shown_as_they_are_and_as_they_should_be(tmp_path: Path, setting: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: {train: x}\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, [f"data.{setting}"])
    assert error.value.message == f"--set data.{setting}: data.{setting.partition('=')[0]}: {message}"


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_config(tmp_path / "pipe", Config.model_fields)


@settings(max_examples=300)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec=None), max_size=30),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
)
@example(
    ["1e3", "null", "yes", "~", "2024-01-01", "0x1f", "1:30", ".inf", "a: b", "a #b", "'", '"', "\\", "\n", "\u2028"]
)
@example(
    ["\udcff", "\ufeff", "\x85", "\x7f", "😀", "", " ", "=", "<<", "-", "*a", "&a", "!x", "%x", "@x", "`x", "a\tb"]
)
def test_a_value_written_as_yaml_is_read_as_the_same_value(value: object) -> None:
    text = yaml_value(value)
    assert "\n" not in text
    assert parse_setting(f"data.train={text}") == ("data.train", value)


def test_a_model_directory_in_the_place_of_a_config_names_the_config_in_it(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"found a model directory, expected a config.*: .*/config\.yaml$"):
        load_config(tmp_path)


def test_a_config_needs_no_suffix_and_may_be_json(tmp_path: Path) -> None:
    (tmp_path / "a").write_text(MINIMAL)
    (tmp_path / "b").write_text('{"data": {"train": "train.conll"}}')
    assert load_config(tmp_path / "a").data == load_config(tmp_path / "b").data


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """Provide the folder `data` with b.conll, a.conll and c.txt beside the config."""
    (tmp_path / "data").mkdir()
    for name in ("b.conll", "a.conll", "c.txt"):
        (tmp_path / "data" / name).write_text("x O\n")
    return tmp_path


def test_several_files_are_a_list_or_a_glob(write, parts: Path) -> None:
    both = [str(parts / "data/a.conll"), str(parts / "data/b.conll")]
    text = "data: {train: data/*.conll, dev: [data/c.txt, data/b.conll], test: data/a.conll}\n"
    data = load_config(write(text)).data
    assert (data.train, data.dev, data.test) == (both, [str(parts / "data/c.txt"), both[1]], both[0])
    data = load_config(write("data: {train: [data/c.txt, 'data/*.conll'], dev: null, test: '**/*.txt'}\n")).data
    assert (data.train, data.test) == ([str(parts / "data/c.txt"), *both], [str(parts / "data/c.txt")])


def test_globs_and_lists_in_settings_are_relative_to_the_working_directory(
    write, parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(MINIMAL)
    monkeypatch.chdir(parts / "data")
    assert load_config(path, ["data.train='*.conll'"]).data.train == [
        str(parts / "data/a.conll"), str(parts / "data/b.conll"),
    ]  # fmt: skip
    assert load_config(path, ["data.dev=[c.txt]"]).data.dev == [str(parts / "data/c.txt")]


def test_a_file_whose_name_looks_like_a_glob_is_that_file(write, parts: Path) -> None:
    (parts / "[a].conll").write_text("x O\n")
    assert load_config(write("data: {train: '[a].conll'}\n")).data.train == str(parts / "[a].conll")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data:\n  train: data/*.gz\n", "2: data.train: found {folder}/data/*.gz, which matches no file, expected at least one; check the path"),
        ("data:\n  train: x\n  dev: [x, y*]\n", "3: data.dev: found {folder}/y*, which matches no file, expected at least one; check the path"),
        ("data:\n  train: [data/a.conll, data/*]\n", "2: data.train: found {folder}/data/a.conll twice, expected each file once; delete one"),
        ("data:\n  train: []\n", "2: data.train: found a list, expected a path or a list of paths"),
        ("data:\n  train: [1]\n", "2: data.train: found a list, expected a path or a list of paths"),
        ("data:\n  train: x\n  test: 3\n", "3: data.test: found 3, expected a path, a list of paths, or null"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_found_or_named_are_errors(write, parts: Path, text: str, message: str) -> None:
    path = write(text)
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert error.value.message == f"{path}:{message.format(folder=parts)}"


@pytest.mark.parametrize("schema", [Config, PretrainingConfig])
def test_errors_name_null_exactly_where_it_is_accepted(schema: type[pydantic.BaseModel]) -> None:
    base = {"data": {"train": "x"}} if schema is Config else {}

    def problems(section: str, name: str, value: object) -> list[tuple[str, str]]:
        try:
            schema.model_validate(base | {section: base.get(section, {}) | {name: value}})
        except pydantic.ValidationError as error:
            return [
                (one["type"], describe_problem(one, [str(part) for part in one["loc"]], schema))
                for one in error.errors()
            ]
        return []

    keys = [(section, name) for section, one in schema.model_fields.items() for name in one.annotation.model_fields]
    checked, may_be_null = 0, 0
    for section, name in keys:
        is_accepted = not problems(section, name, None)
        may_be_null += is_accepted
        for value in (object(), -7, 1 << 40, math.nan, "", "?", [[]], {"?": []}):
            for kind, text in problems(section, name, value):
                if kind not in ("value_error", "extra_forbidden") and (section, name) != ("data", "labels"):
                    assert ("null" in text) == is_accepted, f"{section}.{name}: {text}"
                    checked += 1
    assert checked > 2 * len(keys)
    assert 0 < may_be_null < len(keys) / 2


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.labels.keep=3", "found 3, expected a list of types, as in [PER, LOC], or null; put it in quotes if it is a name"),
        ("data.labels={1: x}", "found the key 1, expected keep or map; fix it"),
        ("data.annotated=[1]", "found a list, expected auto, all, or a list of types, as in [PER, LOC]"),
        ("data.columns={a: null}", "found nothing, expected names with their columns, as in {token: 0, tag: -1}"),
        ("training.ema=.nan", "found .nan, expected a finite number, or null; choose one"),
        ("training.patience=2000000000", "found 2000000000, expected a whole number from 1 to 1000000000, auto, or null"),
    ],
)  # fmt: skip
def test_errors_say_what_a_key_takes(write, setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(write(MINIMAL), [setting])
    assert error.value.message.endswith(f": {message}")
