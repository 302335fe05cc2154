"""The documented scripts that measure scores run, skip what is done, and make the tables of the documentation."""

from __future__ import annotations

import argparse
import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from documented import QUICK, QUICK_RUN, commands
from forked_scripts import run_scripts
from helpers import ROOT

from tagger.config.loading import load_config
from tagger.training.schedule import schedule_of


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
    in_clone: Path, corpora_beside: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, speed, table = (shlex.split(command)[1:] for command in commands() if "ablate" in command)
    committed = Path("docs/ablation.jsonl").read_text("utf-8")
    quick = [*QUICK_RUN, "--most", "1"]
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
def test_the_documented_runs_on_small_data_skip_finished_runs(in_clone: Path, corpora_beside: None) -> None:
    first = next(shlex.split(command)[1:] for command in commands() if "small_data.py" in command)
    committed = Path("docs/small-data.jsonl").read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in committed if '"corpus": "wnut17", "size": 100, "row": "chosen", "seed": 1' not in line]
    assert len(kept) == len(committed) - 1
    Path("docs/small-data.jsonl").write_text("".join(kept), "utf-8")
    short = [one for one in QUICK_RUN if "batch_size" not in one]
    quick = [*short, "--rows", "wnut17 100 seed 1 "]
    for _ in range(2):  # the second time, all runs are there
        done = subprocess.run([sys.executable, *first, *quick], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert Path("docs/small-data.jsonl").read_text("utf-8").startswith("".join(kept))
        run = json.loads(Path("docs/small-data.jsonl").read_text("utf-8").splitlines()[-1])
        assert len(Path("docs/small-data.jsonl").read_text("utf-8").splitlines()) == len(committed)
    assert (run["corpus"], run["size"], run["row"], run["seed"]) == ("wnut17", 100, "chosen", 1)
    assert (run["sentences"], run["settings"]["batch_size"], run["epochs_trained"]) == (100, 4, 1)


@pytest.mark.tensorflow
def test_the_documented_runs_on_partial_labels_skip_finished_runs(in_clone: Path, corpora_beside: None) -> None:
    first = next(shlex.split(command)[1:] for command in commands() if "partial_labels.py" in command)
    runs = Path("docs/partial-labels.jsonl")
    committed = runs.read_text("utf-8").splitlines(keepends=True)
    kept = [line for line in committed if '"corpus": "wnut17", "row": "?", "seed": 1' not in line]
    assert len(kept) == len(committed) - 1
    runs.write_text("".join(kept), "utf-8")
    for _ in range(2):  # the second time, the run is there
        done = subprocess.run(
            [sys.executable, *first, *QUICK_RUN, "--rows", "wnut17 seed 1 ?"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert len(runs.read_text("utf-8").splitlines()) == len(committed)
    run = json.loads(runs.read_text("utf-8").splitlines()[-1])
    assert (run["corpus"], run["row"], run["seed"], run["sentences"]) == ("wnut17", "?", 1, 3394)
    assert (run["tokens"], run["hidden"], run["entities"], run["epochs_trained"]) == (62730, 31330, 1029, 1)


def run_again(script: str, removed: str, *options: str) -> dict[str, Any]:
    """Run a documented script twice after removing one run from its file; return the run that it adds once.

    Args:
        removed: the beginning of the run, as its line has it.
        options: make the script do only this run, and quickly.
    """
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
def test_the_documented_runs_on_more_types_skip_finished_runs(
    in_clone: Path, corpora_beside: None, tmp_path: Path
) -> None:
    quick = [*QUICK_RUN, f"--work={tmp_path}"]
    removed = '"corpus": "nerkor/5", "seed": 1, "row": "grown"'
    run = run_again("grow.py", removed, *quick, "--rows", "nerkor/5 seed 1 grown")
    assert (run["corpus"], run["row"], run["sentences"]) == ("nerkor/5", "grown", 5048)


@pytest.mark.tensorflow
def test_the_documented_runs_with_clusters_skip_finished_runs(in_clone: Path, corpora_beside: None) -> None:
    pytest.importorskip("spacy_lookups_data")
    removed = '"wnut17", "share": 0.3, "row": "clusters", "seed": 1'
    run = run_again("lexicons.py", removed, *QUICK_RUN, "--rows", "wnut17 0.3 seed 1 clusters")
    assert (run["kind"], run["row"], run["epoch"]) == ("wnut17", "clusters", 1)


@pytest.mark.tensorflow
def test_the_documented_runs_with_pretraining_skip_finished_runs(
    in_clone: Path, corpora_beside: None, tmp_path: Path
) -> None:
    short = [f"--work={tmp_path}", "--lines=300"]
    more = [one for one in QUICK_RUN if "characters" not in one and "units" not in one]  # as in the pretraining
    removed = '"wnut17", "share": 1.0, "row": "tuned", "seed": 1'
    run = run_again("pretraining.py", removed, *short, *more, "--rows", "wnut17 1.0 seed 1 tuned")
    assert (run["kind"], run["row"], run["lines"], run["epoch"]) == ("wnut17", "tuned", 300, 1)


@pytest.mark.tensorflow
def test_the_documented_runs_of_recipes_skip_finished_runs(in_clone: Path, corpora_beside: None) -> None:
    removed = '"kind": "wnut17", "row": "before", "seed": 1'
    run = run_again("recipes.py", removed, *QUICK_RUN, "--rows", "wnut17 before seed 1")
    assert (run["kind"], run["row"], run["epoch"]) == ("wnut17", "before", 1)


@pytest.mark.tensorflow
def test_the_documented_runs_of_ingredients_skip_finished_runs(in_clone: Path, corpora_beside: None) -> None:
    removed = '"kind": "wnut17", "share": 0.3, "row": "shapes", "seed": 1'
    run = run_again("ingredients.py", removed, *QUICK_RUN, "--rows", "wnut17 0.3 seed 1 shapes")
    assert (run["kind"], run["row"], run["epoch"]) == ("wnut17", "shapes", 1)


def test_the_results_tables_match_the_runs(tmp_path: Path) -> None:
    scripts = ("ablate", "small_data", "partial_labels", "active_learning", "curves", "suspects", "grow",
               "raw_vectors", "distill", "lexicons", "recipes", "pretraining", "ingredients")  # fmt: skip
    documented = [shlex.split(command)[1:] for command in commands() if "--table" in command]
    chosen = [next(words for words in documented if Path(words[0]).stem == script) for script in scripts]
    results = (ROOT / "docs/results.md").read_text("utf-8")
    for script, (status, table) in zip(scripts, run_scripts(chosen, tmp_path), strict=True):
        assert status == 0, f"{script}: {table}"
        assert "|---|" in table, script
        assert table in results, script


@pytest.mark.parametrize(
    ("recipe", "corpus", "row", "n_sentences"),
    [
        ("best-no-vectors", "conll2000", "full, no vectors", 8042),
        ("best-glove", "conll2000", "full, GloVe", 8042),
        ("wnut17", "wnut17", "full, GloVe", 3394),
        ("fast", "conll2000", "words only", 8042),
        ("defaults", "conll2000", "defaults with a CRF", 8042),
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
    chosen["model.decoder"] = trained.chosen["model"]["decoder"]
    assert load_config(config, [*given, *(f"{key}={value}" for key, value in chosen.items())]) == documented
