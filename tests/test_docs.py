"""The documentation is tested like the code: its commands run, and its references match the code."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click import Command, Group
from helpers import ROOT, run_tagger
from test_imports import CHAIN

from tagger.cli.commands import cli
from tagger.config.keys import Config
from tagger.config.loading import config_keys, load_config
from tagger.config.meanings import MEANINGS
from tagger.errors import ConfigError
from tagger.formats.registry import FORMATS
from tagger.training.schedule import schedule_of

DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text("utf-8")
# In reading order, because the commands on a page may use files that commands on earlier pages have made.
PAGES = [
    "index", "tutorial", "file-format", "config", "commands", "python", "recipes", "label-less", "results", "benchmarks", "how-it-works",
    "model-directory", "architecture", "serving", "several-machines", "scale", "coming-from",
]  # fmt: skip
DOCUMENTS = [
    ROOT / "README.md", *(DOCS / f"{page}.md" for page in PAGES), *sorted((DOCS / "decisions").iterdir()),
    ROOT / "CONTRIBUTING.md",
]  # fmt: skip
# One epoch of a small network is enough to show that a documented command works.
TRAINING = ("train", "pretrain", "distill", "crossval", "suspects", "curve", "sweep")
WITHOUT_OUTPUT = ("train", "pretrain", "distill", "export", "convert", "vectors", "init", "report", "next", "suspects")
ENTITY = {"entity_group", "score", "word", "start", "end"}
QUICK = ["--set", "training.epochs=1", "--set", "model.units=8", "--set", "model.embedding_dim=8"]


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for name, block in found if name == language]


def commands() -> list[str]:
    """Return the distinct lines of all `sh` blocks and of the `$ ` prompts in `console` blocks (terminal sessions)."""
    found: list[str] = []
    for path in DOCUMENTS:
        for language, block in re.findall(
            r"^```(sh|console)\n(.*?)^```$", path.read_text("utf-8"), re.DOTALL | re.MULTILINE
        ):
            lines = [line for line in block.splitlines() if line.strip()]
            found += lines if language == "sh" else [line[2:] for line in lines if line.startswith("$ ")]
    return list(dict.fromkeys(found))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the files of a clone that the commands need, and write the config file from the tutorial."""
    clone = tmp_path_factory.mktemp("work") / "tagger"
    for name in ("configs", "data", "docs", "scripts"):
        shutil.copytree(ROOT / name, clone / name)
    (config,) = blocks(page("tutorial"), "yaml")
    assert config.startswith("# my.yaml\n")
    (clone / "my.yaml").write_text(config, "utf-8")
    return clone


