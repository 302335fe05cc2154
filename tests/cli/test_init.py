"""`tagger init`, and `tagger train` with files instead of a config."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from helpers import run_tagger

from tagger.config.file import is_config
from tagger.config.keys import Config
from tagger.config.loading import load_config

NAMES, PLACES = ("Anna", "Berta", "Clara"), ("Bonn", "Kiel", "Ulm")
TEXT = "".join(
    f"{name}\tB-PER\nbesucht\tO\n{place}\tB-LOC\nheute\tO\n.\tO\n\n"
    for name in NAMES
    for place in PLACES
    for _ in range(4)
)
QUICK = ["--set", "training.epochs=2", "--set", "model.units=8", "--set", "model.embedding_dim=8"]


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tagger.init.vectors.installed_vectors", list)
    for name in ("train", "dev", "test"):
        Path(f"{name}.conll").write_text(TEXT)


def test_a_config_is_written_with_words_on_standard_error() -> None:
    result = run_tagger("init", "train.conll")
    assert (result.exit_code, result.output) == (0, b"")
    lines = result.errors.splitlines()
    assert lines[0].startswith("found beside train.conll: data.dev is dev.conll and data.test is test.conll (")
    assert "  Anna→B-PER  besucht→O  Bonn→B-LOC  heute→O  .→O" in lines
    assert lines[-2:] == ["the config is in train.yaml", "  next: tagger train train.yaml"]
    values = yaml.safe_load(Path("train.yaml").read_text("utf-8"))
    assert values == {"data": {"train": "train.conll", "dev": "dev.conll", "test": "test.conll"}}
    assert (
        Path("train.yaml")
        .read_text("utf-8")
        .startswith("# Written by tagger init. To train: tagger train train.yaml\n")
    )


def test_a_schema_beside_the_config_is_named_and_is_not_data() -> None:
    Path("tagger.schema.json").write_bytes(run_tagger("config", "--schema").output)
    Path("elsewhere").mkdir()
    assert run_tagger("init", "train.conll", "-o", "elsewhere/my.yaml").exit_code == 0
    assert "schema" not in Path("elsewhere/my.yaml").read_text("utf-8")
    result = run_tagger("init", ".", "-o", "my.yaml")
    assert result.exit_code == 0, result.errors
    line, *rest = Path("my.yaml").read_text("utf-8").splitlines()
    assert line == "# yaml-language-server: $schema=tagger.schema.json"
    assert rest[0] == "# Written by tagger init. To train: tagger train my.yaml"
    assert load_config("my.yaml").data.train == str(Path("train.conll").absolute())
    assert is_config(Path("my.yaml"), Config.model_fields)


def test_standard_output_gets_the_same_config() -> None:
    assert run_tagger("init", "train.conll").exit_code == 0
    written = Path("train.yaml").read_text("utf-8").splitlines()[1:]
    result = run_tagger("init", "train.conll", "-o", "-")
    assert (result.exit_code, result.output.decode().splitlines()[1:]) == (0, written)


def test_a_config_elsewhere_names_the_files_from_there() -> None:
    Path("configs").mkdir()
    assert run_tagger("init", "train.conll", "-o", "configs/my.yaml", "--set", "data.test=null").exit_code == 0
    data = yaml.safe_load(Path("configs/my.yaml").read_text("utf-8"))["data"]
    assert data == {"train": "../train.conll", "dev": "../dev.conll", "test": None}


def test_nothing_is_replaced_without_being_asked_to_and_data_never_is() -> None:
    Path("train.yaml").write_text("mine")
    result = run_tagger("init", "train.conll")
    assert result.exit_code == 1
    assert result.first_error == (
        "error: train.yaml: already exists, expected a new name; choose another with -o, or pass --force"
    )
    assert Path("train.yaml").read_text() == "mine"
    assert run_tagger("init", "train.conll", "--force").exit_code == 0
    assert "train.conll" in Path("train.yaml").read_text()
    for path in ("train.conll", "./train.conll"):
        result = run_tagger("init", "train.conll", "-o", path, "--force")
        assert result.first_error == (
            f"error: {Path(path)}: is what is read, expected another name for the config; choose one with -o"
        )
    result = run_tagger("init", "train.conll", "-o", "dev.conll", "--force")  # found beside it
    assert result.first_error.startswith("error: dev.conll: is what is read")
    assert Path("train.conll").read_text() == Path("dev.conll").read_text() == TEXT
    Path("d").mkdir()
    assert "is there and is not a file" in run_tagger("init", "train.conll", "-o", "d").first_error
    assert "cannot be written" in run_tagger("init", "train.conll", "-o", "no/such/c.yaml").first_error


def test_doubtful_data_write_nothing() -> None:
    Path("my.conll").write_text(TEXT.replace("B-PER", "1").replace("B-LOC", "2").replace("O\n", "0\n"))
    result = run_tagger("init", "my.conll")
    assert result.exit_code == 1
    assert "/my.conll: the tags are the numbers 0 to 2, as data sets of Hugging Face" in result.first_error
    assert "  column 1: 1  0  2  0  0" in result.errors.splitlines()
    assert not Path("my.yaml").exists()
    assert run_tagger("init", "my.conll", "--set", "data.trust=true", "--set", "data.scheme=none").exit_code == 0
    assert yaml.safe_load(Path("my.yaml").read_text())["data"]["trust"] is True


def test_init_does_not_import_tensorflow() -> None:
    code = (
        "import sys; from tagger.cli.commands import run; code = run(['init', 'train.conll', '-o', '-']);"
        " assert 'tensorflow' not in sys.modules and 'onnxruntime' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout[:9]) == (0, "# Written"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["none.conll"], 1, "error: none.conll: no such file, expected a config or a corpus; check the path"),
        (["c.yaml", "dev.conll"], 2, "error: found the config c.yaml and dev.conll, expected one config, or only corpora; pass settings with --set"),
        (["c.yaml"], 1, "error: c.yaml:2: not valid YAML: expected ',' or ']', but got '<stream end>'; fix the line"),
        (["c.conf"], 1, "error: c.conf:2: not valid YAML: expected ',' or ']', but got '<stream end>'; fix the line"),
        (["train.conll", "--set", "model.unit=5"], 1, "error: --set model.unit=5: model.unit: is not a known key; did you mean units?"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_on_is_named(arguments: list[str], code: int, message: str) -> None:
    for name in ("c.yaml", "c.conf"):
        Path(name).write_text("data:\n  train: [x")
    result = run_tagger("train", *arguments)
    assert result.exit_code == code
    assert result.first_error == message


@pytest.mark.tensorflow
def test_one_command_leads_from_a_file_to_a_model() -> None:
    result = run_tagger("train", "train.conll", *QUICK)
    assert result.exit_code == 0, result.errors
    lines = result.errors.splitlines()
    assert lines[1] == "train.conll is not a config, so it is read as data"
    assert lines[2].startswith("found beside train.conll: data.dev is dev.conll and data.test is test.conll")
    settings = " ".join(QUICK)
    assert f"to keep this as a config that you can edit: tagger init train.conll {settings}" in lines
    assert "the test file had no part in choosing the model" in lines
    stored = yaml.safe_load(Path("models/train/config.yaml").read_text())
    manifest = Path("models/train/manifest.json").read_bytes()
    assert (stored["data"]["dev"], json.loads(manifest)["decoder"]) == ("../../dev.conll", "crf")

    # The same training again is finished, and goes on for longer if asked to.
    result = run_tagger("train", "train.conll", *QUICK, "--resume")
    assert (result.exit_code, "this training is already finished" in result.errors) == (0, True)
    assert run_tagger("train", "train.conll", *QUICK, "--epochs-more", "1").exit_code == 0
    assert len(Path("models/train/history.csv").read_text().splitlines()) == 1 + 3

    # Other data of the same name do not replace the model, but the config that `tagger init` writes may.
    Path("other").mkdir()
    Path("other/train.conll").write_text(TEXT.replace("Kiel", "Gera"))
    result = run_tagger("train", "other/train.conll", *QUICK)
    assert (
        "found a model that was trained with data.train train.conll, expected other/train.conll" in result.first_error
    )
    assert run_tagger("init", "train.conll", *QUICK).exit_code == 0
    result = run_tagger("train", "train.yaml")
    assert result.exit_code == 0, result.errors
    again = json.loads(Path("models/train/manifest.json").read_bytes())
    first = json.loads(manifest)
    assert (again["dev"], again["layout"]) == (first["dev"], first["layout"]), "init and train choose the same"


@pytest.mark.tensorflow
def test_files_that_are_not_conll_are_trained_on_with_several_seeds() -> None:
    rows = "".join('{"tokens": ["Anna", "in", "Bonn"], "tags": ["B-PER", "O", "B-LOC"]}\n' for _ in range(20))
    Path("d").mkdir()
    for name in ("train", "valid"):
        Path(f"d/{name}.jsonl").write_text(rows)
    result = run_tagger("train", "d/train.jsonl", "d/valid.jsonl", *QUICK, "--seeds", "2", "--model", "m")
    assert result.exit_code == 0, result.errors
    assert "by their names, train is train.jsonl, dev is valid.jsonl" in result.errors.splitlines()
    assert Path("m/manifest.json").exists()


def test_a_command_to_copy_takes_a_name_with_a_dash_for_a_file() -> None:
    Path("-a b.conll").write_text(TEXT)
    result = run_tagger("init", "--", "-a b.conll")
    assert result.errors.splitlines()[-1] == "  next: tagger train './-a b.yaml'"
    assert (
        Path("-a b.yaml")
        .read_text("utf-8")
        .startswith("# Written by tagger init. To train: tagger train './-a b.yaml'\n")
    )


def test_what_is_no_corpus_is_named(tmp_path: Path) -> None:
    Path("c.yaml").write_text("data:\n  train: train.conll\n")
    Path("m").mkdir()
    for name in ("manifest.json", "tokens.txt", "tags.txt"):  # the last two could be a corpus of two files
        (tmp_path / "m" / name).write_text("a\n")
    for arguments, message in {
        ("init", "c.yaml"): "c.yaml: found a config, expected a corpus; to train with it: tagger train c.yaml",
        ("init", "m"): "m: found a model directory, expected a corpus; name the corpus itself",
        ("init", "train.conll", "-o", ""): "--output: found '', expected the name of a config; choose one",
        ("train", ""): "FILE: found an empty name, expected a config or a corpus; name it",
    }.items():
        result = run_tagger(*arguments)
        assert (result.exit_code, result.first_error) == (1, f"error: {message}"), arguments