@pytest.fixture
def in_clone(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(clone)
    monkeypatch.delenv("TAGGER_MODEL", raising=False)
    yield clone


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "command",
    [command for command in commands() if re.match(r"(printf .*\| )?tagger |awk |python scripts/make_", command)],
)
def test_documented_command_runs(in_clone: Path, command: str) -> None:
    """Run a command as a reader would type it, in the order of the documents: later ones use models of earlier ones."""
    stdin, stages = b"", [shlex.split(stage) for stage in re.split(r" \| (?=tagger|head|awk)", command)]
    for stage in stages:
        target = None
        if "<" in stage:
            stdin = Path(stage.pop(stage.index("<") + 1)).read_bytes()
            stage.remove("<")
        if ">" in stage:
            target = Path(stage.pop(stage.index(">") + 1))
            stage.remove(">")
        if "--ray" in stage:
            pytest.importorskip("ray", reason="ray is not installed: pip install '.[ray]'")
            # In a process of its own, as Ray is not for a process that has run TensorFlow and other tests.
            subprocess.run([sys.executable, "-m", *stage], check=True)
            output = b""
        elif stage[0] == "tagger":
            if "vectors.npy" in command:
                pytest.importorskip("gensim", reason="gensim is not installed: pip install '.[vectors]'")
            if stage[1] == "sweep":
                pytest.importorskip("optuna", reason="optuna is not installed: pip install '.[sweep]'")
            if stage[1] == "threshold":  # the models of the other commands find no spans at all
                assert run_tagger("train", "configs/sample.yaml", "--set", "training.epochs=1").exit_code == 0
            # Vectors have a size of their own.
            quick = QUICK[:4] if "embeddings.path=vectors.npy" in stage else QUICK
            result = run_tagger(*stage[1:], *(quick if stage[1] in TRAINING else []), stdin=stdin)
            assert result.exit_code == 0, result.errors
            output = result.output
            assert output or stage[1] in WITHOUT_OUTPUT
        elif stage[0] == "python":
            output = subprocess.run([sys.executable, *stage[1:]], capture_output=True, check=True).stdout
        else:
            output = subprocess.run(stage, input=stdin, capture_output=True, check=True).stdout
        if target is not None:
            target.write_bytes(output)
        stdin = output


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", [command for command in commands() if "measure_results" in command])
def test_documented_measurement_runs(in_clone: Path, command: str) -> None:
    # Use the sample corpus and no GloVe, because GloVe is an extra.
    data = {name: in_clone / f"data/sample/{name}.conll" for name in ("train", "dev", "test")}
    settings = [f"data.{name}={path}" for name, path in data.items() if f"data.{name}=null" not in command]
    settings += ["data.columns={token: 0, tag: 1}", "embeddings.name=null"]
    quick = [part for setting in settings for part in ("--set", setting)]
    arguments = [*shlex.split(command)[1:], "--seeds", "1", *QUICK, *quick]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^  test +\d+\.\d\d  \(min ", done.stdout, re.MULTILINE)
    assert ("kernel of both branches: Keras LSTM" in done.stderr) == ("--stock" in command)


def test_a_measurement_resolves_relative_paths_and_refuses_malformed_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    monkeypatch.chdir(tmp_path)
    setting = importlib.import_module("measure_results").setting
    assert setting("data.dev=dev.conll") == ("data.dev", f"{tmp_path}/dev.conll"), "the path need not exist"
    assert [setting(f"data.dev={value}")[1] for value in ("0.1", "null")] == ["0.1", "null"]
    assert setting("data.columns={a=1}") == ("data.columns", "{a=1}")
    with pytest.raises(argparse.ArgumentTypeError, match="found 'foo', expected KEY=VALUE"):
        setting("foo")


@pytest.mark.tensorflow
def test_the_documented_ablation_runs_skips_finished_runs_and_makes_its_table(
    in_clone: Path, corpora: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = in_clone.parent / "shared"
    shared.mkdir(exist_ok=True)
    if not (shared / "data").exists():
        (shared / "data").symlink_to(corpora)
    first, speed, table = (shlex.split(command)[1:] for command in commands() if "ablate" in command)
    committed = Path("docs/ablation.jsonl").read_text("utf-8")
    quick = ["--set", "training.epochs=1", "--set", "model.units=8", "--set", "model.layers=1", "--most", "1"]
    for more in ([], ["--minutes", "0"]):  # one run, then none because no time is left
        done = subprocess.run([sys.executable, *first, *quick, *more], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        lines = Path("docs/ablation.jsonl").read_text("utf-8")
        assert lines.startswith(committed)
        (run,) = (json.loads(line) for line in lines[len(committed) :].splitlines())
        assert run["settings"]["model.units"] == "8"
        assert 0 < run["test"] < 1
    monkeypatch.syspath_prepend("scripts/results")
    ablate = importlib.import_module("ablate")

    done_keys = {ablate.key_of(run) for run in ablate.load(Path("docs/ablation.jsonl"))}
    assert len(done_keys) == len(lines.splitlines()), "each run must be recorded once"
    speeds = Path("docs/ablation-speeds.jsonl")
    every = [(corpus, row) for corpus in ablate.REFERENCES for row in ablate.steps_of(corpus)]
    assert sorted((found["corpus"], found["row"]) for found in ablate.load(speeds)) == sorted(every)
    raced = speeds.read_text("utf-8").splitlines(keepends=True)
    speeds.write_text("".join(line for line in raced if '"conll2000", "row": "reference"' not in line))
    subprocess.run([sys.executable, *speed, "--rounds", "1"], capture_output=True, check=True)
    *others, found = ablate.load(speeds)
    assert (len(others), found["corpus"], found["row"]) == (len(every) - 1, "conll2000", "reference")
    assert len(found["ratios"]) == 1
    assert 0.2 < found["ratios"][0] < 5, "the ratio of a configuration to itself must be near 1"
    done = subprocess.run([sys.executable, *table], capture_output=True, text=True, check=True)
    assert "### conll2000" in done.stdout
    assert re.search(r"^\| full, no vectors, all of train \| \d \| – \| \d", done.stdout, re.MULTILINE)


@pytest.mark.tensorflow
def test_the_documented_runs_on_small_data_skip_finished_runs(in_clone: Path, corpora: Path) -> None:
    shared = in_clone.parent / "shared"
    shared.mkdir(exist_ok=True)
    if not (shared / "data").exists():
        (shared / "data").symlink_to(corpora)
    first = next(shlex.split(command)[1:] for command in commands() if "small_data.py" in command)
    committed = Path("docs/small-data.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in committed if '"corpus": "wnut17", "size": 100, "row": "chosen", "seed": 1' not in line]
    assert len(kept) == len(committed) - 1
    Path("docs/small-data.jsonl").write_text("".join(kept), "utf-8")
    quick = ["--set", "model.units=8", "--set", "model.layers=1", "--set", "training.epochs=1", "--rows", "wnut17 100 "]
    for _ in range(2):  # the second time, all runs are there
        done = subprocess.run([sys.executable, *first, *quick], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert Path("docs/small-data.jsonl").read_text("utf-8").startswith("".join(kept))
        run = json.loads(Path("docs/small-data.jsonl").read_text("utf-8").splitlines()[-1])
        assert len(Path("docs/small-data.jsonl").read_text("utf-8").splitlines()) == len(committed)
    assert (run["corpus"], run["size"], run["row"], run["seed"]) == ("wnut17", 100, "chosen", 1)
    assert (run["sentences"], run["settings"]["batch_size"], run["epochs_trained"]) == (100, 4, 1)


@pytest.mark.tensorflow
def test_the_documented_runs_on_partial_labels_skip_finished_runs(in_clone: Path, corpora: Path) -> None:
    shared = in_clone.parent / "shared"
    shared.mkdir(exist_ok=True)
    if not (shared / "data").exists():
        (shared / "data").symlink_to(corpora)
    first = next(shlex.split(command)[1:] for command in commands() if "partial_labels.py" in command)
    runs = Path("docs/partial-labels.jsonl")
    committed = runs.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in committed if '"corpus": "wnut17", "row": "?", "seed": 1' not in line]
    assert len(kept) == len(committed) - 1
    runs.write_text("".join(kept), "utf-8")
    quick = ["--set", "model.units=8", "--set", "model.layers=1", "--set", "training.epochs=1"]
    for _ in range(2):  # the second time, the run is there
        done = subprocess.run(
            [sys.executable, *first, *quick, "--rows", "wnut17 seed 1 ?"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(runs.read_text("utf-8").splitlines()) == len(committed)
    run = json.loads(runs.read_text("utf-8").splitlines()[-1])
    assert (run["corpus"], run["row"], run["seed"], run["sentences"]) == ("wnut17", "?", 1, 3394)
    assert (run["tokens"], run["hidden"], run["entities"], run["epochs_trained"]) == (62730, 31330, 1029, 1)


def run_again(in_clone: Path, corpora: Path, script: str, removed: str, *options: str) -> dict[str, Any]:
    """Run a documented script twice after removing one run from its file; return the run that it adds once.

    Args:
        removed: the beginning of the run, as its line has it.
        options: make the script do only this run, and quickly.
    """
    shared = in_clone.parent / "shared"
    shared.mkdir(exist_ok=True)
    if not (shared / "data").exists():
        (shared / "data").symlink_to(corpora)
    first = next(shlex.split(command)[1:] for command in commands() if script in command)
    runs = Path(first[first.index("--runs") + 1])
    committed = runs.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in committed if removed not in line]
    assert len(kept) == len(committed) - 1
    runs.write_text("".join(kept), "utf-8")
    for _ in range(2):  # the second time, the run is there
        command = [sys.executable, *first, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert len(runs.read_text("utf-8").splitlines()) == len(committed)
    found: dict[str, Any] = json.loads(runs.read_text("utf-8").splitlines()[-1])
    return found


@pytest.mark.tensorflow
def test_the_documented_runs_on_more_types_skip_finished_runs(in_clone: Path, corpora: Path, tmp_path: Path) -> None:
    quick = [f"--set={one}" for one in ("model.units=8", "training.epochs=1")] + [f"--work={tmp_path}"]
    removed = '"corpus": "nerkor/5", "seed": 1, "row": "grown"'
    run = run_again(in_clone, corpora, "grow.py", removed, *quick, "--rows", "nerkor/5 seed 1 grown")
    assert (run["corpus"], run["row"], run["sentences"]) == ("nerkor/5", "grown", 5048)


@pytest.mark.tensorflow
def test_the_documented_runs_with_clusters_skip_finished_runs(in_clone: Path, corpora: Path) -> None:
    pytest.importorskip("spacy_lookups_data")
    quick = [f"--set={one}" for one in ("model.units=8", "model.layers=1", "training.epochs=1")]
    removed = '"wnut17", "share": 0.3, "row": "clusters", "seed": 1'
    run = run_again(in_clone, corpora, "lexicons.py", removed, *quick, "--rows", "wnut17 0.3 seed 1 clusters")
    assert (run["kind"], run["row"], run["epoch"]) == ("wnut17", "clusters", 1)


@pytest.mark.tensorflow
def test_the_documented_runs_of_recipes_skip_finished_runs(in_clone: Path, corpora: Path) -> None:
    quick = [f"--set={one}" for one in ("model.units=8", "model.layers=1", "training.epochs=1")]
    removed = '"kind": "wnut17", "row": "before", "seed": 1'
    run = run_again(in_clone, corpora, "recipes.py", removed, *quick, "--rows", "wnut17 before seed 1")
    assert (run["kind"], run["row"], run["epoch"]) == ("wnut17", "before", 1)


@pytest.mark.parametrize(
    "script",
    [
        "ablate.py",
        "small_data.py",
        "partial_labels.py",
        "active_learning.py",
        "curves.py",
        "suspects.py",
        "grow.py",
        "raw_vectors.py",
        "distill.py",
        "lexicons.py",
        "recipes.py",
    ],
)
def test_the_results_tables_match_the_runs(script: str) -> None:
    done = subprocess.run(
        [sys.executable, *next(shlex.split(command)[1:] for command in commands() if f"{script} " in command and "--table" in command)],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert "|---|" in done.stdout
    assert done.stdout in (ROOT / "docs/results.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("recipe", "corpus", "row", "n_sentences"),
    [
        ("best-no-vectors", "conll2000", "full, no vectors", 8042),
        ("best-glove", "conll2000", "full, GloVe", 8042),
        ("wnut17", "wnut17", "full, GloVe", 3394),
        ("fast", "conll2000", "words only", 8042),
        ("crf", "conll2000", "defaults with a CRF", 8042),
    ],
)
def test_a_recipe_has_the_settings_of_the_row_with_its_result(
    recipe: str, corpus: str, row: str, n_sentences: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts/results"))
    ablate = importlib.import_module("ablate")
    measured = next(settings for *names, settings, _seed in ablate.plan() if names == [corpus, row])
    if measured.get("data.columns") == "{token: 0, tag: -1}":
        del measured["data.columns"]  # found in the file
    config = ROOT / f"configs/{recipe}.yaml"
    files = {f"data.{name}": name for name in ("train", "dev", "test") if measured.get(f"data.{name}") != "0.1"}
    given = [f"{key}={value}" for key, value in files.items()]
    trained, documented = (
        load_config(config, given),
        load_config(config, [f"{key}={value}" for key, value in (measured | files).items()]),
    )
    schedules = [schedule_of(each.training, n_sentences) for each in (trained, documented)]
    assert [(each.batch_size, each.epochs) for each in schedules] == [(schedules[1].batch_size, 30)] * 2
    chosen = {f"training.{name}": getattr(schedules[0], name) for name in schedules[0].chosen}
    assert load_config(config, [*given, *(f"{key}={value}" for key, value in chosen.items())]) == documented


@pytest.mark.tensorflow
def test_documented_training_with_two_workers_runs(in_clone: Path) -> None:
    (command,) = (command for command in commands() if "two_workers" in command)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    arguments = [*shlex.split(command), *QUICK]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env=environment, timeout=200)
    assert done.returncode == 0, done.stderr
    assert (in_clone / "models/sample/manifest.json").exists()


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", [command for command in commands() if "bench_training" in command])
def test_documented_training_benchmark_runs(in_clone: Path, command: str, tmp_path: Path) -> None:
    # Use the sample corpus, one round of two steps and no rivals, because PyTorch is an extra.
    quick = ["--only", "speed", "step", "--rivals", "--rounds", "1", "--steps", "2", "--json", str(tmp_path / "found")]
    script, _, *options = shlex.split(command)[1:]
    arguments = [sys.executable, script, "configs/sample.yaml", *options, *quick]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    speeds = found["speed"]["tokens_per_second"]
    assert list(speeds) == ["tagger", "tagger, not deterministic", "`tagger train` itself"]
    assert all(len(values) == 1 and values[0] > 100 for values in speeds.values())
    assert sum(found["step"]["parts"].values()) == pytest.approx(found["step"]["step"])


@pytest.mark.tensorflow
@pytest.mark.parametrize("command", [command for command in commands() if "bench_prediction" in command])
def test_documented_prediction_benchmark_runs(in_clone: Path, command: str, tmp_path: Path) -> None:
    # Use the sample corpus, one round and no rivals, because the rivals are extras.
    script, _, *options = shlex.split(command)[1:]
    quick = ["--rivals", "--rounds", "1", "--calls", "20", "--millions", "0.02", "--json", str(tmp_path / "found")]
    arguments = [sys.executable, script, "data/sample/train.conll", *options, *quick]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found").read_text())
    assert set(found) == {"machine", "rounds", "start", "file", "engine", "latency", "memory"}
    assert 20 < found["memory"]["0.02"] < 400, "the memory in MB must not include the benchmark itself"
    for part in ("start", "file"):
        assert all(0.01 < cost["seconds"][0] < 60 for cost in found[part].values())
    assert found["engine"]["last"]["tagger"]["differs_by"] == 0.0
    assert 0 < found["latency"]["p50"] <= found["latency"]["p99"]


@pytest.mark.tensorflow
def test_documented_python_runs(in_clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_tagger("train", "configs/sample.yaml", *QUICK).exit_code == 0
    (example,) = blocks(README, "python")
    names: dict[str, Any] = {"sentences": [["a"], ["b", "c"]]}
    exec(example, names)
    assert len(names["prediction"].tags) == 5
    pages = iter(blocks(page("python"), "python"))
    exec(next(pages), names)
    assert len(names["prediction"].scores) == 5
    exec(next(pages), names)
    assert len(names["prediction"].tags) == 2
    exec(next(pages), names)
    assert set(names.get("entity", ENTITY)) == ENTITY
    exec(next(pages), names)
    assert list(names["tagged"].columns) == ["sentence", "token", "tag", "score"]
    exec(next(pages), names)
    assert [type(found) for found in names["texts"]["entities"]] == [list, list]
    importlib.import_module("tagger.integrations.spacy_factory")  # the entry point, as this may be a clone
    exec(next(pages), names)
    assert {str(entity) for entity in names["doc"].ents} == set(names["scores"])
    exec(next(pages), names)
    assert len(names["scores"]) == 2
    assert [len(tags) for tags in names["tags"]] == [3]
    assert Path("models/ida/manifest.json").exists()
    exec(next(pages), names)
    assert "models/nothing" in capsys.readouterr().out
    assert next(pages, None) is None
    (served,) = blocks(page("serving"), "python")
    Path("network.onnx").unlink(missing_ok=True)
    assert run_tagger("export", "network.onnx").exit_code == 0
    exec(served, names)
    assert names["logits"].shape == (1, 3, len(names["tags"]))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_documented_shell_completion_completes(shell: str) -> None:
    assert "_TAGGER_COMPLETE=bash_source tagger" in page("commands")
    environment = os.environ | {"COMP_WORDS": "tagger pre", "COMP_CWORD": "1" if shell != "fish" else "pre"}
    command = [sys.executable, "-c", "from tagger.cli.commands import main; main()"]
    done = subprocess.run(
        command,
        env=environment | {"_TAGGER_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "predict" in done.stdout


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("make ")])
def test_documented_make_target_exists_and_is_run_by_ci(command: str) -> None:
    subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, check=True, capture_output=True)
    run_by_ci = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert command in run_by_ci or (command == "make quick" and "make test" in run_by_ci)  # `make test` includes it


def test_documented_installation_matches_the_makefile() -> None:
    installing = [command for command in commands() if "venv" in command or "pip" in command]
    assert installing == [
        "python3 -m venv .venv",
        ".venv/bin/python -m pip install .",
        "source .venv/bin/activate",
        "python3 -m venv .venv-predict",
        ".venv-predict/bin/python -m pip install --requirement requirements/predict.txt",
        ".venv-predict/bin/python -m pip install --no-deps .",
    ]
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "demo"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "python3 -m venv .venv\n" in recipe
    assert ".venv/bin/python -m pip install --quiet --editable .\n" in recipe
    recipe = subprocess.run(
        ["make", "--dry-run", "--always-make", "predict-only"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    assert "python3 -m venv .venv-predict\n" in recipe
    assert ".venv-predict/bin/python -m pip install --quiet --requirement requirements/predict.txt\n" in recipe
    assert ".venv-predict/bin/python -m pip install --quiet --no-deps --editable .\n" in recipe
    assert "make predict-only\n" in (ROOT / ".ci/run").read_text("utf-8")


def documented_installations() -> list[str]:
    """Return the arguments of `pip install` in code blocks, in running text and in comments."""
    texts = [
        path.read_text("utf-8") for path in [*DOCUMENTS, *ROOT.glob("configs/**/*.yaml"), *ROOT.glob("scripts/**/*.py")]
    ]
    return sorted({found for text in texts for found in re.findall(r"pip install(?: --no-deps)? '?([^\s'`\"]+)", text)})


def test_every_documented_installation_is_from_a_clone() -> None:
    assert set(documented_installations()) == {
        ".",
        ".[bench]",
        ".[clusters]",
        ".[glove]",
        ".[gpu]",
        ".[mlflow]",
        ".[parquet]",
        ".[ray]",
        ".[report]",
        ".[serve,text]",
        ".[sklearn]",
        ".[spacy]",
        ".[sweep]",
        ".[tensorboard]",
        ".[text]",
        ".[vectors]",
        "--requirement",
    }


def test_nothing_tells_users_to_install_the_package_from_an_index() -> None:
    name = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    for path in [
        *DOCUMENTS,
        *ROOT.glob("configs/**/*.yaml"),
        *ROOT.glob("scripts/**/*.py"),
        *ROOT.glob("tagger/**/*.py"),
    ]:
        assert not re.search(rf"install\b[^\n]*{name}", path.read_text("utf-8")), path


@pytest.mark.index
@pytest.mark.parametrize("what", [what for what in documented_installations() if what.startswith(".")])
def test_documented_installation_can_be_resolved(what: str) -> None:
    install = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", what]
    done = subprocess.run(install, cwd=ROOT, capture_output=True, text=True, check=False)
    if "Temporary failure in name resolution" in done.stderr or "Network is unreachable" in done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr


def test_the_requirements_of_prediction_are_requirements_of_the_package() -> None:
    lines = (ROOT / "requirements/predict.txt").read_text("utf-8").splitlines()
    required = {line for line in lines if not line.startswith("#")}
    assert "onnxruntime>=1.21" in required
    assert required <= set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"])


def test_every_documented_command_is_run_by_a_test() -> None:
    known = r"tagger |awk |source \.venv/bin/activate$|scripts/checks/train_two_workers.sh |python scripts/bench/bench_(training|prediction).py |printf .* \| tagger |python scripts/(make_|results/(measure_results|ablate|small_data|partial_labels|active_learning|suspects|curves|grow|raw_vectors|lexicons|distill|recipes))|make |python3 -m venv|\.venv(-predict)?/bin/python -m pip"
    assert [command for command in commands() if not re.match(known, command)] == []


def test_the_config_reference_is_the_schema_with_its_defaults() -> None:
    reference, *_ = blocks(page("config"), "yaml")
    values = yaml.safe_load(reference)
    assert [f"{section}.{key}" for section, keys in values.items() for key in keys] == config_keys()
    values["data"]["train"] = "x"
    assert Config.model_validate(values) == Config.model_validate({"data": {"train": "x"}})
    comments = [line.partition(" # ")[2] for line in reference.splitlines() if line.startswith("  ")]
    assert comments == [meaning for keys in MEANINGS.values() for meaning in keys.values()]


def test_every_command_and_option_is_documented() -> None:
    every: dict[str, Command] = dict(cli.commands)
    for name, group in cli.commands.items():
        if isinstance(group, Group):
            every |= {f"{name} {inner}": command for inner, command in group.commands.items()}
    for name, command in every.items():
        inner = "|".join([f"{one} " for one in getattr(command, "commands", {})] or ["$"])
        (synopsis,) = re.findall(rf"^\*\*`tagger {name} ((?!{inner}).*?)`\*\*$", page("commands"), re.MULTILINE)
        for parameter in command.params:
            for option in parameter.opts:
                if option.startswith("-"):
                    assert re.search(rf"[\[| ]{option}\b", synopsis), (name, option)
                else:
                    assert option.upper().removesuffix("S") in synopsis, (name, option)
        assert set(re.findall(r"--[a-z-]+", synopsis)) <= {
            option for p in command.params for option in (*p.opts, *p.secondary_opts)
        }


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_valid_and_states_its_cost_or_its_data(path: Path) -> None:
    text = path.read_text("utf-8")
    if "  train: " in text:
        data = load_config(path).data
        assert all(Path(str(file)).is_file() for file in (data.train, data.dev, data.test)), "the files of a clone"
    else:
        with pytest.raises(
            ConfigError, match=rf"/{path.name}(:\d+)?: data.train: is missing.*pass --set data.train=FILE"
        ):
            load_config(path)
        load_config(path, ["data.train=x"])
        assert "--set data.train=" in text
    comment = text.split("data:")[0]
    assert re.search(r"^# .*(Costs|Make its files)", comment, re.MULTILINE)


def test_the_readme_is_short_and_its_sections_are_in_reading_order() -> None:
    assert len(README.splitlines()) <= 155
    assert re.findall(r"^## (.*)$", README, re.MULTILINE) == [
        "Install", "Your own file", "Commands", "From Python", "Three numbers", "How it works",
        "When to use something else", "More",
    ]  # fmt: skip
    assert set(re.findall(r"^\| \[`tagger (\w+)`\]", README, re.MULTILINE)) == set(cli.commands)
    (diagram,) = (block for block in blocks(README, "") if "forward LSTM" in block)
    assert diagram in page("how-it-works")


def test_every_config_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    for name in PAGES:
        for example in blocks(page(name), "yaml"):
            values = yaml.safe_load(example)
            values.setdefault("data", {})["train"] = "x"
            assert Config.model_validate(values), name


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub and the website make for the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_have_existing_targets() -> None:
    n_anchors = 0
    for path in [*DOCUMENTS, ROOT / "SECURITY.md", ROOT / "CHANGELOG.md"]:
        text = path.read_text("utf-8")
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
            other = path.parent / target if target else path
            assert other.exists(), f"{path.name}: {target}"
            if anchor:
                assert anchor in anchors(other.read_text("utf-8")), f"{path.name}: {target}#{anchor}"
                n_anchors += 1
    assert n_anchors > 20


def test_every_page_is_in_the_index_and_on_the_website() -> None:
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert {f"{name}.md" for name in PAGES} | {
        f"decisions/{path.name}" for path in (DOCS / "decisions").iterdir()
    } == pages
    assert set(re.findall(r"\]\(([^)#]+\.md)\)", page("index"))) == pages - {"index.md"}
    website = (ROOT / "zensical.toml").read_text("utf-8")
    assert set(re.findall(r'= "([^"]+\.md)"', website)) == pages


def test_the_map_of_the_source_code_is_complete() -> None:
    text = page("architecture")
    rows = re.findall(r"^\| `(\w+)/` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    drawn = {f"{room}/{name}" for room, names in rows for name in re.findall(r"`(\w+)`", names)}
    package = ROOT / "tagger"
    assert drawn == {
        path.relative_to(package).with_suffix("").as_posix()
        for path in package.glob("*/*.py")
        if path.name != "__init__.py"
    }
    for path in package.glob("[a-z]*.py"):
        assert f"`{path.name}`" in text
    for name in re.findall(r"`([\w/]+\.py)`", text):
        assert any((ROOT / base / name).exists() for base in ("", "tagger", "tagger/network")), name
    (chain,) = blocks(text, "text")
    assert [set(line.split(", ")) for line in chain.splitlines()] == [set(rooms) for rooms in CHAIN]


def test_every_format_is_documented() -> None:
    text = page("file-format").split("## Other formats")[1]
    rows = re.findall(r"^\| `([a-z-]+)` \| .* \| (yes|no) \| (yes|no) \| (tags|characters) \|$", text, re.MULTILINE)
    of = {format_.name: format_ for format_ in FORMATS}
    assert {name for name, *_ in rows} == set(of) == set(re.findall("^### (.*)$", text, re.MULTILINE))
    for name, read, written, spans in rows:
        assert (read == "yes") == of[name].is_read, name
        assert (written == "yes") == of[name].is_written, name
        assert (spans == "tags") == of[name].flat, name


@pytest.mark.tensorflow
def test_the_start_of_a_training_is_shown_as_it_is(in_clone: Path) -> None:
    from tagger.cli.summaries import format_data, format_network
    from tagger.network.bilstm import Kernel
    from tagger.network.devices import Device
    from tagger.network.summary import layers_of
    from tagger.training.parts import initial_network
    from tagger.training.preparation import prepare

    notes: list[str] = []
    prepared = prepare(load_config("my.yaml"), note=notes.append, warn=pytest.fail)
    network = initial_network(prepared, Device("CPU", Kernel.BLOCK))
    device = "device: CPU, 2 threads; kernel of both branches: fused CPU LSTM (BlockLSTMV2)"
    start = [*notes, device, *format_data(prepared.facts), *format_network(layers_of(network))]
    shown = next(
        block for block in blocks(page("tutorial"), "console") if "$ tagger train my.yaml" in block
    ).splitlines()
    assert shown[shown.index("reading the data") + 1 :][: len(start)] == start
    shown = next(block for block in blocks(README, "console") if "$ tagger train" in block).splitlines()
    before = shown[1 : next(i for i, line in enumerate(shown) if line.startswith("epoch "))]
    at = 0
    for line in before:
        if line != "…":
            at = start.index(line, at) + 1
